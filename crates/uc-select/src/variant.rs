//! From the raw arguments of a call to what decides whether a runtime knows it.
//!
//! Only registers are looked at: what lies behind a pointer (the flags of `clone3`, of `openat2`, of io_uring) cannot be
//! told here. Flags that were combined are joined with `|`; a value without a name stands in hexadecimal digits.

use crate::{
    constants::{name_or_hex, section},
    footprint::Architecture,
};

/// How the arguments of a call become a variant.
pub(crate) enum Rule {
    /// One argument holds one of the constants of a kind, after the bits of a mask.
    Value(&'static str, usize, u64),
    /// One argument holds flags of a kind; unnamed bits say nothing.
    Flags(&'static str, usize),
    /// One argument holds flags of a kind, and a bit without a name matters too.
    AllFlags(&'static str, usize),
    /// The number of a clock; below zero stand clocks of processes and devices.
    Clock(usize),
    /// The arguments of a call that needs more than one of them.
    Several(fn(&[u64; 6]) -> Option<String>),
    /// The flags of `open`, whose values differ by processor.
    Open(usize),
}

/// Integers are 32 bits wide: the kernel does not look above.
pub(crate) const INT: u64 = 0xffff_ffff;

pub(crate) fn rule(call: &str) -> Option<Rule> {
    Some(match call {
        "socket" | "socketpair" => Rule::Several(socket),
        "setsockopt" | "getsockopt" => Rule::Several(socket_option),
        "ioctl" => Rule::Value("ioctl", 1, INT),
        "prctl" => Rule::Value("prctl", 0, INT),
        "arch_prctl" => Rule::Value("arch_prctl", 0, INT),
        "fcntl" => Rule::Value("fcntl", 1, INT),
        "madvise" => Rule::Value("madvise", 2, INT),
        "process_madvise" => Rule::Value("madvise", 3, INT),
        "keyctl" => Rule::Value("keyctl", 0, INT),
        "bpf" => Rule::Value("bpf", 0, INT),
        "ptrace" => Rule::Value("ptrace", 0, INT),
        // Without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME.
        "futex" => Rule::Value("futex", 1, 0x7f),
        "membarrier" => Rule::Value("membarrier", 0, INT),
        "waitid" => Rule::Value("waitid", 0, INT),
        // Without SCHED_RESET_ON_FORK.
        "sched_setscheduler" => Rule::Value("scheduler", 1, INT & !0x4000_0000),
        "seccomp" => Rule::Several(seccomp),
        "personality" => Rule::Several(personality),
        // The low byte is the signal at the child's end.
        "clone" => Rule::Flags("clone-flag", 0),
        "unshare" => Rule::AllFlags("namespace-flag", 0),
        "setns" => Rule::AllFlags("namespace-flag", 1),
        "fallocate" => Rule::AllFlags("fallocate-flag", 1),
        "memfd_create" => Rule::Flags("memfd-flag", 1),
        "mount" => Rule::Flags("mount-flag", 3),
        "renameat2" => Rule::AllFlags("rename-flag", 4),
        "landlock_create_ruleset" => Rule::Flags("landlock-flag", 2),
        "mmap" => Rule::Flags("mmap-flag", 3),
        "mremap" => Rule::Flags("mremap-flag", 3),
        "shmget" => Rule::Flags("shm-flag", 2),
        "preadv2" | "pwritev2" => Rule::AllFlags("rwf-flag", 5),
        "clock_gettime" | "clock_settime" | "clock_getres" | "clock_nanosleep"
        | "clock_adjtime" | "timer_create" | "timerfd_create" => Rule::Clock(0),
        "open" => Rule::Open(1),
        "openat" => Rule::Open(2),
        _ => return None,
    })
}

/// What in the arguments of a call decides whether a runtime knows it, in the words of [`crate::Usage::variants`]; `None`
/// where nothing does. Costs nothing but the words it makes.
pub fn variant(architecture: Architecture, call: &str, arguments: &[u64; 6]) -> Option<String> {
    match rule(call)? {
        Rule::Value(kind, at, mask) => Some(name_or_hex(kind, arguments.get(at)? & mask)),
        Rule::Flags(kind, at) => flags(kind, *arguments.get(at)?, false),
        Rule::AllFlags(kind, at) => flags(kind, arguments.get(at)? & INT, true),
        Rule::Clock(at) => {
            let clock = arguments.get(at)? & INT;
            (clock <= i32::MAX as u64).then(|| name_or_hex("clock", clock))
        }
        Rule::Several(of) => of(arguments),
        Rule::Open(at) => open_flags(architecture, *arguments.get(at)?),
    }
}

/// The names of the bits that are set, and the rest in digits where it matters; `None` where nothing is left.
fn flags(kind: &str, value: u64, with_rest: bool) -> Option<String> {
    let mut rest = value;
    let mut names = Vec::new();
    for (bit, name) in section(kind)? {
        if value & bit != 0 {
            names.push((*name).to_owned());
            rest &= !bit;
        }
    }
    if with_rest && rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    (!names.is_empty()).then(|| names.join("|"))
}

/// `FAMILY:TYPE`, and the protocol where it is not what the family and type imply.
fn socket(&[family, kind, protocol, ..]: &[u64; 6]) -> Option<String> {
    let family = name_or_hex("family", family & INT);
    // Above the low four bits are SOCK_NONBLOCK and SOCK_CLOEXEC.
    let kind = name_or_hex("socket-type", kind & 0xf);
    let protocol = protocol & INT;
    let protocol = match family.as_str() {
        "AF_NETLINK" => Some(name_or_hex("netlink", protocol)),
        "AF_INET" | "AF_INET6" if protocol != 0 => Some(name_or_hex("ip-protocol", protocol)),
        _ => None,
    };
    let implied = |protocol: &String| match kind.as_str() {
        "SOCK_STREAM" => protocol == "IPPROTO_TCP",
        "SOCK_DGRAM" => protocol == "IPPROTO_UDP",
        _ => false,
    };
    Some(match protocol.filter(|protocol| !implied(protocol)) {
        Some(protocol) => format!("{family}:{kind}:{protocol}"),
        None => format!("{family}:{kind}"),
    })
}

fn socket_option(&[_, level, option, ..]: &[u64; 6]) -> Option<String> {
    let level = name_or_hex("socket-level", level & INT);
    let option = name_or_hex(&level, option & INT);
    Some(format!("{level}:{option}"))
}

fn seccomp(&[operation, with, ..]: &[u64; 6]) -> Option<String> {
    let operation = name_or_hex("seccomp", operation & INT);
    if operation != "SECCOMP_SET_MODE_FILTER" {
        return Some(operation);
    }
    Some(match flags("seccomp-flag", with & INT, true) {
        Some(flags) => format!("{operation}:{flags}"),
        None => operation,
    })
}

fn personality(&[value, ..]: &[u64; 6]) -> Option<String> {
    // All ones ask for the present one and change nothing.
    let value = value & INT;
    (value != INT).then(|| name_or_hex("personality", value))
}

/// `O_DIRECT`.
pub(crate) fn open_direct(architecture: Architecture) -> u64 {
    match architecture {
        Architecture::X86_64 => 0o40_000,
        Architecture::Aarch64 => 0o200_000,
    }
}

fn open_flags(architecture: Architecture, value: u64) -> Option<String> {
    let direct = open_direct(architecture);
    // The bit that O_TMPFILE has beside that of O_DIRECTORY.
    let known = [
        ("O_DIRECT", direct),
        ("O_PATH", 0o10_000_000),
        ("O_TMPFILE", 0o20_000_000),
    ];
    let set: Vec<&str> = known
        .into_iter()
        .filter(|(_, bit)| value & bit != 0)
        .map(|(name, _)| name)
        .collect();
    (!set.is_empty()).then(|| set.join("|"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(call: &str, arguments: &[u64]) -> Option<String> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        variant(Architecture::X86_64, call, &all)
    }

    fn check(call: &str, arguments: &[u64], expected: &str) {
        assert_eq!(of(call, arguments).as_deref(), Some(expected), "{call}");
    }

    #[test]
    fn sockets_are_told_by_family_type_and_protocol() {
        let nonblocking = 0o4000;
        let close_on_exec = 0o2_000_000;
        check(
            "socket",
            &[2, 1 | nonblocking | close_on_exec, 0],
            "AF_INET:SOCK_STREAM",
        );
        check("socket", &[2, 1, 6], "AF_INET:SOCK_STREAM");
        check("socket", &[10, 2, 17], "AF_INET6:SOCK_DGRAM");
        check("socket", &[2, 2, 1], "AF_INET:SOCK_DGRAM:IPPROTO_ICMP");
        check("socket", &[2, 3, 255], "AF_INET:SOCK_RAW:IPPROTO_RAW");
        check("socket", &[2, 1, 262], "AF_INET:SOCK_STREAM:IPPROTO_MPTCP");
        check(
            "socket",
            &[16, 3 | close_on_exec, 0],
            "AF_NETLINK:SOCK_RAW:NETLINK_ROUTE",
        );
        check(
            "socket",
            &[16, 2, 15],
            "AF_NETLINK:SOCK_DGRAM:NETLINK_KOBJECT_UEVENT",
        );
        check("socket", &[17, 3, 0x0300], "AF_PACKET:SOCK_RAW");
        check("socket", &[38, 5, 0], "AF_ALG:SOCK_SEQPACKET");
        check("socket", &[99, 9, 0], "0x63:0x9");
        check("socketpair", &[1, 1, 0], "AF_UNIX:SOCK_STREAM");
    }

    #[test]
    fn requests_options_and_commands_have_their_names() {
        check("ioctl", &[1, 0x5413], "TIOCGWINSZ");
        check("ioctl", &[1, 0xc0de], "0xc0de");
        // Programs that hold the request in a signed integer extend its sign.
        check("ioctl", &[1, 0xffff_ffff_8004_5430], "TIOCGPTN");
        check("prctl", &[15], "PR_SET_NAME");
        check("prctl", &[0x5356_4d41], "PR_SET_VMA");
        check("arch_prctl", &[0x1002], "ARCH_SET_FS");
        check("fcntl", &[3, 1024], "F_SETLEASE");
        check("madvise", &[0, 4096, 4], "MADV_DONTNEED");
        check("keyctl", &[0], "KEYCTL_GET_KEYRING_ID");
        check("bpf", &[5], "BPF_PROG_LOAD");
        check("ptrace", &[0x4206], "PTRACE_SEIZE");
        check("futex", &[0, 128 | 1], "FUTEX_WAKE");
        check("futex", &[0, 128 | 256 | 9], "FUTEX_WAIT_BITSET");
        check(
            "membarrier",
            &[16],
            "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED",
        );
        check("setsockopt", &[3, 1, 15], "SOL_SOCKET:SO_REUSEPORT");
        check("setsockopt", &[3, 6, 31], "IPPROTO_TCP:TCP_ULP");
        check("getsockopt", &[3, 270, 11], "SOL_NETLINK:0xb");
        check(
            "seccomp",
            &[1, 1],
            "SECCOMP_SET_MODE_FILTER:SECCOMP_FILTER_FLAG_TSYNC",
        );
        check("seccomp", &[1, 0], "SECCOMP_SET_MODE_FILTER");
        check("seccomp", &[2, 0], "SECCOMP_GET_ACTION_AVAIL");
        check("personality", &[0x4_0000], "ADDR_NO_RANDOMIZE");
        check("clock_gettime", &[11], "CLOCK_TAI");
        check("waitid", &[3], "P_PIDFD");
    }

    #[test]
    fn flags_are_joined() {
        check(
            "clone",
            &[0x1000_0000 | 0x0002_0000 | 17],
            "CLONE_NEWNS|CLONE_NEWUSER",
        );
        // What pthread_create sets.
        check("clone", &[0x003d_0f00], "CLONE_THREAD");
        check("clone", &[0x4111], "CLONE_VFORK");
        check("unshare", &[0x4000_0000], "CLONE_NEWNET");
        check("unshare", &[0x1], "0x1");
        check("setns", &[3, 0x0200_0000], "CLONE_NEWCGROUP");
        check(
            "fallocate",
            &[3, 3],
            "FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE",
        );
        check("renameat2", &[0, 0, 0, 0, 2], "RENAME_EXCHANGE");
        check("mount", &[0, 0, 0, 0x5000], "MS_BIND|MS_REC");
        check("openat", &[0, 0, 0o20_200_002], "O_TMPFILE");
        let version = "LANDLOCK_CREATE_RULESET_VERSION";
        check("landlock_create_ruleset", &[0, 0, 1], version);
    }

    #[test]
    fn the_flags_of_open_differ_by_processor() {
        let arguments = [0, 0, 0o40_000, 0, 0, 0];
        let on = |architecture| variant(architecture, "openat", &arguments);
        assert_eq!(on(Architecture::X86_64).as_deref(), Some("O_DIRECT"));
        assert_eq!(on(Architecture::Aarch64), None, "there it is O_DIRECTORY");
    }

    #[test]
    fn where_nothing_decides_there_is_no_variant() {
        for (call, arguments) in [
            ("read", &[0, 1, 2][..]),
            ("clone", &[17]),
            ("clone3", &[1]),
            ("setns", &[3, 0]),
            ("fallocate", &[3, 0]),
            ("openat", &[0, 0, 0]),
            ("mmap", &[0, 4096, 3, 0x22]),
            ("memfd_create", &[0, 3]),
            ("personality", &[0xffff_ffff]),
            ("clock_gettime", &[0xffff_fffa]),
            ("io_uring_setup", &[8]),
        ] {
            assert_eq!(of(call, arguments), None, "{call}");
        }
    }

    /// A rule must never name a kind that the data lacks: the variant would be lost in silence.
    #[test]
    fn every_rule_has_its_constants() {
        for call in crate::syscall_names(Architecture::X86_64) {
            match rule(call) {
                Some(
                    Rule::Value(kind, at, _) | Rule::Flags(kind, at) | Rule::AllFlags(kind, at),
                ) => {
                    assert!(section(kind).is_some() && at < 6, "{call}: {kind}");
                }
                Some(Rule::Clock(at) | Rule::Open(at)) => assert!(at < 6, "{call}"),
                Some(Rule::Several(_)) | None => {}
            }
        }
    }

    proptest! {
        #[test]
        fn any_arguments_give_one_short_word(number in 0_u64..470, arguments in any::<[u64; 6]>()) {
            for architecture in [Architecture::X86_64, Architecture::Aarch64] {
                let Some(call) = crate::syscall_name(architecture, number) else { continue };
                if let Some(variant) = variant(architecture, call, &arguments) {
                    prop_assert!(!variant.is_empty() && variant.len() < 400, "{variant}");
                    prop_assert!(variant.bytes().all(|byte| byte.is_ascii_graphic()), "{variant}");
                }
            }
        }
    }
}
