//! A portfolio problem as an integer program.
//!
//! The unknown y[i, k] is 1 if candidate i has been adopted by period k. Compared with one unknown for each start, the relaxed
//! program is as tight and branching halves what is left, which makes proofs ten to a hundred times shorter.
//!
//! Amounts are divided by the largest of their kind, so that neither the currency nor its size matters to the solver.

use uc_model::{Problem, Result};

use super::{Candidate, Column, Demand, PortfolioProblem, Program, Row, RowKind, program::Solved};

/// The most candidates, and the most periods.
const MAX_CANDIDATES: usize = 1_000;
const MAX_PERIODS: usize = 16;

/// What an amount depends on: its list for each period of a candidate.
type Amounts = fn(&Candidate) -> &[f64];

/// A program with what is needed to read its solutions.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) problem: &'a PortfolioProblem,
    pub(super) program: Program,
    /// Money for one unit of the objective.
    pub(super) value_scale: f64,
    pub(super) cost_scale: f64,
    pub(super) work_scale: f64,
    pub(super) risk_scale: f64,
}

impl<'a> Model<'a> {
    /// # Errors
    /// Invalid for lists of the wrong length, numbers that are not finite, and too many candidates.
    pub(super) fn new(problem: &'a PortfolioProblem) -> Result<Self> {
        check(problem)?;
        let scale = |amounts: Amounts| {
            let all = problem
                .candidates
                .iter()
                .flat_map(|one| amounts(one).iter());
            let largest = all.fold(0.0_f64, |largest, amount| largest.max(amount.abs()));
            if largest > 0.0 { largest } else { 1.0 }
        };
        let mut model = Self {
            problem,
            program: Program::default(),
            value_scale: scale(|one| &one.values),
            cost_scale: scale(|one| &one.monthly_costs),
            work_scale: scale(|one| &one.person_days),
            risk_scale: scale(|one| &one.risks),
        };
        model.columns();
        model.structure();
        model.limits();
        Ok(model)
    }

    /// The column of a candidate and a period.
    pub(super) fn column(&self, candidate: usize, period: usize) -> usize {
        candidate * self.problem.periods.len() + period
    }

    /// The coefficients of an amount that is due once, in the period of the adoption, as far as `last`.
    pub(super) fn once(&self, amounts: Amounts, scale: f64, last: usize) -> Vec<(usize, f64)> {
        let mut terms = Vec::new();
        for (at, candidate) in self.problem.candidates.iter().enumerate() {
            let amounts = amounts(candidate);
            for period in 0..=last {
                // Σ a[j] (y[j] - y[j - 1]) for j up to `last`, sorted by y.
                let later = if period < last {
                    amounts[period + 1]
                } else {
                    0.0
                };
                let coefficient = (amounts[period] - later) / scale;
                if coefficient != 0.0 {
                    terms.push((self.column(at, period), coefficient));
                }
            }
        }
        terms
    }

    fn columns(&mut self) {
        let last = self.problem.periods.len() - 1;
        for candidate in &self.problem.candidates {
            for period in 0..self.problem.periods.len() {
                let (low, high) = match candidate.demand {
                    Demand::Free => (0.0, 1.0),
                    // Adopted by the end, whenever it is.
                    Demand::Required if period == last => (1.0, 1.0),
                    Demand::Required => (0.0, 1.0),
                    Demand::Forbidden => (0.0, 0.0),
                };
                self.program.columns.push(Column {
                    objective: 0.0,
                    low,
                    high,
                    is_integer: true,
                });
            }
        }
        for (column, coefficient) in self.once(|one| &one.values, self.value_scale, last) {
            self.program.columns[column].objective = coefficient;
        }
    }

    fn structure(&mut self) {
        let periods = self.problem.periods.len();
        let mut rows = Vec::new();
        let mut at_most = |terms: Vec<(usize, f64)>, high: f64| {
            rows.push(Row {
                kind: RowKind::Structure,
                low: f64::NEG_INFINITY,
                high,
                terms,
            });
        };
        for (at, candidate) in self.problem.candidates.iter().enumerate() {
            for period in 1..periods {
                let (before, now) = (self.column(at, period - 1), self.column(at, period));
                at_most(vec![(before, 1.0), (now, -1.0)], 0.0);
            }
            for &required in &candidate.requires {
                for period in 0..periods {
                    let (own, other) = (self.column(at, period), self.column(required, period));
                    at_most(vec![(own, 1.0), (other, -1.0)], 0.0);
                }
            }
            for &excluded in &candidate.excludes {
                let last = periods - 1;
                let (own, other) = (self.column(at, last), self.column(excluded, last));
                at_most(vec![(own, 1.0), (other, 1.0)], 1.0);
            }
        }
        self.program.rows.extend(rows);
    }

    fn limits(&mut self) {
        let last = self.problem.periods.len() - 1;
        let mut rows = Vec::new();
        let mut at_most = |kind, terms, high| {
            rows.push(Row {
                kind,
                low: f64::NEG_INFINITY,
                high,
                terms,
            });
        };
        for period in 0..=last {
            if let Some(budget) = self.problem.monthly_budget {
                let costs = self.problem.candidates.iter().enumerate();
                let terms = costs
                    .map(|(at, one)| {
                        let cost = one.monthly_costs[period] / self.cost_scale;
                        (self.column(at, period), cost)
                    })
                    .filter(|(_, cost)| *cost != 0.0)
                    .collect();
                at_most(RowKind::Budget(period), terms, budget / self.cost_scale);
            }
            if let Some(days) = &self.problem.person_days {
                let terms = self.once(|one| &one.person_days, self.work_scale, period);
                at_most(
                    RowKind::People(period),
                    terms,
                    days[period] / self.work_scale,
                );
            }
        }
        if let Some(limit) = self.problem.risk_limit {
            let terms = self.once(|one| &one.risks, self.risk_scale, last);
            at_most(RowKind::Risk, terms, limit / self.risk_scale);
        }
        self.program.rows.extend(rows);
    }

    /// The period in which each candidate is adopted, if it is.
    pub(super) fn starts(&self, solved: &Solved) -> Vec<Option<usize>> {
        let periods = self.problem.periods.len();
        let candidates = 0..self.problem.candidates.len();
        candidates
            .map(|at| {
                (0..periods).find(|&period| {
                    let column = self.column(at, period);
                    solved.values.get(column).is_some_and(|value| *value > 0.5)
                })
            })
            .collect()
    }
}

fn check(problem: &PortfolioProblem) -> Result<()> {
    let count = problem.candidates.len();
    if count == 0 || count > MAX_CANDIDATES {
        return Err(Problem::invalid("a portfolio has candidates")
            .limit(format!("1 to {MAX_CANDIDATES}"))
            .found(count));
    }
    if problem.periods.is_empty() || problem.periods.len() > MAX_PERIODS {
        return Err(Problem::invalid("a portfolio has periods")
            .limit(format!("1 to {MAX_PERIODS}"))
            .found(problem.periods.len()));
    }
    let is_list = |list: &[f64]| {
        list.len() == problem.periods.len() && list.iter().all(|amount| amount.is_finite())
    };
    for candidate in &problem.candidates {
        let lists: [&[f64]; 4] = [
            &candidate.values,
            &candidate.monthly_costs,
            &candidate.person_days,
            &candidate.risks,
        ];
        let names = candidate.requires.iter().chain(&candidate.excludes);
        if !lists.into_iter().all(is_list) || names.into_iter().any(|&other| other >= count) {
            return Err(Problem::invalid(
                "a candidate's figures are not finite, or not one for each period",
            )
            .at(&candidate.name));
        }
    }
    let limits = [problem.monthly_budget, problem.risk_limit];
    let is_bad = limits
        .into_iter()
        .flatten()
        .chain(problem.person_days.iter().flatten().copied())
        .any(|limit| !limit.is_finite());
    let is_short = problem
        .person_days
        .as_ref()
        .is_some_and(|days| days.len() != problem.periods.len());
    if is_bad || is_short {
        return Err(Problem::invalid(
            "a limit of the portfolio is not finite, or not one for each period",
        ));
    }
    Ok(())
}
