//! `uc trace --rehearse` and `--settle`: the program again, under what it would meet.

use std::{collections::BTreeSet, ffi::OsString, str::FromStr, time::Duration};

use serde::Serialize;
use uc_model::{Problem, Result};
use uc_select::Interface;
use uc_trace::{
    Conditions, Profile, Refusals, Rehearsal,
    capabilities::{name, suggested},
};

use super::{Findings, TraceArgs, again, coverages, shell_code};

/// What is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// The smallest seccomp profile.
    Profile,
    /// The smallest set of capabilities.
    Capabilities,
    /// The answers of a runtime.
    Runtime(Interface),
}

impl FromStr for Trial {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "profile" => Ok(Self::Profile),
            "capabilities" => Ok(Self::Capabilities),
            _ => match text.parse() {
                Ok(interface @ (Interface::Gvisor | Interface::Container | Interface::Microvm)) => {
                    Ok(Self::Runtime(interface))
                }
                _ => Err("expected profile, capabilities, gvisor, container or microvm".into()),
            },
        }
    }
}

/// What a rehearsal showed.
#[derive(Serialize)]
pub(super) struct Rehearsed {
    /// Under what.
    pub(super) under: String,
    /// Whether the program behaved as it does without.
    pub(super) alike: bool,
    /// Whether it ended without as when it was traced. Otherwise it says nothing of that run.
    pub(super) as_traced: bool,
    /// Whether two runs without differed already, so that ends alone were compared.
    pub(super) output_varies: bool,
    /// The calls of the program that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) refused: Vec<String>,
    /// Those that no filter can refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_tried: Vec<String>,
    /// The capabilities without which it behaves otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) needed: Option<Vec<String>>,
    /// The run without.
    pub(super) before: Rehearsal,
    /// The run under it.
    pub(super) after: Rehearsal,
}

impl Rehearsed {
    /// What it says of a runtime, for the footprint.
    fn of_runtime(&self) -> Option<(Interface, uc_select::Rehearsed)> {
        let interface = self.under.parse().ok().filter(|_| self.as_traced)?;
        let rehearsed = uc_select::Rehearsed {
            alike: self.alike,
            refused: self.refused.iter().cloned().collect(),
        };
        Some((interface, rehearsed))
    }
}

/// Runs without anything refused, to which the others are compared.
struct Stage<'a> {
    words: &'a [OsString],
    longest: Duration,
    before: Rehearsal,
    as_traced: bool,
    output_varies: bool,
}

/// Rehearses what was asked for, one after the other, and lets what it shows replace what was predicted.
pub(super) fn rehearse(args: &TraceArgs, findings: &mut Findings) -> Result<()> {
    let trials = trials(args, findings);
    if trials.is_empty() {
        if args.settle {
            let none = "nothing to settle: what gvisor and container refuse of it, the C library does without at any start";
            findings.notes.push(none.into());
        }
        return Ok(());
    }
    let stage = Stage::set(args, findings)?;
    for trial in trials {
        let rehearsed = stage.play(trial, findings)?;
        if let Some((interface, shown)) = rehearsed.of_runtime() {
            findings.footprint.rehearsals.insert(interface, shown);
        }
        findings.rehearsals.push(rehearsed);
    }
    findings.coverage = coverages(&findings.footprint);
    Ok(())
}

/// What is asked for, and to settle what is in doubt, each runtime that refuses something of which others' ways of doing
/// without prove nothing.
fn trials(args: &TraceArgs, findings: &Findings) -> Vec<Trial> {
    let mut trials = args.rehearse.clone();
    let is_settled = |interface| matches!(interface, Interface::Container | Interface::Gvisor);
    for coverage in findings.coverage.iter().filter(|_| args.settle) {
        let trial = Trial::Runtime(coverage.interface);
        let is_open = is_settled(coverage.interface) && coverage.open().next().is_some();
        if is_open && !trials.contains(&trial) {
            trials.push(trial);
        }
    }
    trials
}

fn endless(longest: Duration) -> Problem {
    Problem::invalid("the program does not end by itself, so there is nothing to compare")
        .limit(format!("{:.0} s", longest.as_secs_f64()))
        .remedy("rehearse a command that ends, such as a test of the service")
}

impl<'a> Stage<'a> {
    /// Runs the program twice as it is.
    fn set(args: &'a TraceArgs, findings: &Findings) -> Result<Self> {
        let traced = findings.run.as_ref().map_or(1.0, |run| run.seconds);
        if let Some(ended) = args.longest.filter(|end| traced >= end.as_secs_f64()) {
            return Err(endless(ended));
        }
        // Ten times the traced run, which was slower than these will be.
        let longest =
            Duration::try_from_secs_f64(traced * 10.0 + 10.0).unwrap_or(Duration::from_secs(60));
        let words = args.command.as_slice();
        let run = |conditions: &Conditions| uc_trace::rehearse(again(words)?, conditions);
        let bare = Conditions {
            longest: Some(longest),
            ..Conditions::default()
        };
        let (before, second) = (run(&bare)?, run(&bare)?);
        if before.timed_out {
            return Err(endless(longest));
        }
        let code = shell_code(before.code, before.signal);
        Ok(Self {
            words,
            longest,
            output_varies: !before.says_as(&second),
            as_traced: findings
                .run
                .as_ref()
                .is_some_and(|run| run.exit_code == code),
            before,
        })
    }
}

impl Stage<'_> {
    fn play(&self, trial: Trial, findings: &Findings) -> Result<Rehearsed> {
        let footprint = &findings.footprint;
        match trial {
            Trial::Profile => {
                let refusals =
                    Refusals::of_profile(&Profile::of(footprint), footprint.architecture)?;
                self.under("profile", refusals)
            }
            Trial::Runtime(interface) => self.under(
                interface.name(),
                Refusals::of_runtime(interface, footprint)?,
            ),
            Trial::Capabilities => self.capabilities(findings),
        }
    }

    fn under(&self, name: &str, refusals: Refusals) -> Result<Rehearsed> {
        let (refused, not_tried) = (refusals.refused.clone(), refusals.unseen.clone());
        let after = self.run(Some(refusals), None)?;
        Ok(Rehearsed {
            refused,
            not_tried,
            ..self.compared(name, after)
        })
    }

    /// Takes one capability after the other away and keeps those whose absence shows.
    fn capabilities(&self, findings: &Findings) -> Result<Rehearsed> {
        if !rustix::process::geteuid().is_root() {
            return Err(Problem::host(
                "capabilities can only be tried by root: other users have none",
            )
            .remedy("run uc trace as root"));
        }
        let Some(run) = &findings.run else {
            return Err(Problem::internal("capabilities without a run"));
        };
        let mut kept: BTreeSet<u32> = match &run.capabilities {
            Some(seen) if seen.lost == 0 => seen.granted.keys().copied().collect(),
            _ => suggested(&findings.footprint, &run.deeds),
        };
        let mut after = self.run(None, Some(&kept))?;
        for capability in kept.clone() {
            let mut fewer = kept.clone();
            fewer.remove(&capability);
            let without = self.run(None, Some(&fewer))?;
            if self.is_alike(&without) {
                (kept, after) = (fewer, without);
            }
        }
        Ok(Rehearsed {
            needed: Some(kept.into_iter().map(name).collect()),
            ..self.compared("capabilities", after)
        })
    }

    fn run(
        &self,
        refusals: Option<Refusals>,
        capabilities: Option<&BTreeSet<u32>>,
    ) -> Result<Rehearsal> {
        let conditions = Conditions {
            refusals,
            capabilities: capabilities.map(|kept| kept.iter().copied().collect()),
            longest: Some(self.longest),
        };
        uc_trace::rehearse(again(self.words)?, &conditions)
    }

    fn is_alike(&self, after: &Rehearsal) -> bool {
        after.ends_as(&self.before) && (self.output_varies || after.says_as(&self.before))
    }

    fn compared(&self, name: &str, after: Rehearsal) -> Rehearsed {
        Rehearsed {
            under: name.to_owned(),
            alike: self.is_alike(&after),
            as_traced: self.as_traced,
            output_varies: self.output_varies,
            refused: Vec::new(),
            not_tried: Vec::new(),
            needed: None,
            before: self.before.clone(),
            after,
        }
    }
}
