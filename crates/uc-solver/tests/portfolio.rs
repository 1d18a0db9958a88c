//! Portfolios solved by HiGHS, held against trying every one.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::time::Duration;

use fastrand::Rng;
use uc_plan::portfolio::{
    Candidate, Column, Demand, Limit, Limits, Portfolio, PortfolioProblem, Program, Row, RowKind,
    Solver, Status, choose, foresight, frontier, worth,
};
use uc_solver::Highs;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
};
const ROUNDS: u64 = 60;

fn names(periods: usize) -> Vec<String> {
    (1..=periods).map(|at| format!("quarter {at}")).collect()
}

fn instance(seed: u64) -> PortfolioProblem {
    let mut random = Rng::with_seed(seed);
    let (count, periods) = (random.usize(1..=5), random.usize(1..=3));
    let mut amounts = |low: i32, high: i32| -> Vec<f64> {
        (0..periods)
            .map(|_| f64::from(random.i32(low..=high)))
            .collect()
    };
    let mut candidates: Vec<Candidate> = (0..count)
        .map(|at| Candidate {
            name: format!("c{at}"),
            values: amounts(-20, 100),
            monthly_costs: amounts(0, 30),
            person_days: amounts(0, 10),
            risks: amounts(0, 20),
            requires: Vec::new(),
            excludes: Vec::new(),
            demand: Demand::Free,
        })
        .collect();
    for (at, candidate) in candidates.iter_mut().enumerate().skip(1) {
        match random.u8(0..4) {
            0 => candidate.requires.push(random.usize(0..at)),
            1 => candidate.excludes.push(random.usize(0..at)),
            _ => {}
        }
    }
    let mut limit = |high: i32| (random.u8(0..4) > 0).then(|| f64::from(random.i32(0..=high)));
    PortfolioProblem {
        monthly_budget: limit(60),
        risk_limit: limit(40),
        person_days: limit(12)
            .map(|days| (1..=periods).map(|period| days * period as f64).collect()),
        candidates,
        periods: names(periods),
    }
}

/// Whether a schedule (the period of each candidate, or never) fulfils every condition; by the conditions' own words.
fn fits(problem: &PortfolioProblem, starts: &[Option<usize>]) -> bool {
    let one = |at: usize| &problem.candidates[at];
    let adopted = || {
        starts
            .iter()
            .enumerate()
            .filter_map(|(at, start)| Some((at, (*start)?)))
    };
    let links = adopted().all(|(at, start)| {
        one(at)
            .requires
            .iter()
            .all(|&other| starts[other].is_some_and(|before| before <= start))
            && one(at)
                .excludes
                .iter()
                .all(|&other| starts[other].is_none())
    });
    let budget = (0..problem.periods.len()).all(|period| {
        let cost: f64 = adopted()
            .filter(|(_, start)| *start <= period)
            .map(|(at, _)| one(at).monthly_costs[period])
            .sum();
        problem
            .monthly_budget
            .is_none_or(|budget| cost <= budget + 1e-6)
    });
    let people = (0..problem.periods.len()).all(|period| {
        let work: f64 = adopted()
            .filter(|(_, start)| *start <= period)
            .map(|(at, start)| one(at).person_days[start])
            .sum();
        problem
            .person_days
            .as_ref()
            .is_none_or(|days| work <= days[period] + 1e-6)
    });
    let risk: f64 = adopted().map(|(at, start)| one(at).risks[start]).sum();
    links && budget && people && problem.risk_limit.is_none_or(|limit| risk <= limit + 1e-6)
}

/// Value and least risk of the best schedule, by trying all.
fn by_trying(problem: &PortfolioProblem) -> (f64, f64) {
    let (count, choices) = (problem.candidates.len(), problem.periods.len() + 1);
    let mut best = (f64::NEG_INFINITY, f64::INFINITY);
    for code in 0..choices.pow(count as u32) {
        let starts: Vec<Option<usize>> = (0..count)
            .map(|at| (code / choices.pow(at as u32) % choices).checked_sub(1))
            .collect();
        if !fits(problem, &starts) {
            continue;
        }
        let sum = |amount: fn(&Candidate) -> &[f64]| -> f64 {
            let starts = starts.iter().enumerate();
            starts
                .filter_map(|(at, start)| Some(amount(&problem.candidates[at])[(*start)?]))
                .sum()
        };
        let found = (sum(|one| &one.values), sum(|one| &one.risks));
        if found.0 > best.0 || (found.0 == best.0 && found.1 < best.1) {
            best = found;
        }
    }
    best
}

fn starts(problem: &PortfolioProblem, portfolio: &Portfolio) -> Vec<Option<usize>> {
    let mut starts = vec![None; problem.candidates.len()];
    for adoption in &portfolio.adoptions {
        starts[adoption.candidate] = Some(adoption.period);
    }
    starts
}

fn solve(problem: &PortfolioProblem) -> Portfolio {
    choose(problem, &Highs, &LIMITS).expect("solves")
}

#[test]
fn the_best_portfolio_is_that_of_trying_all_and_has_the_least_risk_of_its_value() {
    for seed in 0..ROUNDS {
        let problem = instance(seed);
        let found = solve(&problem);
        assert_eq!(found.status, Status::Optimal);
        assert!(
            fits(&problem, &starts(&problem, &found)),
            "seed {seed}: {found:?}"
        );
        let (value, risk) = by_trying(&problem);
        assert!(
            (found.value - value).abs() < 1e-4,
            "seed {seed}: {} {value}",
            found.value
        );
        assert!(
            (found.risk - risk).abs() < 1e-4,
            "seed {seed}: {} {risk}",
            found.risk
        );
        assert_eq!(found.gap, 0.0);
    }
}

/// One period, no limits, no links.
fn plain(figures: &[(f64, f64, f64)]) -> PortfolioProblem {
    let candidate = |(at, &(value, cost, risk)): (usize, &(f64, f64, f64))| Candidate {
        name: format!("c{at}"),
        values: vec![value],
        monthly_costs: vec![cost],
        person_days: vec![0.0],
        risks: vec![risk],
        requires: Vec::new(),
        excludes: Vec::new(),
        demand: Demand::Free,
    };
    PortfolioProblem {
        candidates: figures.iter().enumerate().map(candidate).collect(),
        periods: names(1),
        monthly_budget: None,
        person_days: None,
        risk_limit: None,
    }
}

#[test]
fn a_giant_out_of_reach_neither_hides_the_rest_nor_lets_it_exceed_a_limit() {
    let mut valuable = plain(&[(1e9, 1000.0, 0.0), (100.0, 1.0, 5.0), (50.0, 1.0, 1.0)]);
    valuable.monthly_budget = Some(10.0);
    assert_eq!(solve(&valuable).value, 150.0);
    let mut dear = plain(&[(10.0, 1e9, 0.0), (100.0, 500.0, 0.0), (50.0, 90.0, 0.0)]);
    dear.monthly_budget = Some(100.0);
    let found = solve(&dear);
    assert_eq!((found.value, found.monthly_costs[0]), (50.0, 90.0));
    // What a larger budget is worth is not lost beside the giant either: 400 more buy the second instead of the third.
    let worth = worth(&dear, &found, &Highs, &LIMITS).expect("solves");
    let increase = worth[0].increase.expect("improves");
    assert!((increase - 400.0).abs() < 1e-3, "{worth:?}");
    assert_eq!(worth[0].gain, Some(50.0));
}

#[test]
fn figures_of_unlike_size_change_nothing_but_the_last_digits() {
    for seed in 0..ROUNDS * 5 {
        let mut problem = instance(seed);
        let mut random = Rng::with_seed(seed);
        for candidate in &mut problem.candidates {
            for amounts in [
                &mut candidate.values,
                &mut candidate.monthly_costs,
                &mut candidate.person_days,
                &mut candidate.risks,
            ] {
                let factor = 10_f64.powi(random.i32(0..=6));
                amounts.iter_mut().for_each(|amount| *amount *= factor);
            }
        }
        let found = solve(&problem);
        assert!(
            fits(&problem, &starts(&problem, &found)),
            "seed {seed}: {found:?}"
        );
        let (value, _) = by_trying(&problem);
        assert!(
            (found.value - value).abs() <= 1e-6 * value,
            "seed {seed}: {} {value}",
            found.value
        );
    }
}

#[test]
fn programs_that_are_none_are_refused() {
    let column = Column {
        objective: 1.0,
        low: 0.0,
        high: 1.0,
        is_integer: true,
    };
    let row = |high: f64, terms: Vec<(usize, f64)>| Row {
        kind: RowKind::Structure,
        low: f64::NEG_INFINITY,
        high,
        terms,
    };
    let objective = f64::NAN;
    for (columns, rows) in [
        (
            vec![Column {
                objective,
                ..column
            }],
            Vec::new(),
        ),
        (vec![column], vec![row(1.0, vec![(0, f64::NAN)])]),
        (vec![column], vec![row(f64::NAN, vec![(0, 1.0)])]),
        (vec![column], vec![row(1.0, vec![(1, 1.0)])]),
        (vec![column], vec![row(1.0, vec![(0, 1.0), (0, 1.0)])]),
        (Vec::new(), vec![row(1.0, vec![(0, 1.0)])]),
    ] {
        let program = Program { columns, rows };
        assert!(Highs.maximise(&program, &LIMITS).is_err(), "{program:?}");
    }
    let endless = Column {
        high: f64::INFINITY,
        ..column
    };
    let without_end = Program {
        columns: vec![endless],
        rows: Vec::new(),
    };
    assert!(Highs.maximise(&without_end, &LIMITS).is_err());
    let nothing = Highs.maximise(&Program::default(), &LIMITS);
    assert_eq!(nothing.expect("solves").status, Status::Optimal);
}

#[test]
fn more_of_anything_never_worsens_the_optimum() {
    for seed in 0..ROUNDS {
        let problem = instance(seed);
        let before = solve(&problem).value;
        let mut larger = problem.clone();
        larger.monthly_budget = problem.monthly_budget.map(|budget| budget * 1.5 + 1.0);
        assert!(solve(&larger).value >= before - 1e-6, "seed {seed}");
        larger.risk_limit = problem.risk_limit.map(|risk| risk + 5.0);
        assert!(solve(&larger).value >= before - 1e-6, "seed {seed}");
        larger.person_days = None;
        assert!(solve(&larger).value >= before - 1e-6, "seed {seed}");
    }
}

#[test]
fn another_currency_changes_no_choice() {
    for seed in 0..ROUNDS {
        let problem = instance(seed);
        let mut other = problem.clone();
        let factor = 7.3 * 10_f64.powi(seed as i32 % 5 - 2);
        for candidate in &mut other.candidates {
            for amounts in [
                &mut candidate.values,
                &mut candidate.monthly_costs,
                &mut candidate.risks,
            ] {
                for amount in amounts {
                    *amount *= factor;
                }
            }
        }
        other.monthly_budget = problem.monthly_budget.map(|budget| budget * factor);
        other.risk_limit = problem.risk_limit.map(|risk| risk * factor);
        let (one, two) = (solve(&problem), solve(&other));
        assert!(
            (one.value * factor - two.value).abs() < 1e-4 * factor,
            "seed {seed}"
        );
        assert!(
            (one.risk * factor - two.risk).abs() < 1e-4 * factor,
            "seed {seed}"
        );
    }
}

#[test]
fn the_frontier_rises_and_each_point_is_the_best_under_its_risk() {
    for seed in 0..ROUNDS / 3 {
        let mut problem = instance(seed);
        let points = frontier(&problem, &Highs, &LIMITS).expect("solves");
        assert!(!points.is_empty());
        for pair in points.windows(2) {
            assert!(
                pair[0].risk < pair[1].risk && pair[0].value < pair[1].value,
                "seed {seed}"
            );
        }
        for point in &points {
            problem.risk_limit = Some(point.risk);
            let (value, risk) = by_trying(&problem);
            assert!(
                (value - point.value).abs() < 1e-4,
                "seed {seed}: {value} {point:?}"
            );
            assert!(
                (risk - point.risk).abs() < 1e-4,
                "seed {seed}: {risk} {point:?}"
            );
        }
    }
}

#[test]
fn one_more_unit_is_worth_what_trying_all_says() {
    for seed in 0..ROUNDS / 2 {
        let problem = instance(seed);
        let best = solve(&problem);
        for worth in worth(&problem, &best, &Highs, &LIMITS).expect("solves") {
            let raised = |by: f64| {
                let mut larger = problem.clone();
                match worth.limit {
                    Limit::MonthlyBudget => {
                        larger.monthly_budget = problem.monthly_budget.map(|b| b + by);
                    }
                    Limit::Risk => larger.risk_limit = problem.risk_limit.map(|risk| risk + by),
                    Limit::PersonDays => larger
                        .person_days
                        .iter_mut()
                        .flatten()
                        .for_each(|days| *days += by),
                }
                by_trying(&larger).0
            };
            match (worth.increase, worth.gain) {
                (Some(increase), Some(gain)) => {
                    assert!(
                        (raised(increase + 1e-4) - best.value - gain).abs() < 1e-3,
                        "seed {seed}: {worth:?}"
                    );
                    assert!(
                        raised(increase - 1e-3) <= best.value + 0.02,
                        "seed {seed}: {worth:?}"
                    );
                }
                _ => assert!(raised(1e6) <= best.value + 0.02, "seed {seed}: {worth:?}"),
            }
        }
    }
}

/// A technology that the budget rules out as a whole still says what a part of it would be worth.
#[test]
fn a_budget_of_nothing_has_a_price_all_the_same() {
    let mut problem = instance(1);
    problem.candidates.truncate(1);
    problem.periods = names(1);
    problem.candidates[0] = Candidate {
        name: "one".into(),
        values: vec![10.0],
        monthly_costs: vec![2.0],
        person_days: vec![1.0],
        risks: vec![0.0],
        requires: Vec::new(),
        excludes: Vec::new(),
        demand: Demand::Free,
    };
    problem.monthly_budget = Some(0.0);
    problem.person_days = None;
    problem.risk_limit = None;
    let best = solve(&problem);
    let worths = worth(&problem, &best, &Highs, &LIMITS).expect("solves");
    assert_eq!(worths.len(), 1);
    assert!(
        (worths[0].relaxed_per_unit - 5.0).abs() < 1e-6,
        "{worths:?}"
    );
    assert!(
        (worths[0].increase.expect("there is one") - 2.0).abs() < 1e-4,
        "{worths:?}"
    );
    assert!(
        (worths[0].gain.expect("there is one") - 10.0).abs() < 1e-6,
        "{worths:?}"
    );
}

#[test]
fn what_does_not_fit_is_named_with_what_is_missing() {
    let mut problem = instance(1);
    problem.candidates.truncate(1);
    problem.periods = names(1);
    problem.candidates[0] = Candidate {
        name: "dear".into(),
        values: vec![1.0],
        monthly_costs: vec![100.0],
        person_days: vec![9.0],
        risks: vec![0.0],
        requires: Vec::new(),
        excludes: Vec::new(),
        demand: Demand::Required,
    };
    problem.monthly_budget = Some(70.0);
    problem.person_days = Some(vec![5.0]);
    problem.risk_limit = None;
    let refused = choose(&problem, &Highs, &LIMITS)
        .expect_err("does not fit")
        .to_string();
    assert!(
        refused.contains("budget of quarter 1 is short by 30.00"),
        "{refused}"
    );
    assert!(refused.contains("short by 4.0 person-days"), "{refused}");
    let mut excluded = problem.clone();
    excluded.monthly_budget = None;
    excluded.person_days = None;
    excluded.candidates.push(Candidate {
        name: "rival".into(),
        excludes: vec![0],
        ..problem.candidates[0].clone()
    });
    let refused = choose(&excluded, &Highs, &LIMITS)
        .expect_err("does not fit")
        .to_string();
    assert!(refused.contains("exclusions"), "{refused}");
    problem.candidates[0].values = vec![f64::NAN];
    assert!(choose(&problem, &Highs, &LIMITS).is_err());
}

#[test]
fn foresight_of_the_expected_future_is_worth_nothing_and_never_less() {
    for seed in 0..ROUNDS / 3 {
        let problem = instance(seed);
        let best = solve(&problem);
        let values: Vec<Vec<f64>> = problem
            .candidates
            .iter()
            .map(|one| one.values.clone())
            .collect();
        let same = foresight(&problem, &best, [values.clone()], &Highs, &LIMITS).expect("solves");
        assert!(
            same.perfect_information.abs() < 1e-4,
            "seed {seed}: {same:?}"
        );
        let mut random = Rng::with_seed(seed);
        let futures = (0..8).map(|_| {
            let mut future = values.clone();
            future
                .iter_mut()
                .flatten()
                .for_each(|value| *value += 60.0 * (random.f64() - 0.5));
            future
        });
        let other = foresight(&problem, &best, futures, &Highs, &LIMITS).expect("solves");
        assert!(other.perfect_information >= -1e-4, "seed {seed}: {other:?}");
        assert_eq!(other.futures, 8);
    }
}
