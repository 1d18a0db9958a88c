//! The smallest seccomp profile that a footprint allows, in OCI form ("linux.seccomp" of the runtime specification).
//!
//! A call that is not in it fails with ENOSYS, as on a kernel that is older than the call: libraries fall back then, where
//! EPERM would make many give up.

mod always;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uc_select::{Architecture, Condition, Footprint, Usage, conditions, syscall_number};

pub use always::{ALTERNATIVES, ALWAYS};

/// A profile; serializes to the JSON that container engines read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: &'static str,
    default_errno_ret: i32,
    architectures: Vec<&'static str>,
    syscalls: Vec<Rule>,
}

/// Calls that are allowed, all arguments' conditions given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Rule {
    pub(crate) names: BTreeSet<String>,
    action: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Argument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    value_two: u64,
    op: &'static str,
}

/// Requests of terminals and descriptors that a program makes depending on what its output is.
const USUAL_REQUESTS: [&str; 7] = [
    "TCGETS",
    "TIOCGWINSZ",
    "TIOCGPGRP",
    "FIONBIO",
    "FIONREAD",
    "FIOCLEX",
    "FIONCLEX",
];

/// Most variants of a call that become conditions; above, the call is allowed as a whole.
const MAX_CONDITIONS: usize = 40;

impl Profile {
    /// What a program needs that has this footprint: its calls, those that libraries of other versions make in their place,
    /// and those of the start of any container. Arguments are narrowed for sockets, ioctl and new namespaces.
    pub fn of(footprint: &Footprint) -> Self {
        let mut names = whole(footprint);
        let mut rules = Vec::new();
        for (call, allowed) in narrowed(footprint, &mut names) {
            // Equal conditions of two variants are one rule.
            let allowed: BTreeSet<Vec<Condition>> = allowed.into_iter().collect();
            rules.extend(
                allowed
                    .into_iter()
                    .map(|all| Rule::new([call.to_owned()].into(), &all)),
            );
        }
        let mut syscalls = vec![Rule::new(names, &[])];
        syscalls.append(&mut rules);
        Self {
            default_action: "SCMP_ACT_ERRNO",
            default_errno_ret: libc::ENOSYS,
            architectures: vec![match footprint.architecture {
                Architecture::X86_64 => "SCMP_ARCH_X86_64",
                Architecture::Aarch64 => "SCMP_ARCH_AARCH64",
            }],
            syscalls,
        }
    }

    /// How many different calls it allows.
    pub fn count(&self) -> usize {
        let names: BTreeSet<&String> = self.syscalls.iter().flat_map(|rule| &rule.names).collect();
        names.len()
    }

    /// The calls that it allows, each with the sets of conditions of which one must hold; none where the call is allowed as it
    /// is.
    pub(crate) fn allowed(&self) -> BTreeMap<&str, Vec<Vec<Condition>>> {
        let mut allowed: BTreeMap<&str, Vec<Vec<Condition>>> = BTreeMap::new();
        for rule in &self.syscalls {
            let all = rule.args.iter().map(|argument| Condition {
                argument: argument.index,
                mask: argument.value,
                value: argument.value_two,
            });
            let all: Vec<Condition> = all.collect();
            for name in &rule.names {
                let sets = allowed.entry(name).or_default();
                if !all.is_empty() {
                    sets.push(all.clone());
                }
            }
        }
        allowed
    }
}

impl Rule {
    fn new(names: BTreeSet<String>, all: &[Condition]) -> Self {
        let args = all.iter().map(|condition| Argument {
            index: condition.argument,
            value: condition.mask,
            value_two: condition.value,
            op: "SCMP_CMP_MASKED_EQ",
        });
        Self {
            names,
            action: "SCMP_ACT_ALLOW",
            args: args.collect(),
        }
    }
}

/// All calls that are needed, whatever their arguments.
fn whole(footprint: &Footprint) -> BTreeSet<String> {
    let mut names: BTreeSet<&str> = footprint.calls.keys().map(String::as_str).collect();
    names.extend(ALWAYS.iter().flat_map(|(calls, _)| calls.iter()));
    // Twice, for chains such as fork, clone.
    for _ in 0..2 {
        for group in ALTERNATIVES {
            if group.iter().any(|call| names.contains(call)) {
                names.extend(*group);
            }
        }
    }
    names
        .into_iter()
        .filter(|name| syscall_number(footprint.architecture, name).is_some())
        .map(str::to_owned)
        .collect()
}

/// Takes the calls whose arguments are narrowed out of the names, and gives the arguments.
fn narrowed(
    footprint: &Footprint,
    names: &mut BTreeSet<String>,
) -> Vec<(&'static str, Vec<Vec<Condition>>)> {
    let mut found = Vec::new();
    let sockets = |call: &str| {
        let usage = footprint.calls.get(call)?;
        let mut sets = variants(footprint, call, usage)?;
        for set in &mut sets {
            // Family, and the protocol of netlink: types differ between versions of a library.
            let is_netlink = set
                .first()
                .is_some_and(|family| family.value == libc::AF_NETLINK as u64);
            set.retain(|one| one.argument == 0 || (is_netlink && one.argument == 2));
        }
        let internet = [libc::AF_INET, libc::AF_INET6].map(|family| family_is(family as u64));
        if internet.iter().any(|family| sets.contains(family)) {
            // Which of the two is used is a matter of the host's addresses and of names.
            sets.extend(internet);
        }
        Some(sets)
    };
    let requests = || {
        let mut usage = footprint.calls.get("ioctl")?.clone();
        usage
            .variants
            .extend(USUAL_REQUESTS.map(|request| (request.to_owned(), 0)));
        variants(footprint, "ioctl", &usage)
    };
    let mut narrow = |call: &'static str, sets: Option<Vec<Vec<Condition>>>| {
        if let Some(sets) = sets.filter(|sets| !sets.is_empty())
            && names.remove(call)
        {
            found.push((call, sets));
        }
    };
    narrow("socket", sockets("socket"));
    narrow("socketpair", sockets("socketpair"));
    narrow("ioctl", requests());
    if !makes_namespaces(footprint) {
        narrow("clone", Some(vec![vec![no_namespaces()]]));
        // Its flags lie in memory, where no filter looks; libraries fall back to clone.
        names.remove("clone3");
    }
    found
}

/// The conditions of each variant that was seen; `None` where the call must be allowed as a whole.
fn variants(footprint: &Footprint, call: &str, usage: &Usage) -> Option<Vec<Vec<Condition>>> {
    if usage.variants.len() > MAX_CONDITIONS {
        return None;
    }
    usage
        .variants
        .keys()
        .map(|variant| conditions(footprint.architecture, call, variant))
        .collect()
}

fn family_is(family: u64) -> Vec<Condition> {
    vec![Condition {
        argument: 0,
        mask: 0xffff_ffff,
        value: family,
    }]
}

/// That `clone` makes none of the namespaces.
fn no_namespaces() -> Condition {
    const FLAGS: i32 = libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWUTS;
    Condition {
        argument: 0,
        mask: FLAGS as u64,
        value: 0,
    }
}

fn makes_namespaces(footprint: &Footprint) -> bool {
    ["clone", "clone3"].iter().any(|call| {
        footprint.calls.get(*call).is_some_and(|usage| {
            usage
                .variants
                .keys()
                .any(|flags| flags.contains("CLONE_NEW"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uc_select::Method;

    use super::*;

    fn profile(calls: &[(&str, &str)]) -> Profile {
        let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
        for (call, variant) in calls {
            footprint.add(call, (!variant.is_empty()).then(|| (*variant).to_owned()));
        }
        Profile::of(&footprint)
    }

    fn allows(profile: &Profile, call: &str) -> bool {
        profile.allowed().get(call).is_some_and(Vec::is_empty)
    }

    #[test]
    fn what_was_not_seen_and_is_no_alternative_is_not_allowed() {
        let profile = profile(&[("open", ""), ("fork", "")]);
        for call in [
            "open",
            "openat",
            "execve",
            "exit_group",
            "rt_sigreturn",
            "vfork",
        ] {
            assert!(allows(&profile, call), "{call}");
        }
        for call in [
            "mount",
            "ptrace",
            "bpf",
            "socket",
            "unshare",
            "clone3",
            "syscall_1",
        ] {
            assert!(!profile.allowed().contains_key(call), "{call}");
        }
    }

    #[test]
    fn arguments_are_narrowed() {
        let profile = profile(&[
            ("socket", "AF_INET:SOCK_STREAM"),
            ("socket", "AF_NETLINK:SOCK_RAW:NETLINK_ROUTE"),
            ("ioctl", "FICLONE"),
            ("clone", ""),
        ]);
        let value = serde_json::to_value(&profile).expect("serializes");
        let rules = value["syscalls"].as_array().expect("rules");
        let of = |call: &str| -> Vec<&Value> {
            rules
                .iter()
                .filter(|rule| rule["names"] == json!([call]))
                .map(|rule| &rule["args"])
                .collect()
        };
        assert_eq!(of("socket").len(), 3);
        assert_eq!(of("ioctl").len(), 1 + USUAL_REQUESTS.len());
        let mask = no_namespaces().mask;
        assert_eq!(
            of("clone"),
            [&json!([{"index": 0, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}])]
        );
    }

    #[test]
    fn what_cannot_be_narrowed_is_allowed_as_a_whole() {
        let profile = profile(&[("ioctl", "others"), ("clone3", "CLONE_NEWUSER")]);
        for call in ["ioctl", "clone", "clone3"] {
            assert!(allows(&profile, call), "{call}");
        }
    }

    #[test]
    fn the_tables_name_calls_that_exist() {
        let always = ALWAYS.iter().flat_map(|(calls, _)| calls.iter());
        let all = always.chain(ALTERNATIVES.iter().flat_map(|group| group.iter()));
        for call in all {
            assert!(
                syscall_number(Architecture::X86_64, call).is_some(),
                "{call}"
            );
        }
    }
}
