//! What the runner says: reports, and the frames of a function's output and error.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use uc_guest_protocol::{Bounds, Kind, MAX_DATA_BYTES, encode, encode_json, function::Report};
use uc_model::{Problem, Result, Telling};
use uc_wasm::Sink;

/// The way to the agent.
pub(crate) struct Output(Arc<OwnedFd>);

impl Output {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    /// Says something.
    ///
    /// # Errors
    /// Nobody hears it.
    pub(crate) fn report(&self, report: &Report) -> Result<()> {
        let frame = encode_json(Kind::Event, report, Bounds::BY_HOST)?;
        write_all(&self.0, &frame).map_err(|errno| {
            Problem::host("the agent does not listen any more").found(errno.to_string())
        })
    }

    /// Says why it ends.
    pub(crate) fn failed(&self, problem: &Problem) {
        // Where nobody hears it, the exit code remains.
        let _ = self.report(&Report::Failed(Telling::of(problem)));
    }

    /// The output of a function.
    pub(crate) fn stream(&self, number: u16) -> Stream {
        Stream {
            fd: Arc::clone(&self.0),
            number,
        }
    }
}

/// A function's standard output or error.
#[derive(Clone)]
pub(crate) struct Stream {
    fd: Arc<OwnedFd>,
    number: u16,
}

impl Sink for Stream {
    fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// More than a pipe may take at once: a write may wait for the agent, since nothing else happens on this thread.
    fn write_bytes_max(&self) -> usize {
        MAX_DATA_BYTES
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        write_all(&self.fd, &encode(Kind::Data, self.number, bytes))?;
        Ok(bytes.len())
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Whoever made the descriptor may have set it so.
            Err(Errno::AGAIN) => {
                let waited = poll(
                    &mut [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT)],
                    None,
                );
                waited.map(drop).or_else(interrupted)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A signal is no failure.
fn interrupted(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::INTR {
        Ok(())
    } else {
        Err(errno)
    }
}
