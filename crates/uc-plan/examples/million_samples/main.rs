//! A million samples of eight technologies whose forty figures are all uncertain: prints the summary as JSON.
//!
//! `million_samples [THREADS]`; two threads unless said otherwise. `cargo xtask compare-plan` runs it beside NumPy.

#![allow(clippy::print_stdout, reason = "the summary is its output")]
#![expect(clippy::expect_used, reason = "a defect should end the measurement")]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use serde::Deserialize;
use uc_plan::{
    Distribution, Weights,
    monte_carlo::{Experiment, Partial, Prospect, Sampling},
};

/// The file that the peer reads as well.
const TECHNOLOGIES: &str = include_str!("technologies.json");

#[derive(Deserialize)]
struct Technology {
    chosen: bool,
    benefit: Shape,
    cost: Shape,
    effort: Shape,
    failure: Shape,
    impact: Shape,
    weights: Weighing,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Shape {
    Uniform(f64, f64),
    Triangular(f64, f64, f64),
    Pert(f64, f64, f64),
    LogNormal(f64, f64),
}

#[derive(Deserialize)]
struct Weighing {
    benefit: f64,
    cost: f64,
    effort: f64,
    failure: f64,
    impact: f64,
}

impl From<Shape> for Distribution {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Uniform(low, high) => Self::Uniform { low, high },
            Shape::Triangular(low, mode, high) => Self::Triangular { low, mode, high },
            Shape::Pert(low, mode, high) => Self::Pert { low, mode, high },
            Shape::LogNormal(median, p90) => Self::LogNormal { median, p90 },
        }
    }
}

impl From<Technology> for Prospect {
    fn from(technology: Technology) -> Self {
        let Weighing {
            benefit,
            cost,
            effort,
            failure,
            impact,
        } = technology.weights;
        Self {
            benefit: technology.benefit.into(),
            cost: technology.cost.into(),
            effort: technology.effort.into(),
            failure: technology.failure.into(),
            impact: technology.impact.into(),
            weights: Weights {
                benefit,
                cost,
                effort,
                failure,
                impact,
            },
            chosen: technology.chosen,
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads: u32 = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    let technologies: Vec<Technology> = serde_json::from_str(TECHNOLOGIES)?;
    let prospects: Vec<Prospect> = technologies.into_iter().map(Prospect::from).collect();
    let experiment = Experiment::new(&prospects, Sampling::default())?;
    let next = AtomicU32::new(0);
    // Each thread takes the next replicate until none is left, and merges its own.
    let work = || {
        let mut merged: Option<Partial> = None;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= experiment.replicates() {
                return merged;
            }
            let partial = experiment.replicate(index);
            match &mut merged {
                Some(merged) => merged.merge(partial).expect("one experiment"),
                None => merged = Some(partial),
            }
        }
    };
    let partials: Vec<Partial> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().expect("no replicate panics"))
            .collect()
    });
    let summary = experiment.summarise(partials)?;
    println!(
        "{}",
        serde_json::json!({
            "summary": summary,
            "tornado": experiment.tornado(),
            "break_even": experiment.break_even(),
        })
    );
    Ok(())
}
