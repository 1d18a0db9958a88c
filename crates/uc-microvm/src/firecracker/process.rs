//! A running Firecracker: shut in, tied to its owner, reachable by its API.

use std::{
    fs,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use uc_guest_protocol::Descriptor;
use uc_linux::{exit::Ending, sys};
use uc_model::{Problem, ProblemKind, Result};
use uc_sandbox::Exit;

use super::{
    api::Api,
    client::Client,
    fault, jailer,
    launch::{self, API_SOCKET, CONFIGURATION, Launch, VmmUser, make_directory},
    preparation::{Plan, Prepared},
    socket_path,
};
use crate::{
    console::Console,
    jail::{self, Jailed, Started, Streams, Surroundings, Wanted},
};

/// How long Firecracker may take until its API answers.
const START: Duration = Duration::from_secs(20);

/// How often a socket is looked for that is not there yet.
const LOOK: Duration = Duration::from_micros(500);

/// What Firecracker logs once a guest runs that was configured by file.
const STARTED: &str = "Successfully started microvm";

/// How long it may take to say so before it is asked.
const CONFIGURED: Duration = Duration::from_secs(5);

/// How long after a lost connection the end of the process is waited for.
const END: Duration = Duration::from_millis(100);

/// A running Firecracker. Dropping it kills it and removes its directory.
///
/// It also ends with the thread that started it, as the kernel counts: start it from a thread that lives as long as the
/// microVM is to, such as that of a runtime of one thread.
pub struct Process {
    jailed: Jailed,
    console: Console,
    api: Api,
    user: VmmUser,
    run: OwnedFd,
    run_path: PathBuf,
    // Last, so that it goes when nothing runs any more.
    directory: OwnDirectory,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.jailed.pid)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Process {
    /// Starts Firecracker and waits until its API answers; with a configuration, until the guest runs.
    ///
    /// # Errors
    /// What is wrong with the launch, found before anything starts; what the kernel refuses; why Firecracker ended, with
    /// its last words. Nothing is left then.
    pub async fn start(launch: Launch) -> Result<Self> {
        launch::check(&launch)?;
        make_directory(&launch.directory)?;
        let directory = OwnDirectory(launch.directory.clone());
        let user = VmmUser::of_caller()?;
        let configured = write_configuration(&launch)?;
        let (read, write) = pipe()?;
        let child = Prepared::new(&launch, user, configured, Streams::into(write)?)?;
        let run = socket_path::open_directory(&child.run)?;
        let started = start(&child, &launch)?;
        // With it goes our end of its output.
        drop(child.plan);
        let process = Self {
            jailed: started.executed(&child.names).await?,
            console: Console::of(Descriptor::new(read)),
            api: Api::new(Client::new(dup(&run)?, file_name(API_SOCKET))),
            user,
            run,
            run_path: child.run,
            directory,
        };
        process.await_api(configured).await?;
        Ok(process)
    }

    /// Waits until the API answers, and the guest runs if it was configured by file, or until Firecracker has ended.
    async fn await_api(&self, configured: bool) -> Result<()> {
        let answered = async {
            while !self.api.is_listening().await? {
                tokio::time::sleep(LOOK).await;
            }
            if configured {
                self.await_guest().await?;
            }
            Ok(())
        };
        let answered = tokio::time::timeout(START, answered);
        tokio::select! {
            biased;
            exit = self.jailed.ending.wait() => Err(self.died(&exit?).await),
            answered = answered => match answered {
                Ok(Ok(())) => Ok(()),
                Ok(Err(problem)) => Err(self.explain(problem).await),
                Err(_) => Err(Problem::unavailable("Firecracker's API does not come up")
                    .limit(format!("{} ms", START.as_millis()))
                    .found(self.last_line())),
            },
        }
    }

    /// Waits until a guest runs that was configured by file. A request that comes while the configuration is refused makes
    /// Firecracker crash before it says why, so it is asked only once it has had time to refuse.
    async fn await_guest(&self) -> Result<()> {
        let said = async {
            while !self.console().iter().any(|line| line.contains(STARTED)) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(CONFIGURED, said).await.is_err() {
            self.api.instance().await?;
        }
        Ok(())
    }

    /// Its API.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Its process id, or that of the process that keeps the jailer's.
    pub fn pid(&self) -> u32 {
        self.jailed.pid
    }

    /// The user that it runs as.
    pub fn user(&self) -> VmmUser {
        self.user
    }

    /// The directory that is `/run` to it, opened.
    pub fn run_directory(&self) -> &OwnedFd {
        &self.run
    }

    /// The path of that directory.
    pub fn run_path(&self) -> &Path {
        &self.run_path
    }

    /// The last lines that it and the guest's serial console wrote, oldest first.
    pub fn console(&self) -> Vec<String> {
        self.console.last_lines()
    }

    /// What it and the guest's serial console write.
    pub(crate) fn said(&self) -> &Console {
        &self.console
    }

    pub(crate) fn ending(&self) -> &Ending {
        &self.jailed.ending
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Internal, where the end cannot be learnt.
    pub async fn wait(&self) -> Result<Exit> {
        self.jailed.ending.wait().await
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// As [`Process::wait`].
    pub async fn kill(&self) -> Result<Exit> {
        if self.jailed.ending.known().is_none() {
            let _ = sys::pidfd_signal(self.jailed.ending.pidfd().as_fd(), libc::SIGKILL);
        }
        self.wait().await
    }

    /// Kills it and removes its directory.
    ///
    /// # Errors
    /// Storage, where something of the directory stays.
    pub async fn remove(self) -> Result<()> {
        self.kill().await?;
        fs::remove_dir_all(&self.directory.0).map_err(|error| {
            Problem::storage("cannot remove a microVM's directory")
                .at(self.directory.0.display())
                .caused_by(error)
        })
    }

    /// A failed call, or why Firecracker ended if that is why it failed.
    pub async fn explain(&self, problem: Problem) -> Problem {
        if problem.kind() != ProblemKind::Unavailable {
            return problem;
        }
        // Whoever loses the connection hears of it before the kernel has told of the end.
        match tokio::time::timeout(END, self.jailed.ending.wait()).await {
            Ok(Ok(exit)) => self.died(&exit).await,
            _ => problem,
        }
    }

    /// Why it ended.
    pub(crate) async fn died(&self, exit: &Exit) -> Problem {
        // The reader of the console may be a moment behind.
        tokio::time::sleep(Duration::from_millis(5)).await;
        fault::of_end(&self.console(), exit.code)
    }

    fn last_line(&self) -> String {
        self.console()
            .pop()
            .unwrap_or_else(|| "no output".to_owned())
    }
}

/// A directory that goes with its owner.
#[derive(Debug)]
struct OwnDirectory(PathBuf);

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Clones the process that becomes Firecracker, or the jailer.
fn start(child: &Prepared, launch: &Launch) -> Result<Started> {
    let mapping = match &child.plan {
        Plan::Namespaces(plan) => plan.identity.mapping(),
        Plan::Jailer(_) => None,
    };
    // In a namespace of users it is known by its id there.
    let user = match &child.plan {
        Plan::Namespaces(plan) => plan.identity.user(),
        Plan::Jailer(_) => VmmUser::of_caller()?,
    };
    let ports = launch.ports.as_deref();
    let link = ports.map(|ports| Wanted::Tap(ports, user.uid));
    let surroundings = Surroundings {
        mapping,
        host_network: launch.host_network,
        link,
        groups: &launch.groups,
    };
    jail::start(&surroundings, |control| match &child.plan {
        Plan::Namespaces(plan) => jail::enter(plan, control),
        Plan::Jailer(plan) => jailer::supervise(plan),
    })
}

/// Writes the configuration, if there is one.
fn write_configuration(launch: &Launch) -> Result<bool> {
    let Some(configuration) = &launch.configuration else {
        return Ok(false);
    };
    let path = launch.directory.join(CONFIGURATION);
    fs::write(&path, configuration.to_json()?).map_err(|error| {
        Problem::storage("cannot write a microVM's configuration")
            .at(path.display())
            .caused_by(error)
    })?;
    Ok(true)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn dup(fd: &OwnedFd) -> Result<OwnedFd> {
    fd.try_clone()
        .map_err(|error| Problem::host("too many open files").caused_by(error))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| Problem::host("cannot make a pipe").caused_by(std::io::Error::from(errno)))
}
