//! Pipes between programs and the link.

use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::watch;
use uc_guest_protocol::{Descriptor, Link, MAX_DATA_BYTES, StreamReader, StreamWriter, Streams};
use uc_model::{Problem, Result};
use uc_sandbox::Stdio;

/// Our ends of a program's streams.
pub(crate) struct Ends {
    stdin: Option<(StreamReader, Descriptor)>,
    outputs: [(StreamWriter, Descriptor); 2],
}

/// Makes a program's streams, and our ends of them. `input` is what brings its standard input.
pub(crate) fn make(
    link: &Link,
    streams: Streams,
    input: Option<StreamReader>,
) -> Result<(Stdio, Ends)> {
    let (stdin, input) = match input {
        None => (None, None),
        Some(reader) => {
            let (read, write) = pipe()?;
            (Some(read), Some((reader, ours(write)?)))
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
        let (_never, ended) = watch::channel(false);
        self.carry_until(ended).await;
    }

    /// The same, and ends when the program has `ended` and what it wrote has been sent: its children may hold the outputs
    /// open for as long as they like.
    pub(crate) async fn carry_until(self, ended: watch::Receiver<bool>) {
        let input = tokio::spawn(async move {
            if let Some((stream, pipe)) = self.stdin {
                stream.copy_to(&pipe).await;
            }
        });
        let [(out, from_out), (err, from_err)] = self.outputs;
        let carry = async |writer: StreamWriter, pipe: Descriptor| {
            let _ = carry_output(&writer, &pipe, ended.clone()).await;
            let _ = writer.finish().await;
        };
        tokio::join!(carry(out, from_out), carry(err, from_err));
        // The program is gone: nobody reads what else comes.
        input.abort();
    }
}

async fn carry_output(
    writer: &StreamWriter,
    pipe: &Descriptor,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    let mut buffer = vec![0; MAX_DATA_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read,
            Ok(_) = ended.wait_for(|ended| *ended) => break,
        };
        let count = read.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        writer
            .write_all(buffer.get(..count).unwrap_or_default())
            .await?;
        if *ended.borrow() {
            break;
        }
    }
    // What is in the pipe now may be the program's; what comes later is not.
    let mut left = rustix::io::ioctl_fionread(pipe).unwrap_or(0);
    while left > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = pipe.read(buffer.get_mut(..most).unwrap_or_default()).await;
        let count = count.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        left = left.saturating_sub(count as u64);
        writer
            .write_all(buffer.get(..count).unwrap_or_default())
            .await?;
    }
    Ok(())
}

pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| Problem::host("cannot make a pipe").caused_by(std::io::Error::from(errno)))
}

pub(crate) fn ours(fd: OwnedFd) -> Result<Descriptor> {
    Descriptor::exclusive(fd)
        .map_err(|errno| Problem::host("cannot open a pipe").caused_by(std::io::Error::from(errno)))
}
