//! The one place that writes to the terminal. Results go to standard output, words about them to standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::OnceLock,
};

use serde::Serialize;
use uc_model::{Problem, Result};

use crate::cli::Format;

/// A meaning that is also shown as a colour, where there is a terminal and NO_COLOR is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Bad,
    Attention,
    Quiet,
    Strong,
}

impl Mark {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Attention => "33",
            Self::Quiet => "2",
            Self::Strong => "1",
        }
    }
}

/// Text with its meaning as colour on standard output.
pub(crate) fn marked(mark: Mark, text: &str) -> String {
    paint(is_coloured(), mark, text)
}

/// Whether standard output shows colours.
pub(crate) fn is_coloured() -> bool {
    static COLOUR: OnceLock<bool> = OnceLock::new();
    *COLOUR.get_or_init(|| colour_for(io::stdout().is_terminal()))
}

fn colour_for(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Text with its meaning as colour, or as it is.
pub(crate) fn paint(colour: bool, mark: Mark, text: &str) -> String {
    if colour {
        format!("\u{1b}[{}m{text}\u{1b}[0m", mark.code())
    } else {
        text.to_owned()
    }
}

/// Writes a result. A reader that has had enough (`| head`) is no error.
pub(crate) fn result(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes a result that is bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Problem::storage("cannot write to standard output").caused_by(error)),
        Ok(()) => Ok(()),
    }
}

/// Writes what a workload wrote to its standard error to ours.
pub(crate) fn pass_on(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a result as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?;
    result(&format!("{text}\n"))
}

/// Says something on standard error. If nobody listens there, there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a problem: in words on standard error, as JSON on standard output.
pub(crate) fn problem(problem: &Problem, format: Format) {
    let view = problem.to_view();
    if format == Format::Json {
        // Nothing else can be done about an output that is gone.
        let _ = json(&serde_json::json!({ "error": view }));
        return;
    }
    let colour = colour_for(io::stderr().is_terminal());
    say(&format!("{} {problem}", paint(colour, Mark::Bad, "error:")));
    for cause in &view.causes {
        say(&format!("  caused by: {cause}"));
    }
    if let Some(remedy) = view.remedy {
        say(&format!(
            "{} {remedy}",
            paint(colour, Mark::Good, "  help:")
        ));
    }
}
