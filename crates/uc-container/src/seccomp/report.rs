//! A filter that reports every call, but for those by which the launcher is told so.

use std::os::fd::RawFd;

use seccompiler::{BpfProgram, sock_filter};

/// Offsets in the kernel's `struct seccomp_data`: the call's number, and the low half of its first argument.
const NUMBER: u32 = 0;
const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "little") {
    16
} else {
    20
};

/// The filter for a first process that talks to its launcher over `control`, a number that the program does not have.
pub(crate) fn reporting(control: RawFd) -> BpfProgram {
    let word = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let call = |number: libc::c_long, to: u8| step(equal, to, 0, number as u32);
    vec![
        step(word, 0, 0, NUMBER),
        call(libc::SYS_read, 3),
        call(libc::SYS_write, 2),
        call(libc::SYS_sendmsg, 1),
        step(give, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        step(word, 0, 0, FIRST_ARGUMENT),
        step(equal, 0, 1, control.unsigned_abs()),
        step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(give, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::filter::tests::run;

    #[test]
    fn only_the_launchers_socket_is_left_out() {
        let filter = reporting(40);
        let verdict =
            |call: libc::c_long, first: u32| run(&filter, 0, call as u32, [first, 0, 0, 0, 0, 0]).0;
        for call in [libc::SYS_read, libc::SYS_write, libc::SYS_sendmsg] {
            assert_eq!(verdict(call, 40), libc::SECCOMP_RET_ALLOW);
            assert_eq!(verdict(call, 41), libc::SECCOMP_RET_USER_NOTIF);
        }
        assert_eq!(verdict(libc::SYS_execve, 40), libc::SECCOMP_RET_USER_NOTIF);
    }
}
