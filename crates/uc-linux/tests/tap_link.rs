//! A guest's network behind a tap device, with the test as the guest: what it asks is answered, what is forwarded reaches it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::{Child, Command},
    time::{Duration, Instant},
};

use uc_linux::{
    cgroup::Entrances,
    sys, tap,
    tap_link::{Addresses, has_program, link_tap},
};
use uc_model::workload::Protocol;
use uc_sandbox::PortForward;

const ADDRESSES: Addresses = Addresses {
    guest: Ipv4Addr::new(10, 0, 2, 15),
    prefix: 24,
    gateway: Ipv4Addr::new(10, 0, 2, 2),
    card: [2, 0, 10, 0, 2, 15],
};

/// A process with a network of its own.
struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Sandbox {
    /// `None`, with the reason printed, where there can be none.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !has_program() {
            println!("skipped: the test is not root, or passt is missing (apt install passt)");
            return None;
        }
        let own = std::fs::read_link("/proc/self/ns/net").expect("there");
        let child = Command::new("unshare")
            .args(["--net", "sleep", "1000"])
            .spawn();
        let sandbox = Self(child.expect("starts"));
        let until = Instant::now() + Duration::from_secs(10);
        let of_child = format!("/proc/{}/ns/net", sandbox.0.id());
        while std::fs::read_link(&of_child).expect("there") == own {
            if Instant::now() > until {
                println!("skipped: no network of one's own can be had here");
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(sandbox)
    }

    /// The guest's side of the device.
    fn guest(&self) -> File {
        let net = File::open(format!("/proc/{}/ns/net", self.0.id())).expect("opens");
        // A thread alone changes its network.
        let attaching = std::thread::spawn(move || {
            sys::setns(net.as_fd(), libc::CLONE_NEWNET).expect("joined");
            tap::attach().expect("attached")
        });
        File::from(attaching.join().expect("no panic"))
    }
}

/// Reads frames until one is wanted.
fn await_frame(guest: &mut File, is_wanted: impl Fn(&[u8]) -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    let mut frame = [0; 65_535];
    loop {
        match guest.read(&mut frame) {
            Ok(length) if is_wanted(&frame[..length]) => return,
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(Instant::now() < until, "no such frame comes");
    }
}

#[test]
fn a_guest_reaches_its_gateway_and_is_reached_by_its_port() {
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = free.local_addr().expect("known");
    drop(free);
    let ports = [PortForward {
        host_ip: Ipv4Addr::LOCALHOST.into(),
        host_port: host.port(),
        container_port: 80,
        protocol: Protocol::Tcp,
    }];
    let linked = link_tap(sandbox.0.id(), 0, &ADDRESSES, &ports, &Entrances::default());
    let link = linked.expect("linked");
    let mut guest = sandbox.guest();
    guest.write_all(&ADDRESSES.who_has_gateway()).expect("sent");
    await_frame(&mut guest, |frame| {
        let is_answer = frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2]);
        is_answer && frame.get(28..32) == Some(&ADDRESSES.gateway.octets())
    });
    let connecting = std::thread::spawn(move || {
        TcpStream::connect_timeout(&host, Duration::from_secs(20)).map(drop)
    });
    await_frame(&mut guest, |frame| {
        let is_tcp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&6);
        is_tcp
            && frame.get(30..34) == Some(&ADDRESSES.guest.octets())
            && frame.get(36..38) == Some(&[0, 80])
    });
    // It goes, and with it who listens for the guest.
    drop(link);
    drop(guest);
    let taken = TcpListener::bind(host).expect("free again");
    let refused = link_tap(sandbox.0.id(), 0, &ADDRESSES, &ports, &Entrances::default());
    let problem = refused.err().expect("the port is taken");
    assert!(
        problem.to_string().contains("passt could not link"),
        "{problem}"
    );
    drop(taken);
    let _ = connecting.join().expect("no panic");
}
