//! Namespaces that the processes of one sandbox share.

use std::{fs::File, os::fd::AsFd};

use rustix::io::Errno;
use uc_model::{Problem, Result};

use crate::sys;

/// The namespaces that the containers of one sandbox share.
#[derive(Debug)]
pub struct Namespaces {
    user: File,
    ipc: File,
    uts: File,
    /// `None` where the sandbox has the host's network.
    net: Option<File>,
}

impl Namespaces {
    /// Those of a process that was cloned with new ones; they live as long as these descriptors.
    pub fn of(pid: u32, own_network: bool) -> Result<Self> {
        let open = |name: &str| {
            let path = format!("/proc/{pid}/ns/{name}");
            File::open(&path).map_err(|error| {
                Problem::host("cannot open a namespace")
                    .at(path)
                    .caused_by(error)
            })
        };
        Ok(Self {
            user: open("user")?,
            ipc: open("ipc")?,
            uts: open("uts")?,
            net: own_network.then(|| open("net")).transpose()?,
        })
    }

    /// Joins them all: for a process of one thread.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn join(&self) -> Result<(), Errno> {
        sys::setns(self.user.as_fd(), libc::CLONE_NEWUSER)?;
        sys::setns(self.ipc.as_fd(), libc::CLONE_NEWIPC)?;
        sys::setns(self.uts.as_fd(), libc::CLONE_NEWUTS)?;
        self.net
            .as_ref()
            .map_or(Ok(()), |net| sys::setns(net.as_fd(), libc::CLONE_NEWNET))
    }

    /// Joins the network alone, with the rights of the user namespace that owns it where that is another one.
    ///
    /// # Errors
    /// Those of setns(2).
    pub fn enter_network(&self, own_users: bool) -> Result<(), Errno> {
        let Some(net) = &self.net else { return Ok(()) };
        if own_users {
            sys::setns(self.user.as_fd(), libc::CLONE_NEWUSER)?;
        }
        sys::setns(net.as_fd(), libc::CLONE_NEWNET)
    }

    /// Joins only what is needed to reach the sandbox's network.
    pub fn join_network(&self) -> Result<(), Errno> {
        let Some(net) = &self.net else { return Ok(()) };
        sys::setns(self.user.as_fd(), libc::CLONE_NEWUSER)?;
        sys::setns(net.as_fd(), libc::CLONE_NEWNET)
    }
}

/// A failed clone with new namespaces, in a user's terms.
pub fn cannot_clone(errno: Errno) -> Problem {
    let problem = Problem::host("cannot make namespaces").found(std::io::Error::from(errno));
    match errno {
        Errno::PERM | Errno::ACCESS => problem.remedy(
            "user namespaces are forbidden here: allow them with sysctl kernel.unprivileged_userns_clone=1 (Debian) or \
             kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)",
        ),
        Errno::NOSPC | Errno::USERS => problem.remedy("raise sysctl user.max_user_namespaces"),
        Errno::NOSYS => problem.remedy("Linux 5.11 or newer is needed"),
        _ => problem.remedy("`uc doctor` shows what this host lacks"),
    }
}
