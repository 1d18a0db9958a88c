//! Where the output of containers goes: to the caller's own streams, or to bounded log files.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Instant, SystemTime},
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe};
use uc_model::{Date, Problem, Result};

use crate::home::cannot_write;

/// Bytes read at a time.
const CHUNK: usize = 16 << 10;
/// The longest line of a log entry, as Kubernetes' container runtimes have it.
const LONGEST_LINE: usize = 16 << 10;
/// A log file that has grown to this size is set aside as `NAME.1`, replacing the one before.
const LOG_LIMIT: u64 = 16 << 20;

/// Where the output of a workload goes.
#[derive(Clone)]
pub enum Output {
    /// To the caller's standard output and error; with each line behind its container's name if asked.
    Terminal {
        /// Whether lines carry the name of their container.
        named: bool,
        /// Whether both streams go to standard error.
        to_stderr: bool,
    },
    /// To a file for each container below this directory.
    Logs {
        /// The directory.
        directory: PathBuf,
    },
}

impl Output {
    /// Whether what programs write reaches the caller's streams as it is.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(
            self,
            Self::Terminal {
                named: false,
                to_stderr: false
            }
        )
    }
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The output of one container.
pub struct Sink {
    writer: Mutex<Writer>,
    to_stderr: bool,
    first: Arc<OnceLock<Instant>>,
}

enum Writer {
    Plain,
    Named(String, [Vec<u8>; 2]),
    Log(Log, [Vec<u8>; 2]),
}

impl Sink {
    /// Opens the output of a container. `first` is set at the workload's first byte.
    ///
    /// # Errors
    /// Storage, for a log file that cannot be made.
    pub fn open(output: &Output, container: &str, first: Arc<OnceLock<Instant>>) -> Result<Self> {
        let writer = match output {
            Output::Terminal { named: false, .. } => Writer::Plain,
            Output::Terminal { named: true, .. } => {
                Writer::Named(container.to_owned(), Default::default())
            }
            Output::Logs { directory } => Writer::Log(
                Log::open(&directory.join(format!("{container}.log")))?,
                Default::default(),
            ),
        };
        let to_stderr = matches!(
            output,
            Output::Terminal {
                to_stderr: true,
                ..
            }
        );
        Ok(Self {
            writer: Mutex::new(writer),
            to_stderr,
            first,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes output. A full disk must not stop the workload: what cannot be written is dropped.
    ///
    /// # Errors
    /// Broken pipe, where nobody reads the caller's stream any more.
    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let _ = self.first.set(Instant::now());
        let target = if self.to_stderr {
            Stream::Stderr
        } else {
            stream
        };
        let mut written = Ok(());
        match &mut *self.lock() {
            Writer::Plain => written = write_terminal(target, bytes),
            Writer::Named(name, pending) => {
                each_line(&mut pending[stream as usize], bytes, |line, _| {
                    let text = [name.as_bytes(), b" | ", line, b"\n"].concat();
                    if written.is_ok() {
                        written = write_terminal(target, &text);
                    }
                });
            }
            Writer::Log(log, pending) => {
                each_line(&mut pending[stream as usize], bytes, |line, whole| {
                    log.write(stream, line, whole);
                });
            }
        }
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        })
    }

    /// Writes what is left of the last line.
    fn finish(&self, stream: Stream) {
        match &mut *self.lock() {
            Writer::Plain => {}
            Writer::Named(name, pending) => {
                let rest = std::mem::take(&mut pending[stream as usize]);
                if !rest.is_empty() {
                    let _ = write_terminal(
                        if self.to_stderr {
                            Stream::Stderr
                        } else {
                            stream
                        },
                        &[name.as_bytes(), b" | ", &rest, b"\n"].concat(),
                    );
                }
            }
            Writer::Log(log, pending) => {
                let rest = std::mem::take(&mut pending[stream as usize]);
                if !rest.is_empty() {
                    log.write(stream, &rest, false);
                }
            }
        }
    }

    /// Reads a pipe to its end, or until nobody reads what it is relayed to: the pipe is closed then, so that the
    /// program sees what it would see without `uc` in between (SIGPIPE, EPIPE) and `uc run ... | head` ends.
    pub(crate) async fn relay(self: Arc<Self>, stream: Stream, pipe: OwnedFd) -> Result<()> {
        let mut pipe = pipe::Receiver::from_owned_fd(pipe).map_err(|error| {
            Problem::internal("cannot read a container's output").caused_by(error)
        })?;
        let mut buffer = vec![0; CHUNK];
        loop {
            match pipe.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(length) => {
                    if self.write(stream, &buffer[..length]).is_err() {
                        break;
                    }
                }
            }
        }
        self.finish(stream);
        Ok(())
    }
}

/// The one place that writes a workload's output to the caller's streams.
fn write_terminal(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    }
}

/// Cuts output into lines; a line longer than the limit comes in parts, all but the last marked as not whole.
fn each_line(pending: &mut Vec<u8>, bytes: &[u8], mut take: impl FnMut(&[u8], bool)) {
    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
        match piece.strip_suffix(b"\n") {
            Some(end) if pending.is_empty() && end.len() <= LONGEST_LINE => take(end, true),
            Some(end) => {
                pending.extend_from_slice(end);
                flush_long(pending, &mut take);
                take(pending, true);
                pending.clear();
            }
            None => {
                pending.extend_from_slice(piece);
                flush_long(pending, &mut take);
            }
        }
    }
}

fn flush_long(pending: &mut Vec<u8>, take: &mut impl FnMut(&[u8], bool)) {
    while pending.len() > LONGEST_LINE {
        take(&pending[..LONGEST_LINE], false);
        pending.drain(..LONGEST_LINE);
    }
}

/// A log file in the format of Kubernetes' container runtimes: time, stream, `F` (full line) or `P` (part), text.
struct Log {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    fn open(path: &Path) -> Result<Self> {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| cannot_write(path, error))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
        })
    }

    fn write(&mut self, stream: Stream, line: &[u8], whole: bool) {
        let tag: &[u8] = if whole { b" F " } else { b" P " };
        let time = rfc3339(SystemTime::now());
        let entry = [
            time.as_bytes(),
            b" ",
            stream.name().as_bytes(),
            tag,
            line,
            b"\n",
        ]
        .concat();
        if self.size + entry.len() as u64 > LOG_LIMIT {
            self.rotate();
        }
        if self.file.write_all(&entry).is_ok() {
            self.size += entry.len() as u64;
        }
    }

    fn rotate(&mut self) {
        let old = self.path.with_extension("log.1");
        if fs::rename(&self.path, old).is_ok()
            && let Ok(file) = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.path)
        {
            self.file = file;
            self.size = 0;
        }
    }
}

/// A moment as `2026-11-23T23:17:00.123456789Z`.
pub(crate) fn rfc3339(moment: SystemTime) -> String {
    let since = moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    format!(
        "{}T{:02}:{:02}:{:02}.{:09}Z",
        Date::from_days(days as i64),
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_are_cut_at_newlines_and_at_the_limit() {
        let mut pending = Vec::new();
        let mut lines = Vec::new();
        let long = vec![b'x'; LONGEST_LINE + 3];
        let text = [b"one\ntw".as_slice(), b"o\n", &long, b"\nrest"].concat();
        each_line(&mut pending, &text, |line, whole| {
            lines.push((line.len(), whole));
        });
        assert_eq!(
            lines,
            [(3, true), (3, true), (LONGEST_LINE, false), (3, true)]
        );
        assert_eq!(pending, b"rest");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (1_763_939_820, "2025-11-23T23:17:00.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(
                rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(second)),
                text
            );
        }
    }

    #[test]
    fn a_full_log_is_set_aside_once() {
        let temporary = tempfile::tempdir().expect("a directory");
        let path = temporary.path().join("main.log");
        let mut log = Log::open(&path).expect("made");
        log.size = LOG_LIMIT;
        log.write(Stream::Stdout, b"after", true);
        assert!(path.with_extension("log.1").exists());
        assert!(
            fs::read_to_string(&path)
                .expect("there")
                .ends_with(" stdout F after\n")
        );
    }
}
