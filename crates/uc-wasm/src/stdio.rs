//! The standard streams of a program: sources and sinks behind file descriptors.
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
use uc_sandbox::Stdio;
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

/// Where a program's standard input comes from.
pub trait Source: Send + Sync + 'static {
    /// The descriptor behind it, to wait for.
    fn descriptor(&self) -> &Arc<OwnedFd>;

    /// Whether [`Source::read`] would give bytes, the end or an error now, without blocking.
    fn is_ready(&self) -> bool;

    /// At most so many bytes; none at the end.
    ///
    /// # Errors
    /// The descriptor cannot be read. `EAGAIN` is none: there is nothing now.
    fn read(&self, size: usize) -> Result<Vec<u8>, Errno>;
}

/// Where a program's standard output or error goes.
pub trait Sink: Send + Sync + 'static {
    /// The descriptor behind it, to wait for.
    fn descriptor(&self) -> &Arc<OwnedFd>;

    /// The most bytes that one [`Sink::write`] takes without blocking when the descriptor is ready.
    fn write_bytes_max(&self) -> usize {
        WRITE_BYTES_MAX
    }

    /// Writes some of the bytes, and says how many.
    ///
    /// # Errors
    /// The descriptor cannot be written. `EPIPE` means that nobody reads any more, `EAGAIN` that it takes nothing now.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno>;
}

/// The standard streams of one run.
pub struct Streams<I, O, E> {
    /// Read by the program; end of file at once when `None`.
    pub stdin: Option<I>,
    /// Written by the program.
    pub stdout: O,
    /// Written by the program.
    pub stderr: E,
}

impl From<Stdio> for Streams<Stream, Stream, Stream> {
    fn from(stdio: Stdio) -> Self {
        Self {
            stdin: stdio.stdin.map(Stream::new),
            stdout: Stream::new(stdio.stdout),
            stderr: Stream::new(stdio.stderr),
        }
    }
}

/// One end of a pipe, a file, a terminal or a socket.
#[derive(Clone)]
pub struct Stream {
    fd: Arc<OwnedFd>,
}

impl Stream {
    /// A stream that is the only owner of its descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd) }
    }
}

impl Source for Stream {
    fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    fn is_ready(&self) -> bool {
        is_ready(&self.fd, PollFlags::IN)
    }

    fn read(&self, size: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; size.min(READ_BYTES_MAX)];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut buffer[..]))?;
        buffer.truncate(count);
        Ok(buffer)
    }
}

impl Sink for Stream {
    fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::write(&self.fd, bytes))
    }
}

/// Whether a transfer would not block now. Errors and hang-ups count: the transfer then reports them.
fn is_ready(fd: &OwnedFd, flags: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd, flags)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(count) if count > 0)
}

/// Whether a write of [`Sink::write_bytes_max`] would not block now.
pub(crate) fn takes_now(sink: &impl Sink) -> bool {
    is_ready(sink.descriptor(), PollFlags::OUT)
}

/// Waits for the descriptor until `is_done`.
#[expect(
    unsafe_code,
    reason = "tokio takes descriptors by unsafe functions only"
)]
pub(crate) async fn wait(fd: &Arc<OwnedFd>, interest: Interest, is_done: impl Fn() -> bool) {
    while !is_done() {
        // SAFETY: the `Arc` keeps the one descriptor open, unchanged, for as long as the waiter lives.
        let waiter = unsafe { AsyncFd::register_with_interest(Arc::clone(fd), interest) };
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

fn failed(errno: Errno) -> StreamError {
    match errno {
        Errno::PIPE => StreamError::Closed,
        errno => StreamError::LastOperationFailed(std::io::Error::from(errno).into()),
    }
}

fn is_terminal(fd: &OwnedFd) -> bool {
    std::io::IsTerminal::is_terminal(&fd.as_fd())
}

/// Standard input.
pub(crate) struct Input<S>(Arc<S>);

impl<S: Source> Input<S> {
    pub(crate) fn new(source: S) -> Self {
        Self(Arc::new(source))
    }
}

impl<S: Source> IsTerminal for Input<S> {
    fn is_terminal(&self) -> bool {
        is_terminal(self.0.descriptor())
    }
}

impl<S: Source> StdinStream for Input<S> {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        // Only WASI preview 3 asks for this; it is not offered.
        Box::new(tokio::io::empty())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

#[async_trait::async_trait]
impl<S: Source> Pollable for Input<S> {
    async fn ready(&mut self) {
        wait(self.0.descriptor(), Interest::READABLE, || {
            self.0.is_ready()
        })
        .await;
    }
}

impl<S: Source> InputStream for Input<S> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 || !self.0.is_ready() {
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
pub(crate) struct Output<S> {
    sink: Arc<S>,
    /// What a descriptor in non-blocking mode did not take at once.
    rest: Bytes,
}

impl<S: Sink> Output<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self::of(Arc::new(sink))
    }

    fn of(sink: Arc<S>) -> Self {
        Self {
            sink,
            rest: Bytes::new(),
        }
    }

    fn is_ready(&self) -> bool {
        takes_now(&*self.sink)
    }

    /// Writes what is left over as far as the descriptor takes it.
    fn drain(&mut self) -> StreamResult<()> {
        while !self.rest.is_empty() {
            match self.sink.write(&self.rest) {
                Ok(count) => {
                    self.rest = self.rest.slice(count..);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => {
                    self.rest = Bytes::new();
                    return Err(failed(errno));
                }
            }
            if !self.is_ready() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl<S: Sink> IsTerminal for Output<S> {
    fn is_terminal(&self) -> bool {
        is_terminal(self.sink.descriptor())
    }
}

impl<S: Sink> StdoutStream for Output<S> {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI preview 3 asks for this; it is not offered.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self::of(Arc::clone(&self.sink)))
    }
}

#[async_trait::async_trait]
impl<S: Sink> Pollable for Output<S> {
    async fn ready(&mut self) {
        let fd = Arc::clone(self.sink.descriptor());
        wait(&fd, Interest::WRITABLE, || is_ready(&fd, PollFlags::OUT)).await;
    }
}

impl<S: Sink> OutputStream for Output<S> {
    fn check_write(&mut self) -> StreamResult<usize> {
        if !self.is_ready() {
            return Ok(0);
        }
        self.drain()?;
        Ok(if self.rest.is_empty() {
            self.sink.write_bytes_max()
        } else {
            0
        })
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.sink.write_bytes_max() || !self.rest.is_empty() {
            return Err(StreamError::trap("write without a permit from check-write"));
        }
        self.rest = bytes;
        self.drain()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.drain()
    }
}
