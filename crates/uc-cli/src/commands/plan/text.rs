//! The answer for people, as tables.

use uc_model::Provenance;
use uc_plan::{Catalogue, catalogue::Grade, evaluation::Window};

mod outlook;

pub(super) use outlook::name as figure_name;

use super::{
    Section,
    answer::{Answer, Subject},
};
use crate::{
    printing::{Mark, marked},
    table::Table,
    words::{amount, months, share},
};

/// Prints a section.
type Print = fn(&Catalogue, &Answer) -> String;

pub(super) fn text(catalogue: &Catalogue, answer: &Answer, show: &[Section]) -> String {
    let mut text = heading(answer);
    let sections: [(Section, Print); 7] = [
        (Section::Technologies, technologies),
        (Section::Returns, returns),
        (Section::Timing, timing),
        (Section::Portfolio, outlook::portfolio),
        (Section::Uncertainty, outlook::uncertainty),
        (Section::Timetable, outlook::timetable),
        (Section::Contradictions, contradictions),
    ];
    for (section, print) in sections {
        if show.is_empty() || show.contains(&section) {
            text.push('\n');
            text.push_str(&print(catalogue, answer));
        }
    }
    text
}

fn heading(answer: &Answer) -> String {
    format!(
        "{}, figures of {}, as of {}; money in {}, horizon {} months, discount {} % a year, person-day {}\n",
        marked(Mark::Strong, &answer.catalogue),
        answer.dated,
        answer.as_of,
        answer.currency,
        answer.horizon_months,
        amount(100.0 * answer.discount_rate),
        if answer.person_day_cost > 0.0 {
            amount(answer.person_day_cost)
        } else {
            "not priced".into()
        },
    )
}

fn title(text: &str) -> String {
    format!("{}\n", marked(Mark::Strong, text))
}

/// The number of a technology, or its place.
fn number(subject: &Subject) -> String {
    subject
        .number
        .map_or_else(|| "-".into(), |number| number.to_string())
}

fn technologies(_: &Catalogue, answer: &Answer) -> String {
    let mut table = Table::new(&[
        "NO",
        "TECHNOLOGY",
        "MATURITY",
        "COST/MONTH",
        "WINDOW",
        "STANDARD",
        "RED LINES",
        "UNDERCURRENT",
    ]);
    for subject in &answer.technologies {
        let vector = &subject.evaluation.vector;
        let window = match (subject.evaluation.window, vector.window_months) {
            (Window::Open, count) => months(count),
            (Window::Shut, count) => marked(Mark::Bad, &format!("shut {}", months(-count))),
        };
        let failed: Vec<String> = subject
            .evaluation
            .conditions
            .iter()
            .filter(|condition| !condition.holds)
            .map(|condition| format!("{}: {}", condition.demand, condition.found))
            .collect();
        let verdict = if failed.is_empty() && subject.evaluation.window == Window::Shut {
            marked(Mark::Attention, "by the letter, but its window is shut")
        } else if failed.is_empty() {
            marked(Mark::Good, "yes")
        } else {
            format!("no: {}", failed.join("; "))
        };
        table.row([
            number(subject),
            subject.id.clone(),
            format!("{:.2}", vector.maturity),
            amount(vector.monthly_cost),
            window,
            subject.evaluation.standardised.to_string(),
            vector.red_lines.to_string(),
            verdict,
        ]);
    }
    title("Technologies: the vector (M, C, W, R) and the undercurrent predicate") + &table.text()
}

fn returns(catalogue: &Catalogue, answer: &Answer) -> String {
    let mut table = Table::new(&[
        "PRIORITY",
        "NO",
        "TECHNOLOGY",
        "BENEFIT/MONTH",
        "(B-C)/C",
        "B/C",
        "RISK",
        "GRADE",
        "RANKED BY",
    ]);
    let mut subjects: Vec<&Subject> = answer.technologies.iter().collect();
    subjects.sort_by_key(|subject| subject.evaluation.priority);
    for subject in subjects {
        let evaluation = &subject.evaluation;
        table.row([
            evaluation.priority.to_string(),
            number(subject),
            subject.id.clone(),
            amount(subject.figures.monthly_benefit.mean()),
            share(evaluation.net_return),
            share(evaluation.gross_return),
            amount(evaluation.risk),
            subject.risk_grade.map_or("-", Grade::word).to_owned(),
            match evaluation.priority_key {
                uc_plan::evaluation::PriorityKey::Free(key) => {
                    format!("free; benefit / risk {}", amount(key))
                }
                uc_plan::evaluation::PriorityKey::Paid(key) => {
                    format!("ROI / risk {}", amount(key))
                }
            },
        ]);
    }
    let totals = &answer.totals;
    format!(
        "{}{}All together: {} a month for {} a month of benefit, risk {}, {} person-days.\n\
         (B-C)/C is the definition (M9.1), B/C what the source's table shows (M9.2). Free technologies come first, by benefit / risk:\n\
         the limit of ROI / risk when each costs the same next to nothing. {} --format json says whose each is.\n",
        title("Returns, risk and priority"),
        table.text(),
        amount(totals.monthly_cost),
        amount(totals.monthly_benefit),
        amount(totals.risk),
        amount(totals.effort_person_days),
        provenances(catalogue),
    )
}

/// How many of the catalogue's figures are measured, modelled and assumed.
pub(super) fn provenances(catalogue: &Catalogue) -> String {
    let (mut measured, mut modelled, mut assumed) = (0, 0, 0);
    for technology in &catalogue.technologies {
        for figure in [
            &technology.maturity,
            &technology.monthly_cost,
            &technology.monthly_benefit,
            &technology.failure_probability,
            &technology.impact,
            &technology.effort,
        ] {
            match figure.provenance {
                Provenance::Measured(_) => measured += 1,
                Provenance::Modelled(_) => modelled += 1,
                Provenance::Assumed(_) => assumed += 1,
            }
        }
    }
    format!(
        "Of the catalogue's figures {measured} are measured, {modelled} modelled, {assumed} assumed."
    )
}

fn timing(_: &Catalogue, answer: &Answer) -> String {
    let mut table = Table::new(&[
        "NO",
        "TECHNOLOGY",
        "BEST TIME t*",
        "ROI AT t*",
        "VALUE NOW",
        "VALUE AT t*",
        "WAITING IS WORTH",
        "ADVICE",
    ]);
    for subject in &answer.technologies {
        let timing = &subject.timing;
        let at = |month: u32| timing.curve.get(month as usize);
        let (Some(now), Some(best)) = (at(0), at(timing.best_month)) else {
            continue;
        };
        table.row([
            number(subject),
            subject.id.clone(),
            if timing.best_month == 0 {
                "now".into()
            } else {
                best.date.to_string()
            },
            share(best.net_return),
            amount(now.value),
            amount(best.value),
            amount(subject.waiting.worth),
            if !timing.is_worthwhile {
                marked(Mark::Bad, "not within the horizon")
            } else if subject.waiting.worth > 0.05 * subject.waiting.now.max(1.0) {
                marked(Mark::Attention, "waiting is worth something")
            } else {
                marked(Mark::Good, "worth adopting")
            },
        ]);
    }
    format!(
        "{}{}ROI is modelled: benefit, cost and success over time (learning, price decline, standard, policies), discounted to {}.\n\
         Value is benefit - cost - risk until the horizon; waiting is a real option on the benefit's volatility.\n",
        title("Timing: t* = argmax ROI(T, t)"),
        table.text(),
        answer.as_of,
    )
}

fn contradictions(_: &Catalogue, answer: &Answer) -> String {
    if answer.contradictions.is_empty() {
        return title("The catalogue makes no claims to be checked");
    }
    let mut table = Table::new(&["ID", "", "THE SOURCE SAYS", "FROM ITS FIGURES", ""]);
    for check in &answer.contradictions {
        table.row([
            check.id.clone(),
            check.subject.clone(),
            check.says.clone(),
            if check.agrees {
                check.computed.clone()
            } else {
                marked(Mark::Attention, &check.computed)
            },
            match (&check.note, check.agrees) {
                (_, true) => "agrees".into(),
                (Some(note), false) => note.clone(),
                (None, false) => "differs".into(),
            },
        ]);
    }
    title("Where the source contradicts itself") + &table.text()
}
