//! The last lines that Firecracker and its guest wrote, for messages about their end.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver, task::JoinHandle};
use uc_model::{Problem, Result};

/// How many lines are kept.
pub const MAX_LINES: usize = 100;

/// How much of a line is kept, in bytes.
pub const MAX_LINE: usize = 512;

/// How much is read at once, in bytes.
const CHUNK: usize = 4096;

/// The end of what was written.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    current: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.current.len() < MAX_LINE {
                self.current.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(readable(&self.current));
        self.current.clear();
    }

    fn lines(&self) -> Vec<String> {
        let unfinished = (!self.current.is_empty()).then(|| readable(&self.current));
        self.lines.iter().cloned().chain(unfinished).collect()
    }
}

/// Foreign bytes as a line that cannot steer a terminal.
fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect()
}

/// What is written to a pipe, read as it comes so that the writer never waits.
#[derive(Debug)]
pub(crate) struct Console {
    tail: Arc<Mutex<Tail>>,
    reader: JoinHandle<()>,
}

impl Console {
    /// Reads a pipe until its end, in a task of this runtime.
    pub(crate) fn read(pipe: OwnedFd) -> Result<Self> {
        let mut pipe = Receiver::from_owned_fd(pipe)
            .map_err(|error| Problem::internal("cannot read a console").caused_by(error))?;
        let tail = Arc::new(Mutex::new(Tail::default()));
        let shared = Arc::clone(&tail);
        let reader = tokio::spawn(async move {
            let mut chunk = [0; CHUNK];
            while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
                let mut tail = shared.lock().unwrap_or_else(PoisonError::into_inner);
                tail.push(&chunk[..count]);
            }
        });
        Ok(Self { tail, reader })
    }

    /// The last lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.lines()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_however_much_is_written() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(format!("line {number}\r\n").as_bytes());
        }
        tail.push(&[b'x'; 100_000]);
        let lines = tail.lines();
        assert_eq!(lines.len(), MAX_LINES + 1);
        assert_eq!(lines[0], "line 900");
        assert_eq!(lines[MAX_LINES].len(), MAX_LINE);
    }

    #[test]
    fn a_line_cannot_steer_a_terminal() {
        let mut tail = Tail::default();
        tail.push(b"\x1b[2J\x07a\xff\n");
        assert_eq!(tail.lines(), ["[2Ja\u{fffd}"]);
    }
}
