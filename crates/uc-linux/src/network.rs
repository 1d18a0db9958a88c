//! A sandbox's network: probing its ports, and linking it to the host's in user mode.

use std::{
    io::Read as _,
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::{AddressFamily, Ipv4Addr, SocketAddrV4, SocketFlags, SocketType},
};
use uc_model::{Problem, Result, workload::Protocol};
use uc_sandbox::{PortForward, TcpConnectRequest};

use crate::{
    cgroup::Entrances,
    exit::{Ending, wait_for, watchable},
    idmap::find_program,
    namespaces::Namespaces,
    sys::{self, Cloned},
};

/// How long a link may take to come up.
pub(crate) const LINK_PATIENCE: Duration = Duration::from_secs(10);

/// A running `pasta` or `slirp4netns`; it ends with the sandbox.
pub struct Link {
    pub(crate) child: Child,
}

impl Link {
    pub(crate) fn of(child: Child) -> Self {
        Self { child }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program that would link a sandbox to the host's network.
pub fn link_program() -> Option<&'static str> {
    ["pasta", "slirp4netns"]
        .into_iter()
        .find(|name| find_program(name).is_some())
}

/// Tries what such a program does first: to make an interface in a network of its own, with the rights it has there.
pub fn try_tap() -> std::io::Result<()> {
    let namespaces = (libc::CLONE_NEWUSER | libc::CLONE_NEWNET) as u64;
    // SAFETY: the child keeps to system calls and leaves by _exit.
    let pid = match unsafe { sys::clone_process(namespaces, None) }? {
        Cloned::Parent(pid) => pid,
        Cloned::Child => {
            let made = sys::make_tap();
            sys::exit_now(made.map_or_else(|errno| errno.raw_os_error() & 0xff, |()| 0))
        }
    };
    match wait_for(pid) {
        Some(0) => Ok(()),
        Some(errno) => Err(std::io::Error::from_raw_os_error(errno)),
        None => Err(std::io::Error::other("the process that tried died")),
    }
}

/// Links the network namespace of a process to the host's, forwarding ports.
pub fn link(pid: u32, ports: &[PortForward]) -> Result<Link> {
    link_within(pid, ports, &Entrances::default())
}

/// The same by a program in these control groups.
pub fn link_within(pid: u32, ports: &[PortForward], groups: &Entrances) -> Result<Link> {
    let program = link_program().ok_or_else(|| {
        Problem::host("a user-mode network needs pasta or slirp4netns").remedy("apt install passt")
    })?;
    let mut command = Command::new(program);
    match program {
        "pasta" => pasta_arguments(&mut command, pid, ports),
        _ => slirp_arguments(&mut command, pid, ports)?,
    }
    starts_within(&mut command, groups.try_clone()?, None);
    let mut child = command
        .stdin(namespace_or_nothing(pid)?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Problem::host(format!("cannot run {program}")).caused_by(error))?;
    if let Err(problem) = wait_for_interface(pid, &mut child, program) {
        drop(Link { child });
        return Err(problem);
    }
    Ok(Link { child })
}

/// Has it in its control groups from its start, and ended with its owner: it holds the network that it links, so it would
/// outlive one that is killed. One descriptor can be kept open for it.
pub(crate) fn starts_within(command: &mut Command, groups: Entrances, kept: Option<i32>) {
    use std::os::unix::process::CommandExt as _;
    let owner = rustix::process::getpid();
    let start = move || {
        sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)?;
        groups.enter_all()?;
        if let Some(kept) = kept {
            sys::keep_on_exec(kept)?;
        }
        match rustix::process::getppid() == Some(owner) {
            true => Ok(()),
            // The owner has died already.
            false => Err(Errno::SRCH.into()),
        }
    };
    // SAFETY: the closure keeps to system calls.
    unsafe { command.pre_exec(start) };
}

fn pasta_arguments(command: &mut Command, pid: u32, ports: &[PortForward]) {
    command.args(["--config-net", "--foreground", "--quiet"]);
    // Nothing of the host's loopback shows up inside, and nothing is forwarded that was not asked for.
    command.args(["--no-map-gw", "-T", "none", "-U", "none"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--runas", "0"]);
    }
    add_ports(command, ports);
    if has_own_users(pid) {
        command.arg("--userns").arg(format!("/proc/{pid}/ns/user"));
        command.arg("--netns").arg(format!("/proc/{pid}/ns/net"));
    } else {
        // pasta has given up by then what opening the other would take.
        command.arg("--netns").arg("/proc/self/fd/0");
    }
}

/// The ports that are forwarded, and no others.
pub(crate) fn add_ports(command: &mut Command, ports: &[PortForward]) {
    for (flag, protocol) in [("-t", Protocol::Tcp), ("-u", Protocol::Udp)] {
        let mut any = false;
        for port in ports.iter().filter(|port| port.protocol == protocol) {
            command.arg(flag).arg(format!(
                "{}/{}:{}",
                port.host_ip, port.host_port, port.container_port
            ));
            any = true;
        }
        if !any {
            command.args([flag, "none"]);
        }
    }
}

fn slirp_arguments(command: &mut Command, pid: u32, ports: &[PortForward]) -> Result<()> {
    if !ports.is_empty() {
        return Err(Problem::host("forwarding a hostPort needs pasta").remedy("apt install passt"));
    }
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback"]);
    if has_own_users(pid) {
        command.arg(format!("--userns-path=/proc/{pid}/ns/user"));
    }
    command.arg(pid.to_string()).arg("tap0");
    Ok(())
}

/// What a program that links networks has as its standard input: a network namespace that it could not open itself.
fn namespace_or_nothing(pid: u32) -> Result<Stdio> {
    if has_own_users(pid) {
        return Ok(Stdio::null());
    }
    std::fs::File::open(format!("/proc/{pid}/ns/net"))
        .map(Stdio::from)
        .map_err(|error| Problem::host("cannot open a sandbox's network").caused_by(error))
}

/// Whether a process is in another user namespace than this one, which nobody can join who is in it already.
pub(crate) fn has_own_users(pid: u32) -> bool {
    let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/user")).ok();
    of(&pid.to_string()) != of("self")
}

/// Waits until a second interface besides loopback exists, or the program has given up.
fn wait_for_interface(pid: u32, child: &mut Child, program: &str) -> Result<()> {
    let deadline = Instant::now() + LINK_PATIENCE;
    let failed = |found: String| {
        Err(
            Problem::host(format!("{program} could not link the network"))
                .found(found)
                .remedy("try network: none or host"),
        )
    };
    loop {
        let interfaces =
            std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
        // Two header lines and loopback come first; a route means that it has been configured.
        let routes = std::fs::read_to_string(format!("/proc/{pid}/net/route")).unwrap_or_default();
        if interfaces.lines().count() > 3 && routes.lines().count() > 1 {
            return Ok(());
        }
        if let Ok(Some(status)) = child.try_wait() {
            return failed(format!("{status}: {}", last_words(child)));
        }
        if Instant::now() > deadline {
            return failed("no interface after 10 s".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a program that has ended said on its standard error.
pub(crate) fn last_words(child: &mut Child) -> String {
    let mut message = String::new();
    if let Some(stderr) = &mut child.stderr {
        let _ = stderr.take(4096).read_to_string(&mut message);
    }
    reasons(&message)
}

/// What of a program's words may be the reason for its end.
fn reasons(message: &str) -> String {
    /// Where there is no system log, each line for it brings a complaint about that first; and passt tells root that it
    /// becomes nobody, which is what is wanted.
    const NO_REASONS: [&str; 2] = ["syslog", "Don't run as root"];
    let told: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !NO_REASONS.iter().any(|none| line.contains(none)))
        .collect();
    told.join("; ")
}

/// Opens and closes a connection to a port on the sandbox's loopback, from a process inside its network.
pub async fn tcp_connect(namespaces: &Namespaces, request: TcpConnectRequest) -> Result<()> {
    // SAFETY: the child keeps to system calls and leaves by _exit.
    let pid = match unsafe { sys::clone_process(0, None) } {
        Ok(Cloned::Parent(pid)) => pid,
        Ok(Cloned::Child) => {
            let result = namespaces
                .join_network()
                .and_then(|()| connect(request.port, request.timeout));
            sys::exit_now(result.map_or_else(|errno| errno.raw_os_error() & 0xff, |()| 0))
        }
        Err(errno) => {
            return Err(
                Problem::host("cannot make a process").caused_by(std::io::Error::from(errno))
            );
        }
    };
    let pidfd = watchable(pid)?;
    match Ending::new(pidfd)?.wait().await?.code {
        0 => Ok(()),
        errno => Err(
            Problem::unavailable(format!("cannot connect to port {}", request.port))
                .found(std::io::Error::from_raw_os_error(errno.into())),
        ),
    }
}

/// Async-signal-safe: system calls only.
fn connect(port: u16, timeout: Duration) -> Result<(), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Err(Errno::INPROGRESS) => {}
        other => return other,
    }
    let timeout = Timespec {
        tv_sec: timeout.as_secs().min(3600) as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
    match rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, Some(&timeout)))? {
        0 => Err(Errno::TIMEDOUT),
        _ => rustix::net::sockopt::socket_error(&socket)?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_the_reason_of_an_end_is_told() {
        let said = "Failed to send 47 bytes to syslog\nDon't run as root. Changing to nobody...\n\n \
                    Failed to bind any port for '-t 80', exiting\n";
        assert_eq!(
            reasons(said),
            "Failed to bind any port for '-t 80', exiting"
        );
        assert_eq!(reasons("Don't run as root. Changing to nobody...\n"), "");
    }
}
