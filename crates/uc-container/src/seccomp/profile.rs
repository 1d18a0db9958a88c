//! Seccomp profiles of the user's own, in OCI form (runtime specification 1.2, "linux.seccomp").
//!
//! A profile is applied on top of the built-in allow-list, so it can only narrow. Each of its actions becomes one
//! filter; the kernel lets the strictest verdict count.

use std::collections::BTreeMap;

use seccompiler::BpfProgram;
use serde::Deserialize;
use serde_json::{Value, json};
use uc_model::{Problem, Result};

/// Largest profile read, in bytes; container engines' default ones have about 20 KiB.
const MAX_PROFILE: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default, rename = "flags")]
    _flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Compiles a profile. Names of calls this processor has not are left out, as other runtimes do.
pub(crate) fn compile_profile(bytes: &[u8]) -> Result<Vec<BpfProgram>> {
    if bytes.len() > MAX_PROFILE {
        return Err(invalid("the seccomp profile is too large")
            .limit("1 MiB")
            .found(format!("{} bytes", bytes.len())));
    }
    let profile: Profile = serde_json::from_slice(bytes).map_err(|error| {
        invalid("not an OCI seccomp profile")
            .found(&error)
            .at(format!("line {}", error.line()))
    })?;
    check_architecture(&profile.architectures)?;
    let default = action(&profile.default_action, profile.default_errno_ret)?;
    let known = KnownCalls::new()?;
    let mut by_action: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for rule in &profile.syscalls {
        let verdict = action(&rule.action, rule.errno_ret)?;
        let (_, entries) = by_action
            .entry(verdict.to_string())
            .or_insert_with(|| (verdict, Vec::new()));
        for name in rule.names.iter().filter(|name| known.contains(name)) {
            entries.push(entry(name, &rule.args)?);
        }
    }
    let allow = json!("allow");
    let mut filters = Vec::new();
    if default != allow {
        let (_, entries) = by_action
            .remove(&allow.to_string())
            .unwrap_or((allow.clone(), Vec::new()));
        filters.push(json!({"mismatch_action": default, "match_action": allow, "filter": entries}));
    }
    for (verdict, entries) in by_action
        .into_values()
        .filter(|(verdict, _)| *verdict != allow && *verdict != default)
    {
        filters
            .push(json!({"mismatch_action": "allow", "match_action": verdict, "filter": entries}));
    }
    filters.iter().map(compile_one).collect()
}

fn invalid(what: &str) -> Problem {
    Problem::invalid(what).remedy("see the OCI runtime specification, linux.seccomp")
}

fn check_architecture(listed: &[String]) -> Result<()> {
    let ours = format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase());
    if listed.is_empty() || listed.contains(&ours) {
        return Ok(());
    }
    Err(invalid("the seccomp profile is for another processor")
        .limit(ours)
        .found(listed.join(", ")))
}

/// An action in the form the filter compiler takes.
fn action(name: &str, errno: Option<u32>) -> Result<Value> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => json!("allow"),
        "SCMP_ACT_LOG" => json!("log"),
        "SCMP_ACT_ERRNO" => json!({"errno": errno.unwrap_or(libc::EPERM as u32)}),
        "SCMP_ACT_TRAP" => json!("trap"),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => json!("kill_thread"),
        "SCMP_ACT_KILL_PROCESS" => json!("kill_process"),
        _ => {
            return Err(invalid("this seccomp action is not supported")
                .limit("SCMP_ACT_ALLOW, LOG, ERRNO, TRAP, KILL, KILL_THREAD or KILL_PROCESS")
                .found(name));
        }
    })
}

fn entry(name: &str, arguments: &[Argument]) -> Result<Value> {
    if arguments.is_empty() {
        return Ok(json!({"syscall": name}));
    }
    let conditions = arguments
        .iter()
        .map(condition)
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({"syscall": name, "args": conditions}))
}

fn condition(argument: &Argument) -> Result<Value> {
    let (operator, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (json!("eq"), argument.value),
        "SCMP_CMP_NE" => (json!("ne"), argument.value),
        "SCMP_CMP_LT" => (json!("lt"), argument.value),
        "SCMP_CMP_LE" => (json!("le"), argument.value),
        "SCMP_CMP_GT" => (json!("gt"), argument.value),
        "SCMP_CMP_GE" => (json!("ge"), argument.value),
        "SCMP_CMP_MASKED_EQ" => (json!({"masked_eq": argument.value}), argument.value_two),
        other => return Err(invalid("this seccomp comparison is not supported").found(other)),
    };
    Ok(json!({"index": argument.index, "type": "qword", "op": operator, "val": value}))
}

fn compile_one(filter: &Value) -> Result<BpfProgram> {
    let failed = |error: &dyn std::fmt::Display| {
        invalid("the seccomp profile does not compile").found(error)
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

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for wrong in [
            &br#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#[..],
            br#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#,
            br#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_S390X"]}"#,
            br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":9,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            b"[1,2",
        ] {
            assert!(compile_profile(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
