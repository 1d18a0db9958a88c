//! What the runner hears: calls, and the frames of a function's input.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use uc_guest_protocol::{
    Bounds, Decoder, Frame, Kind,
    function::{Call, STDIN},
};
use uc_model::{Problem, Result};
use uc_wasm::{Source, Until};

use crate::signal::Termination;

/// The most bytes of one read.
const READ_BYTES_MAX: usize = 65_536;

/// The way from the agent.
pub(crate) struct Input {
    fd: Arc<OwnedFd>,
    heard: Arc<Mutex<Heard>>,
}

/// What has been read and not yet been used. It holds one read, and what it takes to complete a frame.
struct Heard {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Of the function's input.
    pending: Vec<u8>,
    /// How much of it has been given to the function.
    given: usize,
    /// Whether the function's input is at its end.
    stdin_ended: bool,
    /// Whether the whole input is.
    ended: bool,
    broken: Option<Problem>,
}

impl Input {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd: Arc::new(fd),
            heard: Arc::new(Mutex::new(Heard {
                decoder: Decoder::new(Bounds::BY_AGENT),
                buffer: vec![0; READ_BYTES_MAX],
                pending: Vec::new(),
                given: 0,
                stdin_ended: false,
                ended: false,
                broken: None,
            })),
        }
    }

    /// Waits for the next call; `None` at the end of the input. What the last function left of its input is dropped.
    ///
    /// # Errors
    /// Something else comes.
    pub(crate) fn next_call(&self) -> Result<Option<Call>> {
        let mut heard = lock(&self.heard);
        heard.pending.clear();
        heard.given = 0;
        heard.stdin_ended = false;
        loop {
            if let Some(problem) = heard.broken.take() {
                return Err(problem);
            }
            match heard.decoder.next_frame()? {
                Some(frame) if frame.kind == Kind::Request => return frame.message().map(Some),
                Some(frame) if is_stdin(&frame) => {}
                Some(frame) => return Err(unexpected(&frame)),
                None if heard.ended => return Ok(None),
                None => heard.read(&self.fd),
            }
        }
    }

    /// What ends a server: the end of the whole input, or a signal. What a caller sends as the function's input is dropped.
    pub(crate) fn end(&self, termination: Termination) -> End {
        let Termination(signal) = termination;
        End {
            descriptors: [Arc::clone(&self.fd), Arc::new(signal)],
            heard: Arc::clone(&self.heard),
        }
    }

    /// The input of the function that is called now.
    pub(crate) fn stdin(&self) -> Stdin {
        Stdin {
            fd: Arc::clone(&self.fd),
            heard: Arc::clone(&self.heard),
        }
    }
}

/// A function's standard input.
pub(crate) struct Stdin {
    fd: Arc<OwnedFd>,
    heard: Arc<Mutex<Heard>>,
}

impl Source for Stdin {
    fn descriptor(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    fn is_ready(&self) -> bool {
        let mut heard = lock(&self.heard);
        while heard.given == heard.pending.len() && !heard.stdin_ended {
            if !heard.take_frame() {
                if !is_readable(&self.fd) {
                    return false;
                }
                heard.read(&self.fd);
            }
        }
        true
    }

    fn read(&self, size: usize) -> Result<Vec<u8>, Errno> {
        let mut heard = lock(&self.heard);
        let rest = heard.pending.get(heard.given..).unwrap_or_default();
        let bytes = rest.get(..size).unwrap_or(rest).to_vec();
        heard.given += bytes.len();
        Ok(bytes)
    }
}

/// What ends a server.
pub(crate) struct End {
    /// The input, and what is readable after the signal.
    descriptors: [Arc<OwnedFd>; 2],
    heard: Arc<Mutex<Heard>>,
}

impl Until for End {
    fn descriptors(&self) -> &[Arc<OwnedFd>] {
        &self.descriptors
    }

    fn has_come(&self) -> bool {
        let [input, signal] = &self.descriptors;
        let mut heard = lock(&self.heard);
        while !heard.ended {
            if !heard.take_frame() {
                if !is_readable(input) {
                    break;
                }
                heard.read(input);
            }
        }
        heard.ended || is_readable(signal)
    }
}

impl Heard {
    /// Reads once, waiting if need be.
    fn read(&mut self, fd: &OwnedFd) {
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(count @ 1..) => self
                .decoder
                .push(self.buffer.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            // Whoever made the descriptor may have set it so.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(fd, PollFlags::IN)], None);
            }
            // An agent that is gone is no longer there to be told why.
            Ok(0) | Err(_) => {
                self.ended = true;
                self.stdin_ended = true;
            }
        }
    }

    /// Takes one frame of the function's input, if there is one.
    fn take_frame(&mut self) -> bool {
        let frame = match self.decoder.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return false,
            Err(problem) => return self.give_up(problem),
        };
        if !is_stdin(&frame) {
            return self.give_up(unexpected(&frame));
        }
        self.stdin_ended = frame.kind == Kind::End;
        self.pending = frame.payload;
        self.given = 0;
        true
    }

    /// Nothing is believed any more; the function sees the end of its input.
    fn give_up(&mut self, problem: Problem) -> bool {
        self.broken = Some(problem);
        self.stdin_ended = true;
        self.ended = true;
        true
    }
}

fn is_stdin(frame: &Frame) -> bool {
    matches!(frame.kind, Kind::Data | Kind::End) && frame.stream == STDIN
}

fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(count) if count > 0)
}

fn unexpected(frame: &Frame) -> Problem {
    Problem::invalid("the function runner was sent a frame that has no place here")
        .limit("one request for each call, and stream 0")
        .found(format!("{:?} of stream {}", frame.kind, frame.stream))
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
