//! The allow-list of containers in OCI form (runtime specification, "linux.seccomp"), for runtimes that share the host's
//! kernel with their programs.

use serde_json::{Value, json};
use uc_linux::syscall_policy::{Condition, NEWEST_CONSIDERED, Verdict, verdicts};
use uc_model::{Problem, Result};
use uc_select::{Architecture, syscall_name, syscall_names, syscall_number};

/// The profile for the processor this runs on.
///
/// # Errors
/// Host, where its system calls are not known.
pub(crate) fn profile() -> Result<Value> {
    let architecture: Architecture = std::env::consts::ARCH.parse()?;
    let mut allowed = Vec::new();
    let mut absent = newer_than_considered(architecture);
    let mut rules = Vec::new();
    for (number, verdict) in verdicts() {
        let Some(name) = syscall_name(architecture, number.into()) else {
            return Err(Problem::internal("a system call without a name").found(number));
        };
        match verdict {
            Verdict::Allow => allowed.push(name),
            Verdict::Fail(libc::ENOSYS) => absent.push(name),
            Verdict::Fail(_) => {}
            Verdict::AllowIf(alternatives) => {
                let alternatives = alternatives.iter().flat_map(|all| expressible(all));
                rules.extend(alternatives.map(|conditions| rule(name, &conditions)));
            }
        }
    }
    let mut calls = vec![
        json!({"names": allowed, "action": "SCMP_ACT_ALLOW"}),
        json!({"names": absent, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS}),
    ];
    calls.extend(rules);
    Ok(json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": [format!("SCMP_ARCH_{}", architecture.name().to_uppercase())],
        "syscalls": calls,
    }))
}

/// Calls that are newer than the list.
fn newer_than_considered(architecture: Architecture) -> Vec<&'static str> {
    syscall_names(architecture)
        .into_iter()
        .filter(|name| {
            syscall_number(architecture, name)
                .is_some_and(|number| number > u64::from(NEWEST_CONSIDERED))
        })
        .collect()
}

/// A comparison in OCI terms.
struct Comparison {
    argument: u8,
    operator: &'static str,
    value: u64,
    value_two: u64,
}

/// Alternatives, each with at most one comparison for an argument, since runtimes take several for alternatives.
fn expressible(conditions: &[Condition]) -> Vec<Vec<Comparison>> {
    let differs: Vec<&Condition> = conditions.iter().filter(|one| !one.equal).collect();
    if differs.is_empty() {
        return vec![conditions.iter().map(equal).collect()];
    }
    debug_assert_eq!(
        differs.len(),
        conditions.len(),
        "equal and unequal do not mix"
    );
    let Some(argument) = differs.first().map(|one| one.argument) else {
        return Vec::new();
    };
    let mut values: Vec<u64> = differs.iter().map(|one| one.value.into()).collect();
    values.sort_unstable();
    around(argument, &values)
}

fn equal(condition: &Condition) -> Comparison {
    let (operator, value, value_two) = match condition.mask {
        u32::MAX => ("SCMP_CMP_EQ", condition.value.into(), 0),
        mask => ("SCMP_CMP_MASKED_EQ", mask.into(), condition.value.into()),
    };
    Comparison {
        argument: condition.argument,
        operator,
        value,
        value_two,
    }
}

/// Everything but these values, in rising order: below the first, above the last, and each number between them.
fn around(argument: u8, values: &[u64]) -> Vec<Vec<Comparison>> {
    let one = |operator, value| {
        vec![Comparison {
            argument,
            operator,
            value,
            value_two: 0,
        }]
    };
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return Vec::new();
    };
    let mut alternatives = vec![one("SCMP_CMP_LT", *first), one("SCMP_CMP_GT", *last)];
    let between = (*first..*last).filter(|value| !values.contains(value));
    alternatives.extend(between.map(|value| one("SCMP_CMP_EQ", value)));
    alternatives
}

fn rule(name: &str, conditions: &[Comparison]) -> Value {
    let args: Vec<Value> = conditions
        .iter()
        .map(|one| {
            json!({"index": one.argument, "value": one.value, "valueTwo": one.value_two, "op": one.operator})
        })
        .collect();
    json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": args})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_its_place() {
        let profile = profile().expect("known");
        let text = profile.to_string();
        assert_eq!(profile["defaultErrnoRet"], libc::EPERM);
        for (name, action) in [("read", 0), ("clone3", 1)] {
            let names = profile["syscalls"][action]["names"]
                .as_array()
                .expect("a list");
            assert!(names.iter().any(|one| one == name), "{name}");
        }
        assert!(!text.contains("\"mount\""), "{text}");
        let of = |name: &str| {
            let rules = profile["syscalls"].as_array().expect("a list");
            rules
                .iter()
                .filter(|rule| rule["args"].is_array() && rule["names"][0] == name)
                .count()
        };
        // Unix, two families with two types each, routing.
        assert_eq!(of("socket"), 6);
        // Below TIOCSTI, above TIOCLINUX, and nine between them.
        assert_eq!(of("ioctl"), 11);
    }
}
