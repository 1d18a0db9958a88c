//! Words of a guest, which may be hostile: they are shown to a user, on a terminal and in logs.

use uc_guest_protocol::Answer;
use uc_model::{Problem, Telling};
use uc_sandbox::{Exit, ExitReason};

/// Most characters of one text.
const MAX_CHARACTERS: usize = 2_000;

/// Most warnings of one answer.
const MAX_WARNINGS: usize = 32;

/// A text without what a terminal would obey, and no longer than somebody would read.
fn text(text: &str) -> String {
    let tame = |character: char| match character {
        '\n' | '\t' => character,
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    };
    text.chars().take(MAX_CHARACTERS).map(tame).collect()
}

/// A problem that a guest tells.
pub(crate) fn problem(telling: Telling) -> Problem {
    let told = telling.into_problem();
    let view = told.to_view();
    let mut problem = Problem::new(told.kind(), text(view.what));
    if let Some(place) = view.place {
        problem = problem.at(text(place));
    }
    if let Some(limit) = view.limit {
        problem = problem.limit(text(limit));
    }
    if let Some(found) = view.found {
        problem = problem.found(text(found));
    }
    if let Some(remedy) = view.remedy {
        problem = problem.remedy(text(remedy));
    }
    match view.causes.is_empty() {
        true => problem,
        false => problem.caused_by(text(&view.causes.join(": "))),
    }
}

/// An answer of a guest.
pub(crate) fn answer(answer: Answer) -> Answer {
    match answer {
        Answer::Created { warnings } => Answer::Created {
            warnings: warnings
                .iter()
                .take(MAX_WARNINGS)
                .map(|one| text(one))
                .collect(),
        },
        Answer::Ended(ended) => Answer::Ended(exit(ended)),
        other => other,
    }
}

/// An end that a guest tells.
pub(crate) fn exit(exit: Exit) -> Exit {
    let reason = match exit.reason {
        ExitReason::Trapped { message } => ExitReason::Trapped {
            message: text(&message),
        },
        ExitReason::Unhealthy { message } => ExitReason::Unhealthy {
            message: text(&message),
        },
        other => other,
    };
    Exit { reason, ..exit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J".repeat(1000);
        let telling = Telling::of(
            &Problem::host(hostile.clone())
                .at(&hostile)
                .limit(&hostile)
                .found(&hostile)
                .remedy(&hostile)
                .caused_by(hostile.clone()),
        );
        let problem = problem(telling);
        let view = problem.to_view();
        let mut texts = vec![view.what];
        texts.extend(
            [view.place, view.limit, view.found, view.remedy]
                .into_iter()
                .flatten(),
        );
        texts.extend(view.causes.iter().map(String::as_str));
        assert_eq!(texts.len(), 6);
        for text in texts {
            assert!(text.chars().count() <= MAX_CHARACTERS);
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}
