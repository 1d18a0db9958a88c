//! What the cases are written with: sandboxes in temporary directories, programs with pipes.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tempfile::TempDir;
use uc_model::{Problem, workload::Network};
use uc_sandbox::{
    CreateRequest, DestroyRequest, Driver, Exit, ExpectedContainer, HostMount, Limits, Mount,
    MountSource, PrepareRequest, Process, RemoveRequest, Sandbox, StartRequest, Stdio, StopRequest,
    TcpConnectRequest, User, WaitRequest,
};

use super::{Fixtures, Peers, Program, Task};

/// The fixtures and the wrappers around them.
pub struct Bench {
    fixtures: Box<dyn Fixtures>,
}

/// A sandbox, and the directory of all it makes.
pub struct Prepared {
    /// The sandbox.
    pub sandbox: Box<dyn Sandbox>,
    /// Where its directory and its storage are.
    pub directory: TempDir,
}

/// The far ends of a container's streams.
pub struct Running {
    /// Written by the case; dropped to end the program's input.
    pub stdin: Option<File>,
    stdout: Option<BufReader<File>>,
    stderr: Option<JoinHandle<String>>,
}

/// How many lines a program has written so far.
pub type Lines = Arc<AtomicU64>;

/// How a container is made where a case does not care.
pub struct Plan {
    /// What it runs.
    pub program: Program,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Its limits.
    pub limits: Limits,
    /// Whether its input is a pipe.
    pub stdin: bool,
}

impl Bench {
    pub(super) fn new(fixtures: Box<dyn Fixtures>) -> Self {
        Self { fixtures }
    }

    /// The driver under test.
    pub fn driver(&self) -> &dyn Driver {
        self.fixtures.driver()
    }

    /// Whether a program always has a home directory.
    pub fn adds(&self) -> &'static [&'static str] {
        self.fixtures.adds()
    }

    /// Whether what a program writes to a volume is seen on the host.
    pub fn writes_reach_host(&self) -> bool {
        self.fixtures.writes_reach_host()
    }

    /// A plan for a task with nothing special.
    pub fn plan(&self, task: Task) -> Plan {
        Plan::new(self.fixtures.program(task))
    }

    /// A plan for a program that is not there.
    pub fn missing(&self) -> Plan {
        Plan::new(self.fixtures.missing())
    }

    /// A fresh sandbox without a network, for one container at a time.
    pub async fn prepare(&self) -> Prepared {
        let one = || ExpectedContainer {
            container: "main".into(),
            payload: self.fixtures.program(Task::Sleep).payload,
            limits: Limits::default(),
            is_init: false,
        };
        let expected = self.fixtures.announces_one().then(one);
        let containers = expected.into_iter().collect();
        Prepared::expecting(self.driver(), Network::None, containers).await
    }

    /// A fresh sandbox without a network, for several containers.
    pub async fn prepare_for_several(&self) -> Prepared {
        Prepared::new(self.driver(), Network::None).await
    }

    /// Programs that meet at a port; says so where this driver has none.
    pub fn peers(&self, port: u16) -> Option<Peers> {
        let peers = self.fixtures.peers(port);
        if peers.is_none() {
            println!("skipped: this driver has no programs for it");
        }
        peers
    }

    /// Runs a plan from its creation to its destruction.
    pub async fn run(&self, plan: Plan) -> (Exit, String, String) {
        self.prepare().await.run(plan).await
    }
}

impl Prepared {
    /// A fresh sandbox of a driver, which is told nothing of its containers.
    pub async fn new(driver: &dyn Driver, network: Network) -> Self {
        Self::expecting(driver, network, Vec::new()).await
    }

    async fn expecting(
        driver: &dyn Driver,
        network: Network,
        containers: Vec<ExpectedContainer>,
    ) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::Builder::new()
            .prefix("uc-contract-")
            .tempdir()
            .expect("a temporary directory");
        let request = PrepareRequest {
            id: format!(
                "contract-{}-{}",
                std::process::id(),
                COUNTER.fetch_add(1, Ordering::Relaxed)
            ),
            hostname: "contract".into(),
            network,
            ports: Vec::new(),
            directory: directory.path().join("sandbox"),
            storage: directory.path().join("storage"),
            ignore_unenforceable_limits: false,
            containers,
        };
        let sandbox = driver.prepare(request).await.expect("a sandbox");
        Self { sandbox, directory }
    }

    /// Runs a plan as the sandbox's only container, and destroys the sandbox.
    pub async fn run(self, plan: Plan) -> (Exit, String, String) {
        let running = self.start("main", plan).await;
        let exit = self.wait("main").await;
        let (stdout, stderr) = running.finish();
        self.destroy().await;
        (exit, stdout, stderr)
    }
}

impl Plan {
    /// A plan without environment, mounts, limits and input.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            env: Vec::new(),
            cwd: "/".into(),
            mounts: Vec::new(),
            limits: Limits::default(),
            stdin: false,
        }
    }

    /// Adds a directory of the host at `/data`.
    pub fn with_data(mut self, directory: &Path, read_only: bool) -> Self {
        self.mounts.push(Mount {
            source: MountSource::Host(HostMount {
                path: directory.to_owned(),
                sub_path: None,
                owned: true,
                group: 0,
            }),
            target: "/data".into(),
            read_only,
        });
        self
    }
}

impl Prepared {
    /// Creates a container.
    pub async fn create(&self, container: &str, plan: Plan) -> Result<Running, Problem> {
        let (stdout_reader, stdout) = pipe();
        let (stderr_reader, stderr) = pipe();
        let (stdin, stdin_writer) = match plan.stdin {
            true => {
                let (reader, writer) = pipe();
                (Some(reader), Some(File::from(writer)))
            }
            false => (None, None),
        };
        let request = CreateRequest {
            container: container.into(),
            payload: plan.program.payload,
            process: Process {
                argv: plan.program.argv,
                env: plan.env,
                cwd: plan.cwd,
                user: User::default(),
            },
            stdio: Stdio {
                stdin,
                stdout,
                stderr,
                owned: true,
            },
            mounts: plan.mounts,
            read_only_root: false,
            limits: plan.limits,
            seccomp_profile: None,
            call_listener: None,
        };
        self.sandbox.create(request).await?;
        Ok(Running {
            stdin: stdin_writer,
            stdout: Some(BufReader::new(stdout_reader.into())),
            stderr: Some(std::thread::spawn(move || {
                let mut text = String::new();
                File::from(stderr_reader)
                    .read_to_string(&mut text)
                    .expect("standard error is text");
                text
            })),
        })
    }

    /// Creates and starts a container.
    pub async fn start(&self, container: &str, plan: Plan) -> Running {
        let running = self.create(container, plan).await.expect("created");
        self.start_created(container).await.expect("started");
        running
    }

    /// Starts a created container.
    pub async fn start_created(&self, container: &str) -> Result<(), Problem> {
        let container = container.into();
        self.sandbox
            .start(StartRequest { container })
            .await
            .map(|_| ())
    }

    /// Waits for a container's end.
    pub async fn wait(&self, container: &str) -> Exit {
        let container = container.into();
        self.sandbox
            .wait(WaitRequest { container })
            .await
            .expect("an end")
    }

    /// Stops a container with a short grace.
    pub async fn stop(&self, container: &str) -> Exit {
        let request = StopRequest {
            container: container.into(),
            grace: Duration::from_millis(200),
            signal: rustix::process::Signal::TERM.as_raw(),
        };
        self.sandbox.stop(request).await.expect("an end")
    }

    /// Tries a port of the sandbox's loopback.
    pub async fn connect(&self, port: u16, timeout: Duration) -> Result<(), Problem> {
        let request = TcpConnectRequest { port, timeout };
        self.sandbox.tcp_connect(request).await
    }

    /// Removes a container.
    pub async fn remove(&self, container: &str) -> Result<(), Problem> {
        let container = container.to_owned();
        self.sandbox.remove(RemoveRequest { container }).await
    }

    /// Ends the sandbox and checks that its directory and its storage are gone.
    pub async fn destroy(self) {
        self.sandbox
            .destroy(DestroyRequest {})
            .await
            .expect("destroyed");
        let left: Vec<_> = std::fs::read_dir(self.directory.path())
            .expect("the directory is the caller's")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(left.is_empty(), "destroy leaves {left:?}");
    }
}

impl Running {
    /// Waits for the program's first line.
    pub async fn line(&mut self) -> String {
        let mut stdout = self.stdout.take().expect("nobody else reads");
        let (stdout, line) = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            stdout
                .read_line(&mut line)
                .expect("standard output is text");
            (stdout, line)
        })
        .await
        .expect("the reader ends");
        self.stdout = Some(stdout);
        line
    }

    /// Sends bytes to the program's input.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stdin
            .as_mut()
            .expect("the plan has input")
            .write_all(bytes)
            .expect("sent");
    }

    /// Ends the input and reads what is left of both outputs until their ends.
    pub fn finish(mut self) -> (String, String) {
        drop(self.stdin.take());
        let mut stdout = String::new();
        if let Some(mut rest) = self.stdout.take() {
            rest.read_to_string(&mut stdout)
                .expect("standard output is text");
        }
        let stderr = self
            .stderr
            .take()
            .expect("read once")
            .join()
            .expect("the reader ends");
        (stdout, stderr)
    }

    /// Counts the lines of standard output while the program runs.
    pub fn count(mut self) -> Lines {
        let lines = Lines::default();
        let counted = Arc::clone(&lines);
        let stdout = self.stdout.take().expect("nobody else reads");
        std::thread::spawn(move || {
            for line in stdout.lines() {
                line.expect("standard output is text");
                counted.fetch_add(1, Ordering::Relaxed);
            }
            drop(self);
        });
        lines
    }

    /// As [`Self::finish`], for more output than a pipe holds: reads while the program runs.
    pub fn collect(mut self) -> JoinHandle<String> {
        let mut rest = self.stdout.take().expect("nobody else reads");
        std::thread::spawn(move || {
            let mut stdout = String::new();
            rest.read_to_string(&mut stdout)
                .expect("standard output is text");
            drop(self);
            stdout
        })
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe")
}
