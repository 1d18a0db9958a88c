//! The answer as a report with charts.

mod charts;

use uc_plan::{Catalogue, evaluation::Window, portfolio::Status};
use uc_report::{Block, Cell, Chart, Column, Fact, Mark, Report, Section, Table};

use super::{
    answer::{Answer, Subject},
    text::provenances,
};
use crate::words::{amount, months, share};

/// The whole report.
pub(super) fn report(catalogue: &Catalogue, answer: &Answer) -> Report {
    Report {
        title: format!("Plan: {}", answer.catalogue),
        subtitle: format!(
            "As of {}, with figures of {}. Money in {}, horizon {} months, discount {} % a year.",
            answer.as_of,
            answer.dated,
            answer.currency,
            answer.horizon_months,
            amount(100.0 * answer.discount_rate),
        ),
        sections: vec![
            advice(catalogue, answer),
            windows(answer),
            returns(answer),
            timing(answer),
            portfolio(answer),
            uncertainty(answer),
            timetable(answer),
            contradictions(answer),
            figures(answer),
        ],
    }
}

fn section(id: &str, heading: &str, blocks: Vec<Block>) -> Section {
    Section {
        id: id.into(),
        heading: heading.into(),
        blocks,
    }
}

fn table(columns: &[(&str, bool)], rows: Vec<Vec<Cell>>) -> Block {
    let column = |&(heading, is_number): &(&str, bool)| Column {
        heading: heading.into(),
        is_number,
    };
    Block::Table(Table {
        columns: columns.iter().map(column).collect(),
        rows,
    })
}

/// A chart, unless it has nothing to show.
fn chart(chart: Option<Chart>) -> Option<Block> {
    chart.map(Block::Chart)
}

fn modelled(label: &str, value: String, basis: &str) -> Fact {
    Fact {
        label: label.into(),
        value,
        provenance: Some(uc_model::Provenance::Modelled(basis.into())),
    }
}

fn advice(catalogue: &Catalogue, answer: &Answer) -> Section {
    let portfolio = &answer.selection.portfolio;
    let names: Vec<String> = portfolio
        .adoptions
        .iter()
        .map(|one| answer.label(one.candidate))
        .collect();
    let adopted = if names.is_empty() {
        "Adopt nothing under these conditions.".to_owned()
    } else {
        format!("Adopt {}.", names.join(", "))
    };
    let shut = answer
        .technologies
        .iter()
        .filter(|subject| subject.evaluation.window == Window::Shut)
        .count();
    let mut facts = vec![
        modelled(
            "Value of the portfolio",
            format!("{} {}", amount(portfolio.value), answer.currency),
            "benefit - cost - risk until the horizon, discounted",
        ),
        modelled(
            "Expected loss",
            format!("{} {}", amount(portfolio.risk), answer.currency),
            "failure probability × impact",
        ),
        modelled(
            "Effort",
            format!("{} person-days", amount(portfolio.person_days)),
            "sum over the adoptions",
        ),
    ];
    if let Some(uncertainty) = &answer.uncertainty {
        let value = &uncertainty.summary.portfolio.value;
        facts.push(modelled(
            "Nine of ten futures",
            format!("{} to {}", amount(value.p5), amount(value.p95)),
            "5th and 95th percentile of the samples",
        ));
    }
    let proof = match portfolio.status {
        Status::Optimal => (Mark::Good, "Proven: no portfolio is worth more.".to_owned()),
        _ => (
            Mark::Attention,
            format!(
                "Stopped early: no portfolio is worth more than {}, a gap of {:.3} %.",
                amount(portfolio.bound),
                100.0 * portfolio.gap
            ),
        ),
    };
    let mut blocks = vec![
        Block::Paragraph(adopted),
        Block::Facts(facts),
        Block::Note(proof.0, proof.1),
        Block::Paragraph(provenances(catalogue)),
    ];
    if shut > 0 {
        blocks.push(Block::Note(
            Mark::Attention,
            format!(
                "{shut} of {} windows are shut on {}.",
                answer.technologies.len(),
                answer.as_of
            ),
        ));
    }
    section("advice", "What to do", blocks)
}

fn windows(answer: &Answer) -> Section {
    let row = |subject: &Subject| {
        let vector = &subject.evaluation.vector;
        let failed: Vec<String> = subject
            .evaluation
            .conditions
            .iter()
            .filter(|condition| !condition.holds)
            .map(|condition| format!("{}: {}", condition.demand, condition.found))
            .collect();
        vec![
            Cell::plain(&subject.name),
            Cell::plain(format!("{:.2}", vector.maturity)),
            Cell::plain(amount(vector.monthly_cost)),
            match vector.window_months {
                count if subject.evaluation.window == Window::Open => Cell::plain(months(count)),
                count => Cell::marked(Mark::Bad, format!("shut {}", months(-count))),
            },
            Cell::plain(vector.red_lines.to_string()),
            if failed.is_empty() && subject.evaluation.window == Window::Shut {
                Cell::marked(Mark::Attention, "by the letter, but shut")
            } else if failed.is_empty() {
                Cell::marked(Mark::Good, "yes")
            } else {
                Cell::plain(format!("no: {}", failed.join("; ")))
            },
        ]
    };
    let mut blocks = vec![Block::Paragraph(
        "Each technology is a vector of maturity, monthly cost, months left until it is standardised, and red lines.".into(),
    )];
    blocks.extend(chart(charts::windows(answer)));
    blocks.push(table(
        &[
            ("Technology", false),
            ("Maturity", true),
            ("Cost a month", true),
            ("Window", true),
            ("Red lines", true),
            ("Undercurrent", false),
        ],
        answer.technologies.iter().map(row).collect(),
    ));
    section("windows", "Windows", blocks)
}

fn returns(answer: &Answer) -> Section {
    let mut subjects: Vec<&Subject> = answer.technologies.iter().collect();
    subjects.sort_by_key(|subject| subject.evaluation.priority);
    let row = |subject: &&Subject| {
        let evaluation = &subject.evaluation;
        vec![
            Cell::plain(evaluation.priority.to_string()),
            Cell::plain(&subject.name),
            Cell::plain(amount(subject.figures.monthly_benefit.mean())),
            Cell::plain(share(evaluation.net_return)),
            Cell::plain(share(evaluation.gross_return)),
            Cell::plain(amount(evaluation.risk)),
        ]
    };
    let mut blocks = vec![Block::Paragraph(
        "(B-C)/C is the definition of the return, B/C what the source's table shows. Free technologies come first, by benefit / risk: \
         the limit of return / risk when each costs the same next to nothing."
            .into(),
    )];
    blocks.extend(chart(charts::risk_and_benefit(answer)));
    blocks.push(table(
        &[
            ("Priority", true),
            ("Technology", false),
            ("Benefit a month", true),
            ("(B-C)/C", true),
            ("B/C", true),
            ("Risk", true),
        ],
        subjects.iter().map(row).collect(),
    ));
    section("returns", "Returns, risk and priority", blocks)
}

fn timing(answer: &Answer) -> Section {
    let row = |subject: &Subject| {
        let timing = &subject.timing;
        let best = timing.curve.get(timing.best_month as usize);
        let now = timing.curve.first();
        vec![
            Cell::plain(&subject.name),
            Cell::plain(best.map_or_else(String::new, |moment| moment.date.to_string())),
            Cell::plain(best.map_or_else(String::new, |moment| share(moment.net_return))),
            Cell::plain(now.map_or_else(String::new, |moment| amount(moment.value))),
            Cell::plain(amount(subject.waiting.worth)),
            if timing.is_worthwhile {
                Cell::marked(Mark::Good, "worth adopting")
            } else {
                Cell::marked(Mark::Bad, "not within the horizon")
            },
        ]
    };
    let mut blocks = vec![Block::Paragraph(
        "Benefit, cost and success change with time: others learn, prices fall, standards freeze, policies begin. t* is the time of \
         the greatest return; where nothing costs, that of the greatest value. The value of waiting is that of a real option."
            .into(),
    )];
    blocks.extend(chart(charts::return_curves(answer)));
    blocks.extend(chart(charts::value_curves(answer)));
    blocks.push(table(
        &[
            ("Technology", false),
            ("Best time t*", false),
            ("Return at t*", true),
            ("Value now", true),
            ("Waiting is worth", true),
            ("", false),
        ],
        answer.technologies.iter().map(row).collect(),
    ));
    section("timing", "Timing", blocks)
}

fn portfolio(answer: &Answer) -> Section {
    let selection = &answer.selection;
    let right = |at: usize| {
        let foresight = selection.foresight.as_ref()?;
        foresight.right.get(at).copied()
    };
    let rows = selection
        .portfolio
        .adoptions
        .iter()
        .map(|one| {
            let period = answer.periods.get(one.period);
            vec![
                Cell::plain(period.map_or("", |period| &period.label)),
                Cell::plain(answer.label(one.candidate)),
                Cell::plain(amount(one.value)),
                Cell::plain(amount(one.risk)),
                Cell::plain(amount(one.person_days)),
                Cell::plain(right(one.candidate).map_or_else(String::new, |p| share(Some(p)))),
            ]
        })
        .collect();
    let mut blocks = vec![table(
        &[
            ("Start", false),
            ("Technology", false),
            ("Value", true),
            ("Risk", true),
            ("Person-days", true),
            ("Right", true),
        ],
        rows,
    )];
    if let Some(foresight) = &selection.foresight {
        blocks.push(Block::Paragraph(format!(
            "Right: the share of {} sampled futures in which the best portfolio decides alike. The whole set is best in {}; \
             knowing the future would be worth {} on average.",
            foresight.futures,
            share(Some(foresight.whole_set_right)),
            amount(foresight.perfect_information),
        )));
    }
    blocks.extend(chart(charts::frontier(answer)));
    section("portfolio", "Portfolio", blocks)
}

fn uncertainty(answer: &Answer) -> Section {
    let Some(uncertainty) = &answer.uncertainty else {
        return section(
            "uncertainty",
            "Uncertainty",
            vec![Block::Paragraph("Not sampled.".into())],
        );
    };
    let summary = &uncertainty.summary;
    let mut spreads = vec![("Portfolio".to_owned(), &summary.portfolio.value)];
    for (at, technology) in summary.technologies.iter().enumerate() {
        spreads.push((answer.label(at), &technology.value));
    }
    let rows = spreads
        .into_iter()
        .map(|(name, spread)| {
            let numbers = [spread.p5, spread.p25, spread.p50, spread.p75, spread.p95];
            let mut row = vec![Cell::plain(name)];
            row.extend(numbers.map(|number| Cell::plain(amount(number))));
            row
        })
        .collect();
    let mut blocks = vec![Block::Paragraph(format!(
        "{} quasi-random samples of the figures' distributions, seed {}. The portfolio loses money in {} of them.",
        amount(summary.samples as f64),
        uncertainty.seed,
        share(Some(summary.portfolio.loss.mean)),
    ))];
    blocks.extend(chart(charts::distribution(answer)));
    blocks.extend(chart(charts::tornado(answer)));
    blocks.push(table(
        &[
            ("Value of", false),
            ("P5", true),
            ("P25", true),
            ("P50", true),
            ("P75", true),
            ("P95", true),
        ],
        rows,
    ));
    section("uncertainty", "Uncertainty", blocks)
}

fn timetable(answer: &Answer) -> Section {
    let mut rows: Vec<Vec<Cell>> = answer
        .timetable
        .iter()
        .map(|one| {
            vec![
                Cell::plain(&one.quarter),
                Cell::plain(format!("{} to {}", one.weeks.0, one.weeks.1)),
                Cell::plain(format!("adopt {}", answer.label(one.technology))),
                Cell::plain(amount(one.person_days)),
                Cell::plain(format!("{} to {}", one.start, one.end)),
            ]
        })
        .collect();
    rows.extend(answer.watch.iter().map(|one| {
        vec![
            Cell::plain(uc_plan::timetable::quarter_label(one.review)),
            Cell::plain(""),
            Cell::marked(
                Mark::Attention,
                format!("watch {}", answer.label(one.technology)),
            ),
            Cell::plain(""),
            Cell::plain(format!("{}, standard {}", one.review, one.standardised)),
        ]
    }));
    let mut blocks: Vec<Block> = chart(charts::gantt(answer)).into_iter().collect();
    blocks.push(table(
        &[
            ("Quarter", false),
            ("Weeks", false),
            ("Action", false),
            ("Person-days", true),
            ("When", false),
        ],
        rows,
    ));
    section("timetable", "Timetable", blocks)
}

fn contradictions(answer: &Answer) -> Section {
    let rows = answer
        .contradictions
        .iter()
        .map(|check| {
            let mark = if check.agrees {
                Mark::Good
            } else {
                Mark::Attention
            };
            vec![
                Cell::plain(&check.id),
                Cell::plain(&check.subject),
                Cell::plain(&check.says),
                Cell::marked(mark, &check.computed),
                Cell::plain(check.note.as_deref().unwrap_or(if check.agrees {
                    "agrees"
                } else {
                    "differs"
                })),
            ]
        })
        .collect();
    section(
        "contradictions",
        "Where the source contradicts itself",
        vec![table(
            &[
                ("", false),
                ("Subject", false),
                ("The source says", true),
                ("From its figures", true),
                ("", false),
            ],
            rows,
        )],
    )
}

fn figures(answer: &Answer) -> Section {
    let mut facts = Vec::new();
    for subject in &answer.technologies {
        let figures = &subject.figures;
        for (name, estimate) in [
            ("cost a month", &figures.monthly_cost),
            ("benefit a month", &figures.monthly_benefit),
            ("failure probability", &figures.failure_probability),
            ("impact", &figures.impact),
            ("person-days", &figures.effort_person_days),
        ] {
            let distribution = &estimate.distribution;
            let value = if distribution.is_certain() {
                amount(estimate.mean())
            } else {
                format!(
                    "{} ({} to {})",
                    amount(estimate.mean()),
                    amount(distribution.quantile(0.05)),
                    amount(distribution.quantile(0.95))
                )
            };
            facts.push(Fact {
                label: format!("{}: {name}", subject.id),
                value,
                provenance: Some(estimate.provenance.clone()),
            });
        }
    }
    section(
        "figures",
        "Figures and whose they are",
        vec![Block::Facts(facts)],
    )
}
