//! Whether a program would run on a runtime, judged by what it asks of its kernel.
//!
//! Every call of a [`Footprint`] is held against the runtime's answers. What is refused weighs by what is known of its users:
//! the absence of some calls is harmless, since every user falls back; others are what their users came for. A program
//! is expected to run if nothing essential is refused, and to fail if something is that it was seen to do.

mod absences;

use serde::Serialize;

use crate::{
    api::{Interface, Level, Support, answers, support},
    footprint::{Footprint, Method, Usage},
    rehearsal::Rehearsed,
};

/// How much of what a program asks for a runtime has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All of it.
    Full,
    /// Not all; what is missing is named, and may not matter.
    Partial,
    /// Not what the program came for.
    Not,
}

/// What is expected of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prediction {
    /// It runs.
    Runs,
    /// Something is missing of which it is not known how programs take it.
    Doubtful,
    /// It fails, at least in part of what it does.
    Fails,
}

/// How sure the prediction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Read from code: the program may never make the calls, or make others.
    Low,
    /// Seen in a run of which a part was missed.
    Medium,
    /// Seen in a whole run; what the program did not do then is still unknown.
    High,
}

/// What the prediction rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// On its calls and on what is known of other users of those that are refused.
    Calls,
    /// On a run in which they were refused.
    Rehearsal,
}

/// What the absence of a call means to its users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// They do without.
    Harmless,
    /// Not known.
    Unclear,
    /// They came for it.
    Essential,
}

/// A call, or one of its variants, that the runtime does not answer as Linux does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The call.
    pub call: String,
    /// The argument that decides, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How often the program makes it.
    pub count: u64,
    /// What the runtime answers.
    #[serde(flatten)]
    pub support: Support,
    /// What that means to the program.
    pub weight: Weight,
    /// Why; empty where the answer says enough.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Whether it was refused in a rehearsal, so that it is known what that means to this program.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rehearsed: bool,
}

/// What a runtime has of what a program asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The runtime.
    pub interface: Interface,
    /// How much it has.
    pub verdict: Verdict,
    /// Whether the program is expected to run.
    pub prediction: Prediction,
    /// What that rests on.
    pub basis: Basis,
    /// How sure it is.
    pub confidence: Confidence,
    /// How many different calls the program makes.
    pub calls: usize,
    /// How many of them, with all their variants, are answered as Linux does.
    pub answered: usize,
    /// The rest, heaviest first.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// `ioctl(FICLONE)`, or the call alone.
    pub fn name(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}({variant})", self.call),
            None => self.call.clone(),
        }
    }
}

impl Coverage {
    /// The findings of a weight, save calls that are merely not needed.
    pub fn of(&self, weight: Weight) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(move |one| one.weight == weight && one.support.level != Level::Unneeded)
    }

    /// What is refused and was not rehearsed: how this program takes it is judged by other users of it. Without the calls of
    /// the C library's own start, which is known to do without.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        const START: [&str; 3] = ["arch_prctl", "rseq", "set_robust_list"];
        self.findings.iter().filter(|one| {
            let is_open = one.support.level == Level::Refused && !one.rehearsed;
            is_open && !START.contains(&one.call.as_str())
        })
    }
}

/// Holds a program's calls against a runtime's.
pub fn coverage(footprint: &Footprint, interface: impl Into<Interface>) -> Coverage {
    let interface = interface.into();
    let mut findings = Vec::new();
    let mut answered = 0;
    for (call, usage) in &footprint.calls {
        let found = judge(footprint, interface, call, usage);
        answered += usize::from(found.is_empty());
        findings.extend(found);
    }
    let rehearsed = footprint.rehearsals.get(&interface);
    if let Some(rehearsed) = rehearsed {
        settle(&mut findings, rehearsed);
    }
    let has_failed = rehearsed.is_some_and(|rehearsed| !rehearsed.alike);
    findings.sort_by(|one, other| {
        let key = |finding: &Finding| (finding.weight, finding.support.level);
        key(other)
            .cmp(&key(one))
            .then_with(|| one.name().cmp(&other.name()))
    });
    let worst = findings.first().map_or(Weight::Harmless, |one| one.weight);
    let prediction = match (worst, footprint.method) {
        _ if has_failed => Prediction::Fails,
        (Weight::Harmless, _) => Prediction::Runs,
        (Weight::Essential, Method::Traced) => Prediction::Fails,
        (Weight::Unclear, _) | (Weight::Essential, Method::Static) => Prediction::Doubtful,
    };
    Coverage {
        interface,
        verdict: match has_failed {
            true => Verdict::Not,
            false => verdict(&findings),
        },
        prediction,
        basis: match has_failed || findings.iter().any(|one| one.rehearsed) {
            true => Basis::Rehearsal,
            false => Basis::Calls,
        },
        confidence: match footprint.method {
            Method::Static => Confidence::Low,
            Method::Traced if footprint.gaps.is_empty() => Confidence::High,
            Method::Traced => Confidence::Medium,
        },
        calls: footprint.calls.len(),
        answered,
        findings,
    }
}

/// What was refused in a rehearsal weighs by what came of it, not by what is known of other users.
fn settle(findings: &mut [Finding], rehearsed: &Rehearsed) {
    for finding in findings {
        let is_refused = finding.support.level == Level::Refused;
        if !is_refused || !rehearsed.tried(&finding.call, finding.variant.as_deref()) {
            continue;
        }
        finding.rehearsed = true;
        if rehearsed.alike {
            finding.weight = Weight::Harmless;
            finding.reason = "refused in a rehearsal, where the program did as before".into();
        }
    }
}

fn verdict(findings: &[Finding]) -> Verdict {
    let missed =
        |finding: &&Finding| !matches!(finding.support.level, Level::Unneeded | Level::Start);
    match findings.iter().filter(missed).map(|one| one.weight).max() {
        None => Verdict::Full,
        Some(Weight::Harmless | Weight::Unclear) => Verdict::Partial,
        Some(Weight::Essential) => Verdict::Not,
    }
}

/// What of one call is not answered as Linux does.
fn judge(footprint: &Footprint, interface: Interface, call: &str, usage: &Usage) -> Vec<Finding> {
    let answer = |variant: Option<&str>| support(interface, footprint.architecture, call, variant);
    let whole = answer(None);
    let finding = |support: Support, variant: Option<&str>, count: u64| {
        let refused = variant.map(|variant| refused_flags(variant, |flag| answer(Some(flag))));
        // The C library falls back from the newer form to the older one, where that is there.
        let is_lost = call == "clone3" && {
            let older = crate::support(interface, footprint.architecture, "clone", None);
            older.level == Level::Refused
        };
        let meant = if is_lost { "clone" } else { call };
        let (weight, reason) = weigh(footprint, meant, refused.as_deref(), &support, count);
        Finding {
            call: call.to_owned(),
            variant: variant.map(str::to_owned),
            count,
            support,
            weight,
            reason,
            rehearsed: false,
        }
    };
    let mut findings = Vec::new();
    // Of a run it is known that no argument decided where none is noted.
    let is_plain = footprint.method == Method::Traced && answers(interface).is_by_argument(call);
    let mut rest = if is_plain { 0 } else { usage.count };
    for (variant, &count) in &usage.variants {
        let support = answer(Some(variant));
        // What the variant shares with its call is said once, with the call.
        if support != whole || support.level == Level::Refused {
            rest = rest.saturating_sub(count);
            findings.push(finding(support, Some(variant), count));
        }
    }
    findings.retain(|finding| finding.support.level != Level::Full);
    if whole.level != Level::Full && rest > 0 {
        findings.push(finding(whole, None, rest));
    }
    findings
}

/// Of flags that were given together, those on whose account the call is refused; all, where none is by itself.
fn refused_flags(variant: &str, answer: impl Fn(&str) -> Support) -> String {
    let refused: Vec<&str> = variant
        .split('|')
        .filter(|flag| answer(flag).level == Level::Refused)
        .collect();
    match refused.is_empty() {
        true => variant.to_owned(),
        false => refused.join("|"),
    }
}

/// What an answer means to the program, and why.
fn weigh(
    footprint: &Footprint,
    call: &str,
    variant: Option<&str>,
    support: &Support,
    count: u64,
) -> (Weight, String) {
    match support.level {
        Level::Full | Level::Partial | Level::Unneeded | Level::Emulated => {
            (Weight::Harmless, String::new())
        }
        Level::Start if count <= 1 => (Weight::Harmless, String::new()),
        Level::Differs => (
            Weight::Unclear,
            "nothing tells the program that the effect is missing".into(),
        ),
        Level::Start | Level::Refused => {
            let known = absences::weigh(footprint.architecture, call, variant);
            if variant.is_none() && asks_first(footprint, call) {
                let reason = "its users ask first whether it is there, as this program does";
                return (Weight::Harmless, reason.into());
            }
            if SPEAKS.contains(&call) && is_local(footprint) {
                let reason =
                    "speaks over local sockets, perhaps to a name service that it can do without";
                return (known.0.min(Weight::Unclear), reason.into());
            }
            known
        }
    }
}

/// Whether the program asks, by a variant of the call, whether the call is there.
fn asks_first(footprint: &Footprint, call: &str) -> bool {
    const QUESTIONS: [(&str, &str); 1] =
        [("landlock_create_ruleset", "LANDLOCK_CREATE_RULESET_VERSION")];
    QUESTIONS.iter().any(|(asked, question)| {
        let usage = footprint.calls.get(*asked).filter(|_| *asked == call);
        usage.is_some_and(|usage| usage.variants.contains_key(*question))
    })
}

/// Calls of whoever speaks over a socket that it has made.
const SPEAKS: [&str; 6] = [
    "connect", "sendto", "sendmsg", "sendmmsg", "recvmsg", "recvfrom",
];

/// Whether all sockets that were seen are local ones.
fn is_local(footprint: &Footprint) -> bool {
    footprint.calls.get("socket").is_some_and(|usage| {
        !usage.variants.is_empty() && usage.variants.keys().all(|one| one.starts_with("AF_UNIX:"))
    })
}

#[cfg(test)]
mod tests;
