//! Sockets that see or steer more than the container's own traffic.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixStream},
    },
};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{
        EACCES, EAFNOSUPPORT, EINVAL, ENOENT, ENOSYS, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT,
        Errno,
    },
    syscall::call,
};

/// Besides the refusal itself: the kernel was built without that family.
const NOT_OPENED: &[Errno] = &[
    EPERM,
    EACCES,
    EAFNOSUPPORT,
    EINVAL,
    ENOSYS,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
];
const NETLINK_AUDIT: i32 = 9;
const AF_CAN: i32 = 29;
const NAMES_LIMIT: usize = 1024;

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("socket-raw-ip", NOT_OPENED, || {
        socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)
    }),
    Attempt::new("socket-raw-ip6", NOT_OPENED, || {
        socket(libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)
    }),
    Attempt::new("socket-packet", NOT_OPENED, || {
        socket(libc::AF_PACKET, libc::SOCK_RAW, 0x0300)
    }),
    Attempt::new("socket-vsock", NOT_OPENED, || {
        socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0)
    }),
    Attempt::new("socket-netlink-audit", NOT_OPENED, || {
        socket(libc::AF_NETLINK, libc::SOCK_RAW, NETLINK_AUDIT)
    }),
    Attempt::new("socket-alg", NOT_OPENED, || {
        socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0)
    }),
    Attempt::new("socket-bluetooth", NOT_OPENED, || {
        socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1)
    }),
    Attempt::new("socket-key", NOT_OPENED, || {
        socket(libc::AF_KEY, libc::SOCK_RAW, 2)
    }),
    Attempt::new("socket-xdp", NOT_OPENED, || {
        socket(libc::AF_XDP, libc::SOCK_RAW, 0)
    }),
    Attempt::new("socket-can", NOT_OPENED, || {
        socket(AF_CAN, libc::SOCK_RAW, 1)
    }),
    Attempt::new("socket-tipc", NOT_OPENED, || {
        socket(libc::AF_TIPC, libc::SOCK_SEQPACKET, 0)
    }),
    Attempt::new(
        "abstract-sockets",
        &[EACCES, ENOENT, EPERM],
        abstract_sockets,
    ),
];

fn socket(family: i32, kind: i32, protocol: i32) -> Outcome {
    let arguments = [
        family.into(),
        (kind | libc::SOCK_CLOEXEC).into(),
        protocol.into(),
    ];
    Outcome::of(call(libc::SYS_socket, &arguments), "the socket was opened")
}

/// Names without a file belong to the network namespace: with the host's network, the host's services answer.
fn abstract_sockets() -> Outcome {
    let table = match fs::read_to_string("/proc/net/unix") {
        Ok(table) => table,
        Err(error) => return Outcome::Denied(error.into()),
    };
    let names: Vec<&str> = table
        .lines()
        .take(NAMES_LIMIT)
        .filter_map(|line| line.split_once(" @").map(|(_, name)| name))
        .collect();
    let answers = |name: &&&str| {
        SocketAddr::from_abstract_name(name.as_bytes())
            .and_then(|address| UnixStream::connect_addr(&address))
            .is_ok()
    };
    match names.iter().find(answers) {
        Some(name) => Outcome::Succeeded(format!("@{name} answers")),
        None => Outcome::Contained(format!("{} names, none answers", names.len())),
    }
}
