//! Sets of calls that are answered by an error instead of being made: another runtime's, or all that a profile leaves out.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use uc_model::{Problem, Result};
use uc_select::{
    Architecture, Condition, Footprint, Interface, Level, Support, conditions, support,
    syscall_names, syscall_number,
};

use crate::profile::Profile;

/// For each number the sets of conditions of which one must hold; none stands for every call.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters that refuse.
#[derive(Debug, Clone)]
pub struct Refusals {
    programs: Vec<BpfProgram>,
    /// What of the footprint is refused, in words.
    pub refused: Vec<String>,
    /// What of it the filters cannot refuse, since registers do not tell it.
    pub unseen: Vec<String>,
}

impl Refusals {
    /// What a profile leaves out fails as the profile says.
    ///
    /// # Errors
    /// Internal, where it does not compile.
    pub fn of_profile(profile: &Profile, architecture: Architecture) -> Result<Self> {
        let mut rules = Rules::new();
        for (call, sets) in profile.allowed() {
            if let Some(number) = number(architecture, call) {
                rules.insert(
                    number,
                    sets.iter().map(|all| rule(all)).collect::<Result<_>>()?,
                );
            }
        }
        let absent = SeccompAction::Errno(libc::ENOSYS as u32);
        let program = compile(architecture, rules, absent, SeccompAction::Allow)?;
        Ok(Self {
            programs: vec![program],
            refused: Vec::new(),
            unseen: Vec::new(),
        })
    }

    /// What a runtime does not answer fails as it does there: every call that it lacks, and of the calls whose arguments
    /// decide those that the footprint shows.
    ///
    /// # Errors
    /// Invalid, where the runtime does not answer system calls but offers functions of its own.
    pub fn of_runtime(interface: Interface, footprint: &Footprint) -> Result<Self> {
        if matches!(interface, Interface::WasiP1 | Interface::WasiP2) {
            return Err(Problem::invalid(
                "a program of Linux cannot rehearse for WebAssembly, which it must be compiled for",
            )
            .limit("container, gvisor or microvm")
            .found(interface));
        }
        let architecture = footprint.architecture;
        let mut by_error: BTreeMap<i32, Rules> = BTreeMap::new();
        let (mut refused, mut unseen) = (Vec::new(), BTreeSet::new());
        for call in syscall_names(architecture) {
            let Some(number) = number(architecture, call) else {
                continue;
            };
            let whole = support(interface, architecture, call, None);
            let usage = footprint.calls.get(call);
            if let Some(error) = error(&whole) {
                by_error
                    .entry(error)
                    .or_default()
                    .insert(number, Vec::new());
                if usage.is_some() {
                    refused.push(call.to_owned());
                }
                continue;
            }
            for variant in usage.into_iter().flat_map(|usage| usage.variants.keys()) {
                let answer = support(interface, architecture, call, Some(variant));
                let Some(error) = error(&answer) else {
                    continue;
                };
                let name = format!("{call}({variant})");
                match conditions(architecture, call, variant) {
                    Some(all) => {
                        let rules = by_error.entry(error).or_default();
                        rules.entry(number).or_default().push(rule(&all)?);
                        refused.push(name);
                    }
                    None => {
                        unseen.insert(name);
                    }
                }
            }
        }
        let programs = by_error.into_iter().map(|(error, rules)| {
            let refuse = SeccompAction::Errno(error.unsigned_abs());
            compile(architecture, rules, SeccompAction::Allow, refuse)
        });
        Ok(Self {
            programs: programs.collect::<Result<_>>()?,
            refused,
            unseen: unseen.into_iter().collect(),
        })
    }

    pub(crate) fn programs(&self) -> &[BpfProgram] {
        &self.programs
    }
}

fn number(architecture: Architecture, call: &str) -> Option<i64> {
    i64::try_from(syscall_number(architecture, call)?).ok()
}

/// The error of an answer, if it is one.
fn error(answer: &Support) -> Option<i32> {
    (answer.level == Level::Refused).then_some(match answer.errno {
        Some("EPERM") => libc::EPERM,
        Some("EINVAL") => libc::EINVAL,
        Some("EACCES") => libc::EACCES,
        Some("ENOENT") => libc::ENOENT,
        Some("ENODEV") => libc::ENODEV,
        Some("ENOTTY") => libc::ENOTTY,
        Some("ENOTSUP" | "EOPNOTSUPP") => libc::EOPNOTSUPP,
        Some("ENOPROTOOPT") => libc::ENOPROTOOPT,
        Some("EAFNOSUPPORT") => libc::EAFNOSUPPORT,
        Some("EPROTONOSUPPORT") => libc::EPROTONOSUPPORT,
        Some("ESOCKTNOSUPPORT") => libc::ESOCKTNOSUPPORT,
        _ => libc::ENOSYS,
    })
}

fn rule(all: &[Condition]) -> Result<SeccompRule> {
    let conditions = all.iter().map(|one| {
        SeccompCondition::new(
            one.argument,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(one.mask),
            one.value,
        )
    });
    let conditions = conditions.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    SeccompRule::new(conditions).map_err(failed)
}

fn compile(
    architecture: Architecture,
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram> {
    let target = match architecture {
        Architecture::X86_64 => TargetArch::x86_64,
        Architecture::Aarch64 => TargetArch::aarch64,
    };
    SeccompFilter::new(rules, otherwise, matched, target)
        .and_then(BpfProgram::try_from)
        .map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::internal("cannot compile a system-call filter").found(error)
}
