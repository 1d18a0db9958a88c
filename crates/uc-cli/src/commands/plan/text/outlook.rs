//! What is to be done, how sure that is, and when: portfolio, uncertainty, timetable.

use uc_plan::{
    Catalogue,
    monte_carlo::{Figure, Spread},
    portfolio::{Limit, Status, Worth},
};

use super::{
    super::{answer::Answer, selection::DETAILED_TECHNOLOGIES},
    title,
};
use crate::{
    printing::{Mark, marked},
    table::Table,
    words::{amount, share},
};

/// The most bars of the tornado and rows of the frontier that are printed; JSON has all.
const ROWS: usize = 8;

pub(super) fn portfolio(_: &Catalogue, answer: &Answer) -> String {
    let selection = &answer.selection;
    let portfolio = &selection.portfolio;
    let mut table = Table::new(&[
        "START",
        "TECHNOLOGY",
        "VALUE",
        "RISK",
        "PERSON-DAYS",
        "RIGHT",
    ]);
    for adoption in &portfolio.adoptions {
        let right = selection
            .foresight
            .as_ref()
            .and_then(|foresight| foresight.right.get(adoption.candidate));
        table.row([
            answer
                .periods
                .get(adoption.period)
                .map(|period| period.label.clone())
                .unwrap_or_default(),
            answer.label(adoption.candidate),
            amount(adoption.value),
            amount(adoption.risk),
            amount(adoption.person_days),
            right.map_or_else(|| "-".into(), |right| share(Some(*right))),
        ]);
    }
    let proof = match portfolio.status {
        Status::Optimal => marked(Mark::Good, "proven: none is worth more"),
        _ => marked(
            Mark::Attention,
            &format!(
                "stopped early: none is worth more than {}, a gap of {:.3} %",
                amount(portfolio.bound),
                100.0 * portfolio.gap
            ),
        ),
    };
    let mut text = format!(
        "{}{}Together worth {} at a risk of {}, {} person-days, up to {} a month; {proof}.\n",
        title("Portfolio: the best set and its schedule"),
        table.text(),
        amount(portfolio.value),
        amount(portfolio.risk),
        amount(portfolio.person_days),
        amount(portfolio.monthly_costs.iter().copied().fold(0.0, f64::max)),
    );
    if portfolio.adoptions.is_empty() {
        text = format!(
            "{}Nothing is worth adopting under these conditions; {proof}.\n",
            title("Portfolio: the best set and its schedule")
        );
    }
    for worth in &selection.worth {
        text.push_str(&one_more(answer, worth));
    }
    text.push_str(&sureness(answer));
    text.push_str(&frontier(answer));
    text
}

fn one_more(answer: &Answer, worth: &Worth) -> String {
    let (unit, limit) = match worth.limit {
        Limit::MonthlyBudget => (format!("{} a month", answer.currency), "budget"),
        Limit::PersonDays => ("person-day".into(), "people"),
        Limit::Risk => (format!("{} of risk", answer.currency), "risk limit"),
    };
    match (worth.increase, worth.gain) {
        (Some(increase), Some(gain)) => format!(
            "One more {unit} is worth {} (relaxed). In fact the {limit} must grow by {} to bring anything, and then brings {}, {} a unit.\n",
            amount(worth.relaxed_per_unit),
            amount(increase),
            amount(gain),
            worth.per_unit().map_or_else(|| "-".into(), amount),
        ),
        _ => format!("One more {unit} is worth nothing: no better portfolio waits for it.\n"),
    }
}

fn sureness(answer: &Answer) -> String {
    let Some(foresight) = &answer.selection.foresight else {
        return String::new();
    };
    let left_out: Vec<String> = (0..answer.technologies.len())
        .filter(|at| {
            !answer
                .selection
                .portfolio
                .adoptions
                .iter()
                .any(|one| one.candidate == *at)
        })
        .map(|at| {
            let right = foresight.right.get(at).copied();
            format!("{} ({})", answer.label(at), share(right))
        })
        .collect();
    let mut text = format!(
        "RIGHT: the share of {} sampled futures in which the best portfolio decides alike; the whole set is best in {}.\n\
         Knowing the future would be worth {} on average.\n",
        foresight.futures,
        share(Some(foresight.whole_set_right)),
        amount(foresight.perfect_information),
    );
    if !left_out.is_empty() {
        text.push_str(&format!(
            "Left out, and rightly so: {}.\n",
            left_out.join(", ")
        ));
    }
    text
}

fn frontier(answer: &Answer) -> String {
    let points = &answer.selection.frontier;
    if points.is_empty() && answer.technologies.len() <= DETAILED_TECHNOLOGIES {
        return "No point of the efficient frontier was proven in time (--time-limit).\n".into();
    }
    if points.is_empty() {
        return format!(
            "With more than {DETAILED_TECHNOLOGIES} technologies, frontier, worth of one more unit and foresight are left out.\n"
        );
    }
    let mut table = Table::new(&["  RISK", "VALUE", "ADOPTED"]);
    let step = points.len().div_ceil(ROWS).max(1);
    for point in points.iter().rev().step_by(step) {
        let names: Vec<String> = point.adopted.iter().map(|&at| answer.label(at)).collect();
        table.row([
            format!("  {}", amount(point.risk)),
            amount(point.value),
            if names.is_empty() {
                "nothing".into()
            } else {
                names.join(", ")
            },
        ]);
    }
    format!(
        "Efficient frontier: the most value for each risk\n{}",
        table.text()
    )
}

pub(super) fn uncertainty(_: &Catalogue, answer: &Answer) -> String {
    let heading = title("Uncertainty");
    let Some(uncertainty) = &answer.uncertainty else {
        return heading + "Not sampled (--samples 0).\n";
    };
    let summary = &uncertainty.summary;
    let mut table = Table::new(&["", "MEAN", "P5", "P25", "P50", "P75", "P95"]);
    let mut row = |name: &str, spread: &Spread| {
        let percentiles = [
            spread.mean,
            spread.p5,
            spread.p25,
            spread.p50,
            spread.p75,
            spread.p95,
        ];
        let cells = percentiles.map(amount);
        table.row([vec![name.to_owned()], cells.to_vec()].concat());
    };
    row("portfolio value", &summary.portfolio.value);
    row("portfolio cost", &summary.portfolio.cost);
    row("portfolio risk", &summary.portfolio.risk);
    for (at, technology) in summary.technologies.iter().enumerate().take(40) {
        row(&format!("value of {}", answer.label(at)), &technology.value);
    }
    let mut text = format!(
        "{heading}{}{} samples, seed {}; the mean's standard error is {}. The portfolio loses money in {} of them.\n",
        table.text(),
        amount(summary.samples as f64),
        uncertainty.seed,
        amount(summary.portfolio.value.standard_error),
        share(Some(summary.portfolio.loss.mean)),
    );
    text.push_str(&tornado(answer));
    text.push_str(&break_even(answer));
    text
}

fn tornado(answer: &Answer) -> String {
    let Some(uncertainty) = &answer.uncertainty else {
        return String::new();
    };
    let mut table = Table::new(&["  FIGURE", "AT ITS P10", "AT ITS P90", "SHARE OF VARIANCE"]);
    for swing in uncertainty.tornado.iter().take(ROWS) {
        table.row([
            format!(
                "  {} of {}",
                name(swing.figure),
                answer.label(swing.technology)
            ),
            amount(swing.at_p10),
            amount(swing.at_p90),
            share(Some(swing.first_order)),
        ]);
    }
    format!("What drives the portfolio's value\n{}", table.text())
}

fn break_even(answer: &Answer) -> String {
    let Some(uncertainty) = &answer.uncertainty else {
        return String::new();
    };
    let mut table = Table::new(&[
        "  TECHNOLOGY",
        "BENEFIT/MONTH",
        "COST/MONTH",
        "FAILURE",
        "PERSON-DAYS",
        "DAY'S PRICE",
    ]);
    let or_none = |value: Option<f64>| value.map_or_else(|| "none".into(), amount);
    for (at, values) in uncertainty.break_even.iter().enumerate().take(40) {
        table.row([
            format!("  {}", answer.label(at)),
            or_none(values.benefit),
            or_none(values.cost),
            values
                .failure
                .map_or_else(|| "none".into(), |p| share(Some(p))),
            or_none(values.effort),
            or_none(
                answer
                    .technologies
                    .get(at)
                    .and_then(|one| one.break_even_person_day),
            ),
        ]);
    }
    format!(
        "Break-even: where each figure alone makes a technology worth nothing\n{}",
        table.text()
    )
}

/// A figure's name for people.
pub(in super::super) fn name(figure: Figure) -> &'static str {
    match figure {
        Figure::Benefit => "benefit",
        Figure::Cost => "cost",
        Figure::Effort => "effort",
        Figure::Failure => "failure",
        Figure::Impact => "impact",
    }
}

pub(super) fn timetable(_: &Catalogue, answer: &Answer) -> String {
    let mut table = Table::new(&[
        "QUARTER",
        "WEEKS",
        "ACTION",
        "PERSON-DAYS",
        "WHO",
        "FROM",
        "TO",
    ]);
    for one in &answer.timetable {
        table.row([
            one.quarter.clone(),
            if one.weeks.0 == one.weeks.1 {
                one.weeks.0.to_string()
            } else {
                format!("{}-{}", one.weeks.0, one.weeks.1)
            },
            format!("adopt {}", answer.label(one.technology)),
            amount(one.person_days),
            format!("person {}", one.person),
            one.start.to_string(),
            one.end.to_string(),
        ]);
    }
    for watch in &answer.watch {
        table.row([
            uc_plan::timetable::quarter_label(watch.review),
            String::new(),
            format!("watch {}", answer.label(watch.technology)),
            String::new(),
            String::new(),
            watch.review.to_string(),
            format!("standard {}", watch.standardised),
        ]);
    }
    let mut text = title("Timetable") + &table.text();
    let late: Vec<String> = late(answer);
    if !late.is_empty() {
        text.push_str(&format!(
            "{} after the planned quarter, since one adoption is one person's work and prerequisites come first: {}.\n\
             The portfolio counts person-days alone; what the delay costs is in the timing curve (--format json).\n",
            marked(Mark::Attention, "Starts"),
            late.join(", ")
        ));
    }
    text
}

/// Adoptions that the timetable begins after the quarter of the portfolio.
fn late(answer: &Answer) -> Vec<String> {
    let planned_end = |technology: usize| {
        let adoptions = &answer.selection.portfolio.adoptions;
        let adoption = adoptions.iter().find(|one| one.candidate == technology)?;
        let period = answer.periods.get(adoption.period)?;
        Some(uc_plan::timetable::quarter_start(period.start).plus_months(3))
    };
    answer
        .timetable
        .iter()
        .filter(|one| planned_end(one.technology).is_some_and(|end| one.start >= end))
        .map(|one| answer.label(one.technology))
        .collect()
}
