//! Keeping runtimes from control groups: the supervisor is in the container's, and so is all that it starts.
//!
//! Most runtimes can be told so on their command line. crun gives up where it sees hierarchies of both versions, so it is shown
//! none; youki always joins a group in each hierarchy of version 1 that the kernel lists as mounted, so it is shown
//! files of the same names in memory.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustix::{io::Errno, mount::MountFlags};
use uc_model::{Problem, Result};

use crate::{bundle::STAND_IN, flavour::Flavour};

/// Where hierarchies are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Most hierarchies of version 1: each has at least one of the kernel's controllers.
const MAX_HIERARCHIES: usize = 32;

/// How much of the list of mounts is read, in bytes.
const MAX_MOUNTS: u64 = 1 << 20;

/// What a runtime looks for in a group, and what it finds there.
const FILES: [(&str, &str); 3] = [
    ("cgroup.procs", ""),
    ("cpuset.cpus", "0\n"),
    ("cpuset.mems", "0\n"),
];

/// Hides the host's control groups from a runtime that would use them.
pub(super) fn hide(flavour: Flavour) -> Result<()> {
    match flavour {
        Flavour::Crun => cover(MountFlags::RDONLY, c"mode=755,size=0").map(drop),
        Flavour::Youki => {
            let hierarchies = hierarchies().map_err(cannot_hide)?;
            if cover(MountFlags::empty(), c"mode=755,size=1m")? {
                stand_in(&hierarchies).map_err(cannot_hide)?;
            }
            Ok(())
        }
        Flavour::Runc | Flavour::Runsc => Ok(()),
    }
}

fn cannot_hide(error: io::Error) -> Problem {
    Problem::host("the container could not be set up while hiding control groups")
        .found(error)
        .remedy("`uc doctor` shows what this host lacks")
}

/// Mounts a file system in memory over them; false where there are none.
fn cover(flags: MountFlags, options: &std::ffi::CStr) -> Result<bool> {
    let flags = flags | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount(c"tmpfs", ROOT, c"tmpfs", flags, Some(options)) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(cannot_hide(errno.into())),
    }
}

/// Where hierarchies of version 1 are mounted.
fn hierarchies() -> io::Result<Vec<PathBuf>> {
    let mut mounts = String::new();
    fs::File::open("/proc/self/mountinfo")?
        .take(MAX_MOUNTS)
        .read_to_string(&mut mounts)?;
    Ok(of_version_1(&mounts))
}

/// Those of a list of mounts (proc(5), mountinfo): the fifth field is the place, the one behind the dash the kind.
fn of_version_1(mounts: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let place = Path::new(mount.split(' ').nth(4)?);
        let is_one = kind.starts_with("cgroup ") && place.starts_with(ROOT);
        is_one.then(|| place.to_owned())
    };
    mounts
        .lines()
        .filter_map(place)
        .take(MAX_HIERARCHIES)
        .collect()
}

fn stand_in(hierarchies: &[PathBuf]) -> io::Result<()> {
    for hierarchy in hierarchies {
        for group in [hierarchy.clone(), hierarchy.join(STAND_IN)] {
            fs::create_dir_all(&group)?;
            for (name, content) in FILES {
                fs::write(group.join(name), content)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_version_1_are_found_among_mounts() {
        let mounts = "22 27 0:21 / /proc rw - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
33 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
34 31 0:31 / /elsewhere rw - cgroup cgroup rw,pids
nonsense - cgroup
";
        assert_eq!(
            of_version_1(mounts),
            [PathBuf::from("/sys/fs/cgroup/memory")]
        );
        let many = "32 31 0:29 / /sys/fs/cgroup/x rw - cgroup cgroup rw\n".repeat(100);
        assert_eq!(of_version_1(&many).len(), MAX_HIERARCHIES);
    }
}
