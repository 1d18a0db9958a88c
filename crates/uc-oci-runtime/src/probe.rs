//! What a runtime can do on this host, found by running the smallest of programs with it.

use std::{
    collections::BTreeSet,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uc_linux::{
    IdMapping,
    cgroup::{Layout, controller_of},
    isolation, network,
};
use uc_model::{Facility, Figure, PayloadFormat, Problem, Result, workload::Network};
use uc_sandbox::{
    Availability, CreateRequest, DestroyRequest, Driver as _, Exit, ExpectedContainer, Limit,
    Limits, Offer, Payload, PrepareRequest, Probe, Process, Sandbox, StartRequest, Stdio, User,
    WaitRequest,
};

use crate::{binary::Binary, driver::OciRuntimeDriver, flavour::Flavour, trial_program};

/// How long a trial may take before the runtime counts as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries the runtime of a driver.
pub(crate) fn probe(driver: &OciRuntimeDriver) -> Probe {
    let flavour = driver.flavour();
    let tried = driver
        .program()
        .and_then(|path| Binary::ask(flavour, path))
        .and_then(|binary| Ok((try_out(driver)?, binary)));
    let enables = format!("the runtime {}", flavour.kind());
    let (availability, facility, start_ms) = match tried {
        Ok((took, binary)) => {
            let found = format!("{} at {}", describe(driver, &binary), binary.path.display());
            (
                Availability::Ready,
                Facility::found(flavour.program(), found, &enables),
                Figure::measured(took.as_secs_f64() * 1000.0, "ms", "one trial on this host"),
            )
        }
        Err(problem) => {
            let remedy = problem
                .remedy_text()
                .map_or_else(|| driver.how_to_mend().to_owned(), str::to_owned);
            let what = problem.to_string();
            (
                Availability::Missing {
                    what: what.clone(),
                    remedy: remedy.clone(),
                },
                Facility::missing(flavour.program(), what, &enables, &remedy),
                Figure::assumed(0.0, "ms", "it does not run here"),
            )
        }
    };
    // Trying a network takes longer than a start of the lighter sandboxes, which all wait for this.
    let tries_network = availability == Availability::Ready;
    let offer = offer(flavour, start_ms, tries_network);
    Probe {
        kind: flavour.kind(),
        availability,
        offer,
        facilities: vec![facility],
    }
}

fn describe(driver: &OciRuntimeDriver, binary: &Binary) -> String {
    match driver.flavour() {
        Flavour::Runsc => format!("{}, platform {}", binary.version, driver.platform().name()),
        _ => binary.version.clone(),
    }
}

/// How to get a runtime that is missing.
pub(crate) fn how_to_get(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Runsc => {
            "apt install runsc (Debian 12: from bookworm-backports), or see gvisor.dev/docs"
        }
        Flavour::Crun => "apt install crun",
        Flavour::Runc => "apt install runc",
        Flavour::Youki => "see youki-dev.github.io/youki",
    }
}

fn offer(flavour: Flavour, start_ms: Figure, tries_network: bool) -> Offer {
    let layout = Layout::of_this_host();
    let mut networks = BTreeSet::from([Network::None]);
    if flavour != Flavour::Runsc {
        // gVisor's own network would be bypassed.
        networks.insert(Network::Host);
    }
    if network::link_program().is_some() && (!tries_network || network::try_tap().is_ok()) {
        networks.insert(Network::User);
    }
    // Threads of gVisor's kernel count as the container's, so a limit of processes would hit the kernel.
    let limits: &[Limit] = match flavour {
        Flavour::Runsc => &[Limit::Memory, Limit::Cpu],
        _ => &[Limit::Memory, Limit::Cpu, Limit::Pids],
    };
    Offer {
        formats: BTreeSet::from([PayloadFormat::LinuxRootfs]),
        networks,
        limits: limits
            .iter()
            .copied()
            .filter(|limit| layout.place(controller_of(*limit)).is_some())
            .collect(),
        isolation: flavour.kind().isolation(),
        isolation_bits: isolation_bits(flavour),
        shared_loopback: true,
        serves_handlers: false,
        exec: true,
        start_ms,
        overhead_mib: match flavour {
            Flavour::Runsc => Figure::assumed(
                30.0,
                "MiB",
                "gVisor's kernel and file server, measured once on a development machine",
            ),
            _ => Figure::assumed(
                5.0,
                "MiB",
                "a supervisor, measured once on a development machine",
            ),
        },
    }
}

fn isolation_bits(flavour: Flavour) -> Figure {
    match flavour {
        // 18 of 383 calls; gVisor's own processes reach 88, or 0.298 bits.
        Flavour::Runsc => Figure::assumed(
            0.066,
            "bit",
            "release 20240729 on a development machine; `uc bench --only isolation` measures yours",
        ),
        _ => isolation::of_allow_list(),
    }
}

/// Runs a program that ends at once; how long that took, from request to end.
fn try_out(driver: &OciRuntimeDriver) -> Result<Duration> {
    let program = trial_program::program(driver.flavour()).ok_or_else(|| {
        Problem::host("no program is known to try a runtime with on this processor")
            .found(std::env::consts::ARCH)
    })?;
    let directory = Trial::new()?;
    let layer = directory.layer(&program)?;
    let driver = driver.clone();
    let storage = directory.0.clone();
    // A thread of its own: whoever asks may be within an asynchronous runtime.
    let trial = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::internal("cannot try a runtime").caused_by(error))?
            .block_on(run(&driver, &storage, layer))
    });
    trial
        .join()
        .unwrap_or_else(|_| Err(Problem::internal("a trial broke off")))
}

/// The directory of a trial, removed at its end.
struct Trial(PathBuf);

impl Trial {
    fn new() -> Result<Self> {
        let nanoseconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |now| now.subsec_nanos());
        let name = format!("uc-trial-{}-{nanoseconds}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory)
            .map(|()| Self(directory.clone()))
            .map_err(|error| {
                Problem::storage("cannot make a directory for a trial")
                    .at(directory.display())
                    .caused_by(error)
            })
    }

    fn layer(&self, program: &[u8]) -> Result<PathBuf> {
        let layer = self.0.join("layer");
        let made = std::fs::create_dir(&layer)
            .and_then(|()| std::fs::write(layer.join("program"), program))
            .and_then(|()| {
                let everybody = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(layer.join("program"), everybody)
            });
        made.map_err(|error| {
            Problem::storage("cannot write a trial's program")
                .at(layer.display())
                .caused_by(error)
        })?;
        let mapping = IdMapping::for_caller()?;
        for path in [layer.clone(), layer.join("program")] {
            // Only root must and can hand it over.
            let _ = uc_linux::userns::give(&mapping, &path, 0);
        }
        Ok(layer)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Nothing of the sandbox is left, however the trial ends.
async fn run(driver: &OciRuntimeDriver, storage: &Path, layer: PathBuf) -> Result<Duration> {
    let before = Instant::now();
    let payload = Payload::Rootfs {
        layers: vec![layer],
    };
    let sandbox = driver.prepare(prepare_request(storage, &payload)).await?;
    let ran = tokio::time::timeout(PATIENCE, run_in(&*sandbox, payload)).await;
    let took = before.elapsed();
    let destroyed = sandbox.destroy(DestroyRequest {}).await;
    let exit = ran.unwrap_or_else(|_| {
        let problem = Problem::host("a program that should end at once does not")
            .limit(format!("{} s", PATIENCE.as_secs()));
        Err(match driver.flavour().has_own_kernel() {
            true => problem.remedy("another platform may work: UC_GVISOR_PLATFORM=ptrace"),
            false => problem,
        })
    })?;
    destroyed?;
    match exit.code {
        0 => Ok(took),
        1 if !driver.flavour().has_own_kernel() => Err(Problem::host(format!(
            "{} does not keep the filter of system calls that it is given",
            driver.flavour()
        ))
        .remedy("try another version, or leave the runtime to `uc`: unset UC_CONTAINER_RUNTIME")),
        code => Err(Problem::host("a program that should succeed does not")
            .found(format!("exit code {code}"))),
    }
}

fn name() -> String {
    "trial".to_owned()
}

fn prepare_request(storage: &Path, payload: &Payload) -> PrepareRequest {
    let id = storage
        .file_name()
        .map_or_else(name, |name| name.to_string_lossy().into_owned());
    PrepareRequest {
        id,
        hostname: name(),
        network: Network::None,
        ports: Vec::new(),
        directory: storage.join("sandbox"),
        storage: storage.join("storage"),
        ignore_unenforceable_limits: true,
        containers: vec![ExpectedContainer {
            container: name(),
            payload: payload.clone(),
            limits: Limits::default(),
            is_init: false,
        }],
    }
}

async fn run_in(sandbox: &dyn Sandbox, payload: Payload) -> Result<Exit> {
    let null = || -> Result<OwnedFd> {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .map(OwnedFd::from)
            .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))
    };
    let request = CreateRequest {
        container: name(),
        payload,
        process: Process {
            argv: vec!["/program".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: User::default(),
        },
        stdio: Stdio {
            stdin: None,
            stdout: null()?,
            stderr: null()?,
            owned: false,
        },
        mounts: Vec::new(),
        read_only_root: false,
        limits: Limits::default(),
        seccomp_profile: None,
        call_listener: None,
    };
    sandbox.create(request).await?;
    sandbox.start(StartRequest { container: name() }).await?;
    sandbox.wait(WaitRequest { container: name() }).await
}
