//! Seccomp profiles of the user's own, in OCI form (runtime specification 1.2, "linux.seccomp"): reading and checking them.

use serde::Deserialize;
use uc_model::{Problem, Result};

/// Largest profile read, in bytes; container engines' default ones have about 20 KiB.
pub const MAX_PROFILE: usize = 1 << 20;

/// Largest error number that the kernel passes on.
const MAX_ERRNO: u32 = 4095;

/// Most arguments of a system call.
const ARGUMENTS: u8 = 6;

/// What a profile says.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What becomes of calls without a rule.
    pub default: Action,
    /// What becomes of others.
    pub rules: Vec<Rule>,
}

/// What becomes of some calls.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The calls; some may be unknown to this processor.
    pub names: Vec<String>,
    /// What becomes of them.
    pub action: Action,
    /// When: all must hold.
    pub comparisons: Vec<Comparison>,
}

/// What becomes of a call; the strictest first, in the order of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// The process is killed.
    KillProcess,
    /// The thread is killed.
    KillThread,
    /// A signal is sent.
    Trap,
    /// It fails with this error number.
    Errno(u32),
    /// It goes through and is logged.
    Log,
    /// It goes through.
    Allow,
}

/// A comparison of one argument, all 64 bits of it.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: u64,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// It is equal.
    Equal,
    /// It is not.
    NotEqual,
    /// It is less.
    Less,
    /// It is not more.
    LessOrEqual,
    /// It is more.
    Greater,
    /// It is not less.
    GreaterOrEqual,
    /// Its bits of this mask are equal.
    Masked(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default, rename = "flags")]
    _flags: Vec<String>,
    #[serde(default)]
    syscalls: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenRule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<WrittenComparison>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenComparison {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

impl Profile {
    /// Reads a profile for the processor this runs on.
    ///
    /// # Errors
    /// Invalid, where it is none, is for another processor, or asks for what cannot be honoured.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_PROFILE {
            return Err(invalid("the seccomp profile is too large")
                .limit("1 MiB")
                .found(format!("{} bytes", bytes.len())));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| {
            invalid("not an OCI seccomp profile")
                .found(&error)
                .at(format!("line {}", error.line()))
        })?;
        check_architecture(&written.architectures)?;
        Ok(Self {
            default: action(&written.default_action, written.default_errno_ret)?,
            rules: written
                .syscalls
                .into_iter()
                .map(rule)
                .collect::<Result<_>>()?,
        })
    }
}

/// Why a container is not made whose first process was killed by its profile.
pub fn forbids_start() -> Problem {
    Problem::invalid("the seccomp profile forbids a call that every start needs")
        .found("the container's first process was killed by SIGSYS")
        .remedy(
            "allow execve and what comes before it; with SCMP_ACT_LOG as its default action, the kernel's log shows what \
             that is",
        )
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

fn rule(written: WrittenRule) -> Result<Rule> {
    Ok(Rule {
        action: action(&written.action, written.errno_ret)?,
        comparisons: written.args.iter().map(comparison).collect::<Result<_>>()?,
        names: written.names,
    })
}

fn action(name: &str, errno: Option<u32>) -> Result<Action> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(error_number(errno)?),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => {
            return Err(invalid("this seccomp action is not supported")
                .limit("SCMP_ACT_ALLOW, LOG, ERRNO, TRAP, KILL, KILL_THREAD or KILL_PROCESS")
                .found(name));
        }
    })
}

fn error_number(written: Option<u32>) -> Result<u32> {
    let number = written.unwrap_or(libc::EPERM.unsigned_abs());
    if number > MAX_ERRNO {
        return Err(invalid("this error number of a seccomp profile is none")
            .limit(MAX_ERRNO)
            .found(number));
    }
    Ok(number)
}

fn comparison(written: &WrittenComparison) -> Result<Comparison> {
    if written.index >= ARGUMENTS {
        return Err(invalid("a system call has no such argument")
            .limit(format!("0 to {}", ARGUMENTS - 1))
            .found(written.index));
    }
    let (operator, value) = match written.op.as_str() {
        "SCMP_CMP_EQ" => (Operator::Equal, written.value),
        "SCMP_CMP_NE" => (Operator::NotEqual, written.value),
        "SCMP_CMP_LT" => (Operator::Less, written.value),
        "SCMP_CMP_LE" => (Operator::LessOrEqual, written.value),
        "SCMP_CMP_GT" => (Operator::Greater, written.value),
        "SCMP_CMP_GE" => (Operator::GreaterOrEqual, written.value),
        "SCMP_CMP_MASKED_EQ" => (Operator::Masked(written.value), written.value_two),
        other => return Err(invalid("this seccomp comparison is not supported").found(other)),
    };
    Ok(Comparison {
        argument: written.index,
        operator,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_whole() {
        let profile = Profile::read(
            br#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"flags":[],"syscalls":[
            {"names":["read","no_such_call"],"action":"SCMP_ACT_ALLOW"},
            {"names":["clone"],"action":"SCMP_ACT_ALLOW",
             "args":[{"index":0,"value":3,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#,
        )
        .expect("well-formed");
        assert_eq!(profile.default, Action::Errno(38));
        assert_eq!(profile.rules[0].names, ["read", "no_such_call"]);
        let comparison = profile.rules[1].comparisons[0];
        assert_eq!(comparison.operator, Operator::Masked(3));
        assert_eq!(comparison.value, 1);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        for (wrong, expected) in [
            (&br#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#[..], "action"),
            (
                br#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}"#,
                "not an OCI",
            ),
            (
                br#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_S390X"]}"#,
                "another processor",
            ),
            (
                br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":9,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
                "no such argument",
            ),
            (
                br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":0,"op":"SCMP_CMP_MAYBE"}]}]}"#,
                "comparison",
            ),
            (
                br#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":70000}"#,
                "error number",
            ),
            (b"[1,2", "not an OCI"),
        ] {
            let problem = Profile::read(wrong).expect_err(expected);
            assert!(problem.to_string().contains(expected), "{problem}");
            assert!(problem.remedy_text().is_some());
        }
        let large = vec![b' '; MAX_PROFILE + 1];
        assert!(Profile::read(&large).is_err());
    }
}
