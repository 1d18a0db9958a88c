//! A tap device in a sandbox's network, for monitors that know no other card, and a socket for its frames.
//!
//! Both are made by a process in that network: this one is in another. Invariant: that process keeps to system calls.

use std::{
    mem::{MaybeUninit, size_of},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    os::unix::net::UnixStream,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};
use uc_model::{Problem, Result};

use crate::{
    exit::wait_for,
    namespaces::Namespaces,
    network::has_own_users,
    sys::{self, Cloned},
};

/// The device's name.
pub const TAP: &str = "tap0";

/// The largest packet that it takes: what a program that links networks may send at once.
const MTU: libc::c_int = 65_520;

/// Makes the device in the network of a process, for the user of this id there, and opens its frames.
///
/// # Errors
/// Host, where it cannot be made.
pub(crate) fn make(pid: u32, user: u32) -> Result<OwnedFd> {
    let failed = |error: std::io::Error| {
        Problem::host("cannot make a tap device for the microVM")
            .at("/dev/net/tun")
            .found(error)
            .remedy("load its module (modprobe tun), and let everybody open it (chmod 0666 /dev/net/tun)")
    };
    let namespaces = Namespaces::of(pid, true)?;
    let own_users = has_own_users(pid);
    let (near, far) = UnixStream::pair().map_err(failed)?;
    // SAFETY: the child keeps to system calls and leaves by _exit.
    let child =
        match unsafe { sys::clone_process(0, None) }.map_err(|errno| failed(errno.into()))? {
            Cloned::Parent(child) => child,
            Cloned::Child => {
                let made = namespaces
                    .enter_network(own_users)
                    .and_then(|()| make_and_open(user))
                    .and_then(|frames| pass(frames.as_fd(), far.as_fd()));
                sys::exit_now(made.map_or_else(|errno| errno.raw_os_error() & 0xff, |()| 0))
            }
        };
    drop(far);
    match wait_for(child) {
        Some(0) => take(near.as_fd()).map_err(|errno| failed(errno.into())),
        Some(errno) => Err(failed(std::io::Error::from_raw_os_error(errno))),
        None => Err(failed(std::io::Error::other("the process that tried died"))),
    }
}

/// Opens the other side of the device in this process's network, as a monitor does; makes it if there is none.
/// Async-signal-safe, as all below but `take`.
///
/// # Errors
/// What the kernel refuses.
pub fn attach() -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open(c"/dev/net/tun", flags, Mode::empty())?;
    let mut request = request();
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    set(&device, libc::TUNSETIFF, &mut request)?;
    Ok(device)
}

fn make_and_open(user: u32) -> std::result::Result<OwnedFd, Errno> {
    let device = attach()?;
    tell(&device, libc::TUNSETOWNER, user)?;
    // It stays when this process has gone, until its network goes.
    tell(&device, libc::TUNSETPERSIST, 1)?;
    frames_of_device()
}

/// Brings the device up and opens a socket for all that it receives.
fn frames_of_device() -> std::result::Result<OwnedFd, Errno> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes integers.
    let number = unsafe { libc::socket(libc::AF_PACKET, kind, libc::c_int::from(protocol)) };
    sys::check(number.into())?;
    // SAFETY: it has just been opened, and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let mut request = request();
    request.ifr_ifru.ifru_mtu = MTU;
    set(&socket, libc::SIOCSIFMTU, &mut request)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    set(&socket, libc::SIOCSIFFLAGS, &mut request)?;
    set(&socket, libc::SIOCGIFINDEX, &mut request)?;
    // SAFETY: SIOCGIFINDEX has written this field.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    bind(&socket, protocol, index)?;
    ignore_outgoing(&socket)?;
    Ok(socket)
}

fn bind(socket: &OwnedFd, protocol: u16, index: libc::c_int) -> std::result::Result<(), Errno> {
    // SAFETY: an all-zero sockaddr_ll is a valid value of this plain C structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = protocol;
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let address = (&raw const address).cast();
    // SAFETY: an address of this length.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), address, length) };
    sys::check(bound.into()).map(drop)
}

/// What this network's own kernel says to the device is nobody's business.
fn ignore_outgoing(socket: &OwnedFd) -> std::result::Result<(), Errno> {
    let on: libc::c_int = 1;
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING);
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    let value = (&raw const on).cast();
    // SAFETY: a value of this length.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    sys::check(set.into()).map(drop)
}

fn tell(device: &OwnedFd, what: libc::Ioctl, value: u32) -> std::result::Result<(), Errno> {
    let value = libc::c_ulong::from(value);
    // SAFETY: these requests take an integer.
    sys::check(unsafe { libc::ioctl(device.as_raw_fd(), what, value) }.into()).map(drop)
}

fn request() -> libc::ifreq {
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(TAP.bytes()) {
        *slot = byte as libc::c_char;
    }
    request
}

fn set(
    descriptor: &OwnedFd,
    what: libc::Ioctl,
    request: &mut libc::ifreq,
) -> std::result::Result<(), Errno> {
    // SAFETY: these requests read or write an ifreq.
    sys::check(
        unsafe { libc::ioctl(descriptor.as_raw_fd(), what, std::ptr::from_mut(request)) }.into(),
    )
    .map(drop)
}

fn pass(descriptor: BorrowedFd<'_>, to: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    let byte = [std::io::IoSlice::new(b"f")];
    rustix::net::sendmsg(to, &byte, &mut ancillary, SendFlags::empty()).map(drop)
}

fn take(from: BorrowedFd<'_>) -> std::result::Result<OwnedFd, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut slices = [std::io::IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(from, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .ok_or(Errno::BADF)
}
