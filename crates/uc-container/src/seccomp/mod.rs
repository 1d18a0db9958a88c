//! The system-call filter: an allow-list, compiled for the processor this runs on.

mod allowlist;
mod profile;

use std::{collections::BTreeMap, sync::OnceLock};

pub(crate) use profile::compile_profile;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use uc_model::{Problem, Result};

/// The processor this binary runs on.
fn architecture() -> Result<TargetArch> {
    std::env::consts::ARCH.try_into().map_err(|error| {
        Problem::host("no system-call filter for this processor")
            .found(std::env::consts::ARCH)
            .caused_by(boxed(&error))
    })
}

fn boxed(error: &impl std::fmt::Display) -> Box<dyn std::error::Error + Send + Sync> {
    error.to_string().into()
}

/// The built-in filters: first the allow-list (anything else fails with EPERM), then a few calls that must look
/// absent, so that libraries fall back to older ones whose arguments can be checked (ENOSYS), last all calls that are
/// newer than the allow-list, which must look absent for the same reason. Of equal verdicts the last filter's counts.
pub(crate) fn built_in() -> Result<&'static [BpfProgram]> {
    static FILTERS: OnceLock<Vec<BpfProgram>> = OnceLock::new();
    if let Some(filters) = FILTERS.get() {
        return Ok(filters);
    }
    let filters = vec![
        compile(
            allow_rules()?,
            SeccompAction::Errno(libc::EPERM as u32),
            SeccompAction::Allow,
        )?,
        compile(
            absent_rules(),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS as u32),
        )?,
        newer_calls_are_absent(),
    ];
    Ok(FILTERS.get_or_init(|| filters))
}

/// A filter of four instructions: a call numbered beyond the newest one that the allow-list was made with does not
/// exist. (The filter compiler has no comparison of call numbers.)
fn newer_calls_are_absent() -> BpfProgram {
    const NUMBER_OFFSET: u32 = 0;
    let instruction =
        |code: u32, jump_if_true: u8, jump_if_false: u8, operand: u32| seccompiler::sock_filter {
            code: code as u16,
            jt: jump_if_true,
            jf: jump_if_false,
            k: operand,
        };
    vec![
        instruction(
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            0,
            0,
            NUMBER_OFFSET,
        ),
        instruction(
            libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K,
            0,
            1,
            allowlist::NEWEST_CONSIDERED,
        ),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn compile(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<BpfProgram> {
    let failed = |error: &dyn std::fmt::Display| {
        Problem::internal("the system-call filter does not compile")
            .caused_by(boxed(&error.to_string()))
    };
    SeccompFilter::new(rules, otherwise, on_match, architecture()?)
        .map_err(|error| failed(&error))?
        .try_into()
        .map_err(|error: seccompiler::BackendError| failed(&error))
}

fn absent_rules() -> Rules {
    allowlist::ABSENT
        .iter()
        .map(|&call| (call, Vec::new()))
        .collect()
}

fn allow_rules() -> Result<Rules> {
    let mut rules: Rules = allowlist::ALLOWED
        .iter()
        .map(|&call| (call, Vec::new()))
        .collect();
    // These reach the absent filter, which answers ENOSYS; the stricter of two verdicts counts.
    rules.extend(allowlist::ABSENT.iter().map(|&call| (call, Vec::new())));
    rules.insert(
        libc::SYS_clone,
        vec![without_flags(0, allowlist::NAMESPACE_FLAGS)?],
    );
    rules.insert(libc::SYS_socket, socket_rules()?);
    rules.insert(libc::SYS_socketpair, vec![equals(0, libc::AF_UNIX as u64)?]);
    rules.insert(libc::SYS_personality, personality_rules()?);
    rules.insert(
        libc::SYS_ioctl,
        vec![differs(1, &[libc::TIOCSTI, libc::TIOCLINUX])?],
    );
    Ok(rules)
}

/// Families and types of sockets: no raw ones, no packet, vsock, kernel-crypto or other families.
fn socket_rules() -> Result<Vec<SeccompRule>> {
    let mut rules = vec![equals(0, libc::AF_UNIX as u64)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            rules.push(rule(vec![
                condition(0, SeccompCmpOp::Eq, family as u64)?,
                // The type's low four bits; above them are SOCK_NONBLOCK and SOCK_CLOEXEC.
                condition(1, SeccompCmpOp::MaskedEq(0xf), kind as u64)?,
            ])?);
        }
    }
    // Only routing: other netlink families reach audit, connectors and the like.
    rules.push(rule(vec![
        condition(0, SeccompCmpOp::Eq, libc::AF_NETLINK as u64)?,
        condition(2, SeccompCmpOp::Eq, libc::NETLINK_ROUTE as u64)?,
    ])?);
    Ok(rules)
}

/// Personalities that containers need: the default, a query, and 32-bit or old-kernel pretences.
fn personality_rules() -> Result<Vec<SeccompRule>> {
    [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff]
        .into_iter()
        .map(|value| equals(0, value))
        .collect()
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule> {
    SeccompRule::new(conditions)
        .map_err(|error| Problem::internal("an invalid system-call rule").caused_by(boxed(&error)))
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(|error| {
        Problem::internal("an invalid system-call condition").caused_by(boxed(&error))
    })
}

fn equals(argument: u8, value: u64) -> Result<SeccompRule> {
    rule(vec![condition(argument, SeccompCmpOp::Eq, value)?])
}

fn differs(argument: u8, values: &[u64]) -> Result<SeccompRule> {
    rule(
        values
            .iter()
            .map(|&value| condition(argument, SeccompCmpOp::Ne, value))
            .collect::<Result<_>>()?,
    )
}

fn without_flags(argument: u8, flags: u64) -> Result<SeccompRule> {
    rule(vec![condition(argument, SeccompCmpOp::MaskedEq(flags), 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_filters_compile_and_fit_the_kernel() {
        let filters = built_in().expect("compiles");
        assert_eq!(filters.len(), 3);
        // The kernel takes at most 4096 instructions a filter (BPF_MAXINSNS).
        assert!(filters.iter().all(|filter| filter.len() < 4096));
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut calls: Vec<i64> = allowlist::ALLOWED.to_vec();
        calls.sort_unstable();
        assert!(calls.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
