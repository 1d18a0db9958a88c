//! Linking a tap device in a sandbox's network to the host's: its frames go to `passt` and back.
//!
//! `passt` makes connections in the guest's name, as `pasta` does for a sandbox of the host's kernel; that one would give the
//! network to the kernel between it and the guest, which would have to pass it on. Frames are bounded, and what one side
//! does not take in time the other waits for.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::fd::{AsRawFd as _, OwnedFd},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{RecvFlags, SendFlags},
};
use uc_model::{Problem, Result};
use uc_sandbox::PortForward;

use crate::{
    cgroup::Entrances,
    network::{LINK_PATIENCE, Link, add_ports, last_words, starts_within},
    tap,
};

/// The program that makes the connections.
const PROGRAM: &str = "passt";

/// Largest frame, in bytes: `passt` takes and gives no larger ones.
const MAX_FRAME: usize = 65_535;

/// What a guest behind a tap device is told of its network.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The guest's own.
    pub guest: std::net::Ipv4Addr,
    /// How many bits of it are those of its network.
    pub prefix: u8,
    /// The way out.
    pub gateway: std::net::Ipv4Addr,
    /// Of its card.
    pub card: [u8; 6],
}

impl Addresses {
    /// The guest's question who its gateway is, by Ethernet and ARP.
    pub fn who_has_gateway(&self) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend(self.card);
        // ARP; for Ethernet and IPv4, whose addresses have 6 and 4 bytes; a question.
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(self.card);
        frame.extend(self.guest.octets());
        frame.extend([0; 6]);
        frame.extend(self.gateway.octets());
        frame
    }
}

/// A linked tap device. It is cut off with this value.
pub struct TapLink {
    line: UnixStream,
    carrying: Vec<JoinHandle<()>>,
    _program: Link,
}

impl Drop for TapLink {
    fn drop(&mut self) {
        let _ = self.line.shutdown(Shutdown::Both);
        for thread in self.carrying.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Whether such links can be made.
pub fn has_program() -> bool {
    crate::idmap::find_program(PROGRAM).is_some()
}

/// Makes a tap device in the network of a process, for the user of this id there, and links it to the host's network,
/// forwarding ports.
///
/// # Errors
/// Host, where a part of it is missing.
pub fn link_tap(
    pid: u32,
    user: u32,
    addresses: &Addresses,
    ports: &[PortForward],
    groups: &Entrances,
) -> Result<TapLink> {
    let failed = |error: std::io::Error| {
        Problem::host("cannot link a tap device to the network").caused_by(error)
    };
    let frames = Arc::new(tap::make(pid, user)?);
    let (line, far) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(PROGRAM);
    arguments(&mut command, far.as_raw_fd(), addresses, ports);
    starts_within(&mut command, groups.try_clone()?, Some(far.as_raw_fd()));
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            Problem::host("a network behind a tap device needs passt")
                .remedy("apt install passt")
                .caused_by(error)
        })?;
    let mut program = Link::of(child);
    drop(far);
    if let Err(error) = await_gateway(&line, addresses) {
        // It has ended, or does not speak: then it is ended.
        let _ = program.child.kill();
        let said = last_words(&mut program.child);
        return Err(
            Problem::host(format!("{PROGRAM} could not link the network"))
                .found(if said.is_empty() {
                    error.to_string()
                } else {
                    said
                })
                .remedy("is a hostPort in use? try network: none"),
        );
    }
    let (out, back) = (
        line.try_clone().map_err(failed)?,
        line.try_clone().map_err(failed)?,
    );
    let to = Arc::clone(&frames);
    let mut link = TapLink {
        line,
        carrying: Vec::new(),
        _program: program,
    };
    let carry = |name: &str, work: Box<dyn FnOnce() + Send>| {
        let builder = std::thread::Builder::new().name(name.into());
        builder.spawn(work).map_err(failed)
    };
    // A thread that cannot be made ends the other: its line is shut with `link`.
    let outward = carry("tap-out", Box::new(move || drop(carry_out(&frames, out))))?;
    link.carrying.push(outward);
    let inward = carry("tap-in", Box::new(move || drop(carry_in(back, &to))))?;
    link.carrying.push(inward);
    Ok(link)
}

fn arguments(command: &mut Command, line: i32, addresses: &Addresses, ports: &[PortForward]) {
    command.args(["--foreground", "--quiet", "--ipv4-only"]);
    command.arg("--fd").arg(line.to_string());
    command.arg("--address").arg(addresses.guest.to_string());
    command.arg("--netmask").arg(addresses.prefix.to_string());
    command.arg("--gateway").arg(addresses.gateway.to_string());
    // Nothing of the host's loopback is the guest's to reach.
    command.arg("--no-map-gw");
    // What root starts becomes nobody, in a user namespace of its own: it parses what a hostile guest sends, and needs no
    // rights once it listens. The kernel drops the signal at its owner's death with that, so what ends it then is that the
    // other end of its line closes.
    add_ports(command, ports);
}

/// Asks in the guest's name who its gateway is: an answer means that all is in place, and that the guest's card is known.
fn await_gateway(mut line: &UnixStream, addresses: &Addresses) -> std::io::Result<()> {
    let question = addresses.who_has_gateway();
    line.set_read_timeout(Some(LINK_PATIENCE))?;
    let head = u32::try_from(question.len()).unwrap_or_default();
    line.write_all(&[&head.to_be_bytes(), question.as_slice()].concat())?;
    let mut head = [0; 4];
    line.read_exact(&mut head)?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    line.read_exact(&mut vec![0; length])?;
    line.set_read_timeout(None)
}

/// Carries what the guest sends. Ends when the line does, or the device.
fn carry_out(frames: &OwnedFd, mut line: UnixStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 4 + MAX_FRAME];
    loop {
        let mut watched = [
            PollFd::new(frames, PollFlags::IN),
            PollFd::new(&line, PollFlags::RDHUP),
        ];
        rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
        if !watched[1].revents().is_empty() {
            return Ok(());
        }
        let room = buffer.get_mut(4..).unwrap_or_default();
        // A frame that is larger than the buffer is cut, and its own length told: nobody could take it.
        let received = rustix::net::recv(frames, room, RecvFlags::TRUNC | RecvFlags::DONTWAIT);
        let length = match received {
            Ok((_, length)) if length <= MAX_FRAME => length,
            // A device that went down for a moment is one that says nothing.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let head = u32::try_from(length).unwrap_or_default().to_be_bytes();
        buffer[..4].copy_from_slice(&head);
        line.write_all(buffer.get(..4 + length).unwrap_or_default())?;
    }
}

/// Carries what is for the guest. Ends with the line.
fn carry_in(mut line: UnixStream, frames: &OwnedFd) -> std::io::Result<()> {
    let mut frame = vec![0; MAX_FRAME];
    loop {
        let mut head = [0; 4];
        line.read_exact(&mut head)?;
        let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        let frame = frame
            .get_mut(..length)
            .ok_or(std::io::ErrorKind::InvalidData)?;
        line.read_exact(frame)?;
        // What the device does not take is lost, as on any wire.
        let _ = rustix::net::send(frames, frame, SendFlags::empty());
    }
}
