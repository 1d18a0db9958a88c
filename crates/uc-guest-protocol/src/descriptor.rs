//! A descriptor that tasks read and write without ever blocking their thread.
//!
//! It may be shared with other processes (a terminal is), so it is never switched to non-blocking mode. Instead poll(2) is
//! asked before each transfer, and epoll waited for. Descriptors that epoll does not take, such as regular files, never
//! block for long.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::io::{Interest, unix::AsyncFd};

/// The most bytes of one write: what a pipe that is ready takes without blocking (`PIPE_BUF`).
const MAX_WRITE_BYTES: usize = 4_096;

/// How long to wait before a descriptor that epoll refused is polled again.
const RETRY: Duration = Duration::from_millis(2);

/// An open descriptor.
#[derive(Debug, Clone)]
pub struct Descriptor {
    fd: Arc<OwnedFd>,
    /// Whether a write takes what fits and returns, because the descriptor is ours and in non-blocking mode.
    nonblocking: bool,
}

impl Descriptor {
    /// One that may be shared.
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd: Arc::new(fd),
            nonblocking: false,
        }
    }

    /// One that is the caller's alone; it is switched to non-blocking mode, which is quicker.
    ///
    /// # Errors
    /// The kernel's.
    pub fn exclusive(fd: OwnedFd) -> Result<Self, Errno> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self {
            fd: Arc::new(fd),
            nonblocking: true,
        })
    }

    /// Reads some bytes; none at the end of file.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            self.ready(PollFlags::IN, Interest::READABLE).await;
            match rustix::io::read(&self.fd, &mut *buffer) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            self.ready(PollFlags::OUT, Interest::WRITABLE).await;
            let most = if self.nonblocking {
                bytes.len()
            } else {
                bytes.len().min(MAX_WRITE_BYTES)
            };
            match rustix::io::write(&self.fd, bytes.get(..most).unwrap_or(bytes)) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Waits until it can be read, or is at its end.
    pub async fn readable(&self) {
        self.ready(PollFlags::IN, Interest::READABLE).await;
    }

    /// Whether a transfer would not block now. Errors and hang-ups count: the transfer then reports them.
    fn is_ready(&self, flags: PollFlags) -> bool {
        let mut fds = [PollFd::new(&self.fd, flags)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(count) if count > 0)
    }

    #[expect(
        unsafe_code,
        reason = "tokio takes descriptors by unsafe functions only"
    )]
    async fn ready(&self, flags: PollFlags, interest: Interest) {
        // One that is always ready would keep other tasks from running.
        tokio::task::consume_budget().await;
        while !self.is_ready(flags) {
            // SAFETY: the `Arc` keeps the one descriptor open, unchanged, for as long as the watcher lives.
            let watched =
                unsafe { AsyncFd::register_with_interest(Arc::clone(&self.fd), interest) };
            match watched.map_err(std::io::Error::from) {
                // Woken or failed: the loop's condition decides.
                Ok(watched) => drop(watched.ready(interest).await),
                // epoll does not take what never blocks, such as a regular file.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => return,
                // Another task already waits for it.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_pipe_holds_up_its_writer_alone() {
        let (read, write) = std::io::pipe().expect("a pipe");
        let (read, write) = (Descriptor::new(read.into()), Descriptor::new(write.into()));
        let sent = vec![7; 300_000];
        let writer = async {
            write.write_all(&sent).await.expect("written");
            drop(write);
        };
        let reader = async {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 1000]);
            loop {
                match read.read(&mut buffer).await.expect("read") {
                    0 => return all,
                    count => all.extend_from_slice(&buffer[..count]),
                }
            }
        };
        let ((), received) = tokio::join!(writer, reader);
        assert_eq!(received.len(), 300_000);
    }
}
