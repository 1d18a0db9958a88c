//! The system-call filter: an allow-list, compiled for the processor this runs on.

mod filter;
mod profile;
mod report;

use std::sync::OnceLock;

pub(crate) use profile::compile_profile;
pub(crate) use report::reporting;
use seccompiler::{BpfProgram, TargetArch};
pub(crate) use uc_linux::seccomp::{install, install_listener};
use uc_linux::syscall_policy::{NEWEST_CONSIDERED, verdicts};
use uc_model::{Problem, Result};

/// The processor this binary runs on.
fn architecture() -> Result<TargetArch> {
    std::env::consts::ARCH.try_into().map_err(|error| {
        Problem::host("no system-call filter for this processor")
            .found(std::env::consts::ARCH)
            .caused_by(boxed(&error))
    })
}

/// Its number in the kernel's audit.h.
fn audit_architecture() -> Result<u32> {
    Ok(match architecture()? {
        TargetArch::x86_64 => 0xc000_003e,
        TargetArch::aarch64 => 0xc000_00b7,
        TargetArch::riscv64 => 0xc000_00f3,
    })
}

fn boxed(error: &impl std::fmt::Display) -> Box<dyn std::error::Error + Send + Sync> {
    error.to_string().into()
}

/// The filter that every program gets: what is not on the list fails with EPERM; a few calls must look absent
/// (ENOSYS), so that libraries fall back to older ones whose arguments can be checked; all calls that are newer than
/// the list must look absent for the same reason.
pub(crate) fn built_in() -> Result<&'static BpfProgram> {
    static FILTER: OnceLock<BpfProgram> = OnceLock::new();
    if let Some(filter) = FILTER.get() {
        return Ok(filter);
    }
    let filter = filter::compile(audit_architecture()?, &verdicts(), NEWEST_CONSIDERED);
    Ok(FILTER.get_or_init(|| filter))
}

#[cfg(test)]
mod tests {
    use uc_linux::syscall_policy::{ABSENT, ALLOWED};

    use super::*;

    fn verdict(call: i64, arguments: [u32; 6]) -> u32 {
        let architecture = audit_architecture().expect("known");
        let filter = built_in().expect("compiles");
        let (verdict, steps) = filter::tests::run(filter, architecture, call as u32, arguments);
        assert!(steps < 40, "call {call} takes {steps} instructions");
        verdict
    }

    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn the_filter_says_what_the_lists_say() {
        let filter = built_in().expect("compiles");
        // The kernel takes at most 4096 instructions a filter (BPF_MAXINSNS).
        assert!(filter.len() < 4096, "{}", filter.len());
        let checked = [
            libc::SYS_clone,
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_personality,
            libc::SYS_ioctl,
        ];
        for call in (0..1000).filter(|call| !checked.contains(call)) {
            let expected = if ALLOWED.contains(&call) {
                ALLOW
            } else if ABSENT.contains(&call) || call > i64::from(NEWEST_CONSIDERED) {
                ENOSYS
            } else {
                EPERM
            };
            assert_eq!(verdict(call, [0; 6]), expected, "call {call}");
        }
        // The x32 numbers of x86-64.
        assert_eq!(verdict(0x4000_0000, [0; 6]), ENOSYS);
    }

    #[test]
    fn arguments_decide_where_they_matter() {
        let socket = |family: i32, kind: i32, protocol: i32| {
            let arguments = [family as u32, kind as u32, protocol as u32, 0, 0, 0];
            verdict(libc::SYS_socket, arguments)
        };
        let stream = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        assert_eq!(socket(libc::AF_INET, stream, 0), ALLOW);
        assert_eq!(socket(libc::AF_INET, libc::SOCK_RAW, 0), EPERM);
        assert_eq!(socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0), ALLOW);
        assert_eq!(socket(libc::AF_PACKET, libc::SOCK_DGRAM, 0), EPERM);
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE),
            ALLOW
        );
        assert_eq!(
            socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT),
            EPERM
        );
        let clone = |flags: i32| verdict(libc::SYS_clone, [flags as u32, 0, 0, 0, 0, 0]);
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_THREAD), ALLOW);
        assert_eq!(clone(libc::CLONE_VM | libc::CLONE_NEWUSER), EPERM);
        let ioctl = |request: u64| verdict(libc::SYS_ioctl, [0, request as u32, 0, 0, 0, 0]);
        assert_eq!(ioctl(libc::TIOCSTI), EPERM);
        assert_eq!(ioctl(libc::TCGETS), ALLOW);
        assert_eq!(
            verdict(libc::SYS_personality, [0x40000, 0, 0, 0, 0, 0]),
            EPERM
        );
    }

    /// `uc-select` tells users what a container's programs may call; it must be what the filter says.
    #[test]
    fn the_published_set_of_calls_is_that_of_the_filter() {
        use uc_select::{Architecture, Interface, Level, support, syscall_number, variant};

        let Ok(processor) = std::env::consts::ARCH.parse::<Architecture>() else {
            eprintln!("skipped: no table for {}", std::env::consts::ARCH);
            return;
        };
        let published = |call: &str, variant: Option<&str>| {
            let answer = support(Interface::Container, processor, call, variant);
            match (answer.level, answer.errno) {
                (Level::Full, None) => ALLOW,
                (Level::Refused, Some("EPERM")) => EPERM,
                (Level::Refused, Some("ENOSYS")) => ENOSYS,
                _ => panic!("{call}: {answer:?}"),
            }
        };
        let number = |call: &str| syscall_number(processor, call).expect("known") as i64;
        let checked = ["clone", "socket", "socketpair", "personality", "ioctl"];
        for call in uc_select::syscall_names(processor) {
            if !checked.contains(&call) {
                let said = verdict(number(call), [0; 6]);
                assert_eq!(published(call, None), said, "{call}");
            }
        }
        let families = (0..46).flat_map(|family| (0..11).map(move |kind| (family, kind)));
        let sockets = families.flat_map(|(family, kind)| {
            [0, 1, 4, 6, 9, 12, 15, 17].map(|protocol| ("socket", [family, kind, protocol]))
        });
        let pairs = (0..46).map(|family| ("socketpair", [family, 1, 0]));
        let clones = (7..32).map(|bit| ("clone", [1 << bit, 0, 0]));
        let requests = (0x5400..0x5480).map(|request| ("ioctl", [0, request, 0]));
        let personalities = [0, 8, 0x2_0000, 0x2_0008, 0x4_0000, u32::MAX];
        let personalities = personalities.map(|value| ("personality", [value, 0, 0]));
        let samples = sockets.chain(pairs).chain(clones).chain(requests);
        for (call, [a, b, c]) in samples.chain(personalities) {
            let wide = [a, b, c, 0, 0, 0].map(u64::from);
            let name = variant(processor, call, &wide);
            assert_eq!(
                published(call, name.as_deref()),
                verdict(number(call), [a, b, c, 0, 0, 0]),
                "{call} {name:?}"
            );
        }
    }
}
