//! What process 1 does first: streams, file systems, kernel modules.

use std::{ffi::CStr, fs, os::fd::AsRawFd, path::Path};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::{MountFlags, mount},
};
use uc_model::{Problem, Result};

/// Where the archive that the kernel started from has its modules, named so that sorting gives the order of loading.
const MODULES: &str = "/modules";

/// Where a new root is made before it becomes the root.
const NEW_ROOT: &str = "/root";

/// Most modules that are loaded.
const MAX_MODULES: usize = 64;

/// Makes the machine ready for containers.
pub(crate) fn set_up() -> Result<()> {
    open_streams()?;
    load_modules()?;
    move_to_new_root()?;
    mount_all()?;
    // Programs of containers may listen on any port: the network is the machine's own.
    let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    let _ = fs::write("/proc/sys/vm/overcommit_memory", "1");
    Ok(())
}

fn failed(what: &str, errno: Errno) -> Problem {
    Problem::host(format!("the microVM could not be set up while {what}"))
        .found(std::io::Error::from(errno))
        .remedy("use another kernel; `uc doctor` says which can be had")
}

/// Without standard streams the next descriptors would become them.
fn open_streams() -> Result<()> {
    // The archive has the device file; /dev is not mounted yet.
    let console = rustix::fs::open("/dev/console", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
        .or_else(|_| rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()))
        .map_err(|errno| failed("opening the console", errno))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())
        .map_err(|errno| failed("opening /dev/null", errno))?;
    for (stream, number) in [(&null, 0), (&console, 1), (&console, 2)] {
        if stream.as_raw_fd() == number {
            continue;
        }
        // SAFETY: dup2 takes integers; this process has not opened 0 to 2 for anything else.
        if unsafe { libc::dup2(stream.as_raw_fd(), number) } == -1 {
            return Err(failed("placing standard streams", Errno::BADF));
        }
    }
    // Whichever of the two took a number below 3 must stay.
    std::mem::forget((console, null));
    Ok(())
}

fn load_modules() -> Result<()> {
    let Ok(entries) = fs::read_dir(MODULES) else {
        return Ok(());
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths.iter().take(MAX_MODULES) {
        load_module(path)?;
    }
    Ok(())
}

fn load_module(path: &Path) -> Result<()> {
    let file = fs::File::open(path)
        .map_err(|error| Problem::host("a kernel module cannot be read").caused_by(error))?;
    // SAFETY: a descriptor, an empty string that ends with zero, and flags.
    let loaded =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    if loaded == 0 {
        return Ok(());
    }
    match std::io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        error => Err(Problem::host("a kernel module cannot be loaded")
            .at(path.display())
            .found(error)
            .remedy("kernel and modules must be of one version")),
    }
}

/// The kernel cannot change the root away from the file system that it started with, which every container does.
fn move_to_new_root() -> Result<()> {
    let step = |what: &'static str| move |errno: Errno| failed(what, errno);
    let _ = rustix::fs::mkdir(NEW_ROOT, Mode::from_raw_mode(0o755));
    mount(
        c"tmpfs",
        NEW_ROOT,
        c"tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=755"),
    )
    .map_err(step("making a root file system"))?;
    rustix::process::chdir(NEW_ROOT).map_err(step("entering the new root"))?;
    rustix::mount::mount_move(".", "/").map_err(step("moving the new root"))?;
    rustix::process::chroot(".").map_err(step("changing the root"))?;
    rustix::process::chdir("/").map_err(step("entering the root"))
}

/// What is mounted: type, place, options.
const MOUNTS: [(&CStr, &str, &CStr); 6] = [
    (c"proc", "/proc", c""),
    (c"sysfs", "/sys", c""),
    (c"devtmpfs", "/dev", c""),
    (c"devpts", "/dev/pts", c"ptmxmode=666,mode=620"),
    (c"tmpfs", "/run", c"mode=755"),
    (c"cgroup2", "/sys/fs/cgroup", c""),
];

fn mount_all() -> Result<()> {
    for (kind, place, options) in MOUNTS {
        let _ = rustix::fs::mkdir(place, Mode::from_raw_mode(0o755));
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        // Volumes and writable layers lie below /run, and programs may be executed from them.
        let flags = if place == "/run" {
            MountFlags::NOSUID | MountFlags::NODEV
        } else {
            flags
        };
        match mount(kind, place, kind, flags, Some(options)) {
            // Without control groups limits cannot be enforced, which `Create` then says.
            Err(_) if kind == c"cgroup2" => {}
            other => other.map_err(|errno| failed("mounting file systems", errno))?,
        }
    }
    let _ = rustix::fs::mkdir("/tmp", Mode::from_raw_mode(0o1777));
    Ok(())
}
