//! The allow-list of containers in OCI form (runtime specification, "linux.seccomp"), for runtimes that share the host's
//! kernel with their programs, narrowed by a profile of the user's own.
//!
//! A runtime takes one profile, so what the kernel would make of two filters is worked out here: for each call and all
//! its arguments the strictest action counts, as it does with the built-in launcher.

mod arguments;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uc_linux::{
    seccomp_profile::{Action, Profile},
    syscall_policy::{NEWEST_CONSIDERED, Verdict, verdicts},
};
use uc_model::{Problem, Result};
use uc_select::{Architecture, syscall_name, syscall_names, syscall_number};

use crate::flavour::Flavour;
use arguments::{Arguments, Cube};

/// What becomes of a call that has no rule: one that is on no list. Where the user's profile kills instead, it does so for
/// calls that have a name.
const DEFAULT: Action = Action::Errno(libc::EPERM.unsigned_abs());

/// Most rules with conditions that are worked out, and that are handed to a runtime.
const MAX_RULES: usize = 4096;

/// The profile for the processor this runs on: the allow-list, and a user's own profile on top.
///
/// # Errors
/// Host, where the processor's system calls are not known; invalid or refused, where the user's profile is no good.
pub(crate) fn profile(own: Option<&[u8]>, flavour: Flavour) -> Result<Value> {
    let architecture: Architecture = std::env::consts::ARCH.parse()?;
    let own = own.map(Profile::read).transpose()?;
    require_few(own.as_ref().map_or(0, conditional))?;
    let listed = verdicts();
    if let Some(number) = listed
        .keys()
        .find(|number| syscall_name(architecture, u64::from(**number)).is_none())
    {
        return Err(Problem::internal("a system call without a name").found(number));
    }
    let mut whole: BTreeMap<Action, Vec<&str>> = BTreeMap::new();
    let mut rules = Vec::new();
    for name in syscall_names(architecture) {
        let number = syscall_number(architecture, name).unwrap_or(u64::MAX);
        let layers = layers(name, number, &listed, own.as_ref())
            .map_err(|problem| problem.within(name.to_owned()))?;
        let outcome = outcome(layers).map_err(|problem| problem.within(name.to_owned()))?;
        for (action, set) in outcome {
            match set.is_everything() {
                true => whole.entry(action).or_default().push(name),
                false => {
                    let more = set.cubes().iter();
                    rules.extend(more.map(|cube| rule(name, action, cube, flavour)));
                    require_few(rules.len())?;
                }
            }
        }
    }
    let calls = whole
        .into_iter()
        .map(|(action, names)| with_action(json!({ "names": names }), action));
    let calls: Vec<Value> = calls.chain(rules).collect();
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": [format!("SCMP_ARCH_{}", architecture.name().to_uppercase())],
        "syscalls": calls,
    }))
}

/// How many calls have rules with conditions, each counted as often.
fn conditional(profile: &Profile) -> usize {
    let rules = profile.rules.iter();
    rules
        .filter(|rule| !rule.comparisons.is_empty())
        .map(|rule| rule.names.len())
        .sum()
}

fn require_few(rules: usize) -> Result<()> {
    if rules <= MAX_RULES {
        return Ok(());
    }
    Err(
        Problem::refused("the seccomp profile has too many conditions")
            .limit(MAX_RULES)
            .found(rules)
            .remedy("leave the runtime to `uc`: unset UC_CONTAINER_RUNTIME"),
    )
}

const MASKED: &str = "SCMP_CMP_MASKED_EQ";

/// Where a filter has its say on a call.
enum Region {
    Within(Arguments),
    Outside(Arguments),
}

/// What each filter makes of a call that it does not allow, the one that would be installed last first: of equally strict ones
/// the kernel takes that one's.
fn layers(
    name: &str,
    number: u64,
    listed: &BTreeMap<u32, Verdict>,
    own: Option<&Profile>,
) -> Result<Vec<(Action, Region)>> {
    let mut layers = Vec::new();
    if let Some(own) = own {
        let mut by_action = by_action(name, own)?;
        let allowed = by_action.remove(&Action::Allow);
        let others = by_action.into_iter().rev();
        layers.extend(
            others
                .filter(|(action, _)| *action != own.default)
                .map(|(action, set)| (action, Region::Within(set))),
        );
        if own.default != Action::Allow {
            let allowed = allowed.unwrap_or(Arguments::nothing());
            layers.push((own.default, Region::Outside(allowed)));
        }
    }
    layers.extend(built_in(number, listed)?);
    Ok(layers)
}

/// For which arguments a profile has rules for a call, by action.
fn by_action(name: &str, profile: &Profile) -> Result<BTreeMap<Action, Arguments>> {
    let mut sets: BTreeMap<Action, Arguments> = BTreeMap::new();
    for rule in &profile.rules {
        if rule.names.iter().any(|one| one == name) {
            let more = Arguments::compared(&rule.comparisons)?;
            let set = sets.entry(rule.action).or_insert(Arguments::nothing());
            *set = set.union(&more)?;
        }
    }
    Ok(sets)
}

/// What the allow-list makes of a call.
fn built_in(number: u64, listed: &BTreeMap<u32, Verdict>) -> Result<Option<(Action, Region)>> {
    let fail = |errno: i32| Action::Errno(errno.unsigned_abs());
    let everything = || Region::Within(Arguments::everything());
    // What is newer than the list must look absent.
    if number > u64::from(NEWEST_CONSIDERED) {
        return Ok(Some((fail(libc::ENOSYS), everything())));
    }
    let verdict = u32::try_from(number)
        .ok()
        .and_then(|number| listed.get(&number));
    Ok(match verdict {
        Some(Verdict::Allow) => None,
        Some(Verdict::Fail(errno)) => Some((fail(*errno), everything())),
        Some(Verdict::AllowIf(alternatives)) => {
            let allowed = alternatives
                .iter()
                .try_fold(Arguments::nothing(), |all, alternative| {
                    all.union(&Arguments::conditioned(alternative)?)
                })?;
            Some((fail(libc::EPERM), Region::Outside(allowed)))
        }
        None => Some((fail(libc::EPERM), everything())),
    })
}

/// Which action counts for which arguments, but for the default's.
fn outcome(mut layers: Vec<(Action, Region)>) -> Result<Vec<(Action, Arguments)>> {
    layers.sort_by_key(|(action, _)| strictness(*action));
    let mut rest = Arguments::everything();
    let mut outcome = Vec::new();
    for (action, region) in layers {
        // What gets the default's action needs no rule, and may be no simple set.
        let ours = action != DEFAULT;
        match region {
            Region::Within(set) => {
                if ours {
                    outcome.push((action, rest.intersection(&set)?));
                }
                rest = rest.difference(&set)?;
            }
            Region::Outside(set) => {
                if ours {
                    outcome.push((action, rest.difference(&set)?));
                }
                rest = rest.intersection(&set)?;
            }
        }
    }
    outcome.push((Action::Allow, rest));
    outcome.retain(|(_, set)| !set.cubes().is_empty());
    Ok(outcome)
}

/// The kernel's order of actions, in which error numbers do not count.
fn strictness(action: Action) -> Action {
    match action {
        Action::Errno(_) => Action::Errno(0),
        other => other,
    }
}

fn rule(name: &str, action: Action, cube: &Cube, flavour: Flavour) -> Value {
    let args: Vec<Value> = cube
        .fixed()
        .map(|(index, mask, value)| {
            let (operator, first, second) = match (mask, flavour) {
                (u64::MAX, _) => ("SCMP_CMP_EQ", value, 0),
                // youki (0.7.0) takes the value for the mask and the mask for the value. The probe tries what comes of it.
                (_, Flavour::Youki) => (MASKED, value, mask),
                (_, Flavour::Crun | Flavour::Runc | Flavour::Runsc) => (MASKED, mask, value),
            };
            json!({"index": index, "value": first, "valueTwo": second, "op": operator})
        })
        .collect();
    with_action(json!({"names": [name], "args": args}), action)
}

fn with_action(mut rule: Value, action: Action) -> Value {
    let word = match action {
        Action::KillProcess => "SCMP_ACT_KILL_PROCESS",
        // The older name, which all runtimes know.
        Action::KillThread => "SCMP_ACT_KILL",
        Action::Trap => "SCMP_ACT_TRAP",
        Action::Log => "SCMP_ACT_LOG",
        Action::Allow => "SCMP_ACT_ALLOW",
        Action::Errno(number) => {
            rule["errnoRet"] = number.into();
            "SCMP_ACT_ERRNO"
        }
    };
    rule["action"] = word.into();
    rule
}

#[cfg(test)]
mod tests;
