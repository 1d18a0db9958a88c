//! Where the source contradicts itself: what it says of its figures beside what follows from them.

use serde::Serialize;

use crate::{
    catalogue::{Catalogue, Claim, Grade, Statement, Technology},
    evaluation::{Evaluation, Totals, by_priority, evaluate},
};

/// A claim of the source held against its own figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Where the source says it.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What the source says.
    pub says: String,
    /// What follows from its figures.
    pub computed: String,
    /// Whether both agree, to the precision of what is said.
    pub agrees: bool,
    /// What explains the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Every claim of a catalogue, checked on the day of its figures.
pub fn check(catalogue: &Catalogue) -> Vec<Check> {
    let evaluations = evaluate(catalogue, catalogue.dated);
    catalogue
        .claims
        .iter()
        .map(|claim| match &claim.statement {
            Statement::Priority(said) => order(catalogue, claim, said, &by_priority(&evaluations)),
            Statement::Grades => grades(catalogue, claim, &evaluations),
            statement => {
                let (said, computed, is_share) = numbers(catalogue, statement);
                number(claim, said, computed, is_share)
            }
        })
        .collect()
}

/// What is said, what follows, and whether both are read as percentages.
fn numbers(catalogue: &Catalogue, statement: &Statement) -> (f64, f64, bool) {
    let technologies = &catalogue.technologies;
    let evaluations = evaluate(catalogue, catalogue.dated);
    match *statement {
        Statement::Undercurrents(said) => {
            let count = evaluations.iter().filter(|one| one.is_undercurrent).count();
            (said, count as f64, false)
        }
        Statement::TotalMonthlyCost(said) => (said, Totals::of(technologies).monthly_cost, false),
        Statement::MonthlyCostOf(ref some, said) => {
            let some = some.iter().map(|&at| &technologies[at]);
            (said, Totals::of(some).monthly_cost, false)
        }
        Statement::YearlyReturn {
            benefit,
            cost,
            said,
        } => (said, (benefit - cost) / cost, true),
        Statement::Return(at, said) => {
            let computed = evaluations[at].net_return.unwrap_or(f64::INFINITY);
            (said, computed, true)
        }
        Statement::NestedDistance {
            smaller,
            larger,
            said,
        } => (said, (larger - smaller) / larger, false),
        Statement::Quotient {
            dividend,
            divisor,
            said,
        } => (said, dividend / divisor, false),
        // Orders are compared as orders.
        Statement::Priority(_) | Statement::Grades => (f64::NAN, f64::NAN, false),
    }
}

fn number(claim: &Claim, said: f64, computed: f64, is_share: bool) -> Check {
    let text = |value: f64| {
        if !value.is_finite() {
            "without bound".to_owned()
        } else if is_share {
            format!("{:.1} %", 100.0 * value)
        } else {
            rounded(value, 4)
        }
    };
    // What is said in so many digits is right if rounding gives it.
    let agrees = (said - computed).abs() <= 0.5 * unit_of_last_digit(said) * (1.0 + 1e-9);
    Check {
        id: claim.id.clone(),
        subject: claim.subject.clone(),
        says: text(said),
        computed: text(computed),
        agrees,
        note: claim.note.clone().filter(|_| !agrees),
    }
}

/// A number with at most so many decimals.
fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

fn unit_of_last_digit(value: f64) -> f64 {
    let text = rounded(value, 6);
    let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    10_f64.powi(-(decimals as i32))
}

/// The first technology that is graded lower than another of less risk.
fn grades(catalogue: &Catalogue, claim: &Claim, evaluations: &[Evaluation]) -> Check {
    let graded: Vec<(&Technology, Grade, f64)> = catalogue
        .technologies
        .iter()
        .zip(evaluations)
        .filter_map(|(one, evaluation)| Some((one, one.risk_grade?, evaluation.risk)))
        .collect();
    let inversion = graded.iter().find_map(|lower| {
        let higher = graded
            .iter()
            .find(|higher| higher.1 > lower.1 && higher.2 < lower.2)?;
        let words = |(one, grade, risk): &(&Technology, Grade, f64)| {
            format!("{} {} at {}", one.id, grade.word(), rounded(*risk, 2))
        };
        Some(format!("{}, {}", words(lower), words(higher)))
    });
    Check {
        id: claim.id.clone(),
        subject: claim.subject.clone(),
        says: "rise with the risk".into(),
        agrees: inversion.is_none(),
        note: claim.note.clone().filter(|_| inversion.is_some()),
        computed: inversion.unwrap_or_else(|| "they do".into()),
    }
}

fn order(catalogue: &Catalogue, claim: &Claim, said: &[usize], computed: &[usize]) -> Check {
    let names = |order: &[usize]| {
        let name = |&at: &usize| {
            let technology = &catalogue.technologies[at];
            technology
                .number
                .map_or_else(|| technology.id.clone(), |number| number.to_string())
        };
        order.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let computed: Vec<usize> = computed
        .iter()
        .copied()
        .filter(|at| said.contains(at))
        .collect();
    let agrees = computed == said;
    Check {
        id: claim.id.clone(),
        subject: claim.subject.clone(),
        says: names(said),
        computed: names(&computed),
        agrees,
        note: claim.note.clone().filter(|_| !agrees),
    }
}
