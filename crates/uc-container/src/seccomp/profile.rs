//! Seccomp profiles of the user's own, compiled for the kernel.
//!
//! A profile is applied on top of the built-in allow-list, so it can only narrow. Each of its actions becomes one
//! filter; the kernel lets the strictest verdict count.

use std::collections::BTreeMap;

use seccompiler::BpfProgram;
use serde_json::{Value, json};
use uc_linux::seccomp_profile::{Action, Comparison, Operator, Profile};
use uc_model::{Problem, Result};

/// Compiles a profile. Names of calls this processor has not are left out, as other runtimes do.
pub(crate) fn compile_profile(bytes: &[u8]) -> Result<Vec<BpfProgram>> {
    let profile = Profile::read(bytes)?;
    let known = KnownCalls::new()?;
    let mut by_action: BTreeMap<Action, Vec<Value>> = BTreeMap::new();
    for rule in &profile.rules {
        let entries = by_action.entry(rule.action).or_default();
        let names = rule.names.iter().filter(|name| known.contains(name));
        entries.extend(names.map(|name| entry(name, &rule.comparisons)));
    }
    let allowed = by_action.remove(&Action::Allow).unwrap_or_default();
    let mut filters = Vec::new();
    if profile.default != Action::Allow {
        filters.push(json!({
            "mismatch_action": word(profile.default), "match_action": word(Action::Allow), "filter": allowed,
        }));
    }
    for (action, entries) in by_action {
        if action != profile.default {
            filters.push(json!({
                "mismatch_action": word(Action::Allow), "match_action": word(action), "filter": entries,
            }));
        }
    }
    filters.iter().map(compile_one).collect()
}

/// An action in the form the filter compiler takes.
fn word(action: Action) -> Value {
    match action {
        Action::Allow => json!("allow"),
        Action::Log => json!("log"),
        Action::Errno(number) => json!({"errno": number}),
        Action::Trap => json!("trap"),
        Action::KillThread => json!("kill_thread"),
        Action::KillProcess => json!("kill_process"),
    }
}

fn entry(name: &str, comparisons: &[Comparison]) -> Value {
    if comparisons.is_empty() {
        return json!({"syscall": name});
    }
    let conditions: Vec<Value> = comparisons.iter().map(condition).collect();
    json!({"syscall": name, "args": conditions})
}

fn condition(comparison: &Comparison) -> Value {
    let operator = match comparison.operator {
        Operator::Equal => json!("eq"),
        Operator::NotEqual => json!("ne"),
        Operator::Less => json!("lt"),
        Operator::LessOrEqual => json!("le"),
        Operator::Greater => json!("gt"),
        Operator::GreaterOrEqual => json!("ge"),
        Operator::Masked(mask) => json!({ "masked_eq": mask }),
    };
    json!({"index": comparison.argument, "type": "qword", "op": operator, "val": comparison.value})
}

fn compile_one(filter: &Value) -> Result<BpfProgram> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::invalid("the seccomp profile does not compile")
            .found(error)
            .remedy("see the OCI runtime specification, linux.seccomp")
    };
    let text = json!({ "profile": filter }).to_string();
    let mut programs = seccompiler::compile_from_json(text.as_bytes(), super::architecture()?)
        .map_err(|error| failed(&error))?;
    programs
        .remove("profile")
        .ok_or_else(|| failed(&"no filter"))
}

/// The calls this processor has, by name.
struct KnownCalls;

impl KnownCalls {
    fn new() -> Result<Self> {
        super::architecture().map(|_| Self)
    }

    /// The compiler knows the table but shows it only by refusing names that are not in it.
    fn contains(&self, name: &str) -> bool {
        compile_one(&json!({"mismatch_action": "allow", "match_action": "trap", "filter": [{"syscall": name}]})).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_in_oci_form_compiles() {
        let profile = br#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"syscalls":[
            {"names":["read","write","no_such_call"],"action":"SCMP_ACT_ALLOW"},
            {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]},
            {"names":["ptrace"],"action":"SCMP_ACT_KILL_PROCESS"}]}"#;
        let filters = compile_profile(profile).expect("compiles");
        assert_eq!(filters.len(), 2);
    }
}
