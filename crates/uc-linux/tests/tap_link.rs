//! A guest's network behind a tap device, with the test as the guest: what it asks is answered, what is forwarded reaches it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
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

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two questions of a guest.
const ASK_AGAIN: Duration = Duration::from_millis(200);

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

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
        if !has_program() {
            println!("skipped: passt is missing (apt install passt)");
            return None;
        }
        let tun = File::options().read(true).write(true).open("/dev/net/tun");
        if let Err(error) = tun {
            println!("skipped: /dev/net/tun cannot be opened: {error}");
            return None;
        }
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let child = command.args(["--net", "sleep", "1000"]).spawn();
        let mut sandbox = Self(child.expect("starts"));
        let name = format!("/proc/{}/comm", sandbox.0.id());
        let until = Instant::now() + PATIENCE;
        while fs::read_to_string(&name).unwrap_or_default() != "sleep\n" {
            if sandbox.0.try_wait().expect("known").is_some() || Instant::now() > until {
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

fn to_port_80(host_port: u16) -> PortForward {
    PortForward {
        host_ip: Ipv4Addr::LOCALHOST.into(),
        host_port,
        container_port: 80,
        protocol: Protocol::Tcp,
    }
}

/// Reads frames until one is wanted. It asks who the gateway is now and then, as a guest does until it is answered: what comes
/// right after it is attached the kernel drops.
fn await_frame(guest: &mut File, is_wanted: impl Fn(&[u8]) -> bool) {
    let begin = Instant::now();
    let mut asked = 0;
    let mut frame = [0; 65_535];
    loop {
        if begin.elapsed() >= ASK_AGAIN * asked {
            guest.write_all(&ADDRESSES.who_has_gateway()).expect("sent");
            asked += 1;
        }
        match guest.read(&mut frame) {
            Ok(length) if is_wanted(&frame[..length]) => return,
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        assert!(begin.elapsed() < PATIENCE, "no such frame comes");
    }
}

#[test]
fn a_guest_reaches_its_gateway_and_is_reached_by_its_port() {
    if !is_root() {
        println!("skipped: only root can be the guest");
        return;
    }
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = free.local_addr().expect("known");
    drop(free);
    let ports = [to_port_80(host.port())];
    let linked = link_tap(sandbox.0.id(), 0, &ADDRESSES, &ports, &Entrances::default());
    let link = linked.expect("linked");
    let mut guest = sandbox.guest();
    await_frame(&mut guest, |frame| {
        let is_answer = frame.get(12..14) == Some(&[8, 6]) && frame.get(20..22) == Some(&[0, 2]);
        is_answer && frame.get(28..32) == Some(&ADDRESSES.gateway.octets())
    });
    let connecting =
        std::thread::spawn(move || TcpStream::connect_timeout(&host, PATIENCE).map(drop));
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
    assert!(!problem.to_string().contains("root"), "{problem}");
    drop(taken);
    let _ = connecting.join().expect("no panic");
}

/// Which process's network this one links, where it is the owner that will be killed, and a port of the host.
const OWNER_OF: &str = "UC_TEST_OWNER_OF";
const OWNED_PORT: &str = "UC_TEST_OWNED_PORT";

/// Links a network and tells so, to be killed then.
fn own_a_link(pid: &str) -> ! {
    let port = std::env::var(OWNED_PORT).expect("given");
    let (pid, port) = (
        pid.parse().expect("a number"),
        port.parse().expect("a number"),
    );
    let ports = [to_port_80(port)];
    let _link = link_tap(pid, 0, &ADDRESSES, &ports, &Entrances::default()).expect("linked");
    println!("linked");
    loop {
        std::thread::park();
    }
}

/// A process that plays the owner: this test once more.
fn owner(sandbox: &Sandbox, port: u16) -> Sandbox {
    let own = std::env::current_exe().expect("known");
    let child = Command::new(own)
        .args(["--exact", "a_killed_owner_takes_passt_along", "--nocapture"])
        .env(OWNER_OF, sandbox.0.id().to_string())
        .env(OWNED_PORT, port.to_string())
        .stdout(Stdio::piped())
        .spawn();
    let mut owner = Sandbox(child.expect("starts"));
    let stdout = BufReader::new(owner.0.stdout.take().expect("piped"));
    let linked = stdout
        .lines()
        .map_while(Result::ok)
        .any(|line| line.ends_with("linked"));
    assert!(linked, "the owner cannot link the network");
    owner
}

/// The status of each process that this one started.
fn children_of(pid: u32) -> Vec<(Pid, String)> {
    let parent = format!("PPid:\t{pid}\n");
    let entries = fs::read_dir("/proc").expect("there").flatten();
    entries
        .filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let pid = Pid::from_raw(pid)?;
            status.contains(&parent).then_some((pid, status))
        })
        .collect()
}

/// A free port: one that only root can listen at, where this is root.
fn free_port() -> u16 {
    let low = (600..1024).rev();
    low.filter(|_| is_root())
        .chain([0])
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .and_then(|free| free.local_addr().ok())
        .expect("a port")
        .port()
}

#[test]
fn a_killed_owner_takes_passt_along() {
    if let Ok(pid) = std::env::var(OWNER_OF) {
        own_a_link(&pid);
    }
    let Some(sandbox) = Sandbox::new() else {
        return;
    };
    let port = free_port();
    let mut owner = owner(&sandbox, port);
    let children = children_of(owner.0.id());
    let [(passt, status)] = &children[..] else {
        panic!("{children:?}");
    };
    assert!(status.starts_with("Name:\tpasst"), "{status}");
    if is_root() {
        assert!(!status.contains("Uid:\t0\t"), "{status}");
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect_err("passt listens");
    let ending = pidfd_open(*passt, PidfdFlags::empty()).expect("it runs");
    owner.0.kill().expect("killed");
    owner.0.wait().expect("killed");
    let mut ended = [PollFd::new(&ending, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    let events = poll(&mut ended, Some(&patience)).expect("watched");
    assert_eq!(events, 1, "passt outlives its owner");
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody listens any more");
}
