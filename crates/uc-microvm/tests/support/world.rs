//! A sandbox of microVMs, and what a test does with it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread::JoinHandle,
    time::Duration,
};

use uc_microvm::MicrovmDriver;
use uc_model::{Bytes, Problem, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, Driver as _, Exit, ExpectedContainer, HostMount,
    Limits, Mount, MountSource, Payload, PortForward, PrepareRequest, Process, Sandbox,
    StartRequest, Stdio, StopRequest, User, WaitRequest,
};

use super::Busybox;

/// Longer than any test takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a test, or says why it cannot run here.
pub(crate) fn test(case: impl AsyncFnOnce(MicrovmDriver, &'static Busybox)) {
    let made = super::driver().and_then(|driver| Ok((driver, Busybox::shared()?)));
    match made {
        Ok((driver, busybox)) => block_on(case(driver, busybox)),
        Err(why) => println!("skipped: {why}"),
    }
}

/// Runs a future to its end, which must come in time.
pub(crate) fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("the test ends in time");
    });
}

/// What is asked of a sandbox besides its containers.
pub(crate) struct Setting {
    pub(crate) hostname: String,
    pub(crate) network: Network,
    pub(crate) ports: Vec<PortForward>,
    pub(crate) containers: Vec<ExpectedContainer>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            hostname: "world".into(),
            network: Network::None,
            ports: Vec::new(),
            containers: Vec::new(),
        }
    }
}

/// A sandbox. It ends with this value.
pub(crate) struct World {
    pub(crate) sandbox: Box<dyn Sandbox>,
    _directory: tempfile::TempDir,
}

/// A container to be.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) container: String,
    pub(crate) payload: Payload,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) user: User,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) read_only_root: bool,
    pub(crate) limits: Limits,
    pub(crate) stdin: Option<Vec<u8>>,
}

impl Spec {
    /// A script in busybox's shell.
    pub(crate) fn shell(busybox: &Busybox, script: &str) -> Self {
        Self {
            container: "main".into(),
            payload: Payload::Rootfs {
                layers: vec![busybox.layer.clone()],
            },
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("PATH".into(), "/bin".into())],
            user: User::default(),
            mounts: Vec::new(),
            read_only_root: false,
            limits: Limits::default(),
            stdin: None,
        }
    }

    pub(crate) fn named(mut self, container: &str) -> Self {
        self.container = container.into();
        self
    }

    pub(crate) fn memory(mut self, mib: u64) -> Self {
        self.limits.memory = Some(Bytes(mib << 20));
        self
    }

    /// Mounts a path of the host, read-only.
    pub(crate) fn mount(mut self, path: impl Into<PathBuf>, target: &str) -> Self {
        self.mounts.push(host_mount(path.into(), target, false));
        self
    }

    /// Mounts a directory that was made for the workload.
    pub(crate) fn own_volume(mut self, path: impl Into<PathBuf>, target: &str) -> Self {
        self.mounts.push(host_mount(path.into(), target, true));
        self
    }

    pub(crate) fn expected(&self) -> ExpectedContainer {
        ExpectedContainer {
            container: self.container.clone(),
            payload: self.payload.clone(),
            limits: self.limits,
            is_init: false,
        }
    }
}

fn host_mount(path: PathBuf, target: &str, owned: bool) -> Mount {
    Mount {
        source: MountSource::Host(HostMount {
            path,
            sub_path: None,
            owned,
            group: 0,
        }),
        target: target.into(),
        read_only: !owned,
    }
}

/// How a container ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What a container writes, read as it comes.
pub(crate) struct Outputs {
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
}

impl Outputs {
    pub(crate) async fn read(self) -> (String, String) {
        while !(self.stdout.is_finished() && self.stderr.is_finished()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let text = |thread: JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&thread.join().expect("no panic")).into_owned()
        };
        (text(self.stdout), text(self.stderr))
    }
}

/// Streams of a program, and who reads its output.
pub(crate) fn stdio(stdin: Option<Vec<u8>>) -> (Stdio, Outputs) {
    let ((out, stdout), (err, stderr)) = (pipe(), pipe());
    let stdin = stdin.map(|bytes| {
        let (read, write) = pipe();
        std::thread::spawn(move || File::from(write).write_all(&bytes));
        read
    });
    let reading = |fd: OwnedFd| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = File::from(fd).read_to_end(&mut bytes);
            bytes
        })
    };
    let outputs = Outputs {
        stdout: reading(out),
        stderr: reading(err),
    };
    let stdio = Stdio {
        stdin,
        stdout,
        stderr,
        owned: true,
    };
    (stdio, outputs)
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = std::io::pipe().expect("a pipe");
    (read.into(), write.into())
}

impl World {
    pub(crate) async fn new(driver: &MicrovmDriver) -> Self {
        Self::with(driver, Setting::default()).await
    }

    pub(crate) async fn with(driver: &MicrovmDriver, setting: Setting) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::tempdir().expect("a directory");
        let request = PrepareRequest {
            id: format!("world-{}-{number}", std::process::id()),
            hostname: setting.hostname,
            network: setting.network,
            ports: setting.ports,
            directory: directory.path().join("sandbox"),
            storage: directory.path().join("storage"),
            ignore_unenforceable_limits: false,
            containers: setting.containers,
        };
        let sandbox = driver.prepare(request).await.expect("a sandbox");
        Self {
            sandbox,
            _directory: directory,
        }
    }

    pub(crate) async fn create(&self, spec: Spec) -> Result<Outputs, Problem> {
        let (stdio, outputs) = stdio(spec.stdin.clone());
        self.create_with(spec, stdio).await.map(|_| outputs)
    }

    /// Creates a container with streams of the caller's.
    pub(crate) async fn create_with(
        &self,
        spec: Spec,
        stdio: Stdio,
    ) -> Result<CreateResponse, Problem> {
        let request = CreateRequest {
            container: spec.container,
            payload: spec.payload,
            process: Process {
                argv: spec.argv,
                env: spec.env,
                cwd: "/".into(),
                user: spec.user,
            },
            stdio,
            mounts: spec.mounts,
            read_only_root: spec.read_only_root,
            limits: spec.limits,
            seccomp_profile: None,
            call_listener: None,
        };
        self.sandbox.create(request).await
    }

    /// Creates and starts a container.
    pub(crate) async fn start(&self, spec: Spec) -> Outputs {
        let container = spec.container.clone();
        let outputs = self.create(spec).await.expect("created");
        self.begin(&container).await;
        outputs
    }

    /// Starts a container that has been created.
    pub(crate) async fn begin(&self, container: &str) {
        let container = container.to_owned();
        let started = self.sandbox.start(StartRequest { container }).await;
        started.expect("started");
    }

    pub(crate) async fn wait(&self, container: &str) -> Result<Exit, Problem> {
        let container = container.to_owned();
        self.sandbox.wait(WaitRequest { container }).await
    }

    pub(crate) async fn stop(&self, container: &str) -> Result<Exit, Problem> {
        let request = StopRequest {
            container: container.to_owned(),
            grace: Duration::from_millis(100),
            signal: 15,
        };
        self.sandbox.stop(request).await
    }

    /// Runs a container to its end.
    pub(crate) async fn run(&self, spec: Spec) -> Ended {
        let container = spec.container.clone();
        let outputs = self.start(spec).await;
        let exit = self.wait(&container).await.expect("an end");
        let (stdout, stderr) = outputs.read().await;
        Ended {
            exit,
            stdout,
            stderr,
        }
    }

    pub(crate) async fn destroy(self) {
        let destroyed = self.sandbox.destroy(DestroyRequest {}).await;
        destroyed.expect("destroyed");
    }
}

/// Runs a container in a machine of its own, which ends with it.
pub(crate) async fn run_alone(driver: &MicrovmDriver, spec: Spec) -> Ended {
    let world = World::new(driver).await;
    let ended = world.run(spec).await;
    world.destroy().await;
    ended
}

/// The process ids of this process's monitors whose machines have so much memory.
pub(crate) fn monitors(memory_mib: u64) -> Vec<u32> {
    let me = format!("PPid:\t{}\n", std::process::id());
    let wanted = format!("\0-m\0{memory_mib}M\0");
    let entries = std::fs::read_dir("/proc").expect("there").flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let read = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
            read("status").is_ok_and(|status| status.contains(&me))
                && read("cmdline").is_ok_and(|line| line.contains(&wanted))
        })
        .collect()
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("sent");
}
