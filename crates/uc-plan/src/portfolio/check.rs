//! What a portfolio problem must be before a solver sees it.

use uc_model::{Problem, Result};

use super::{PortfolioProblem, links};

/// The most candidates, and the most periods.
const MAX_CANDIDATES: usize = 1_000;
const MAX_PERIODS: usize = 16;

/// # Errors
/// Invalid for lists of the wrong length, numbers that are not finite, costs, efforts, risks and limits below zero, too many
/// candidates or periods, and links that contradict each other or what is required.
pub(super) fn check(problem: &PortfolioProblem) -> Result<()> {
    sizes(problem)?;
    figures(problem)?;
    limits(problem)?;
    links::check(&problem.candidates)
}

fn sizes(problem: &PortfolioProblem) -> Result<()> {
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
    Ok(())
}

fn figures(problem: &PortfolioProblem) -> Result<()> {
    let is_list = |list: &[f64]| {
        list.len() == problem.periods.len() && list.iter().all(|amount| amount.is_finite())
    };
    for candidate in &problem.candidates {
        // Only a value may be negative: what lowers a limited sum could pay for what exceeds it.
        let amounts: [(&str, &[f64]); 3] = [
            ("monthly cost", &candidate.monthly_costs),
            ("effort", &candidate.person_days),
            ("risk", &candidate.risks),
        ];
        if !is_list(&candidate.values) || !amounts.iter().all(|(_, list)| is_list(list)) {
            return Err(Problem::invalid(
                "a candidate's figures are not finite, or not one for each period",
            )
            .at(&candidate.name));
        }
        for (what, list) in amounts {
            if let Some(negative) = list.iter().find(|amount| **amount < 0.0) {
                return Err(
                    Problem::invalid(format!("a candidate's {what} is negative"))
                        .at(&candidate.name)
                        .limit("0 or more")
                        .found(negative),
                );
            }
        }
    }
    Ok(())
}

fn limits(problem: &PortfolioProblem) -> Result<()> {
    let days = problem.person_days.as_deref();
    let amounts = [problem.monthly_budget, problem.risk_limit];
    let mut all = amounts
        .into_iter()
        .flatten()
        .chain(days.into_iter().flatten().copied());
    let is_short = days.is_some_and(|days| days.len() != problem.periods.len());
    if is_short || all.any(|limit| !limit.is_finite() || limit < 0.0) {
        return Err(Problem::invalid(
            "a limit of the portfolio is negative, not finite, or not one for each period",
        ));
    }
    Ok(())
}
