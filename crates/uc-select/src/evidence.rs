//! What is known of a program's system calls when a runtime is chosen for it.

use uc_model::{PayloadFormat, RuntimeKind};

use crate::{
    coverage::{Basis, Coverage, Finding, Prediction, Weight, coverage},
    footprint::Method,
    needs::Needs,
};

/// Most calls named in a line.
const MAX_NAMED: usize = 8;

/// What a kind of sandbox answers of a workload's calls; `None` where no footprint is known, or it runs no Linux programs.
pub(crate) fn coverage_of(needs: &Needs, kind: RuntimeKind) -> Option<Coverage> {
    let footprint = needs.footprint.as_ref()?;
    (kind != RuntimeKind::Wasm).then(|| coverage(footprint, kind))
}

/// On what it rests that the program will run: its calls, or a guess. Empty for what is no Linux program.
pub(crate) fn words(needs: &Needs, kind: RuntimeKind) -> String {
    if !needs.formats.contains(&PayloadFormat::LinuxRootfs) {
        return String::new();
    }
    let Some(coverage) = coverage_of(needs, kind) else {
        return "a guess, since no trace of the program is known; `uc run --trace` or `uc trace` makes one".into();
    };
    let method = match needs.footprint.as_ref().map(|footprint| footprint.method) {
        Some(Method::Static) => "found in its code",
        _ => "seen in a run",
    };
    let outlook = match (coverage.prediction, coverage.basis) {
        (Prediction::Runs, Basis::Calls) => "it is expected to run",
        (Prediction::Runs, Basis::Rehearsal) => "it ran as ever with the others refused",
        (Prediction::Doubtful, _) => "whether it runs is in doubt",
        (Prediction::Fails, Basis::Calls) => "it is expected to fail",
        (Prediction::Fails, Basis::Rehearsal) => "it did otherwise with the others refused",
    };
    let mut text = format!(
        "{} of {} that were {method} are answered in full; {outlook}",
        coverage.answered, coverage.calls
    );
    for (weight, what) in [
        (Weight::Essential, "it needs"),
        (Weight::Unclear, "in doubt"),
        (Weight::Harmless, "it does without"),
    ] {
        let names: Vec<String> = coverage.of(weight).map(Finding::name).collect();
        if names.is_empty() {
            continue;
        }
        let more = names.len().saturating_sub(MAX_NAMED);
        let named = names[..names.len() - more].join(", ");
        text.push_str(&format!("; {what} {named}"));
        if more > 0 {
            text.push_str(&format!(" and {more} more"));
        }
    }
    text
}
