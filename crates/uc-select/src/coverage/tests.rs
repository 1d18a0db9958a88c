//! Footprints of well-known kinds of programs against the runtimes.

use proptest::prelude::*;

use super::*;
use crate::{footprint::Architecture, syscalls::syscall_name};

/// `read`, `socket(AF_INET:SOCK_STREAM)`.
fn traced(calls: &str) -> Footprint {
    let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
    for call in calls.split_ascii_whitespace() {
        match call.trim_end_matches(')').split_once('(') {
            Some((call, variant)) => footprint.add(call, Some(variant.to_owned())),
            None => footprint.add(call, None),
        }
    }
    footprint
}

/// What a C program that prints a line does when it is linked with glibc.
const START: &str = "execve brk arch_prctl(0x3001) mmap access openat newfstatat pread64 read close mprotect munmap \
    set_tid_address set_robust_list rseq prlimit64 getrandom ioctl(TCGETS) write exit_group";

fn predict(calls: &str, interface: Interface) -> Prediction {
    coverage(&traced(&format!("{START} {calls}")), interface).prediction
}

#[test]
fn a_plain_program_runs_everywhere() {
    for interface in Interface::ALL {
        let found = coverage(&traced(START), interface);
        assert_eq!(found.prediction, Prediction::Runs, "{found:?}");
        assert_ne!(found.verdict, Verdict::Not, "{interface}");
        assert_eq!(found.confidence, Confidence::High);
    }
    let microvm = coverage(&traced(START), Interface::Microvm);
    assert_eq!(
        (microvm.verdict, microvm.answered),
        (Verdict::Full, microvm.calls)
    );
}

#[test]
fn a_server_with_fallbacks_runs_under_gvisor() {
    let server = "socket(AF_INET:SOCK_STREAM) setsockopt(SOL_SOCKET:SO_REUSEADDR) bind listen accept4 epoll_create1 epoll_ctl \
        epoll_wait clone3 clone(CLONE_THREAD) futex(FUTEX_WAIT_BITSET) io_uring_setup membarrier(MEMBARRIER_CMD_QUERY) \
        sched_getaffinity copy_file_range ioctl(FICLONE) prctl(PR_SET_VMA) madvise(MADV_FREE) openat(O_TMPFILE) \
        socket(AF_NETLINK:SOCK_RAW:NETLINK_GENERIC) landlock_create_ruleset(LANDLOCK_CREATE_RULESET_VERSION) \
        landlock_create_ruleset statx";
    let found = coverage(&traced(server), Interface::Gvisor);
    assert_eq!(
        (found.verdict, found.prediction),
        (Verdict::Partial, Prediction::Runs),
        "{found:#?}"
    );
    let names: Vec<String> = found.findings.iter().map(Finding::name).collect();
    for expected in ["io_uring_setup", "ioctl(FICLONE)", "madvise(MADV_FREE)"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    assert!(
        !names.iter().any(|name| name.starts_with("setsockopt")),
        "{names:?}"
    );
    for finding in found
        .findings
        .iter()
        .filter(|one| one.support.level == Level::Refused)
    {
        assert!(!finding.reason.is_empty(), "{finding:?}");
    }
}

#[test]
fn programs_that_came_for_what_gvisor_lacks_fail() {
    for calls in [
        "mq_timedsend",
        "perf_event_open",
        "bpf(BPF_PROG_LOAD)",
        "fanotify_init",
        "userfaultfd",
        "socket(AF_PACKET:SOCK_RAW)",
        "socket(AF_VSOCK:SOCK_STREAM)",
        "socket(AF_NETLINK:SOCK_RAW:NETLINK_NETFILTER)",
        "ioctl(KVM_CREATE_VM)",
        "seccomp(SECCOMP_SET_MODE_FILTER:SECCOMP_FILTER_FLAG_NEW_LISTENER)",
        "clone(CLONE_NEWCGROUP)",
        "fsopen",
        "renameat2(RENAME_EXCHANGE)",
        "fallocate(FALLOC_FL_INSERT_RANGE)",
        "openat(/proc/vmstat)",
        "open(/proc/sysvipc)",
    ] {
        assert_eq!(
            predict(calls, Interface::Gvisor),
            Prediction::Fails,
            "{calls}"
        );
        assert_eq!(
            predict(calls, Interface::Microvm),
            Prediction::Runs,
            "{calls}"
        );
    }
}

#[test]
fn what_is_not_known_is_doubtful() {
    for calls in [
        "ioctl(0xc0de)",
        "setsockopt(IPPROTO_TCP:TCP_ULP)",
        "io_uring_setup io_uring_enter",
        "unshare(CLONE_NEWCGROUP)",
        "syscall_999",
        "landlock_create_ruleset landlock_restrict_self",
        "fallocate(FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE)",
        "bind(AF_NETLINK:GROUPS)",
        "setxattr(user)",
    ] {
        assert_eq!(
            predict(calls, Interface::Gvisor),
            Prediction::Doubtful,
            "{calls}"
        );
    }
}

/// A run under the refusals says more of a program than what is known of others.
#[test]
fn a_rehearsal_settles_what_was_tried() {
    let calls = "mlock io_uring_setup io_uring_enter mq_timedsend ioctl(FICLONE)";
    let rehearsed = |alike, refused: &str| {
        let mut footprint = traced(&format!("{START} {calls}"));
        let refused = refused.split_ascii_whitespace().map(str::to_owned);
        let rehearsed = Rehearsed {
            alike,
            refused: refused.collect(),
        };
        footprint.rehearsals.insert(Interface::Gvisor, rehearsed);
        coverage(&footprint, Interface::Gvisor)
    };
    let by_calls = coverage(&traced(&format!("{START} {calls}")), Interface::Gvisor);
    assert_eq!(
        (by_calls.prediction, by_calls.basis),
        (Prediction::Fails, Basis::Calls)
    );
    assert_eq!(by_calls.open().count(), 4, "{:?}", by_calls.findings);
    let all = "mlock io_uring_setup io_uring_enter mq_timedsend ioctl(FICLONE)";
    let runs = rehearsed(true, all);
    assert_eq!(
        (runs.prediction, runs.verdict, runs.basis),
        (Prediction::Runs, Verdict::Partial, Basis::Rehearsal)
    );
    assert_eq!(runs.open().count(), 0, "{:?}", runs.findings);
    // What was not tried weighs as ever.
    let partly = rehearsed(true, "mlock io_uring_setup mq_timedsend ioctl(FICLONE)");
    assert_eq!(partly.prediction, Prediction::Doubtful);
    let fails = rehearsed(false, "mlock");
    assert_eq!(
        (fails.prediction, fails.verdict, fails.basis),
        (Prediction::Fails, Verdict::Not, Basis::Rehearsal)
    );
    // And says nothing of another runtime.
    let mut footprint = traced(START);
    let failed = Rehearsed {
        alike: false,
        refused: [].into(),
    };
    footprint.rehearsals.insert(Interface::Gvisor, failed);
    let container = coverage(&footprint, Interface::Container);
    assert_eq!(container.prediction, Prediction::Runs);
}

/// Of flags that are given together, those that are refused decide: Go starts programs without a descriptor of them, too.
#[test]
fn a_flag_that_is_known_does_not_weigh() {
    for (calls, expected) in [
        ("clone(CLONE_PIDFD|CLONE_VFORK)", Prediction::Runs),
        ("clone(CLONE_NEWCGROUP|CLONE_NEWUSER)", Prediction::Fails),
        ("clone(CLONE_NEWUSER|CLONE_VFORK)", Prediction::Runs),
    ] {
        assert_eq!(predict(calls, Interface::Gvisor), expected, "{calls}");
    }
}

#[test]
fn the_container_refuses_privileges() {
    for calls in [
        "mount",
        "unshare(CLONE_NEWUSER)",
        "clone(CLONE_NEWNS)",
        "ptrace(PTRACE_ATTACH)",
        "socket(AF_INET:SOCK_RAW:IPPROTO_ICMP)",
        "keyctl(KEYCTL_READ)",
    ] {
        assert_eq!(
            predict(calls, Interface::Container),
            Prediction::Fails,
            "{calls}"
        );
    }
    for calls in [
        "clone3",
        "io_uring_setup",
        "clone(CLONE_THREAD)",
        "futex_wait",
        "keyctl(KEYCTL_JOIN_SESSION_KEYRING)",
    ] {
        assert_eq!(
            predict(calls, Interface::Container),
            Prediction::Runs,
            "{calls}"
        );
    }
}

#[test]
fn webassembly_has_no_processes_and_sockets_by_version() {
    for calls in ["vfork wait4", "execve", "clone(CLONE_VFORK)", "kill"] {
        assert_eq!(
            predict(calls, Interface::WasiP1),
            Prediction::Fails,
            "{calls}"
        );
    }
    // There is no older form to fall back to.
    let thread = predict("clone3(CLONE_THREAD)", Interface::WasiP1);
    assert_eq!(thread, Prediction::Doubtful);
    let program = predict("clone3(CLONE_VFORK)", Interface::WasiP1);
    assert_eq!(program, Prediction::Fails);
    // A look-up of a name asks a service over a local socket, if there is one.
    let lookup = "socket(AF_UNIX:SOCK_STREAM) connect";
    assert_eq!(predict(lookup, Interface::WasiP1), Prediction::Doubtful);
    assert_eq!(
        predict("clone(CLONE_THREAD)", Interface::WasiP1),
        Prediction::Doubtful
    );
    assert_eq!(predict("clone", Interface::WasiP1), Prediction::Fails);
    let client = "socket(AF_INET:SOCK_STREAM) connect sendto recvfrom";
    assert_eq!(predict(client, Interface::WasiP1), Prediction::Fails);
    assert_eq!(predict(client, Interface::WasiP2), Prediction::Runs);
    let start = coverage(&traced(START), Interface::WasiP1);
    let unneeded = start
        .findings
        .iter()
        .filter(|one| one.support.level == Level::Unneeded);
    assert!(unneeded.count() >= 8);
}

/// Code that may never run proves no failure.
#[test]
fn a_static_footprint_is_less_sure() {
    let mut footprint = traced("read mq_timedsend");
    footprint.method = Method::Static;
    let found = coverage(&footprint, Interface::Gvisor);
    assert_eq!(found.prediction, Prediction::Doubtful);
    assert_eq!(
        (found.verdict, found.confidence),
        (Verdict::Not, Confidence::Low)
    );
    footprint.method = Method::Traced;
    footprint.gaps.push("cut off".into());
    let found = coverage(&footprint, uc_model::RuntimeKind::Gvisor);
    assert_eq!(
        (found.prediction, found.confidence),
        (Prediction::Fails, Confidence::Medium)
    );
}

#[test]
fn the_heaviest_comes_first_and_json_names_what_decides() {
    let found = coverage(
        &traced("mlock io_uring_setup socket(AF_PACKET:SOCK_RAW)"),
        Interface::Gvisor,
    );
    let names: Vec<String> = found.findings.iter().map(Finding::name).collect();
    assert_eq!(
        names,
        ["socket(AF_PACKET:SOCK_RAW)", "io_uring_setup", "mlock"]
    );
    let json = serde_json::to_value(&found).expect("writes");
    assert_eq!(json["prediction"], "fails");
    assert_eq!(json["findings"][0]["errno"], "EPERM");
    assert_eq!(json["findings"][0]["weight"], "essential");
    assert_eq!(found.of(Weight::Essential).count(), 1);
}

proptest! {
    /// More calls never make a prediction better, and every finding is of a call that was made.
    #[test]
    fn predictions_only_worsen(numbers in prop::collection::vec(0_u64..470, 1..40), at in 0_usize..5) {
        let interface = Interface::ALL[at];
        let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
        let mut before = Prediction::Runs;
        for number in numbers {
            let Some(call) = syscall_name(Architecture::X86_64, number) else { continue };
            footprint.add(call, None);
            let found = coverage(&footprint, interface);
            prop_assert!(found.prediction >= before);
            prop_assert!(found.findings.iter().all(|one| footprint.calls.contains_key(&one.call)));
            prop_assert!(found.answered <= found.calls);
            before = found.prediction;
        }
    }
}
