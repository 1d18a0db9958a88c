//! Portfolios of 200 technologies: how long the proof of optimality takes.
//!
//! `cargo run --release --package uc-solver --example portfolio_200 [QUARTERS] [SECONDS]`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark prints, and stops when it cannot go on"
)]

use std::time::{Duration, Instant};

use fastrand::Rng;
use uc_plan::portfolio::{Candidate, Demand, Limits, PortfolioProblem, choose};
use uc_solver::Highs;

const TECHNOLOGIES: usize = 200;
const SEEDS: u64 = 9;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|argument| argument.parse::<u64>());
    let mut number = |default| match arguments.next() {
        Some(number) => number.expect("a number"),
        None => default,
    };
    let (quarters, seconds) = (number(4) as usize, number(60));
    let limits = Limits {
        time: Duration::from_secs(seconds),
    };
    let mut times = Vec::new();
    for seed in 0..SEEDS {
        let problem = instance(seed, quarters);
        let begin = Instant::now();
        let found = choose(&problem, &Highs, &limits).expect("solves");
        let elapsed = begin.elapsed().as_secs_f64();
        println!(
            "seed {seed}: {:?} in {elapsed:.2} s, value {:.0}, bound {:.0}, gap {:.4} %, {} adopted",
            found.status,
            found.value,
            found.bound,
            100.0 * found.gap,
            found.adoptions.len(),
        );
        times.push(elapsed);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{TECHNOLOGIES} technologies, {quarters} quarters: median {:.2} s, {:.2} to {:.2} s",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1]
    );
}

/// Budget and people for about a third, every fourth technology with a prerequisite, every eighth with a rival.
fn instance(seed: u64, quarters: usize) -> PortfolioProblem {
    let mut random = Rng::with_seed(seed);
    let mut candidates = Vec::new();
    for at in 0..TECHNOLOGIES {
        let cost = if random.f64() < 0.3 {
            0.0
        } else {
            (random.f64() * 3000.0).round()
        };
        let benefit = (random.f64() * 4000.0 + 0.7 * cost).round();
        let days = (1.0 + random.f64() * 20.0).round();
        let values = (0..quarters).map(|quarter| {
            let months = 36.0 - 3.0 * quarter as f64;
            (benefit - cost) * months * (1.0 - 0.01 * quarter as f64) - 100.0 * days
        });
        candidates.push(Candidate {
            name: at.to_string(),
            values: values.collect(),
            monthly_costs: vec![cost; quarters],
            person_days: vec![days; quarters],
            risks: vec![(random.f64() * 2000.0).round(); quarters],
            requires: if at % 4 == 1 {
                vec![at - 1]
            } else {
                Vec::new()
            },
            excludes: if at % 8 == 3 {
                vec![at - 1]
            } else {
                Vec::new()
            },
            demand: Demand::Free,
        });
    }
    let sum = |amount: fn(&Candidate) -> f64| candidates.iter().map(amount).sum::<f64>();
    let days = 0.4 * sum(|one| one.person_days[0]) / quarters as f64;
    PortfolioProblem {
        monthly_budget: Some(0.3 * sum(|one| one.monthly_costs[0])),
        person_days: Some(
            (1..=quarters)
                .map(|quarter| days * quarter as f64)
                .collect(),
        ),
        risk_limit: None,
        candidates,
        periods: (1..=quarters).map(|at| at.to_string()).collect(),
    }
}
