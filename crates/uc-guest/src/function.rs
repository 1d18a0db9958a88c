//! A function: a runner in a container, which has loaded its program and waits to be called.

use std::{path::PathBuf, time::Duration};

use uc_guest_protocol::{
    Bounds, Create, Decoder, Descriptor, Frame, GuestProcess, Kind, Link, StreamReader,
    StreamWriter, encode, encode_json,
    function::{Call, Directory, Report, STDERR, STDIN, STDOUT},
};
use uc_model::{Problem, Result};
use uc_sandbox::{Exit, Mount, Process, Sandbox, StartRequest, Stdio};

use crate::{pipes, program};

/// The runner and the program, in the root of a function's disk. All pages that a call may need are in memory before a
/// snapshot is taken: reading them from a disk costs a clone more than the call itself.
const ARGV: [&str; 3] = ["/uc-function", "--prefault", "/program"];

/// How long loading may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that one read takes.
const READ_BYTES: usize = 64 << 10;

/// A function that can be called once.
pub(crate) struct Function {
    call: Call,
    to_runner: Descriptor,
    from_runner: Runner,
    stdin: Option<StreamReader>,
    stdout: StreamWriter,
    stderr: StreamWriter,
}

/// Frames of a runner.
struct Runner {
    pipe: Descriptor,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Runner {
    /// The next frame; `None` at the end, or where it speaks nonsense.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().ok()? {
                return Some(frame);
            }
            match self.pipe.read(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.push(self.buffer.get(..count)?),
            }
        }
    }
}

impl Function {
    /// Makes the container, starts the runner and waits until it has loaded the program.
    pub(crate) async fn create(
        sandbox: &dyn Sandbox,
        link: &Link,
        create: Create,
        layer: PathBuf,
        mounts: Vec<Mount>,
    ) -> Result<(Self, Vec<String>)> {
        let (input, to_runner) = pipes::pipe()?;
        let (from_runner, output) = pipes::pipe()?;
        // What the runner itself says there is for the machine's console alone.
        let console = rustix::io::dup(rustix::stdio::stderr()).map_err(|errno| {
            Problem::internal("no console").caused_by(std::io::Error::from(errno))
        })?;
        let stdio = Stdio {
            stdin: Some(input),
            stdout: output,
            stderr: console,
            owned: false,
        };
        let process = Process {
            argv: ARGV.map(str::to_owned).to_vec(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: create.process.user.clone(),
        };
        let function = Self {
            call: call(&create),
            to_runner: pipes::ours(to_runner)?,
            from_runner: Runner {
                pipe: pipes::ours(from_runner)?,
                decoder: Decoder::new(Bounds::BY_HOST),
                buffer: vec![0; READ_BYTES],
            },
            stdin: create
                .streams
                .stdin
                .map(|stream| link.reader(stream))
                .transpose()?,
            stdout: link.writer(create.streams.stdout)?,
            stderr: link.writer(create.streams.stderr)?,
        };
        let container = create.container.clone();
        let request = program::request(create, process, layer, stdio, mounts);
        let created = sandbox.create(request).await?;
        sandbox.start(StartRequest { container }).await?;
        let mut function = function;
        function.loaded().await?;
        Ok((function, created.warnings))
    }

    async fn loaded(&mut self) -> Result<()> {
        let first = tokio::time::timeout(PATIENCE, self.from_runner.next()).await;
        let died = || Problem::internal("the function's runner ended before it had loaded it");
        let frame = first
            .map_err(|_| Problem::host("the function takes too long to load").limit("60 s"))?
            .ok_or_else(died)?;
        match frame.message()? {
            Report::Ready => Ok(()),
            Report::Failed(telling) => Err(telling.into_problem()),
            Report::Done(_) => Err(died()),
        }
    }

    /// Lets the runner do what a call takes up to the program's first instruction.
    pub(crate) async fn rehearse(&mut self) -> Result<()> {
        let call = Call {
            rehearsal: true,
            ..self.call.clone()
        };
        self.send(&call).await?;
        self.loaded().await
    }

    /// Calls it, with what a caller wants in place of what it was made for.
    pub(crate) async fn call(&mut self, process: Option<&GuestProcess>) -> Result<()> {
        if let Some(process) = process {
            self.call.argv.clone_from(&process.argv);
            self.call.env.clone_from(&process.env);
            self.call.cwd.clone_from(&process.cwd);
        }
        self.send(&self.call).await
    }

    async fn send(&self, call: &Call) -> Result<()> {
        let frame = encode_json(Kind::Request, call, Bounds::BY_AGENT)?;
        self.to_runner.write_all(&frame).await.map_err(|errno| {
            Problem::internal("the function's runner is gone")
                .caused_by(std::io::Error::from(errno))
        })
    }

    /// Carries its streams to its end; `None` where its runner died.
    pub(crate) async fn run(self) -> Option<Exit> {
        let Self {
            to_runner,
            mut from_runner,
            stdin,
            stdout,
            stderr,
            ..
        } = self;
        let input = tokio::spawn(async move { feed(stdin, &to_runner).await });
        let exit = loop {
            let Some(frame) = from_runner.next().await else {
                break None;
            };
            let sent = match (frame.kind, frame.stream) {
                (Kind::Data, STDOUT) => stdout.write_all(&frame.payload).await,
                (Kind::Data, STDERR) => stderr.write_all(&frame.payload).await,
                (Kind::Event, _) => match frame.message() {
                    Ok(Report::Done(exit)) => break Some(exit),
                    Ok(Report::Failed(telling)) => {
                        let told = format!("uc: {}\n", telling.into_problem());
                        let _ = stderr.write_all(told.as_bytes()).await;
                        break None;
                    }
                    _ => break None,
                },
                _ => Ok(()),
            };
            if sent.is_err() {
                break None;
            }
        };
        input.abort();
        let _ = stdout.finish().await;
        let _ = stderr.finish().await;
        exit
    }
}

/// Hands the runner what comes on standard input, and its end.
async fn feed(stdin: Option<StreamReader>, to_runner: &Descriptor) {
    if let Some(mut stdin) = stdin {
        while let Some(chunk) = stdin.next().await {
            let frame = encode(Kind::Data, STDIN, &chunk);
            if to_runner.write_all(&frame).await.is_err()
                || stdin.pass_on(chunk.len()).await.is_err()
            {
                return;
            }
        }
    }
    let _ = to_runner.write_all(&encode(Kind::End, STDIN, b"")).await;
    // The runner ends when its input does, and it may not yet have sent all: it is kept open.
    std::future::pending::<()>().await;
}

fn call(create: &Create) -> Call {
    Call {
        argv: create.process.argv.clone(),
        env: create.process.env.clone(),
        cwd: create.process.cwd.clone(),
        directories: create
            .mounts
            .iter()
            .map(|mount| Directory {
                path: mount.target.clone(),
                read_only: mount.read_only,
            })
            .collect(),
        memory_limit_bytes: create.limits.memory.map(|limit| limit.0),
        sockets: create.network,
        port: create.port,
        rehearsal: false,
    }
}
