//! Owners, times and extended attributes: what of an entry's own is kept, and how it is said.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{self, Gid, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use uc_model::{Problem, Result};

use super::{Ownership, directories::OPAQUE, entry::Entry};

/// Extended attributes that were left out.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    pub(super) xattrs: u64,
    pub(super) capabilities: u64,
}

impl Dropped {
    /// Counts the attributes of an entry that are not kept.
    pub(super) fn count(&mut self, entry: &Entry) {
        for (name, _) in entry.xattrs.iter().filter(|(name, _)| !is_kept(name)) {
            if name == b"security.capability" {
                self.capabilities += 1;
            } else {
                self.xattrs += 1;
            }
        }
    }
}

/// Sets the attributes that are kept; a file system without them counts as having dropped them.
pub(super) fn set_xattrs(
    file: &OwnedFd,
    entry: &Entry,
    dropped: &mut Dropped,
) -> rustix::io::Result<()> {
    for (name, value) in entry.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        match fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOTSUP | Errno::PERM) => dropped.xattrs += 1,
            Err(error) => return Err(error),
        }
    }
    dropped.count(entry);
    Ok(())
}

/// `user.*` belongs to programs; what overlayfs keeps there steers mounts and is not the image's to say.
fn is_kept(name: &[u8]) -> bool {
    let overlay = OPAQUE
        .0
        .as_bytes()
        .strip_suffix(b"opaque")
        .unwrap_or_default();
    name.starts_with(b"user.") && !name.starts_with(overlay) && !name.contains(&0)
}

/// Whom an entry is given to; `None` leaves it to the process.
pub(super) fn owner(entry: &Entry, ownership: Ownership) -> Result<Option<(Uid, Gid)>> {
    let Ownership::Keep { highest_id } = ownership else {
        return Ok(None);
    };
    let id = |id: u64| u32::try_from(id).ok().filter(|id| *id <= highest_id);
    match (id(entry.uid), id(entry.gid)) {
        (Some(uid), Some(gid)) => Ok(Some((Uid::from_raw(uid), Gid::from_raw(gid)))),
        _ => Err(Problem::host(
            "the entry belongs to a user or group that this process cannot give it to",
        )
        .limit(format!("ids up to {highest_id}"))
        .found(format!("{}:{}", entry.uid, entry.gid))
        .remedy("enlarge your ranges in /etc/subuid and /etc/subgid")),
    }
}

pub(super) fn failed_owner(error: Errno, entry: &Entry) -> Problem {
    Problem::host("cannot give the entry to its user and group")
        .found(format!("{}:{}", entry.uid, entry.gid))
        .remedy("enlarge your ranges in /etc/subuid and /etc/subgid")
        .caused_by(error)
}

pub(super) fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
