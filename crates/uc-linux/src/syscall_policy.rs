//! What becomes of each system call of a container: an allow-list, with rules where an argument decides.
//!
//! What is not on the list fails with EPERM; a few calls must look absent (ENOSYS), so that libraries fall back to older
//! ones whose arguments can be checked; all calls that are newer than the list must look absent for the same reason.

mod allowlist;

use std::collections::BTreeMap;

pub use allowlist::{ABSENT, ALLOWED, NEWEST_CONSIDERED};

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through.
    Allow,
    /// It fails with this error number.
    Fail(i32),
    /// It goes through if one of the rules holds, otherwise it fails with EPERM. A rule holds if all its conditions do.
    AllowIf(Vec<Vec<Condition>>),
}

/// A condition on an argument's low 32 bits, which are all of it for calls that take an `int` there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// The bits that are looked at.
    pub mask: u32,
    /// What they must be, or must not be.
    pub value: u32,
    /// Whether they must be `value`.
    pub equal: bool,
}

impl Condition {
    /// All bits are as given.
    pub fn equals(argument: u8, value: u32) -> Self {
        Self::masked(argument, u32::MAX, value)
    }

    /// They are not.
    pub fn differs(argument: u8, value: u32) -> Self {
        Self {
            equal: false,
            ..Self::equals(argument, value)
        }
    }

    /// The bits of a mask are as given.
    pub fn masked(argument: u8, mask: u32, value: u32) -> Self {
        Self {
            argument,
            mask,
            value,
            equal: true,
        }
    }
}

/// The verdict on every call that is named; all others fail with EPERM, those newer than [`NEWEST_CONSIDERED`] with ENOSYS.
pub fn verdicts() -> BTreeMap<u32, Verdict> {
    let allowed = allowlist::ALLOWED
        .iter()
        .map(|&call| (call, Verdict::Allow));
    let absent = allowlist::ABSENT
        .iter()
        .map(|&call| (call, Verdict::Fail(libc::ENOSYS)));
    let checked = [
        (
            libc::SYS_clone,
            vec![vec![Condition::masked(0, allowlist::NAMESPACE_FLAGS, 0)]],
        ),
        (libc::SYS_socket, socket_rules()),
        (
            libc::SYS_socketpair,
            vec![vec![Condition::equals(0, libc::AF_UNIX as u32)]],
        ),
        (libc::SYS_personality, personality_rules()),
        (
            libc::SYS_ioctl,
            // Both put characters into a terminal's input.
            vec![vec![
                Condition::differs(1, libc::TIOCSTI as u32),
                Condition::differs(1, libc::TIOCLINUX as u32),
            ]],
        ),
    ];
    let checked = checked.map(|(call, rules)| (call, Verdict::AllowIf(rules)));
    allowed
        .chain(absent)
        .chain(checked)
        .filter_map(|(call, verdict)| Some((u32::try_from(call).ok()?, verdict)))
        .collect()
}

/// Families and types of sockets: no raw ones, no packet, vsock, kernel-crypto or other families.
fn socket_rules() -> Vec<Vec<Condition>> {
    let family = |family: i32| Condition::equals(0, family as u32);
    let mut rules = vec![vec![family(libc::AF_UNIX)]];
    for internet in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            // The type's low four bits; above them are SOCK_NONBLOCK and SOCK_CLOEXEC.
            rules.push(vec![
                family(internet),
                Condition::masked(1, 0xf, kind as u32),
            ]);
        }
    }
    // Only routing: other netlink families reach audit, connectors and the like.
    rules.push(vec![
        family(libc::AF_NETLINK),
        Condition::equals(2, libc::NETLINK_ROUTE as u32),
    ]);
    rules
}

/// Personalities that containers need: the default, a query, and 32-bit or old-kernel pretences.
fn personality_rules() -> Vec<Vec<Condition>> {
    [0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff]
        .into_iter()
        .map(|value| vec![Condition::equals(0, value)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_listed_twice() {
        let mut calls: Vec<i64> = ALLOWED.to_vec();
        calls.sort_unstable();
        assert!(calls.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
