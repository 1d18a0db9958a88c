//! The standard streams of a program, on file descriptors it was given.
//!
//! The descriptors may be shared with other processes (a terminal is), so they are never switched to non-blocking
//! mode. Instead a stream asks poll(2) before each transfer and waits with epoll, so that a program that waits for its
//! reader or writer can still be stopped.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tokio::io::{AsyncRead, AsyncWrite, Interest, unix::AsyncFd};
use wasmtime_wasi::{
    cli::{IsTerminal, StdinStream, StdoutStream},
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
};

/// The most bytes of one transfer: what a pipe that is ready takes without blocking (`PIPE_BUF`).
const WRITE_BYTES_MAX: usize = 4_096;

/// The most bytes of one read.
const READ_BYTES_MAX: usize = 65_536;

/// How long to wait before a descriptor that epoll refused is polled again.
const RETRY: Duration = Duration::from_millis(2);

/// One end of a pipe, a file, a terminal or a socket.
#[derive(Clone)]
pub(crate) struct Stream {
    fd: Arc<OwnedFd>,
}

impl Stream {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
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
        while !self.is_ready(flags) {
            // SAFETY: the `Arc` keeps the one descriptor open, unchanged, for as long as the waiter lives.
            let waiter = unsafe { AsyncFd::register_with_interest(Arc::clone(&self.fd), interest) };
            match waiter.map_err(std::io::Error::from) {
                Ok(waiter) => {
                    // Woken or failed: the loop's condition decides.
                    let _ = waiter.ready(interest).await;
                }
                // epoll does not take what never blocks, such as a regular file.
                Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => return,
                // Another stream of the same program already waits on the descriptor.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    fn read(&self, size: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; size.min(READ_BYTES_MAX)];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut buffer[..]))?;
        buffer.truncate(count);
        Ok(buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, bytes))
    }
}

fn failed(errno: Errno) -> StreamError {
    match errno {
        Errno::PIPE => StreamError::Closed,
        errno => StreamError::LastOperationFailed(std::io::Error::from(errno).into()),
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        std::io::IsTerminal::is_terminal(&self.fd.as_fd())
    }
}

/// Standard input.
#[derive(Clone)]
pub(crate) struct Input(pub(crate) Stream);

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI preview 3 asks for this; it is not offered.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        self.0.ready(PollFlags::IN, Interest::READABLE).await;
    }
}

impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 || !self.0.is_ready(PollFlags::IN) {
            return Ok(Bytes::new());
        }
        match self.0.read(size) {
            Ok(bytes) if bytes.is_empty() => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes.into()),
            Err(Errno::AGAIN) => Ok(Bytes::new()),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// Standard output or error.
#[derive(Clone)]
pub(crate) struct Output {
    stream: Stream,
    /// What a descriptor in non-blocking mode did not take at once.
    rest: Bytes,
}

impl Output {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            rest: Bytes::new(),
        }
    }

    /// Writes what is left over as far as the descriptor takes it.
    fn drain(&mut self) -> StreamResult<()> {
        while !self.rest.is_empty() {
            match self.stream.write(&self.rest) {
                Ok(count) => {
                    self.rest = self.rest.slice(count..);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => {
                    self.rest = Bytes::new();
                    return Err(failed(errno));
                }
            }
            if !self.stream.is_ready(PollFlags::OUT) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.stream.is_terminal()
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI preview 3 asks for this; it is not offered.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self::new(self.stream.clone()))
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        self.stream.ready(PollFlags::OUT, Interest::WRITABLE).await;
    }
}

impl OutputStream for Output {
    fn check_write(&mut self) -> StreamResult<usize> {
        if !self.stream.is_ready(PollFlags::OUT) {
            return Ok(0);
        }
        self.drain()?;
        Ok(if self.rest.is_empty() {
            WRITE_BYTES_MAX
        } else {
            0
        })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES_MAX || !self.rest.is_empty() {
            return Err(StreamError::trap("write without a permit from check-write"));
        }
        self.rest = bytes;
        self.drain()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.drain()
    }
}
