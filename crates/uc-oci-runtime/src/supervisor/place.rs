//! Where the runtime finds its bundle: mounts that only the supervisor's namespace has.

use std::{
    ffi::CString,
    fs,
    io::Read as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags},
};
use serde_json::Value;
use uc_linux::sys;
use uc_model::{Problem, Result, workload::Network};

use super::cgroups;
use crate::{
    flavour::Flavour,
    order::{MAX_ORDER, Order, PLACE},
    supervisor::inherited,
};

/// Size of the file system in memory: it holds the bundle's configuration, the runtime's state and its log.
const PLACE_OPTIONS: &std::ffi::CStr = c"mode=711,size=32m";

/// Builds everything: mounts of one's own, the root file system, volumes, network.
pub(super) fn build(order: &Order) -> Result<()> {
    let step = |what: &'static str| move |errno: Errno| failed(what, errno);
    // The caller's directory may be about to be hidden, and youki returns to the one that it was started in.
    rustix::process::chdir("/").map_err(step("leaving the caller's directory"))?;
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(step("making mounts private"))?;
    let guarded = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount(
        c"proc",
        c"/proc",
        c"proc",
        guarded | MountFlags::NOEXEC,
        None,
    )
    .map_err(step("mounting /proc"))?;
    cgroups::hide(order.flavour)?;
    rustix::mount::mount(c"tmpfs", PLACE, c"tmpfs", guarded, Some(PLACE_OPTIONS))
        .map_err(step("making a file system in memory"))?;
    for directory in ["root", "bundle", "state", "volumes"] {
        rustix::fs::mkdir(format!("{PLACE}/{directory}"), Mode::from_raw_mode(0o711))
            .map_err(step("making directories"))?;
    }
    rustix::mount::mount(
        c"overlay",
        format!("{PLACE}/root"),
        c"overlay",
        guarded,
        Some(&*overlay_options(order)?),
    )
    .map_err(step("mounting the root file system (overlay)"))?;
    for (index, volume) in order.volumes.iter().enumerate() {
        let source = inherited(order.descriptors.first_volume + index as RawFd);
        bind(source.as_fd(), &volume.place).map_err(step("mounting a volume"))?;
    }
    if order.configure_network {
        configure_network(&order.hostname)?;
    }
    if order.flavour == Flavour::Runsc && order.network == Network::User {
        hide_network_settings()?;
    }
    Ok(())
}

/// What has been built, as one detached mount tree.
pub(super) fn detach() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(PLACE, flags, Mode::empty())
        .and_then(|place| sys::clone_mount_tree(place.as_fd()))
        .map_err(|errno| failed("copying mounts", errno))
}

/// Attaches what another supervisor has built and detached.
pub(super) fn attach(tree: BorrowedFd<'_>, place: &str) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::mkdir(place, Mode::from_raw_mode(0o711))
        .and_then(|()| rustix::fs::open(place, flags, Mode::empty()))
        .and_then(|target| sys::attach_mount_tree(tree, target.as_fd()))
        .map_err(|errno| failed("attaching mounts", errno))
}

/// Takes it away again.
pub(super) fn remove(place: &str) {
    // Nothing in it is used any more; what is left is for the end of the namespace.
    let _ = rustix::mount::unmount(place, UnmountFlags::DETACH);
    let _ = fs::remove_dir(place);
}

/// Puts the bundle's configuration where the runtime looks for it.
pub(super) fn write_config(order: &Order) -> Result<()> {
    let text = serde_json::to_vec(&order.config).unwrap_or_default();
    fs::write(format!("{PLACE}/bundle/config.json"), text)
        .map_err(|error| Problem::host("cannot write the bundle's configuration").caused_by(error))
}

/// Reads the configuration of a bundle whose parts lie at a place.
pub(super) fn read_config(place: &str) -> Result<Value> {
    let mut text = Vec::new();
    fs::File::open(format!("{place}/bundle/config.json"))
        .and_then(|file| file.take(MAX_ORDER).read_to_end(&mut text))
        .and_then(|_| Ok(serde_json::from_slice(&text)?))
        .map_err(|error| Problem::host("cannot read the bundle's configuration").caused_by(error))
}

fn failed(what: &str, errno: Errno) -> Problem {
    Problem::host(format!("the container could not be set up while {what}"))
        .found(std::io::Error::from(errno))
        .remedy("`uc doctor` shows what this host lacks")
}

/// runsc takes a network namespace for the host's where it sees a setting that older kernels showed there alone.
fn hide_network_settings() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    let options = Some(c"mode=755,size=0");
    rustix::mount::mount(c"tmpfs", c"/proc/sys/net/core", c"tmpfs", flags, options)
        .map_err(|errno| failed("hiding settings of the network", errno))
}

fn overlay_options(order: &Order) -> Result<CString> {
    // overlayfs wants the topmost layer first; ours are numbered from the lowest.
    let numbers = &order.descriptors;
    let lower: Vec<String> = (0..numbers.layers)
        .rev()
        .map(|index| format!("/proc/self/fd/{}", numbers.first_layer + index as RawFd))
        .collect();
    let scratch = format!("/proc/self/fd/{}", numbers.scratch);
    // What is written ends with the container.
    CString::new(format!(
        "lowerdir={},upperdir={scratch}/upper,workdir={scratch}/work,userxattr,volatile",
        lower.join(":")
    ))
    .map_err(|_| Problem::internal("a zero byte in mount options"))
}

/// Makes a file or directory of the host appear at a place.
fn bind(source: BorrowedFd<'_>, place: &str) -> std::result::Result<(), Errno> {
    let is_directory = rustix::fs::fstat(source)
        .map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())?;
    let path = OFlags::PATH | OFlags::CLOEXEC;
    let target: OwnedFd = if is_directory {
        rustix::fs::mkdir(place, Mode::from_raw_mode(0o711))?;
        rustix::fs::open(place, path | OFlags::DIRECTORY, Mode::empty())?
    } else {
        let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        drop(rustix::fs::open(place, create, Mode::from_raw_mode(0o600))?);
        rustix::fs::open(place, path, Mode::empty())?
    };
    let tree = sys::clone_mount_tree(source)?;
    sys::attach_mount_tree(tree.as_fd(), target.as_fd())
}

/// Brings loopback up and opens all ports to unprivileged programs: the network is the sandbox's own.
fn configure_network(hostname: &str) -> Result<()> {
    let step = |errno| failed("bringing loopback up", errno);
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .map_err(step)?;
    sys::bring_loopback_up(socket.as_fd()).map_err(step)?;
    // Where IPv4 is not built in there are no ports to open.
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    match rustix::system::sethostname(hostname.as_bytes()) {
        Err(Errno::PERM) | Ok(()) => Ok(()),
        Err(errno) => Err(failed("setting the host name", errno)),
    }
}
