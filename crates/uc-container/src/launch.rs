//! The launcher's side of a start: clone, give ids and groups, hear how it went.

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags,
        SocketType,
    },
};
use tokio::io::unix::AsyncFd;
use uc_linux::{
    cgroup::Entrances,
    exit::{deadly_signal, wait_for, watchable},
    namespaces::{Namespaces, cannot_clone},
    seccomp_profile,
    sys::{self, Cloned},
};
use uc_model::{Problem, Result};

use crate::{
    child::{self, Failure},
    plan::{Plan, Program},
    report::{REPORT_SIZE, Report, Step, Subjects},
};

/// How long a container may take to be set up before the launcher gives up.
const SETUP_PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of the socket over which launcher and child talk.
pub(crate) struct ControlPair {
    launcher: OwnedFd,
    child: OwnedFd,
}

impl ControlPair {
    pub(crate) fn new() -> Result<Self> {
        let (launcher, child) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|errno| {
            Problem::host("cannot make a socket pair").caused_by(std::io::Error::from(errno))
        })?;
        Ok(Self { launcher, child })
    }

    /// The number of the child's end.
    pub(crate) fn child_fd(&self) -> RawFd {
        self.child.as_raw_fd()
    }

    /// The number the child's plan must stay above.
    pub(crate) fn highest_fd(&self) -> RawFd {
        self.launcher.as_raw_fd().max(self.child.as_raw_fd())
    }
}

/// A process on its way to its program.
pub(crate) struct Launched {
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) control: Control,
}

/// The launcher's end of the control socket.
pub(crate) struct Control(AsyncFd<OwnedFd>);

impl Control {
    fn new(socket: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)
            .map_err(std::io::Error::from)
            .and_then(|()| sys::watch(socket))
            .map(Self)
            .map_err(|error| {
                Problem::internal("cannot wait for a container's start").caused_by(error)
            })
    }

    fn send(&self, byte: u8, child: BorrowedFd<'_>) -> Result<()> {
        rustix::io::write(self.0.get_ref(), &[byte])
            .map(drop)
            .map_err(|_| died(child))
    }

    /// The next report; `None` at the end, which an exec or a death brings about.
    async fn receive(&self) -> Result<Option<Report>> {
        let mut buffer = [0u8; REPORT_SIZE];
        let received = tokio::time::timeout(
            SETUP_PATIENCE,
            self.0.async_io(tokio::io::Interest::READABLE, |socket| {
                rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT)
                    .map(|(length, _)| length)
                    .map_err(std::io::Error::from)
            }),
        )
        .await;
        match received {
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(length)) => Report::decode(&buffer[..length])
                .map(Some)
                .ok_or_else(|| Problem::internal("a container's first process sent nonsense")),
            Ok(Err(error)) if error.raw_os_error() == Some(libc::ECONNRESET) => Ok(None),
            Ok(Err(error)) => {
                Err(Problem::host("lost a container's first process").caused_by(error))
            }
            Err(_) => Err(Problem::host("a container took too long to set up").limit("60 s")),
        }
    }

    /// As [`Self::set_up`], for a child whose calls are reported: the descriptor to hear them by.
    pub(crate) async fn set_up_reporting(
        &self,
        subjects: &Subjects,
        child: BorrowedFd<'_>,
    ) -> Result<OwnedFd> {
        self.send(child::PREPARED, child)
            .map_err(|problem| self.last_words(subjects).unwrap_or(problem))?;
        let received = tokio::time::timeout(
            SETUP_PATIENCE,
            self.0
                .async_io(tokio::io::Interest::READABLE, receive_descriptor),
        )
        .await
        .map_err(|_| Problem::host("a container took too long to set up").limit("60 s"))?
        .map_err(|error| Problem::host("lost a container's first process").caused_by(error))?;
        match received {
            (Some(Report::Ready), Some(listener)) => Ok(listener),
            (Some(Report::Failed { step, index, errno }), _) => {
                Err(subjects.problem(step, index, errno))
            }
            _ => Err(died(child)),
        }
    }

    /// Tells the child that its ids are in place, and waits until it has done all but the execution.
    pub(crate) async fn set_up(&self, subjects: &Subjects, child: BorrowedFd<'_>) -> Result<()> {
        // A child that is gone has left word why.
        self.send(child::PREPARED, child)
            .map_err(|problem| self.last_words(subjects).unwrap_or(problem))?;
        match self.receive().await? {
            Some(Report::Ready) => Ok(()),
            Some(Report::Failed { step, index, errno }) => {
                Err(subjects.problem(step, index, errno))
            }
            Some(Report::Sibling(_)) | None => Err(died(child)),
        }
    }

    /// What a child that is gone has said went wrong: the cause of whatever failed without it.
    fn last_words(&self, subjects: &Subjects) -> Option<Problem> {
        let mut buffer = [0u8; REPORT_SIZE];
        let received = rustix::net::recv(self.0.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT);
        match Report::decode(&buffer[..received.ok()?.0])? {
            Report::Failed { step, index, errno } => Some(subjects.problem(step, index, errno)),
            Report::Ready | Report::Sibling(_) => None,
        }
    }

    /// Lets the program start, and waits until it has.
    pub(crate) async fn start(&self, subjects: &Subjects, child: BorrowedFd<'_>) -> Result<()> {
        self.send(child::START, child)?;
        match self.receive().await? {
            // The socket closes with the exec.
            None => Ok(()),
            Some(Report::Failed { step, index, errno }) => {
                Err(subjects.problem(step, index, errno))
            }
            Some(_) => Err(Problem::internal(
                "a container's first process spoke out of turn",
            )),
        }
    }
}

/// Why a child is gone that has left no word.
fn died(child: BorrowedFd<'_>) -> Problem {
    match deadly_signal(child) {
        Some(libc::SIGSYS) => seccomp_profile::forbids_start(),
        _ => Problem::host("the container's first process died while being set up")
            .remedy("was it killed for want of memory? raise limits.memory"),
    }
}

/// A report with the descriptor that came along.
fn receive_descriptor(socket: &OwnedFd) -> std::io::Result<(Option<Report>, Option<OwnedFd>)> {
    let mut buffer = [0u8; REPORT_SIZE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [std::io::IoSliceMut::new(&mut buffer)];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let length = rustix::net::recvmsg(socket, &mut parts, &mut ancillary, flags)?.bytes;
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((Report::decode(&buffer[..length]), descriptor))
}

/// Clones a container's first process into its cgroups, with new namespaces or into those of its sandbox.
pub(crate) async fn spawn_container(
    plan: &Plan,
    groups: &Entrances,
    shared: Option<&Namespaces>,
    own_network: bool,
    pair: ControlPair,
) -> Result<Launched> {
    let network = if own_network { libc::CLONE_NEWNET } else { 0 };
    let own = (libc::CLONE_NEWNS | libc::CLONE_NEWPID) as u64;
    let all =
        own | (libc::CLONE_NEWUSER | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network) as u64;
    match shared {
        None => {
            // SAFETY: the child runs `run_container` only, which keeps to system calls.
            let run = |control: BorrowedFd<'_>| child::run_container(plan, groups, control);
            let pid = clone_with(all, groups.unified(), &pair, run);
            launched(pid?, pair)
        }
        Some(namespaces) => {
            let run = |control: BorrowedFd<'_>| child::run_container(plan, groups, control);
            via_intermediate(&pair, || namespaces.join(), own, groups.unified(), run)?;
            adopt(pair).await
        }
    }
}

/// Clones a process into all namespaces and cgroups of a running container.
pub(crate) async fn spawn_exec(
    program: &Program,
    groups: &Entrances,
    container: BorrowedFd<'_>,
    own_network: bool,
    pair: ControlPair,
) -> Result<Launched> {
    let network = if own_network { libc::CLONE_NEWNET } else { 0 };
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | network;
    let run = |control: BorrowedFd<'_>| child::run_exec(program, groups, control);
    via_intermediate(
        &pair,
        || sys::setns(container, flags),
        0,
        groups.unified(),
        run,
    )?;
    adopt(pair).await
}

fn clone_with(
    flags: u64,
    group: Option<BorrowedFd<'_>>,
    pair: &ControlPair,
    run: impl FnOnce(BorrowedFd<'_>),
) -> Result<u32> {
    // SAFETY: `run` is one of this crate's child functions, which keep to system calls.
    match unsafe { sys::clone_process(flags, group) } {
        Ok(Cloned::Child) => {
            run(pair.child.as_fd());
            sys::exit_now(1)
        }
        Ok(Cloned::Parent(pid)) => Ok(pid),
        Err(errno) => Err(cannot_clone(errno)),
    }
}

/// Clones a short-lived process that joins namespaces and clones the real one as its sibling, so that the launcher
/// itself never leaves its own namespaces.
fn via_intermediate(
    pair: &ControlPair,
    join: impl FnOnce() -> Result<(), Errno>,
    flags: u64,
    group: Option<BorrowedFd<'_>>,
    run: impl FnOnce(BorrowedFd<'_>),
) -> Result<()> {
    let pid = clone_with(0, None, pair, |control| {
        if let Err(errno) = join() {
            child::fail(control, Failure(Step::JoinNamespaces, 0, errno));
        }
        // SAFETY: both sides keep to system calls.
        match unsafe { sys::clone_process(flags | libc::CLONE_PARENT as u64, group) } {
            Ok(Cloned::Child) => {
                run(control);
                sys::exit_now(1)
            }
            Ok(Cloned::Parent(pid)) => {
                child::send(control, Report::Sibling(pid));
                sys::exit_now(0)
            }
            Err(errno) => child::fail(control, Failure(Step::CloneProcess, 0, errno)),
        }
    })?;
    wait_for(pid);
    Ok(())
}

fn launched(pid: u32, pair: ControlPair) -> Result<Launched> {
    drop(pair.child);
    Ok(Launched {
        pid,
        pidfd: watchable(pid)?,
        control: Control::new(pair.launcher)?,
    })
}

async fn adopt(pair: ControlPair) -> Result<Launched> {
    drop(pair.child);
    let control = Control::new(pair.launcher)?;
    match control.receive().await? {
        Some(Report::Sibling(pid)) => Ok(Launched {
            pid,
            pidfd: watchable(pid)?,
            control,
        }),
        Some(Report::Failed { step, index, errno }) => {
            Err(Subjects::default().problem(step, index, errno))
        }
        _ => Err(Problem::host(
            "cannot join the sandbox: its first process is gone",
        )),
    }
}
