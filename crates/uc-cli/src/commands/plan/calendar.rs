//! The action timetable as a file: iCalendar or CSV.

use std::path::Path;

use uc_model::{Problem, Result};
use uc_plan::{
    Catalogue,
    timetable::icalendar::{Event, calendar},
};

use super::{answer::Answer, csv, output};

/// Writes the timetable in the form that the file's name asks for.
pub(super) fn write(file: &Path, catalogue: &Catalogue, answer: &Answer) -> Result<()> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let text = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("ics") => calendar(
            &format!("Plan: {}", answer.catalogue),
            answer.as_of,
            &events(catalogue, answer),
        ),
        Some("csv") => csv::timetable(answer),
        _ => {
            return Err(Problem::invalid("the form of the timetable is not known")
                .at("--calendar")
                .limit("a file name that ends in .ics or .csv")
                .found(file.display()));
        }
    };
    output(Some(file), &text)
}

/// Adoptions, reviews, and the days on which open windows shut.
fn events(catalogue: &Catalogue, answer: &Answer) -> Vec<Event> {
    let name = |at: usize| {
        catalogue
            .technologies
            .get(at)
            .map_or("", |technology| technology.name.as_str())
    };
    let adoptions = answer.timetable.iter().map(|one| Event {
        uid: format!("adopt-{}@uc-plan", answer.label(one.technology)),
        start: one.start,
        end: one.end,
        summary: format!("Adopt {}", answer.label(one.technology)),
        description: format!(
            "{}\n{} person-days, person {}",
            name(one.technology),
            crate::words::amount(one.person_days),
            one.person
        ),
        category: "ADOPT",
    });
    let reviews = answer.watch.iter().map(|one| Event {
        uid: format!("watch-{}@uc-plan", answer.label(one.technology)),
        start: one.review,
        end: one.review,
        summary: format!("Review {}", answer.label(one.technology)),
        description: format!(
            "{}\nIts window shuts on {}",
            name(one.technology),
            one.standardised
        ),
        category: "WATCH",
    });
    let deadlines = answer
        .technologies
        .iter()
        .filter(|subject| subject.evaluation.standardised > answer.as_of)
        .map(|subject| Event {
            uid: format!("deadline-{}@uc-plan", subject.id),
            start: subject.evaluation.standardised,
            end: subject.evaluation.standardised,
            summary: format!("Window of {} shuts", subject.id),
            description: subject.name.clone(),
            category: "DEADLINE",
        });
    adoptions.chain(reviews).chain(deadlines).collect()
}
