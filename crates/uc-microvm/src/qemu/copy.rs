//! Copying a machine's memory from file to file, by a process of its own.
//!
//! A whole memory takes a while, in which whoever started the copy goes on with other things and can give it up. What a file
//! in memory is filled with is charged to the control groups of the process that fills it: those of the machine.

use std::{fs::File, io, os::fd::BorrowedFd};

use rustix::{fs::SeekFrom, io::Errno};
use uc_linux::{
    cgroup::Entrances,
    exit::{Ending, watchable},
    sys::{self, Cloned},
};

/// What is copied by one call to the kernel.
const PART_BYTES: usize = 16 << 20;

/// Copies what a sparse file holds; its holes stay holes. The copying ends with this future.
pub(super) async fn copy(from: &File, to: &File, groups: &Entrances) -> io::Result<()> {
    let failed = |problem: uc_model::Problem| io::Error::other(problem);
    // SAFETY: the child keeps to system calls and leaves by _exit.
    let pid = match unsafe { sys::clone_process(0, groups.unified()) }? {
        Cloned::Parent(pid) => pid,
        Cloned::Child => {
            let copied = enter(from, to, groups).and_then(|()| copy_data());
            sys::exit_now(copied.map_or_else(|errno| errno.raw_os_error() & 0xff, |()| 0))
        }
    };
    let ending = Ending::new(watchable(pid).map_err(failed)?).map_err(failed)?;
    let exit = ending.wait().await.map_err(failed)?;
    match (exit.code, exit.reason) {
        (0, _) => Ok(()),
        (_, uc_sandbox::ExitReason::Signalled { .. }) => Err(io::Error::other(
            "the process that copies it was killed, perhaps for the memory that it took",
        )),
        (errno, _) => Err(io::Error::from_raw_os_error(errno.into())),
    }
}

/// Ties this process to its owner and moves it to its groups. It keeps the two files alone, as its standard input and output:
/// whoever waits for the end of another stream is not to wait for it.
fn enter(from: &File, to: &File, groups: &Entrances) -> Result<(), Errno> {
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)?;
    // A terminal's signals are for its owner.
    rustix::process::setsid()?;
    groups.enter_tasks()?;
    rustix::stdio::dup2_stdin(from)?;
    rustix::stdio::dup2_stdout(to)?;
    sys::close_from(2)
}

/// Copies from standard input to standard output. Async-signal-safe.
fn copy_data() -> Result<(), Errno> {
    let (from, to) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let size = u64::try_from(rustix::fs::fstat(from)?.st_size).unwrap_or_default();
    rustix::fs::ftruncate(to, size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        copy_range(from, to, start, end)?;
        at = end;
    }
    Ok(())
}

fn copy_range(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    mut at: u64,
    end: u64,
) -> Result<(), Errno> {
    rustix::fs::seek(to, SeekFrom::Start(at))?;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX);
        let copied = rustix::fs::sendfile(to, from, Some(&mut at), length.min(PART_BYTES))?;
        if copied == 0 {
            // It has been cut short meanwhile.
            return Err(Errno::IO);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Seek as _},
        os::unix::fs::{FileExt as _, MetadataExt as _},
    };

    use uc_linux::cgroup::{Cgroup, Controller, Layout};
    use uc_model::Bytes;
    use uc_sandbox::Limits;

    use super::*;

    const DATA: usize = 8 << 20;

    fn memfd() -> File {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        File::from(rustix::fs::memfd_create(c"copy", flags).expect("made"))
    }

    /// Data, a hole, and data that does not fill its last page.
    fn sparse() -> File {
        let file = memfd();
        file.write_all_at(&[7; DATA], 0).expect("written");
        let end = 64 << 20;
        file.write_all_at(b"the end", end).expect("written");
        file
    }

    fn content(mut file: &File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.rewind().expect("rewound");
        file.read_to_end(&mut bytes).expect("read");
        bytes
    }

    #[tokio::test]
    async fn data_and_holes_are_copied_while_the_caller_goes_on() {
        let (from, to, nowhere) = (sparse(), memfd(), Entrances::default());
        let mut copying = std::pin::pin!(copy(&from, &to, &nowhere));
        tokio::select! {
            biased;
            _ = &mut copying => panic!("the caller had to wait"),
            () = std::future::ready(()) => {}
        }
        copying.await.expect("copied");
        assert!(content(&to) == content(&from));
        let blocks = |file: &File| file.metadata().expect("known").blocks();
        assert_eq!(blocks(&to), blocks(&from));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_told() {
        let read_only = File::open("/proc/self/exe").expect("opened");
        let failed = copy(&sparse(), &read_only, &Entrances::default()).await;
        // ftruncate(2) wants a file that is open for writing.
        let failed = failed.expect_err("read only");
        assert_eq!(failed.kind(), io::ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn a_copy_is_charged_to_the_groups_that_it_is_made_for() {
        let layout = Layout::of_this_host();
        if layout.place(Controller::Memory).is_none() {
            println!("skipped: no groups for memory can be made here");
            return;
        }
        let limits = Limits {
            memory: Some(Bytes(256 << 20)),
            ..Limits::default()
        };
        let directory = tempfile::tempdir().expect("a directory");
        let name = format!("undercurrent-copy-{}", std::process::id());
        let (cgroup, _) = Cgroup::plan(&layout, &name, &limits, true).expect("planned");
        let groups = cgroup.make(directory.path()).expect("made");
        let (from, to) = (sparse(), memfd());
        copy(&from, &to, &groups).await.expect("copied");
        let charged = cgroup.stats().memory_bytes.expect("counted");
        drop(to);
        cgroup.remove();
        assert!(charged >= DATA as u64, "{charged}");
    }
}
