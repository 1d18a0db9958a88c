//! Portfolios solved by trying every one: what this crate makes of a solver's answers, whichever solver it is.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::time::Duration;

use uc_model::Result;
use uc_plan::portfolio::{
    Candidate, Demand, FRONTIER_POINTS, Limits, PortfolioProblem, Program, Row, Solved, Solver,
    Status, choose, frontier, worth,
};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(60),
};

/// Tries every combination of the columns that are 0 or 1. Any other column is an excess: it takes the least value that its
/// rows allow.
struct Trying;

impl Solver for Trying {
    fn maximise(&self, program: &Program, _: &Limits) -> Result<Solved> {
        let is_integer = |column: usize| program.columns[column].is_integer;
        let whole: Vec<usize> = (0..program.columns.len())
            .filter(|at| is_integer(*at))
            .collect();
        let mut best = Solved {
            status: Status::Infeasible,
            values: Vec::new(),
            objective: f64::NEG_INFINITY,
            bound: f64::NEG_INFINITY,
            duals: Vec::new(),
        };
        for code in 0..1_u32 << whole.len() {
            let mut values = vec![0.0; program.columns.len()];
            for (bit, &column) in whole.iter().enumerate() {
                values[column] = f64::from(code >> bit & 1);
            }
            for row in &program.rows {
                let excess = row.terms.iter().find(|(at, _)| !is_integer(*at));
                if let Some(&(at, _)) = excess {
                    let others = sum(row, &values) + values[at];
                    values[at] = values[at].max(others - row.high);
                }
            }
            let objective: f64 = program
                .columns
                .iter()
                .zip(&values)
                .map(|(column, value)| column.objective * value)
                .sum();
            if holds(program, &values) && objective > best.objective {
                best = Solved {
                    status: Status::Optimal,
                    values,
                    objective,
                    bound: objective,
                    duals: Vec::new(),
                };
            }
        }
        Ok(best)
    }
}

/// Stops early at every program for which it is told to.
struct Stopping(fn(&Program) -> bool);

impl Solver for Stopping {
    fn maximise(&self, program: &Program, limits: &Limits) -> Result<Solved> {
        let solved = Trying.maximise(program, limits)?;
        Ok(if self.0(program) {
            Solved {
                status: Status::Stopped,
                values: Vec::new(),
                bound: f64::INFINITY,
                ..solved
            }
        } else {
            solved
        })
    }
}

fn sum(row: &Row, values: &[f64]) -> f64 {
    row.terms
        .iter()
        .map(|&(at, coefficient)| coefficient * values[at])
        .sum()
}

fn holds(program: &Program, values: &[f64]) -> bool {
    let is_within = |value: f64, low: f64, high: f64| value >= low - 1e-9 && value <= high + 1e-9;
    let mut columns = program.columns.iter().zip(values);
    columns.all(|(one, &value)| is_within(value, one.low, one.high))
        && program
            .rows
            .iter()
            .all(|row| is_within(sum(row, values), row.low, row.high))
}

fn candidate(name: &str, value: f64, cost: f64, days: f64, risk: f64) -> Candidate {
    Candidate {
        name: name.into(),
        values: vec![value, 0.9 * value],
        monthly_costs: vec![cost; 2],
        person_days: vec![days; 2],
        risks: vec![risk, 0.5 * risk],
        requires: Vec::new(),
        excludes: Vec::new(),
        demand: Demand::Free,
    }
}

fn problem() -> PortfolioProblem {
    PortfolioProblem {
        candidates: vec![
            candidate("signing", 100.0, 10.0, 3.0, 8.0),
            candidate("scheduler", 60.0, 5.0, 2.0, 2.0),
            candidate("offload", 80.0, 20.0, 4.0, 20.0),
        ],
        periods: vec!["2026Q1".into(), "2026Q2".into()],
        monthly_budget: Some(30.0),
        person_days: Some(vec![4.0, 8.0]),
        risk_limit: None,
    }
}

fn refusal(problem: &PortfolioProblem) -> String {
    choose(problem, &Trying, &LIMITS)
        .expect_err("is refused")
        .to_string()
}

#[test]
fn the_schedule_follows_people_and_budget() {
    let best = choose(&problem(), &Trying, &LIMITS).expect("solves");
    let schedule: Vec<(usize, usize)> = best
        .adoptions
        .iter()
        .map(|one| (one.candidate, one.period))
        .collect();
    // All three cost 35 a month; two fit, one in each period, for lack of people the dearer first.
    assert_eq!(schedule, [(0, 0), (2, 1)]);
    assert_eq!(best.value, 172.0);
    assert_eq!(best.monthly_costs, [10.0, 30.0]);
    assert_eq!((best.bound, best.gap), (172.0, 0.0));
}

#[test]
fn a_prerequisite_comes_no_later_and_rivals_never_meet() {
    let mut linked = problem();
    linked.candidates[0].requires = vec![1];
    linked.candidates[2].excludes = vec![0];
    let best = choose(&linked, &Trying, &LIMITS).expect("solves");
    let start = |at: usize| {
        let mut all = best.adoptions.iter();
        all.find(|one| one.candidate == at).map(|one| one.period)
    };
    assert_eq!((start(0), start(1), start(2)), (Some(1), Some(0), None));
}

#[test]
fn malformed_problems_are_named() {
    type Change = fn(&mut PortfolioProblem);
    let cases: [(&str, Change); 9] = [
        ("a candidate requires or excludes itself", |one| {
            one.candidates[0].excludes = vec![0];
        }),
        ("names one that does not exist", |one| {
            one.candidates[0].requires = vec![3];
        }),
        ("signing requires offload requires signing", |one| {
            one.candidates[0].requires = vec![2];
            one.candidates[1].requires = vec![0];
            one.candidates[2].requires = vec![0];
        }),
        ("excludes what it requires", |one| {
            one.candidates[0].requires = vec![1];
            one.candidates[1].excludes = vec![0];
        }),
        ("monthly cost is negative", |one| {
            one.candidates[0].monthly_costs[1] = -1.0;
        }),
        ("not finite", |one| one.candidates[0].values[0] = f64::NAN),
        ("not one for each period", |one| {
            one.candidates[0].risks.truncate(1);
        }),
        ("a limit of the portfolio is negative", |one| {
            one.monthly_budget = Some(-1.0);
        }),
        ("a portfolio has candidates", |one| one.candidates.clear()),
    ];
    for (words, change) in cases {
        let mut malformed = problem();
        change(&mut malformed);
        let refused = refusal(&malformed);
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn demands_that_contradict_each_other_are_named_whatever_the_limits() {
    let mut demanded = problem();
    demanded.monthly_budget = None;
    demanded.person_days = None;
    demanded.candidates[0].demand = Demand::Required;
    demanded.candidates[0].requires = vec![1];
    demanded.candidates[1].demand = Demand::Forbidden;
    let refused = refusal(&demanded);
    assert!(refused.contains("scheduler is forbidden"), "{refused}");
    demanded.candidates[1].demand = Demand::Free;
    demanded.candidates[1].excludes = vec![2];
    demanded.candidates[2].demand = Demand::Required;
    let refused = refusal(&demanded);
    assert!(
        refused.contains("scheduler and offload exclude each other"),
        "{refused}"
    );
}

#[test]
fn the_limit_that_is_too_small_is_named_with_the_prerequisites_counted() {
    let mut short = problem();
    short.person_days = None;
    short.monthly_budget = Some(12.0);
    short.candidates[0].demand = Demand::Required;
    short.candidates[0].requires = vec![1];
    let refused = refusal(&short);
    assert!(
        refused.contains("the budget of 2026Q2 is short by 3.00 a month"),
        "{refused}"
    );
    // Nothing is claimed that was not found out.
    let is_elastic = |program: &Program| program.columns.iter().any(|one| !one.is_integer);
    let late = choose(&short, &Stopping(is_elastic), &LIMITS)
        .expect_err("does not fit")
        .to_string();
    assert!(late.contains("was not found in time"), "{late}");
}

#[test]
fn a_small_frontier_is_complete_and_begins_at_the_least_risk() {
    let mut free = problem();
    free.monthly_budget = None;
    free.person_days = None;
    free.candidates[0].demand = Demand::Required;
    let points = frontier(&free, &Trying, &LIMITS).expect("solves");
    let mut all = Vec::new();
    for code in 0..27_usize {
        let starts = [code % 3, code / 3 % 3, code / 9];
        if starts[0] == 0 {
            continue;
        }
        let figures = starts.iter().zip(&free.candidates);
        let due = figures.filter(|(start, _)| **start > 0);
        all.push(due.fold((0.0, 0.0), |(risk, value), (start, one)| {
            (risk + one.risks[start - 1], value + one.values[start - 1])
        }));
    }
    let is_beaten = |one: &(f64, f64)| {
        let beats = |other: &(f64, f64)| other != one && other.0 <= one.0 && other.1 >= one.1;
        all.iter().any(beats)
    };
    let mut expected: Vec<(f64, f64)> = all.iter().copied().filter(|one| !is_beaten(one)).collect();
    expected.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(expected.len() <= FRONTIER_POINTS);
    let found: Vec<(f64, f64)> = points.iter().map(|one| (one.risk, one.value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_larger_frontier_keeps_both_ends() {
    let mut many = problem();
    many.periods.truncate(1);
    many.monthly_budget = None;
    many.person_days = None;
    // Every subset is efficient: 32 of them.
    many.candidates = (0..5)
        .map(|at| {
            let amount = f64::from(1 << at);
            let mut one = candidate("one", amount, 0.0, 0.0, amount);
            for list in [
                &mut one.values,
                &mut one.monthly_costs,
                &mut one.person_days,
                &mut one.risks,
            ] {
                list.truncate(1);
            }
            one
        })
        .collect();
    let points = frontier(&many, &Trying, &LIMITS).expect("solves");
    assert_eq!(points.len(), FRONTIER_POINTS);
    assert_eq!((points[0].risk, points[15].risk), (0.0, 31.0));
}

#[test]
fn worth_is_per_unit_of_the_increase_and_unsaid_beside_an_unproven_portfolio() {
    let mut tight = problem();
    tight.person_days = None;
    let mut best = choose(&tight, &Trying, &LIMITS).expect("solves");
    let found = worth(&tight, &best, &Trying, &LIMITS).expect("solves");
    assert_eq!(found[0].increase, Some(5.0));
    let gain = found[0].gain.expect("improves");
    assert_eq!(found[0].per_unit(), Some(gain / 5.0));
    best.status = Status::Stopped;
    assert_eq!(worth(&tight, &best, &Trying, &LIMITS).expect("solves"), []);
}
