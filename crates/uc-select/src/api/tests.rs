//! The data are read whole and name nothing that does not exist; the sets obey the laws of M2.3.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    answers::{Answers, files},
    comparison::incompatibility,
    *,
};
use crate::{
    constants::section, footprint::Architecture, records::matches, syscalls::syscall_names,
};

const BOTH: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

#[test]
fn every_record_of_every_runtime_is_read_and_names_a_call() {
    let known = syscall_names(Architecture::X86_64);
    for interface in Interface::ALL {
        let (answers, strange) = Answers::read(files(interface));
        assert!(strange.is_empty(), "{interface}: {strange:?}");
        let (calls, patterns) = answers.mentioned();
        for call in calls.iter().chain(patterns.iter().map(|(call, _)| call)) {
            assert!(known.contains(call), "{interface}: {call}");
        }
    }
}

/// `by-argument` promises that arguments say what is missing.
#[test]
fn a_call_that_lacks_arguments_says_which() {
    for interface in Interface::ALL {
        let rules = argument_rules(interface);
        for call in syscall_names(Architecture::X86_64) {
            if super::answers(interface).is_by_argument(call) {
                assert!(
                    rules.iter().any(|rule| rule.call == call),
                    "{interface}: {call}"
                );
            }
        }
        assert!(rules.iter().all(|rule| !rule.patterns.is_empty()));
    }
}

/// All words that `crate::variant` can say, flags apart.
fn words() -> BTreeSet<String> {
    let names = |kind: &str| -> Vec<&'static str> {
        let section = section(kind).expect(kind);
        section.values().copied().collect()
    };
    let mut words: BTreeSet<String> = ["O_TMPFILE", "O_PATH", "O_DIRECT", "0x20008"]
        .map(str::to_owned)
        .into();
    for kind in [
        "ioctl",
        "prctl",
        "arch_prctl",
        "fcntl",
        "madvise",
        "keyctl",
        "futex",
        "membarrier",
        "ptrace",
        "clone-flag",
        "namespace-flag",
        "fallocate-flag",
        "memfd-flag",
        "mount-flag",
        "rename-flag",
        "mmap-flag",
        "mremap-flag",
        "shm-flag",
        "rwf-flag",
        "clock",
        "waitid",
        "scheduler",
        "seccomp",
        "personality",
    ] {
        words.extend(names(kind).into_iter().map(str::to_owned));
    }
    for flag in names("seccomp-flag") {
        words.insert(format!("SECCOMP_SET_MODE_FILTER:{flag}"));
    }
    for level in names("socket-level") {
        let options = section(level).map(|options| options.values().copied().collect());
        let options: Vec<&str> = options.unwrap_or_else(|| vec!["0x1"]);
        words.extend(options.iter().map(|option| format!("{level}:{option}")));
    }
    for family in names("family") {
        for kind in names("socket-type") {
            words.insert(format!("{family}:{kind}"));
            let protocols = match family {
                "AF_NETLINK" => names("netlink"),
                "AF_INET" | "AF_INET6" => names("ip-protocol"),
                _ => Vec::new(),
            };
            words.extend(
                protocols
                    .iter()
                    .map(|protocol| format!("{family}:{kind}:{protocol}")),
            );
        }
    }
    // What the recorder reads behind pointers.
    words.extend(["AF_NETLINK:GROUPS", "user", "security", "system", "trusted"].map(str::to_owned));
    words
}

/// A pattern that nothing can match is a slip of the pen.
#[test]
fn every_pattern_matches_a_word() {
    let words = words();
    for interface in Interface::ALL {
        let (answers, _) = Answers::read(files(interface));
        for (call, pattern) in answers.mentioned().1 {
            if pattern.starts_with("/proc/") {
                continue;
            }
            assert!(
                words.iter().any(|word| matches(pattern, word)),
                "{interface}: {call} {pattern}"
            );
        }
    }
}

fn gvisor(call: &str, variant: Option<&str>) -> (Level, Option<&'static str>) {
    let support = support(Interface::Gvisor, Architecture::X86_64, call, variant);
    (support.level, support.errno)
}

/// Samples from the sources of gVisor 20240729.0.
#[test]
fn gvisor_answers_as_its_release_does() {
    for (call, variant, level, errno) in [
        ("read", None, Level::Full, None),
        ("mlock", None, Level::Partial, None),
        ("copy_file_range", None, Level::Refused, Some("ENOSYS")),
        ("perf_event_open", None, Level::Refused, Some("ENODEV")),
        ("bpf", None, Level::Refused, Some("EPERM")),
        ("io_uring_setup", None, Level::Refused, Some("ENOSYS")),
        (
            "landlock_create_ruleset",
            None,
            Level::Refused,
            Some("ENOSYS"),
        ),
        ("socket", Some("AF_INET:SOCK_STREAM"), Level::Full, None),
        (
            "socket",
            Some("AF_INET:SOCK_STREAM:IPPROTO_MPTCP"),
            Level::Refused,
            Some("EINVAL"),
        ),
        (
            "socket",
            Some("AF_NETLINK:SOCK_RAW:NETLINK_ROUTE"),
            Level::Full,
            None,
        ),
        (
            "socket",
            Some("AF_NETLINK:SOCK_RAW:NETLINK_AUDIT"),
            Level::Refused,
            Some("EPROTONOSUPPORT"),
        ),
        (
            "socket",
            Some("AF_PACKET:SOCK_RAW"),
            Level::Refused,
            Some("EPERM"),
        ),
        (
            "socket",
            Some("AF_VSOCK:SOCK_STREAM"),
            Level::Refused,
            Some("EAFNOSUPPORT"),
        ),
        ("ioctl", Some("TCGETS"), Level::Full, None),
        ("ioctl", Some("FICLONE"), Level::Refused, Some("ENOTTY")),
        ("prctl", Some("PR_SET_NAME"), Level::Full, None),
        ("prctl", Some("PR_SET_VMA"), Level::Refused, Some("EINVAL")),
        ("madvise", Some("MADV_DONTNEED"), Level::Full, None),
        ("madvise", Some("MADV_HUGEPAGE"), Level::Partial, None),
        ("madvise", Some("MADV_FREE"), Level::Refused, Some("EINVAL")),
        ("clone", Some("CLONE_THREAD"), Level::Full, None),
        (
            "clone",
            Some("CLONE_NEWNET|CLONE_NEWUSER"),
            Level::Full,
            None,
        ),
        (
            "clone",
            Some("CLONE_NEWCGROUP|CLONE_NEWUSER"),
            Level::Refused,
            Some("EINVAL"),
        ),
        (
            "setsockopt",
            Some("IPPROTO_TCP:TCP_ULP"),
            Level::Differs,
            None,
        ),
        (
            "setsockopt",
            Some("IPPROTO_TCP:TCP_NODELAY"),
            Level::Full,
            None,
        ),
    ] {
        assert_eq!(gvisor(call, variant), (level, errno), "{call} {variant:?}");
    }
    let table = syscall_names(Architecture::X86_64);
    let full = table.iter().filter(|call| {
        support(Interface::Gvisor, Architecture::X86_64, call, None).level == Level::Full
    });
    assert_eq!(full.count(), 222);
}

#[test]
fn runtimes_are_found_by_name() {
    for interface in Interface::ALL {
        assert_eq!(interface.name().parse::<Interface>().ok(), Some(interface));
        let json = serde_json::to_string(&interface).expect("writes");
        assert_eq!(json, format!("\"{}\"", interface.name()));
    }
    assert_eq!("kata".parse::<Interface>().ok(), Some(Interface::Microvm));
    let remedy = |name: &str| {
        let problem = name.parse::<Interface>().expect_err("unknown");
        problem.remedy_text().map(str::to_owned)
    };
    assert_eq!(remedy("gvisr").as_deref(), Some("did you mean gvisor?"));
    assert_eq!(remedy("something else"), None);
    for name in Interface::accepted_names() {
        name.parse::<Interface>().expect(name);
    }
}

/// M2.3: the source's sizes as nested sets.
#[test]
fn nested_sets_of_the_sources_sizes_do_not_give_its_figure() {
    let rounded = |one, other| (nested_incompatibility(one, other) * 1000.0).round() / 1000.0;
    assert_eq!(rounded(220, 330), 0.333);
    assert_eq!(rounded(50, 220), 0.773);
    assert_eq!(rounded(330, 50), 0.848);
    assert_eq!(nested_incompatibility(0, 0), 0.0);
}

/// M2.3: the sets that ship.
#[test]
fn the_sets_have_the_sizes_that_the_documentation_states() {
    let sizes = |architecture| Interface::ALL.map(|interface| calls(interface, architecture).len());
    assert_eq!(sizes(Architecture::X86_64), [67, 78, 285, 271, 366]);
    assert_eq!(sizes(Architecture::Aarch64), [48, 59, 245, 234, 323]);
}

/// The figures that docs/compat.md prints.
#[test]
fn the_documentation_states_the_computed_figures() {
    let page = include_str!("../../../../docs/compat.md");
    for (title, one, other) in [
        ("gVisor, Kata", Interface::Gvisor, Interface::Microvm),
        ("gVisor, Wasm", Interface::Gvisor, Interface::WasiP1),
        ("Kata, Wasm", Interface::Microvm, Interface::WasiP1),
    ] {
        let [intel, arm] = BOTH.map(|architecture| compare(one, other, architecture));
        let claimed = intel.claimed.as_ref().expect("claimed").value;
        let apart = [intel, arm].map(|compared| compared.incompatibility.value);
        let row = format!(
            "| {title} | {claimed} | {:.3} | {:.3} |",
            apart[0], apart[1]
        );
        assert!(page.contains(&row), "{row}");
    }
    for interface in Interface::ALL {
        let [intel, arm] = BOTH.map(|architecture| calls(interface, architecture).len());
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{interface}` |")));
        let row = row.expect("a row").replace(" (222 whole)", "");
        assert!(row.contains(&format!("| {intel} | {arm} |")), "{row}");
    }
}

#[test]
fn a_comparison_carries_the_claim_of_the_source() {
    let compared = compare(Interface::WasiP1, Interface::Gvisor, Architecture::X86_64);
    assert_eq!(
        compared.claimed.as_ref().map(|figure| figure.value),
        Some(0.78)
    );
    assert_eq!(compared.incompatibility.provenance.kind(), "modelled");
    let unclaimed = compare(
        Interface::Container,
        Interface::Gvisor,
        Architecture::X86_64,
    );
    assert_eq!(unclaimed.claimed, None);
    assert_eq!(claims().len(), 6);
    assert_eq!(source_remarks(Architecture::Aarch64).len(), 4);
}

/// M2.3: a metric on the sets that ship.
#[test]
fn incompatibility_is_a_metric_on_the_shipped_sets() {
    for architecture in BOTH {
        let apart = |one, other| compare(one, other, architecture).incompatibility.value;
        for one in Interface::ALL {
            assert_eq!(apart(one, one), 0.0);
            for other in Interface::ALL {
                assert_eq!(apart(one, other), apart(other, one));
                assert!((0.0..=1.0).contains(&apart(one, other)));
                assert_eq!(
                    apart(one, other) == 0.0,
                    calls(one, architecture) == calls(other, architecture)
                );
                for third in Interface::ALL {
                    assert!(apart(one, third) <= apart(one, other) + apart(other, third) + 1e-12);
                }
            }
        }
    }
}

#[test]
fn the_posix_subset_lies_within_each_set() {
    let all = [Interface::Gvisor, Interface::Microvm, Interface::WasiP1];
    for architecture in BOTH {
        let subset = posix_subset(&all, architecture);
        for interface in all {
            assert!(subset.is_subset(&calls(interface, architecture)));
        }
        assert!(
            ["read", "write", "openat", "clock_gettime"]
                .iter()
                .all(|call| subset.contains(call))
        );
        assert!(!subset.contains("socket") && !subset.contains("execve"));
    }
}

/// Hom(r1, r2): every call of the first has one fate.
#[test]
fn a_mapping_is_a_partition_of_the_first_set() {
    for architecture in BOTH {
        for from in Interface::ALL {
            for to in Interface::ALL {
                let mapping = mapping(from, to, architecture);
                let named: BTreeSet<&str> = mapping.morphisms.iter().map(|one| one.call).collect();
                assert_eq!(named, calls(from, architecture));
                let fates = Fate::ALL.map(|fate| mapping.of(fate).count());
                assert_eq!(fates.iter().sum::<usize>(), named.len());
                if from == to {
                    assert_eq!(mapping.of(Fate::Lost).count(), 0);
                }
            }
        }
    }
}

#[test]
fn mappings_name_what_becomes_of_a_call() {
    let fate = |from, to, call: &str| {
        let mapping = mapping(from, to, Architecture::X86_64);
        mapping
            .morphisms
            .into_iter()
            .find(|one| one.call == call)
            .expect("of the set")
    };
    let read = fate(Interface::Gvisor, Interface::WasiP1, "read");
    assert_eq!((read.fate, read.to), (Fate::Maps, vec!["fd_read"]));
    let fork = fate(Interface::Container, Interface::WasiP1, "fork");
    assert_eq!(fork.fate, Fate::Lost);
    let ring = fate(Interface::Microvm, Interface::Gvisor, "io_uring_setup");
    assert!(
        ring.fate == Fate::Lost && ring.note.contains("--iouring"),
        "{ring:?}"
    );
    let mount = fate(Interface::Gvisor, Interface::Container, "mount");
    assert!(mount.fate == Fate::Lost && mount.note.starts_with("EPERM"));
}

proptest! {
    /// M2.3: Jaccard's distance is a metric.
    #[test]
    fn incompatibility_is_a_metric(
        a in prop::collection::btree_set(0_u8..40, 0..30),
        b in prop::collection::btree_set(0_u8..40, 0..30),
        c in prop::collection::btree_set(0_u8..40, 0..30),
    ) {
        let [ab, bc, ac] = [(&a, &b), (&b, &c), (&a, &c)].map(|(x, y)| incompatibility(x, y));
        prop_assert_eq!(ab, incompatibility(&b, &a));
        prop_assert!((0.0..=1.0).contains(&ab));
        prop_assert_eq!(ab == 0.0, a == b);
        prop_assert!(ac <= ab + bc + 1e-12);
    }

    /// Nested sets give 1 − |A| / |B|.
    #[test]
    fn nested_sets_follow_their_sizes(small in 0_u32..300, more in 0_u32..300) {
        let a: BTreeSet<u32> = (0..small).collect();
        let b: BTreeSet<u32> = (0..small + more).collect();
        prop_assert!((incompatibility(&a, &b) - nested_incompatibility(small, small + more)).abs() < 1e-12);
    }
}
