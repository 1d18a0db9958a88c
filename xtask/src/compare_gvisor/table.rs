//! What the comparison says: a row for each program, and how often prediction and run agree.

use std::fmt::Write as _;

use serde::Serialize;
use uc_select::{Coverage, Prediction, Weight};

use super::programs::Part;

/// What happened under gVisor, or why that says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "why")]
pub enum Happened {
    /// As here.
    Ran,
    /// Not as here.
    Failed(String),
    /// It does not run here either.
    NotComparable(String),
    /// It was not tried.
    Skipped(String),
}

/// A program's result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The program.
    pub program: String,
    /// Whether its result was in sight when the data were corrected.
    pub part: Part,
    /// Whether it was written for one call.
    pub is_probe: bool,
    /// What was expected, where it runs here.
    pub coverage: Option<Coverage>,
    /// Whether it ran here with gVisor's refusals played.
    pub rehearsed: Option<bool>,
    /// What is expected by calls and rehearsal together, as `uc trace --settle` has it.
    pub settled: Option<Prediction>,
    /// What came.
    #[serde(flatten)]
    pub happened: Happened,
}

impl Row {
    pub(crate) fn new(program: String, part: Part, is_probe: bool) -> Self {
        Self {
            program,
            part,
            is_probe,
            coverage: None,
            rehearsed: None,
            settled: None,
            happened: Happened::Ran,
        }
    }

    /// Whether rehearsal and run agree.
    pub fn rehearsal_agrees(&self) -> Option<bool> {
        let rehearsed = self.rehearsed.filter(|_| self.is_compared())?;
        Some(rehearsed == (self.happened == Happened::Ran))
    }

    fn settled_agrees(&self) -> bool {
        matches!(
            (&self.happened, self.settled),
            (Happened::Ran, Some(Prediction::Runs))
                | (Happened::Failed(_), Some(Prediction::Fails))
        )
    }

    fn rehearsed_name(&self) -> &'static str {
        match self.rehearsed {
            None => "",
            Some(true) => "runs",
            Some(false) => "fails",
        }
    }

    /// Whether prediction and run agree; nothing where there is nothing to compare, or the prediction is doubtful.
    pub fn agrees(&self) -> Option<bool> {
        let ran = match self.happened {
            Happened::Ran => true,
            Happened::Failed(_) => false,
            Happened::NotComparable(_) | Happened::Skipped(_) => return None,
        };
        match self.coverage.as_ref()?.prediction {
            Prediction::Runs => Some(ran),
            Prediction::Fails => Some(!ran),
            Prediction::Doubtful => None,
        }
    }

    /// In one line.
    pub fn summary(&self) -> String {
        format!(
            "{}: expected {}, rehearsed {}, settled {}, {}; {}",
            self.program,
            name(self.predicted()),
            self.rehearsed_name(),
            name(self.settled),
            self.happened_name(),
            self.why()
        )
    }

    fn is_compared(&self) -> bool {
        self.coverage.is_some() && matches!(self.happened, Happened::Ran | Happened::Failed(_))
    }

    fn happened_name(&self) -> &'static str {
        match self.happened {
            Happened::Ran => "runs",
            Happened::Failed(_) => "fails",
            Happened::NotComparable(_) => "not comparable",
            Happened::Skipped(_) => "skipped",
        }
    }

    fn predicted(&self) -> Option<Prediction> {
        Some(self.coverage.as_ref()?.prediction)
    }

    /// The calls that decided, and what was said where it failed.
    fn why(&self) -> String {
        let mut parts = Vec::new();
        if let Some(coverage) = &self.coverage {
            let weight = match coverage.prediction {
                Prediction::Runs => Weight::Harmless,
                Prediction::Doubtful => Weight::Unclear,
                Prediction::Fails => Weight::Essential,
            };
            let refused = |finding: &&uc_select::Finding| {
                weight != Weight::Harmless || finding.support.level == uc_select::Level::Refused
            };
            let calls: Vec<String> = coverage
                .of(weight)
                .filter(refused)
                .map(uc_select::Finding::name)
                .collect();
            if !calls.is_empty() {
                parts.push(calls.join(" "));
            }
        }
        match &self.happened {
            Happened::Ran => {}
            Happened::Failed(why) | Happened::NotComparable(why) | Happened::Skipped(why) => {
                parts.push(why.clone());
            }
        }
        parts.join("; ")
    }
}

fn name(prediction: Option<Prediction>) -> &'static str {
    match prediction {
        None => "",
        Some(Prediction::Runs) => "runs",
        Some(Prediction::Doubtful) => "doubtful",
        Some(Prediction::Fails) => "fails",
    }
}

/// How many of how many agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Agreement {
    agree: usize,
    of: usize,
}

impl Agreement {
    /// A doubtful prediction never agrees.
    fn strict(rows: &[&Row]) -> Self {
        Self::count(rows, |row| row.agrees() == Some(true))
    }

    /// By the rehearsal instead of the calls.
    fn rehearsed(rows: &[&Row]) -> Self {
        Self::count(rows, |row| row.rehearsal_agrees() == Some(true))
    }

    /// By calls and rehearsal together; what stays doubtful never agrees.
    fn settled(rows: &[&Row]) -> Self {
        Self::count(rows, Row::settled_agrees)
    }

    /// Doubtful predictions are left out.
    fn definite(rows: &[&Row]) -> Self {
        let definite: Vec<&Row> = rows
            .iter()
            .copied()
            .filter(|row| row.agrees().is_some())
            .collect();
        Self::strict(&definite)
    }

    /// A doubtful prediction is read as that it runs.
    fn lenient(rows: &[&Row]) -> Self {
        Self::count(rows, |row| {
            row.agrees().unwrap_or(row.happened == Happened::Ran)
        })
    }

    fn count(rows: &[&Row], agrees: impl Fn(&Row) -> bool) -> Self {
        let compared: Vec<_> = rows.iter().filter(|row| row.is_compared()).collect();
        Self {
            agree: compared.iter().filter(|row| agrees(row)).count(),
            of: compared.len(),
        }
    }

    /// Wilson's interval for a share, at 95 %.
    fn interval(self) -> (f64, f64) {
        #[allow(clippy::cast_precision_loss, reason = "a few dozen programs")]
        let (agree, of) = (self.agree as f64, self.of as f64);
        if of == 0.0 {
            return (0.0, 1.0);
        }
        const Z: f64 = 1.959_964;
        let (share, square) = (agree / of, Z * Z);
        let middle = (share + square / (2.0 * of)) / (1.0 + square / of);
        let half = Z / (1.0 + square / of)
            * (share * (1.0 - share) / of + square / (4.0 * of * of)).sqrt();
        ((middle - half).max(0.0), (middle + half).min(1.0))
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = self.interval();
        #[allow(clippy::cast_precision_loss, reason = "a few dozen programs")]
        let share = self.agree as f64 / (self.of as f64).max(1.0);
        write!(
            f,
            "{}/{} = {:.1} % (95 %: {:.1} to {:.1})",
            self.agree,
            self.of,
            share * 1e2,
            low * 1e2,
            high * 1e2
        )
    }
}

/// The table and the figures below it.
pub(crate) fn text(rows: &[Row]) -> String {
    let width =
        |name: fn(&Row) -> usize, least: usize| rows.iter().map(name).max().unwrap_or(0).max(least);
    let names = width(|row| row.program.len(), 7);
    let mut text = format!(
        "{:names$}  {:8}  CALLS  {:9}  {:9}  {:8}  {:14}  {:6}  WHY\n",
        "PROGRAM", "PART", "PREDICTED", "REHEARSED", "SETTLED", "HAPPENED", "AGREES"
    );
    for row in rows {
        let agrees = match row.agrees() {
            Some(true) => "yes",
            Some(false) => "NO",
            None if row.is_compared() => "?",
            None => "",
        };
        let calls = row
            .coverage
            .as_ref()
            .map_or(String::new(), |coverage| coverage.calls.to_string());
        let part = match row.part {
            Part::Tuned => "tuned",
            Part::HeldOut => "held out",
        };
        let line = format!(
            "{:names$}  {part:8}  {calls:>5}  {:9}  {:9}  {:8}  {:14}  {agrees:6}  {}",
            row.program,
            name(row.predicted()),
            row.rehearsed_name(),
            name(row.settled),
            row.happened_name(),
            row.why()
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
    type Group = (&'static str, fn(&Row) -> bool);
    let groups: [Group; 5] = [
        ("tuned", |row| row.part == Part::Tuned),
        ("held out", |row| row.part == Part::HeldOut),
        ("programs", |row| !row.is_probe),
        ("probes", |row| row.is_probe),
        ("all", |_| true),
    ];
    let of_all = rows.iter().filter(|row| row.is_compared()).count();
    for (name, belongs) in groups {
        let rows: Vec<&Row> = rows.iter().filter(|row| belongs(row)).collect();
        let compared = rows.iter().filter(|row| row.is_compared()).count();
        if name != "all" && (compared == 0 || compared == of_all) {
            continue;
        }
        let rehearsed = rows.iter().any(|row| row.rehearsed.is_some());
        let rehearsed = match rehearsed {
            true => format!(
                "    rehearsed {}\n    settled, by both {}\n",
                Agreement::rehearsed(&rows),
                Agreement::settled(&rows)
            ),
            false => String::new(),
        };
        let fails = rows
            .iter()
            .filter(|row| row.is_compared() && row.happened != Happened::Ran)
            .count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: agreement {}\n    with doubtful read as runs {}\n    without the doubtful {}\n{rehearsed}    said to run: {}; said to fail: {}; {fails} fail there",
            Agreement::strict(&rows),
            Agreement::lenient(&rows),
            Agreement::definite(&rows),
            said(&rows, Prediction::Runs),
            said(&rows, Prediction::Fails),
        );
    }
    text
}

/// How many of those with a prediction met it.
fn said(rows: &[&Row], prediction: Prediction) -> String {
    let said: Vec<bool> = rows
        .iter()
        .filter(|row| row.predicted() == Some(prediction))
        .filter_map(|row| row.agrees())
        .collect();
    let met = said.iter().filter(|agrees| **agrees).count();
    format!("{met} of {} do", said.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_s_interval_is_as_tables_have_it() {
        let (low, high) = Agreement { agree: 9, of: 10 }.interval();
        assert!((low - 0.5958).abs() < 1e-3 && (high - 0.9821).abs() < 1e-3);
        assert_eq!(Agreement { agree: 0, of: 0 }.interval(), (0.0, 1.0));
    }
}
