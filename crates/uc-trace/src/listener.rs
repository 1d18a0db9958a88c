//! The kernel's notifications of system calls: a filter that reports every call, and the descriptor that reports arrive on.
//!
//! Each call waits until it is let go, so none is lost, however fast they come. The kernel wakes the listener on the
//! caller's processor and switches to it at once (Linux 6.6), which makes this cheaper than one stop of ptrace.
#![expect(
    unsafe_code,
    reason = "seccomp(2) and its ioctls have no safe wrappers"
)]

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use libc::c_ulong;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use seccompiler::{BpfProgram, sock_filter};
use uc_linux::{seccomp::install_listener, sys::check};
use uc_model::{Problem, Result};

/// A filter that reports every call of whoever installs it, of every processor's convention; it is one instruction long.
pub fn notify_filter() -> BpfProgram {
    vec![sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_USER_NOTIF,
    }]
}

/// A call that waits to be let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// The kernel's number of this notification.
    id: u64,
    /// The thread that makes it, 0 where it is not in our process namespace.
    pub(crate) thread: u32,
    /// The call's number.
    pub(crate) number: u32,
    /// The convention it is made in (`AUDIT_ARCH_…`).
    pub(crate) convention: u32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

#[cfg(test)]
impl Call {
    pub(crate) fn for_test(number: u32, convention: u32, arguments: [u64; 6]) -> Self {
        Self {
            id: 0,
            thread: 0,
            number,
            convention,
            arguments,
        }
    }
}

/// What came of waiting for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// A call.
    Call(Call),
    /// None: a signal has ended the wait, or the call's thread was killed meanwhile.
    Nothing,
    /// Nobody is left who could make one.
    End,
}

/// Where calls are reported.
#[derive(Debug)]
pub(crate) struct Listener {
    descriptor: OwnedFd,
}

/// Room for a notification: 80 bytes today, and the kernel says how many it writes.
type Room = [u64; 64];

const RECEIVE: c_ulong = request(3, 0, 80);
const SEND: c_ulong = request(3, 1, 24);
const SET_FLAGS: c_ulong = request(1, 4, 8);
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, Linux 6.6.
const SYNC_WAKE_UP: c_ulong = 1;

/// The number of an ioctl of seccomp: direction, number, size of its argument.
const fn request(direction: c_ulong, number: c_ulong, size: c_ulong) -> c_ulong {
    direction << 30 | size << 16 | (b'!' as c_ulong) << 8 | number
}

impl Listener {
    /// Listens on a descriptor that installing [`notify_filter`] gave.
    ///
    /// # Errors
    /// Host, where this kernel's notifications are larger than any known.
    pub(crate) fn new(descriptor: OwnedFd) -> Result<Self> {
        let mut sizes = libc::seccomp_notif_sizes {
            seccomp_notif: 0,
            seccomp_notif_resp: 0,
            seccomp_data: 0,
        };
        // SAFETY: the kernel writes three 16-bit integers.
        check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_GET_NOTIF_SIZES,
                0,
                &raw mut sizes,
            )
        })
        .map_err(refused)?;
        let response = usize::from(sizes.seccomp_notif_resp);
        if usize::from(sizes.seccomp_notif).max(response) > size_of::<Room>() {
            return Err(Problem::host(
                "this kernel reports system calls in a form that is not known",
            )
            .limit(format!("at most {} bytes", size_of::<Room>()))
            .found(sizes.seccomp_notif)
            .remedy("use a newer release of uc"));
        }
        // SAFETY: takes an integer; where the kernel does not know it nothing changes.
        let _ = unsafe { libc::ioctl(descriptor.as_raw_fd(), SET_FLAGS, SYNC_WAKE_UP) };
        Ok(Self { descriptor })
    }

    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// Waits for a call, until a signal comes.
    pub(crate) fn wait(&self) -> Result<News> {
        match receive(self.descriptor.as_fd()) {
            Ok(found) => Ok(News::Call(Call {
                id: found.id,
                thread: found.pid,
                number: found.data.nr.cast_unsigned(),
                convention: found.data.arch,
                arguments: found.data.args,
            })),
            // Before Linux 6.11 nothing but a signal ends a wait for nobody.
            Err(Errno::NOENT | Errno::INTR) if self.is_abandoned() => Ok(News::End),
            Err(Errno::NOENT | Errno::INTR) => Ok(News::Nothing),
            Err(error) => {
                Err(Problem::internal("cannot take a reported system call").caused_by(error))
            }
        }
    }

    fn is_abandoned(&self) -> bool {
        let mut watched = [PollFd::from_borrowed_fd(
            self.descriptor.as_fd(),
            PollFlags::IN,
        )];
        let asked = poll(&mut watched, Some(&Timespec::default()));
        let [watched] = watched;
        asked.is_ok() && watched.revents().contains(PollFlags::HUP)
    }

    /// Lets a call go on; false where it did not wait any more: it was killed, or will be made anew after a signal.
    pub(crate) fn let_go(&self, call: &Call) -> bool {
        let mut room: Room = [0; 64];
        let answer = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: 0,
            flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        };
        // SAFETY: the room is larger than the structure and aligned for it.
        unsafe {
            room.as_mut_ptr()
                .cast::<libc::seccomp_notif_resp>()
                .write(answer);
        }
        // SAFETY: the kernel reads a response of the size that `new` has compared with the room.
        unsafe { libc::ioctl(self.descriptor.as_raw_fd(), SEND, room.as_mut_ptr()) == 0 }
    }
}

/// A filter of this thread, and what its installation took.
pub(crate) struct Installed {
    /// Where its calls are reported.
    pub(crate) descriptor: OwnedFd,
    /// Whether the thread had to give up the gain of privileges by programs with the set-user-id bit.
    pub(crate) without_new_privileges: bool,
}

/// Reports every later call of this thread and of all it starts. It calls nothing after the installation, since nobody
/// listens yet.
pub(crate) fn install() -> Result<Installed, Errno> {
    let filter = notify_filter();
    match install_listener(&filter) {
        Ok(descriptor) => Ok(Installed {
            descriptor,
            without_new_privileges: false,
        }),
        Err(Errno::ACCESS) => {
            uc_linux::sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
            Ok(Installed {
                descriptor: install_listener(&filter)?,
                without_new_privileges: true,
            })
        }
        Err(error) => Err(error),
    }
}

/// Why calls cannot be reported, for the user.
pub(crate) fn refused(error: Errno) -> Problem {
    let problem = match error {
        Errno::BUSY => Problem::host("the system calls of this process are already reported to another program")
            .remedy("run uc trace outside of a traced program and outside of a container whose calls its engine handles"),
        Errno::NOSYS | Errno::INVAL => {
            Problem::host("this kernel does not report system calls to a program")
                .limit("Linux 5.9 with CONFIG_SECCOMP_FILTER")
                .remedy("use a newer kernel, or uc trace --static, which does not run the program")
        }
        Errno::PERM | Errno::ACCESS => Problem::host("this process may not have its system calls reported")
            .remedy("a container's seccomp profile forbids it: run uc trace on the host, or allow seccomp(2) there"),
        _ => Problem::host("cannot have the system calls of a program reported"),
    };
    problem.caused_by(error)
}

/// Takes a notification and tells who makes the call, where nothing may be allocated.
pub(crate) fn caller(descriptor: BorrowedFd<'_>) -> Option<u32> {
    receive(descriptor).ok().map(|found| found.pid)
}

fn receive(descriptor: BorrowedFd<'_>) -> Result<libc::seccomp_notif, Errno> {
    let mut room: Room = [0; 64];
    // SAFETY: the room is zero, as the kernel wants it, and as large as `Listener::new` has made sure.
    check(unsafe { libc::ioctl(descriptor.as_raw_fd(), RECEIVE, room.as_mut_ptr()) }.into())?;
    // SAFETY: the room is larger than the structure, aligned for it, and integers may hold any bits.
    Ok(unsafe { room.as_ptr().cast::<libc::seccomp_notif>().read() })
}
