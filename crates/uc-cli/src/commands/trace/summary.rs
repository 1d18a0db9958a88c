//! A trace in words.

use std::fmt::Write as _;

use uc_select::{Basis, Coverage, Finding, Interface, Method, Prediction, Verdict, Weight};
use uc_trace::Profile;

use super::{Findings, Run, rehearsal::Rehearsed};
use crate::table::Table;

/// How many things of one kind are named.
const NAMED: usize = 8;

pub(super) fn words(findings: &Findings, profile: &Profile) -> String {
    let footprint = &findings.footprint;
    let kinds = footprint.calls.len();
    let total: u64 = footprint.calls.values().map(|usage| usage.count).sum();
    let mut text = match &findings.run {
        Some(run) => format!(
            "traced: {total} system calls of {kinds} kinds by {} thread{} in {:.2} s, at most {} of memory, exit code {}\n",
            run.threads,
            if run.threads == 1 { "" } else { "s" },
            run.seconds,
            mebibytes(run.peak_memory),
            run.exit_code
        ),
        None => format!("read: {total} places that make system calls of {kinds} kinds\n"),
    };
    let _ = writeln!(text, "calls: {}", most_frequent(findings));
    if let Some(run) = &findings.run {
        deeds(&mut text, run);
    }
    let allowed = profile.count();
    let _ = writeln!(
        text,
        "profile: {allowed} calls allowed, with those of any start and of other versions of libraries"
    );
    for gap in &footprint.gaps {
        let _ = writeln!(text, "gap: {gap}");
    }
    for note in &findings.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text.push('\n');
    text.push_str(&runtimes(&findings.coverage));
    for rehearsed in &findings.rehearsals {
        text.push('\n');
        text.push_str(&rehearsal(rehearsed, findings));
    }
    if let Some(hint) = findings.run.as_ref().and_then(|_| open(findings)) {
        text.push('\n');
        text.push_str(&hint);
    }
    if footprint.method == Method::Traced {
        text.push_str("\nThis holds for what the program did in this run.");
    }
    text.truncate(text.trim_end().len());
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn most_frequent(findings: &Findings) -> String {
    let mut calls: Vec<(&String, u64)> = findings
        .footprint
        .calls
        .iter()
        .map(|(name, usage)| (name, usage.count))
        .collect();
    calls.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
    let named = calls.iter().map(|(name, count)| format!("{name} {count}"));
    some(&named.collect::<Vec<_>>())
}

/// A few of many.
fn some(all: &[String]) -> String {
    let mut text = all
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if all.len() > NAMED {
        let _ = write!(text, " and {} more", all.len() - NAMED);
    }
    text
}

fn deeds(text: &mut String, run: &Run) {
    let changed: Vec<String> = run
        .deeds
        .changed_files()
        .map(|path| path.display().to_string())
        .collect();
    let executed: Vec<String> = run
        .deeds
        .executed
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let ports = |ports: &std::collections::BTreeSet<u16>| -> Vec<String> {
        ports
            .iter()
            .map(|port| match port {
                0 => "one of the kernel's choice".to_owned(),
                port => port.to_string(),
            })
            .collect()
    };
    let capabilities = run
        .capabilities
        .as_ref()
        .map(|seen| seen.names())
        .unwrap_or_default();
    for (name, all) in [
        ("files opened for writing, made or removed", changed),
        ("programs executed", executed),
        ("ports bound", ports(&run.deeds.bound)),
        (
            "ports of other hosts connected to",
            ports(&run.deeds.connected),
        ),
        (
            "capabilities that the kernel asked for and found",
            capabilities,
        ),
    ] {
        if !all.is_empty() {
            let _ = writeln!(text, "{name}: {}", some(&all));
        }
    }
}

fn runtimes(all: &[Coverage]) -> String {
    let mut table = Table::new(&["RUNTIME", "CALLS ANSWERED", "EXPECTED", "WHAT DIFFERS"]);
    for coverage in all {
        let rehearsed = match coverage.basis {
            Basis::Calls => "",
            Basis::Rehearsal => ", rehearsed",
        };
        let expected = match coverage.prediction {
            Prediction::Runs => "runs",
            Prediction::Doubtful => "doubtful",
            Prediction::Fails => "fails",
        };
        table.row([
            coverage.interface.to_string(),
            format!("{} of {}", coverage.answered, coverage.calls),
            format!("{expected}{rehearsed}"),
            differs(coverage),
        ]);
    }
    table.text()
}

fn differs(coverage: &Coverage) -> String {
    let named = |findings: &mut dyn Iterator<Item = &Finding>| {
        some(&findings.map(Finding::name).collect::<Vec<_>>())
    };
    let heavy = [Weight::Essential, Weight::Unclear];
    let missing = named(&mut heavy.into_iter().flat_map(|weight| coverage.of(weight)));
    let tried = named(&mut coverage.findings.iter().filter(|one| one.rehearsed));
    match (coverage.verdict, coverage.prediction) {
        (Verdict::Full, _) => "nothing".into(),
        (_, Prediction::Fails) if coverage.basis == Basis::Rehearsal => {
            format!("it did otherwise without {tried}")
        }
        _ if !missing.is_empty() => missing,
        _ if coverage.basis == Basis::Rehearsal => format!("it did as before without {tried}"),
        _ => "only what programs do without".into(),
    }
}

/// What is expected of it because of other programs, and how to find out.
fn open(findings: &Findings) -> Option<String> {
    let mut text = String::new();
    for coverage in &findings.coverage {
        let is_rehearsed = findings
            .footprint
            .rehearsals
            .contains_key(&coverage.interface);
        let is_of_linux = matches!(coverage.interface, Interface::Container | Interface::Gvisor);
        let names: Vec<String> = coverage.open().map(Finding::name).collect();
        if names.is_empty() || is_rehearsed || !is_of_linux {
            continue;
        }
        let _ = writeln!(
            text,
            "{} refuses {}; how this program takes that is judged by others that make these calls",
            coverage.interface,
            some(&names)
        );
    }
    if text.is_empty() {
        return None;
    }
    text.push_str("--settle finds out: it runs the command again with them refused\n");
    Some(text)
}

fn rehearsal(of: &Rehearsed, findings: &Findings) -> String {
    let result = if of.alike {
        "behaves as before"
    } else {
        "behaves otherwise"
    };
    let mut text = format!("rehearsed under {}: {result}", of.under);
    if of.output_varies {
        text.push_str(" (its output differs from run to run, so only the exit was compared)");
    }
    text.push('\n');
    if let Some(run) = findings.run.as_ref().filter(|_| !of.as_traced) {
        let _ = writeln!(
            text,
            "  that says nothing of the traced run: with nothing refused and nothing to read it ended otherwise ({} instead of exit code {})",
            end(&of.before),
            run.exit_code
        );
    }
    if !of.refused.is_empty() {
        let _ = writeln!(text, "  refused: {}", some(&of.refused));
    }
    if !of.not_tried.is_empty() {
        let _ = writeln!(
            text,
            "  not to be tried by a filter: {}",
            some(&of.not_tried)
        );
    }
    if let Some(needed) = &of.needed {
        let named = if needed.is_empty() {
            "none".to_owned()
        } else {
            needed.join(", ")
        };
        let _ = writeln!(text, "  capabilities it cannot do without: {named}");
    }
    if !of.alike {
        let _ = writeln!(
            text,
            "  before: {}; now: {}",
            end(&of.before),
            end(&of.after)
        );
        if let Some(last) = of.after.error_tail.trim_end().lines().last() {
            let _ = writeln!(
                text,
                "  its last words: {}",
                last.chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect::<String>()
            );
        }
    }
    text
}

fn end(run: &uc_trace::Rehearsal) -> String {
    let how = match (run.code, run.signal) {
        _ if run.timed_out => "did not end".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    format!("{how}, {} bytes of output", run.output_bytes)
}
