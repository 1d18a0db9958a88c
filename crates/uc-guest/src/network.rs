//! The machine's network: loopback, and a card where the host gave one.

use std::{
    net::Ipv4Addr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketType};
use uc_guest_protocol::Network;
use uc_linux::sys;
use uc_model::{Problem, Result};

/// The first card's name.
const CARD: &[u8] = b"eth0";

fn failed(what: &str) -> impl Fn(std::io::Error) -> Problem {
    move |error| {
        Problem::host(format!("the microVM's network failed while {what}")).caused_by(error)
    }
}

fn socket() -> Result<OwnedFd> {
    rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .map_err(|errno| failed("opening a socket")(errno.into()))
}

/// Brings loopback up.
pub(crate) fn bring_loopback_up() -> Result<()> {
    sys::bring_loopback_up(socket()?.as_fd())
        .map_err(|errno| failed("bringing loopback up")(errno.into()))
}

/// Gives the card its address and brings it up.
pub(crate) fn configure(settings: &Network) -> Result<()> {
    let nonsense = || Problem::internal("the network's settings are not sound");
    let (address, prefix) = settings.address.split_once('/').ok_or_else(nonsense)?;
    let address: Ipv4Addr = address.parse().map_err(|_| nonsense())?;
    let prefix: u32 = prefix.parse().map_err(|_| nonsense())?;
    let gateway: Ipv4Addr = settings.gateway.parse().map_err(|_| nonsense())?;
    let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
    let socket = socket()?;
    set(&socket, libc::SIOCSIFADDR, address, "setting the address")?;
    set(
        &socket,
        libc::SIOCSIFNETMASK,
        Ipv4Addr::from_bits(mask),
        "setting the mask",
    )?;
    bring_up(&socket)?;
    add_default_route(&socket, gateway)
}

fn request() -> libc::ifreq {
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(CARD) {
        *slot = *byte as libc::c_char;
    }
    request
}

/// An IPv4 address as the kernel's socket address.
fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let mut bytes = [0; 14];
    // Two bytes of port, four of address.
    for (slot, octet) in bytes.iter_mut().skip(2).zip(address.octets()) {
        *slot = octet as libc::c_char;
    }
    libc::sockaddr {
        sa_family: libc::AF_INET as libc::sa_family_t,
        sa_data: bytes,
    }
}

fn set(socket: &OwnedFd, what: libc::Ioctl, address: Ipv4Addr, doing: &str) -> Result<()> {
    let mut request = request();
    request.ifr_ifru.ifru_addr = socket_address(address);
    // SAFETY: these requests read an ifreq.
    match unsafe { libc::ioctl(socket.as_raw_fd(), what, &raw const request) } {
        0 => Ok(()),
        _ => Err(failed(doing)(std::io::Error::last_os_error())
            .remedy("the guest's kernel needs virtio-net")),
    }
}

fn bring_up(socket: &OwnedFd) -> Result<()> {
    let mut request = request();
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(failed("bringing the card up")(
            std::io::Error::last_os_error(),
        )),
    }
}

fn add_default_route(socket: &OwnedFd, gateway: Ipv4Addr) -> Result<()> {
    // SAFETY: an all-zero rtentry is a valid value of this plain C structure.
    let mut route: libc::rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = socket_address(gateway);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    // SAFETY: SIOCADDRT reads a rtentry, whose device name may be null.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCADDRT, &raw const route) } {
        0 => Ok(()),
        _ => Err(failed("adding the way out")(std::io::Error::last_os_error())),
    }
}
