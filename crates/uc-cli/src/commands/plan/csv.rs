//! The answer for spreadsheets: one row for each figure, so that every row can be filtered and joined.

use uc_plan::{Estimate, monte_carlo::Spread};

use super::answer::Answer;
use crate::csv::{number, row};

const FIGURES: &[&str] = &[
    "technology",
    "quantity",
    "value",
    "unit",
    "p5",
    "p50",
    "p95",
    "provenance",
    "basis",
];

/// Every figure of the answer.
pub(super) fn figures(answer: &Answer) -> String {
    let mut text = row(FIGURES.iter().map(|&heading| heading.to_owned()));
    let money = &answer.currency;
    let month = format!("{money} per month");
    for (at, subject) in answer.technologies.iter().enumerate() {
        let figures = &subject.figures;
        let given: [(&str, &Estimate, &str); 6] = [
            ("maturity", &figures.maturity, "share"),
            ("monthly cost", &figures.monthly_cost, &month),
            ("monthly benefit", &figures.monthly_benefit, &month),
            ("failure probability", &figures.failure_probability, "share"),
            ("impact", &figures.impact, money),
            ("effort", &figures.effort_person_days, "person-days"),
        ];
        for (quantity, estimate, unit) in given {
            text.push_str(&estimated(&subject.id, quantity, estimate, unit));
        }
        let evaluation = &subject.evaluation;
        let now = subject.timing.curve.first();
        let best = subject.timing.curve.get(subject.timing.best_month as usize);
        let computed: [(&str, Option<f64>, &str, &str); 10] = [
            (
                "window",
                Some(evaluation.vector.window_months as f64),
                "months",
                "standard - as of",
            ),
            (
                "red lines",
                Some(evaluation.vector.red_lines as f64),
                "",
                "violation cost above the threshold",
            ),
            (
                "is an undercurrent",
                Some(f64::from(u8::from(evaluation.is_undercurrent))),
                "",
                "M0.2",
            ),
            ("return (B-C)/C", evaluation.net_return, "share", "M9.1"),
            ("return B/C", evaluation.gross_return, "share", "M9.2"),
            ("risk", Some(evaluation.risk), money, "M9.3"),
            ("priority", Some(evaluation.priority as f64), "rank", "M9.4"),
            (
                "best month t*",
                Some(f64::from(subject.timing.best_month)),
                "months",
                "argmax ROI(T, t)",
            ),
            (
                "value at t*",
                best.map(|moment| moment.value),
                money,
                "benefit - cost - risk",
            ),
            (
                "worth of waiting",
                Some(subject.waiting.worth),
                money,
                "real option",
            ),
        ];
        for (quantity, value, unit, basis) in computed {
            text.push_str(&modelled(&subject.id, quantity, value, unit, basis));
        }
        let spread = answer
            .uncertainty
            .as_ref()
            .and_then(|one| one.summary.technologies.get(at))
            .map(|technology| &technology.value);
        text.push_str(&spread_row(
            &subject.id,
            "value now or as planned",
            now.map(|one| one.value),
            spread,
            money,
        ));
    }
    text.push_str(&of_portfolio(answer));
    text
}

fn of_portfolio(answer: &Answer) -> String {
    let portfolio = &answer.selection.portfolio;
    let money = &answer.currency;
    let samples = answer
        .uncertainty
        .as_ref()
        .map(|one| &one.summary.portfolio);
    let mut text = spread_row(
        "",
        "portfolio value",
        Some(portfolio.value),
        samples.map(|one| &one.value),
        money,
    );
    text += &spread_row(
        "",
        "portfolio risk",
        Some(portfolio.risk),
        samples.map(|one| &one.risk),
        money,
    );
    text += &modelled(
        "",
        "portfolio bound",
        Some(portfolio.bound),
        money,
        "no portfolio is worth more",
    );
    text += &modelled(
        "",
        "portfolio effort",
        Some(portfolio.person_days),
        "person-days",
        "sum over the adoptions",
    );
    for adoption in &portfolio.adoptions {
        let start = answer
            .periods
            .get(adoption.period)
            .map(|period| f64::from(period.start_month));
        text += &modelled(
            &answer.label(adoption.candidate),
            "adopted",
            start,
            "months",
            "months from as of",
        );
    }
    text
}

fn estimated(technology: &str, quantity: &str, estimate: &Estimate, unit: &str) -> String {
    let at = |share| number(Some(estimate.distribution.quantile(share)));
    row([
        technology.to_owned(),
        quantity.to_owned(),
        number(Some(estimate.mean())),
        unit.to_owned(),
        at(0.05),
        at(0.5),
        at(0.95),
        estimate.provenance.kind().to_owned(),
        estimate.provenance.basis().to_owned(),
    ])
}

fn modelled(
    technology: &str,
    quantity: &str,
    value: Option<f64>,
    unit: &str,
    basis: &str,
) -> String {
    let empty = String::new;
    row([
        technology.to_owned(),
        quantity.to_owned(),
        number(value),
        unit.to_owned(),
        empty(),
        empty(),
        empty(),
        "modelled".to_owned(),
        basis.to_owned(),
    ])
}

fn spread_row(
    technology: &str,
    quantity: &str,
    value: Option<f64>,
    spread: Option<&Spread>,
    unit: &str,
) -> String {
    let at = |percentile: fn(&Spread) -> f64| number(spread.map(percentile));
    row([
        technology.to_owned(),
        quantity.to_owned(),
        number(value),
        unit.to_owned(),
        at(|one| one.p5),
        at(|one| one.p50),
        at(|one| one.p95),
        "modelled".to_owned(),
        "figures at their means; percentiles from samples".to_owned(),
    ])
}

/// The action timetable.
pub(super) fn timetable(answer: &Answer) -> String {
    let headings = [
        "quarter",
        "first week",
        "last week",
        "action",
        "technology",
        "person-days",
        "person",
        "start",
        "end",
    ];
    let mut text = row(headings.map(str::to_owned));
    for one in &answer.timetable {
        text += &row([
            one.quarter.clone(),
            one.weeks.0.to_string(),
            one.weeks.1.to_string(),
            "adopt".into(),
            answer.label(one.technology),
            number(Some(one.person_days)),
            one.person.to_string(),
            one.start.to_string(),
            one.end.to_string(),
        ]);
    }
    for one in &answer.watch {
        let empty = String::new;
        text += &row([
            uc_plan::timetable::quarter_label(one.review),
            empty(),
            empty(),
            "watch".into(),
            answer.label(one.technology),
            empty(),
            empty(),
            one.review.to_string(),
            one.standardised.to_string(),
        ]);
    }
    text
}
