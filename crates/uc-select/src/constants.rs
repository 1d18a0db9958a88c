//! Names of the constants that arguments of system calls hold.

use std::{collections::BTreeMap, sync::OnceLock};

const TEXT: &str = include_str!("../data/constants.txt");

/// Constants of one kind: `value -> name`.
pub(crate) type Section = BTreeMap<u64, &'static str>;

/// The constants of a kind; `None` where there is no such kind.
pub(crate) fn section(kind: &str) -> Option<&'static Section> {
    static SECTIONS: OnceLock<BTreeMap<&'static str, Section>> = OnceLock::new();
    SECTIONS.get_or_init(|| read(TEXT)).get(kind)
}

/// Reads `[kind]` and words of `NAME=VALUE`; other words are passed over, and a test holds that there are none.
fn read(text: &'static str) -> BTreeMap<&'static str, Section> {
    let mut sections: BTreeMap<&'static str, Section> = BTreeMap::new();
    let mut kind = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            kind = name;
            continue;
        }
        for (name, value) in line.split_ascii_whitespace().filter_map(constant) {
            let section = sections.entry(kind).or_default();
            section.entry(value).or_insert(name);
        }
    }
    sections
}

fn constant(word: &'static str) -> Option<(&'static str, u64)> {
    let (name, value) = word.split_once('=')?;
    let value = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    Some((name, value.ok()?))
}

/// The name of a value, or the value in hexadecimal digits.
pub(crate) fn name_or_hex(kind: &str, value: u64) -> String {
    match section(kind).and_then(|names| names.get(&value)) {
        Some(name) => (*name).to_owned(),
        None => format!("{value:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_data_is_read() {
        let mut kinds = 0;
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                kinds += 1;
                continue;
            }
            for word in line.split_ascii_whitespace() {
                assert!(constant(word).is_some(), "{word}");
            }
        }
        assert_eq!(read(TEXT).len(), kinds);
    }

    #[test]
    fn unnamed_values_are_shown_in_hexadecimal_digits() {
        assert_eq!(name_or_hex("ioctl", 0x5413), "TIOCGWINSZ");
        assert_eq!(name_or_hex("ioctl", 0xdead), "0xdead");
        assert_eq!(name_or_hex("no such kind", 7), "0x7");
    }

    macro_rules! agree_with_libc {
        ($($kind:literal: $($name:ident)*;)*) => { [$($(($kind, stringify!($name), libc::$name as u32)),*),*] };
    }

    #[test]
    fn values_are_those_of_the_c_library() {
        for (kind, name, value) in agree_with_libc! {
            "family": AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_ALG AF_VSOCK AF_XDP;
            "socket-type": SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_SEQPACKET;
            "ip-protocol": IPPROTO_ICMP IPPROTO_ICMPV6 IPPROTO_MPTCP IPPROTO_SCTP;
            "netlink": NETLINK_ROUTE NETLINK_KOBJECT_UEVENT NETLINK_GENERIC NETLINK_AUDIT;
            "SOL_SOCKET": SO_REUSEPORT SO_ATTACH_FILTER SO_ZEROCOPY SO_INCOMING_CPU;
            "IPPROTO_TCP": TCP_NODELAY TCP_FASTOPEN TCP_ULP TCP_USER_TIMEOUT;
            "ioctl": TCGETS TIOCGWINSZ TIOCSTI FIONREAD FIONBIO FICLONE FS_IOC_GETFLAGS SIOCGIFCONF;
            "prctl": PR_SET_NAME PR_SET_NO_NEW_PRIVS PR_CAPBSET_READ PR_SET_VMA PR_SET_MDWE PR_SET_PTRACER;
            "fcntl": F_SETLEASE F_ADD_SEALS F_OFD_SETLK F_DUPFD_CLOEXEC F_SETPIPE_SZ;
            "madvise": MADV_DONTNEED MADV_FREE MADV_COLLAPSE MADV_HUGEPAGE MADV_POPULATE_WRITE;
            "futex": FUTEX_WAIT_BITSET FUTEX_LOCK_PI2 FUTEX_CMP_REQUEUE_PI;
            "clone-flag": CLONE_NEWUSER CLONE_THREAD CLONE_VFORK CLONE_PIDFD CLONE_NEWCGROUP;
            "ptrace": PTRACE_SEIZE PTRACE_GETREGSET PTRACE_GET_SYSCALL_INFO;
            "seccomp-flag": SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_NEW_LISTENER;
            "memfd-flag": MFD_HUGETLB MFD_NOEXEC_SEAL;
            "mount-flag": MS_BIND MS_REC MS_PRIVATE MS_NOSYMFOLLOW;
            "clock": CLOCK_BOOTTIME_ALARM CLOCK_MONOTONIC_RAW CLOCK_TAI;
            "waitid": P_PIDFD;
        } {
            let found = section(kind).and_then(|names| names.get(&u64::from(value)));
            assert_eq!(found, Some(&name), "{kind}");
        }
    }
}
