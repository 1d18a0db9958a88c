//! Pipes between programs and the link.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use uc_guest_protocol::{Descriptor, Link, StreamReader, StreamWriter, Streams};
use uc_model::{Problem, Result};
use uc_sandbox::Stdio;

/// Our ends of a program's streams.
pub(crate) struct Ends {
    stdin: Option<(StreamReader, Descriptor)>,
    outputs: [(StreamWriter, Descriptor); 2],
}

/// Makes a program's streams, and our ends of them.
pub(crate) fn make(link: &Link, streams: Streams) -> Result<(Stdio, Ends)> {
    let (stdin, input) = match streams.stdin {
        None => (None, None),
        Some(number) => {
            let (read, write) = pipe()?;
            (Some(read), Some((link.reader(number)?, ours(write)?)))
        }
    };
    let (stdout_read, stdout) = pipe()?;
    let (stderr_read, stderr) = pipe()?;
    let stdio = Stdio {
        stdin,
        stdout,
        stderr,
        owned: true,
    };
    let ends = Ends {
        stdin: input,
        outputs: [
            (link.writer(streams.stdout)?, ours(stdout_read)?),
            (link.writer(streams.stderr)?, ours(stderr_read)?),
        ],
    };
    Ok((stdio, ends))
}

impl Ends {
    /// Carries what comes and goes; ends when both outputs have ended.
    pub(crate) async fn carry(self) {
        let input = tokio::spawn(async move {
            if let Some((stream, pipe)) = self.stdin {
                stream.copy_to(&pipe).await;
            }
        });
        let [(out, from_out), (err, from_err)] = self.outputs;
        let carry = async |writer: StreamWriter, pipe: Descriptor| {
            let _ = writer.copy_from(&pipe).await;
            let _ = writer.finish().await;
        };
        tokio::join!(carry(out, from_out), carry(err, from_err));
        // The program is gone: nobody reads what else comes.
        input.abort();
    }
}

pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| Problem::host("cannot make a pipe").caused_by(std::io::Error::from(errno)))
}

pub(crate) fn ours(fd: OwnedFd) -> Result<Descriptor> {
    Descriptor::exclusive(fd)
        .map_err(|errno| Problem::host("cannot open a pipe").caused_by(std::io::Error::from(errno)))
}
