//! A portfolio problem as an integer program.
//!
//! The unknown y[i, k] is 1 if candidate i has been adopted by period k. Compared with one unknown for each start, the relaxed
//! program is as tight and branching halves what is left, which makes proofs ten to a hundred times shorter.
//!
//! Amounts are divided by the largest of their kind that a portfolio can hold, so that neither the currency nor its size matters
//! to the solver.

use uc_model::Result;

use super::{
    Candidate, Column, Demand, Limit, PortfolioProblem, Program, Row, RowKind, check::check,
    program::Solved, reach,
};

/// What an amount depends on: its list for each period of a candidate.
type Amounts = fn(&Candidate) -> &[f64];

/// A program with what is needed to read its solutions.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) problem: &'a PortfolioProblem,
    pub(super) program: Program,
    /// For each candidate and period whether it can be adopted then.
    starts: Vec<Vec<bool>>,
    /// Money for one unit of the objective.
    pub(super) value_scale: f64,
    pub(super) cost_scale: f64,
    pub(super) work_scale: f64,
    pub(super) risk_scale: f64,
}

impl<'a> Model<'a> {
    /// # Errors
    /// Invalid as [`check`] says.
    pub(super) fn new(problem: &'a PortfolioProblem) -> Result<Self> {
        check(problem)?;
        Ok(Self::with(problem, reach::possible(problem)))
    }

    /// The same with whatever can be adopted once a limit is raised.
    ///
    /// # Errors
    /// Invalid as [`check`] says.
    pub(super) fn beyond(problem: &'a PortfolioProblem, limit: Limit) -> Result<Self> {
        check(problem)?;
        let mut without = problem.clone();
        match limit {
            Limit::MonthlyBudget => without.monthly_budget = None,
            Limit::PersonDays => without.person_days = None,
            Limit::Risk => without.risk_limit = None,
        }
        Ok(Self::with(problem, reach::possible(&without)))
    }

    /// The same with nothing but what every portfolio holds, whether or not it fits.
    pub(super) fn demanded(problem: &'a PortfolioProblem) -> Self {
        Self::with(problem, reach::demanded(problem))
    }

    fn with(problem: &'a PortfolioProblem, starts: Vec<Vec<bool>>) -> Self {
        let days = problem.person_days.as_deref().unwrap_or_default();
        let least_days = days.iter().copied().filter(|days| *days > 0.0);
        let mut model = Self {
            value_scale: scale(problem, &starts, |one| &one.values, None),
            cost_scale: scale(
                problem,
                &starts,
                |one| &one.monthly_costs,
                problem.monthly_budget,
            ),
            work_scale: scale(
                problem,
                &starts,
                |one| &one.person_days,
                least_days.reduce(f64::min),
            ),
            risk_scale: scale(problem, &starts, |one| &one.risks, problem.risk_limit),
            problem,
            program: Program::default(),
            starts,
        };
        model.columns();
        model.structure();
        model.limits();
        model
    }

    /// Whether a candidate can have been adopted by a period.
    fn can_run(&self, candidate: usize, period: usize) -> bool {
        self.starts[candidate][..=period].contains(&true)
    }

    /// The column of a candidate and a period.
    pub(super) fn column(&self, candidate: usize, period: usize) -> usize {
        candidate * self.problem.periods.len() + period
    }

    /// The coefficients of an amount that is due once, in the period of the adoption, as far as `last`.
    pub(super) fn once(&self, amounts: Amounts, scale: f64, last: usize) -> Vec<(usize, f64)> {
        let mut terms = Vec::new();
        for (at, candidate) in self.problem.candidates.iter().enumerate() {
            // What cannot begin in a period has no amount there.
            let amount = |period: usize| {
                let is_due = period <= last && self.starts[at][period];
                if is_due {
                    amounts(candidate)[period]
                } else {
                    0.0
                }
            };
            for period in 0..=last {
                // Σ a[j] (y[j] - y[j - 1]) for j up to `last`, sorted by y.
                let coefficient = (amount(period) - amount(period + 1)) / scale;
                if coefficient != 0.0 {
                    terms.push((self.column(at, period), coefficient));
                }
            }
        }
        terms
    }

    fn columns(&mut self) {
        let last = self.problem.periods.len() - 1;
        for (at, candidate) in self.problem.candidates.iter().enumerate() {
            for period in 0..self.problem.periods.len() {
                // Required is who is adopted by the end, whenever it is.
                let is_due = candidate.demand == Demand::Required && period == last;
                self.program.columns.push(Column {
                    objective: 0.0,
                    low: f64::from(u8::from(is_due)),
                    high: f64::from(u8::from(self.can_run(at, period))),
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
                if !self.starts[at][period] {
                    at_most(vec![(now, 1.0), (before, -1.0)], 0.0);
                }
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
                    .filter(|(at, _)| self.can_run(*at, period))
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

/// What to divide amounts by: the largest that can be due, or their limit if that is less, so that what a solver allows itself
/// stays a millionth of the limit.
fn scale(
    problem: &PortfolioProblem,
    starts: &[Vec<bool>],
    amounts: Amounts,
    limit: Option<f64>,
) -> f64 {
    let mut largest = 0.0_f64;
    for (candidate, starts) in problem.candidates.iter().zip(starts) {
        let first = starts.iter().position(|possible| *possible);
        let due = first.map_or(&[][..], |first| &amounts(candidate)[first..]);
        largest = due
            .iter()
            .fold(largest, |largest, amount| largest.max(amount.abs()));
    }
    let limit = limit.filter(|limit| *limit > 0.0).unwrap_or(f64::INFINITY);
    if largest > 0.0 {
        largest.min(limit)
    } else {
        1.0
    }
}
