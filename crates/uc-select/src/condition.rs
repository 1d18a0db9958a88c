//! From what decides in a call back to its arguments: the inverse of [`crate::variant`], for system-call filters.

use crate::{
    constants::section,
    footprint::Architecture,
    variant::{INT, Rule, open_direct, rule},
};

/// A condition on one argument of a call: its bits under the mask are the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// The bits that are looked at.
    pub mask: u64,
    /// What they are.
    pub value: u64,
}

/// The conditions that all hold exactly for the calls of a variant (flags that were joined with `|`: for those that have them
/// all); `None` where registers do not tell, as for a path or the flags of `clone3`.
pub fn conditions(architecture: Architecture, call: &str, variant: &str) -> Option<Vec<Condition>> {
    let one = |argument: usize, mask: u64, value: u64| {
        let argument = u8::try_from(argument).ok()?;
        Some(vec![Condition {
            argument,
            mask,
            value,
        }])
    };
    match rule(call)? {
        Rule::Value(kind, at, mask) => one(at, mask, number(kind, variant)?),
        Rule::Clock(at) => one(at, INT, number("clock", variant)?),
        Rule::Flags(kind, at) | Rule::AllFlags(kind, at) => {
            let bits = variant
                .split('|')
                .map(|flag| number(kind, flag))
                .try_fold(0, |bits, flag| Some(bits | flag?))?;
            one(at, bits, bits)
        }
        Rule::Open(at) => {
            let bits = variant.split('|').try_fold(0, |bits, flag| {
                Some(match flag {
                    "O_DIRECT" => bits | open_direct(architecture),
                    "O_PATH" => bits | 0o10_000_000,
                    "O_TMPFILE" => bits | 0o20_000_000,
                    _ => return None,
                })
            })?;
            one(at, bits, bits)
        }
        Rule::Several(_) => several(call, variant),
    }
}

fn several(call: &str, variant: &str) -> Option<Vec<Condition>> {
    let mut parts = variant.split(':');
    let mut next = || parts.next();
    let is = |argument, mask, value| Condition {
        argument,
        mask,
        value,
    };
    match call {
        "socket" | "socketpair" => {
            let family = next()?;
            let mut found = vec![
                is(0, INT, number("family", family)?),
                is(1, 0xf, number("socket-type", next()?)?),
            ];
            if let Some(protocol) = next() {
                let kind = if family == "AF_NETLINK" {
                    "netlink"
                } else {
                    "ip-protocol"
                };
                found.push(is(2, INT, number(kind, protocol)?));
            }
            Some(found)
        }
        "setsockopt" | "getsockopt" => {
            let level = next()?;
            Some(vec![
                is(1, INT, number("socket-level", level)?),
                is(2, INT, number(level, next()?)?),
            ])
        }
        "seccomp" => Some(vec![is(0, INT, number("seccomp", next()?)?)]),
        "personality" => Some(vec![is(0, INT, number("personality", next()?)?)]),
        _ => None,
    }
}

/// The value of a name, or of hexadecimal digits.
fn number(kind: &str, name: &str) -> Option<u64> {
    if let Some(digits) = name.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let (value, _) = section(kind)?.iter().find(|(_, known)| **known == name)?;
    Some(*value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CALLS: [&str; 12] = [
        "socket",
        "ioctl",
        "prctl",
        "fcntl",
        "futex",
        "clone",
        "unshare",
        "setsockopt",
        "openat",
        "clock_gettime",
        "personality",
        "seccomp",
    ];

    proptest! {
        #[test]
        fn a_call_fulfils_the_conditions_of_its_variant(
            call in 0..CALLS.len(),
            arguments in prop::array::uniform6(prop_oneof![0u64..64, any::<u64>()]),
        ) {
            let call = CALLS[call];
            let Some(variant) = crate::variant(Architecture::X86_64, call, &arguments) else {
                return Ok(());
            };
            let found = conditions(Architecture::X86_64, call, &variant);
            let found = found.ok_or_else(|| TestCaseError::fail(format!("{call}({variant})")))?;
            for condition in found {
                let argument = arguments[usize::from(condition.argument)];
                prop_assert_eq!(argument & condition.mask, condition.value, "{}({})", call, &variant);
            }
        }
    }

    #[test]
    fn paths_and_unknown_names_have_none() {
        for (call, variant) in [
            ("openat", "/dev/kvm"),
            ("ioctl", "NO_SUCH"),
            ("clone3", "CLONE_NEWUSER"),
            ("read", "x"),
        ] {
            assert_eq!(conditions(Architecture::X86_64, call, variant), None);
        }
    }
}
