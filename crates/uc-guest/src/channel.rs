//! The way to the host: a virtio-serial port, or a vsock port where there is none.

use std::{
    fs,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
};
use uc_guest_protocol::{Descriptor, PORT_NAME, VSOCK_PORT};
use uc_model::{Problem, Result};

/// How long a port may take to appear and to be connected.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Where hosts come from.
pub(crate) enum Channel {
    /// One host, for the life of the machine.
    Port(Option<OwnedFd>),
    /// One host after another: a connection does not outlive a snapshot.
    Listener(Descriptor),
}

impl Channel {
    pub(crate) fn open() -> Result<Self> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(name) = port() {
                return open_port(&format!("/dev/{name}"), until).map(|fd| Self::Port(Some(fd)));
            }
            // The serial driver makes ports some time after the machine's start, so vsock is for machines without it.
            if !has_serial()
                && let Some(listener) = listen()
            {
                return Ok(Self::Listener(Descriptor::exclusive(listener).map_err(
                    |errno| broken("listening").caused_by(std::io::Error::from(errno)),
                )?));
            }
            if Instant::now() > until {
                return Err(broken("looking for a virtio-serial port or vsock"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The next host; `None` when none will come.
    pub(crate) async fn next_host(&mut self) -> Result<Option<Descriptor>> {
        let fd = match self {
            Self::Port(port) => match port.take() {
                Some(fd) => fd,
                None => return Ok(None),
            },
            Self::Listener(listener) => {
                listener.readable().await;
                let flags = rustix::net::SocketFlags::CLOEXEC;
                rustix::net::accept_with(&*listener, flags).map_err(|errno| {
                    broken("accepting a host").caused_by(std::io::Error::from(errno))
                })?
            }
        };
        Descriptor::exclusive(fd)
            .map(Some)
            .map_err(|errno| broken("opening").caused_by(std::io::Error::from(errno)))
    }
}

fn broken(while_doing: &str) -> Problem {
    Problem::host(format!(
        "the microVM has no way to its host: it failed while {while_doing}"
    ))
}

fn has_serial() -> bool {
    fs::read_dir("/sys/bus/virtio/drivers/virtio_console")
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("virtio"))
}

fn port() -> Option<String> {
    fs::read_dir("/sys/class/virtio-ports")
        .ok()?
        .flatten()
        .find(|entry| {
            fs::read_to_string(entry.path().join("name")).is_ok_and(|name| name.trim() == PORT_NAME)
        })
        .and_then(|entry| entry.file_name().into_string().ok())
}

/// Opens a port once the host's side is connected; before that it reads as ended.
fn open_port(path: &str, until: Instant) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| broken("opening").caused_by(std::io::Error::from(errno)))?;
    loop {
        let mut polled = [PollFd::new(&fd, PollFlags::OUT)];
        let now = Some(&Timespec::default());
        let connected = poll(&mut polled, now).is_ok_and(|count| count > 0)
            && polled
                .iter()
                .all(|polled| !polled.revents().contains(PollFlags::HUP));
        if connected {
            return Ok(fd);
        }
        if Instant::now() > until {
            return Err(broken("waiting for the host"));
        }
        std::thread::sleep(PAUSE);
    }
}

fn listen() -> Option<OwnedFd> {
    // SAFETY: integers only.
    let number = unsafe { libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if number < 0 {
        return None;
    }
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    // SAFETY: an all-zero address is a valid value of this plain C structure.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = libc::VMADDR_CID_ANY;
    address.svm_port = VSOCK_PORT;
    let length = size_of::<libc::sockaddr_vm>() as libc::socklen_t;
    // SAFETY: the address is of the length given.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } == 0;
    // SAFETY: integers only.
    let listens = bound && unsafe { libc::listen(socket.as_raw_fd(), 1) } == 0;
    listens.then_some(socket)
}
