//! A workload from its sandbox to its end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use tokio::{net::UnixListener, task::JoinSet};
use uc_model::{
    Problem, Result, RuntimeKind,
    workload::{Container, Network, RestartPolicy, Workload},
};
use uc_sandbox::{
    DestroyRequest, Exit, ExpectedContainer, HttpGrant, Limit, Mount, Part, PortForward,
    PrepareRequest, Sandbox,
};
use uc_select::Footprint;

use crate::{
    Engine,
    decide::{all_containers, check_together},
    describe::describe,
    expected::expected,
    home::make_private,
    network,
    output::Output,
    owner,
    pausing::Pausing,
    record::{ContainerRecord, Owned, Phase, Record, new_id},
    removal::{VOLUMES, sandbox_directory},
    resolve::{Resolved, ResolvedContainer},
    stopper::{StopLevel, Stopper},
    timing::{Stage, Timings},
    tracing::Tracing,
    volumes,
};

/// Called once all containers run, with the workload's id.
pub type OnStarted = Box<dyn FnOnce(&str) + Send>;

/// A workload to run.
pub struct RunRequest {
    /// The workload with its content.
    pub resolved: Resolved,
    /// The runtime of each container, in the order of [`Resolved::containers`].
    pub runtimes: Vec<RuntimeKind>,
    /// What it was made from, for `uc ps`.
    pub source: String,
    /// Whether it runs without a terminal; its output then goes to log files and its record stays after its end.
    pub detached: bool,
    /// Whether lines of output carry the name of their container.
    pub named_output: bool,
    /// Whether standard output of the containers goes to standard error, too.
    pub output_to_stderr: bool,
    /// Whether the moment of the first output is wanted. It is seen where output passes through us, which costs time.
    pub time_output: bool,
    /// Whether its system calls are recorded, and added to what is known of its images.
    pub trace: bool,
    /// The clock, with the stages so far.
    pub timings: Timings,
    /// How to end it.
    pub stopper: Stopper,
    /// Called once all containers run.
    pub on_started: Option<OnStarted>,
}

/// How a workload ended.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Its id.
    pub id: String,
    /// The exit code of the whole: the first that is not 0, in the order of the containers; 124 after its deadline.
    pub exit_code: u8,
    /// How each container ended, by name.
    pub containers: BTreeMap<String, ContainerRecord>,
    /// More to say about the end.
    pub message: Option<String>,
    /// What the system calls of each container were, where they were recorded.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub footprints: BTreeMap<String, Footprint>,
    /// The stages of the run.
    #[serde(skip)]
    pub timings: Timings,
}

/// A workload being run.
pub(crate) struct Pod {
    pub(crate) workload: Workload,
    contents: Vec<ResolvedContainer>,
    pub(crate) runtimes: Vec<RuntimeKind>,
    sandboxes: BTreeMap<RuntimeKind, Arc<dyn Sandbox>>,
    pub(crate) owned: Owned,
    /// Where its volumes are.
    pub(crate) volumes: PathBuf,
    pub(crate) output: Output,
    pub(crate) detached: bool,
    pub(crate) network_mounts: Vec<Mount>,
    pub(crate) can_limit_pids: bool,
    pub(crate) time_output: bool,
    pub(crate) first_output: Arc<OnceLock<Instant>>,
    /// When the first container ended.
    pub(crate) first_end: OnceLock<Instant>,
    pub(crate) stopper: Stopper,
    pub(crate) pausing: Pausing,
    pub(crate) tracing: Option<Arc<Tracing>>,
    announced: AtomicBool,
    own_directories: Vec<PathBuf>,
}

impl Engine {
    /// Runs a workload to its end. Whatever happens, nothing of it is left on the host but, if it was detached, its
    /// record and logs.
    ///
    /// # Errors
    /// When it could not be started; a program that fails is not an error but an [`Outcome`].
    pub async fn run(&self, request: RunRequest) -> Result<Outcome> {
        check_together(&request.resolved, &request.runtimes)?;
        let owned = Owned::create(self.home(), new_record(&request))?;
        let (id, directory) = (owned.record().id, owned.directory().to_owned());
        let detached = request.detached;
        let has_storage = !request.resolved.workload.volumes.is_empty();
        let outcome = self.run_owned(owned, request).await;
        match &outcome {
            Ok(_) if detached => {}
            // Sandboxes that ended well leave nothing but this directory.
            Ok(_) if !has_storage && fs::remove_dir_all(&directory).is_ok() => {}
            _ => self.erase(&id, &directory)?,
        }
        outcome
    }

    async fn run_owned(&self, owned: Owned, mut request: RunRequest) -> Result<Outcome> {
        let mut timings = request.timings.clone();
        let on_started = request.on_started.take();
        let pod = Arc::new(self.prepare(owned, request).await?);
        let weak = Arc::downgrade(&pod);
        let announcement = if pod.detached {
            let listener = pod.announce()?;
            tokio::spawn(async move { owner::answer_all(&listener, &weak).await })
        } else {
            tokio::spawn(announce_later(weak))
        };
        let ran = pod.run(&mut timings, on_started).await;
        announcement.abort();
        let destroyed = pod.destroy().await;
        let (exit_code, message) = ran?;
        destroyed?;
        let footprints = self.keep_footprints(&pod)?;
        timings.end(Stage::Exit);
        pod.owned.change(|record| {
            record.phase = Phase::Exited;
            record.exit_code = Some(exit_code);
            record.message.clone_from(&message);
        });
        if pod.detached {
            pod.owned.save()?;
        }
        let record = pod.owned.record();
        Ok(Outcome {
            id: record.id,
            exit_code,
            containers: record.containers,
            message,
            footprints,
            timings,
        })
    }

    /// Adds what was recorded of each container to what is known of its image.
    fn keep_footprints(&self, pod: &Pod) -> Result<BTreeMap<String, Footprint>> {
        let Some(tracing) = &pod.tracing else {
            return Ok(BTreeMap::new());
        };
        let mut footprints = BTreeMap::new();
        for (index, footprint) in tracing.finish()? {
            let Some(content) = pod.contents.get(index) else {
                continue;
            };
            if let Some(digest) = &content.digest {
                self.footprints().add(digest, footprint.clone())?;
            }
            footprints.insert(content.name.clone(), footprint);
        }
        Ok(footprints)
    }

    pub(crate) async fn prepare(&self, owned: Owned, request: RunRequest) -> Result<Pod> {
        let directory = owned.directory().to_owned();
        let id = owned.record().id;
        let Resolved {
            workload,
            containers: contents,
        } = request.resolved;
        network::require_free_ports(&workload, &id, self.home())?;
        make_private(&self.home().storage())?;
        let volumes = self.home().storage_of(&id, VOLUMES);
        volumes::make(&workload, &volumes)?;
        let mut network_mounts = Vec::new();
        if request
            .runtimes
            .iter()
            .any(|kind| *kind != RuntimeKind::Wasm)
        {
            network_mounts = volumes::network_files(&workload, &directory)?;
        }
        let output = if request.detached {
            let logs = directory.join("logs");
            make_private(&logs)?;
            Output::Logs { directory: logs }
        } else {
            Output::Terminal {
                named: request.named_output,
                to_stderr: request.output_to_stderr,
            }
        };
        let mut sandboxes: BTreeMap<RuntimeKind, Arc<dyn Sandbox>> = BTreeMap::new();
        for kind in &request.runtimes {
            if !sandboxes.contains_key(kind) {
                let expected = expected(*kind, &workload, &contents, &request.runtimes);
                let ports = network::forwards_of(*kind, &workload, &request.runtimes);
                let sandbox = self.prepare_sandbox(*kind, &workload, &owned, expected, ports);
                sandboxes.insert(*kind, sandbox.await?);
            }
        }
        let can_limit_pids = request.runtimes.contains(&RuntimeKind::Container)
            && self
                .remembered_probe(RuntimeKind::Container)
                .is_some_and(|probe| probe.offer.limits.contains(&Limit::Pids));
        Ok(Pod {
            workload,
            contents,
            runtimes: request.runtimes,
            sandboxes,
            owned,
            volumes,
            output,
            detached: request.detached,
            network_mounts,
            can_limit_pids,
            time_output: request.time_output,
            first_output: Arc::new(OnceLock::new()),
            first_end: OnceLock::new(),
            stopper: request.stopper,
            pausing: Pausing::default(),
            tracing: request.trace.then(Arc::default),
            announced: AtomicBool::new(false),
            own_directories: vec![
                self.home().workloads(),
                self.home().foreground(),
                self.home().storage(),
                self.home().images(),
            ],
        })
    }

    async fn prepare_sandbox(
        &self,
        kind: RuntimeKind,
        workload: &Workload,
        owned: &Owned,
        containers: Vec<ExpectedContainer>,
        ports: Vec<PortForward>,
    ) -> Result<Arc<dyn Sandbox>> {
        let driver = self.driver(kind).ok_or_else(|| {
            Problem::internal("a runtime without a driver was chosen").found(kind)
        })?;
        let id = owned.record().id;
        let request = PrepareRequest {
            storage: self.home().storage_of(&id, kind.name()),
            id,
            hostname: workload.hostname.clone(),
            network: workload.network,
            ports,
            directory: sandbox_directory(owned.directory(), kind),
            ignore_unenforceable_limits: workload.ignore_unenforceable_limits,
            containers,
        };
        Ok(Arc::from(driver.prepare(request).await?))
    }
}

/// How long a workload in the foreground lives before others can follow and stop it by its id. Many have ended by then,
/// and have been spared the files.
const UNNOTICED: Duration = Duration::from_millis(10);

async fn announce_later(pod: Weak<Pod>) {
    tokio::time::sleep(UNNOTICED).await;
    let Some(alive) = pod.upgrade() else { return };
    match alive.announce() {
        Ok(listener) => {
            drop(alive);
            owner::answer_all(&listener, &pod).await;
        }
        Err(problem) => alive.warn(&format!("it can be stopped from here only: {problem}")),
    }
}

pub(crate) fn new_record(request: &RunRequest) -> Record {
    let workload = &request.resolved.workload;
    let containers = all_containers(workload)
        .zip(&request.runtimes)
        .enumerate()
        .map(|(index, (container, kind))| {
            (
                container.name.clone(),
                ContainerRecord {
                    runtime: Some(*kind),
                    init: index < workload.init_containers.len(),
                    ..ContainerRecord::default()
                },
            )
        })
        .collect();
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Record {
        id: new_id(&workload.name),
        name: workload.name.clone(),
        source: request.source.clone(),
        directory: std::env::current_dir().unwrap_or_default(),
        created_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        owner: std::process::id(),
        detached: request.detached,
        phase: Phase::Creating,
        containers,
        labels: workload.labels.clone(),
        ports: network::forwards(workload),
        exit_code: None,
        message: None,
    }
}

impl Pod {
    /// A container and its content, init containers first.
    pub(crate) fn container(&self, index: usize) -> Result<(&Container, &ResolvedContainer)> {
        all_containers(&self.workload)
            .nth(index)
            .zip(self.contents.get(index))
            .ok_or_else(|| Problem::internal("no such container").found(index))
    }

    /// How many containers there are, init containers included.
    pub(crate) fn container_count(&self) -> usize {
        self.contents.len()
    }

    pub(crate) fn sandbox(&self, index: usize) -> Result<Arc<dyn Sandbox>> {
        self.sandboxes
            .get(&self.runtime(index)?)
            .cloned()
            .ok_or_else(|| Problem::internal("a container without a sandbox").found(index))
    }

    pub(crate) fn runtime(&self, index: usize) -> Result<RuntimeKind> {
        self.runtimes
            .get(index)
            .copied()
            .ok_or_else(|| Problem::internal("a container without a runtime").found(index))
    }

    pub(crate) fn http_grant(&self) -> HttpGrant {
        match self.workload.network {
            Network::None => HttpGrant::None,
            Network::Http | Network::User | Network::Host => HttpGrant::Any,
        }
    }

    pub(crate) fn is_ours(&self, path: &Path) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        self.own_directories
            .iter()
            .any(|own| fs::canonicalize(own).is_ok_and(|own| path.starts_with(own)))
    }

    /// Changes a container's entry in the record, for the next [`Pod::save`].
    pub(crate) fn note(&self, index: usize, change: impl FnOnce(&mut ContainerRecord)) {
        if let Ok((container, _)) = self.container(index) {
            self.owned.change(|record| {
                change(record.containers.entry(container.name.clone()).or_default());
            });
        }
    }

    /// Shows the record to others, once they know the workload at all. Failing to must not end it.
    pub(crate) fn save(&self) {
        if self.announced.load(Ordering::Relaxed) {
            let _ = self.owned.save();
        }
    }

    /// Lets others follow and stop it.
    fn announce(&self) -> Result<UnixListener> {
        let listener = owner::listen(self.owned.directory())?;
        self.announced.store(true, Ordering::Relaxed);
        self.save();
        Ok(listener)
    }

    /// Whether the record stays after the end of a container: that of a lone one in the foreground goes with it.
    pub(crate) fn outlives_its_containers(&self) -> bool {
        self.detached || self.contents.len() > 1
    }

    /// Tells the user something that is no error.
    pub(crate) fn warn(&self, text: &str) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "warning: {text}");
    }

    async fn run(
        self: &Arc<Self>,
        timings: &mut Timings,
        on_started: Option<OnStarted>,
    ) -> Result<(u8, Option<String>)> {
        let deadline = self.workload.active_deadline;
        let work = self.run_containers(timings, on_started);
        let Some(deadline) = deadline else {
            return work.await;
        };
        let overran = AtomicBool::new(false);
        let overrun = async {
            tokio::time::sleep(deadline).await;
            overran.store(true, Ordering::Relaxed);
            self.stopper.ask(StopLevel::Graceful);
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            result = work => result?,
            () = overrun => return Err(Problem::internal("a deadline that never passes has passed")),
        };
        if overran.load(Ordering::Relaxed) {
            return Ok((
                124,
                Some(format!(
                    "stopped after activeDeadlineSeconds: {}",
                    deadline.as_secs()
                )),
            ));
        }
        Ok(result)
    }

    async fn run_containers(
        self: &Arc<Self>,
        timings: &mut Timings,
        on_started: Option<OnStarted>,
    ) -> Result<(u8, Option<String>)> {
        let policy = self.workload.restart_policy.unwrap_or(if self.detached {
            RestartPolicy::Always
        } else {
            RestartPolicy::Never
        });
        let init_count = self.workload.init_containers.len();
        if init_count > 0 {
            timings.end(Stage::Create);
        }
        for index in 0..init_count {
            let failed = self.run_init_container(index, policy).await?;
            timings.end(Stage::Init);
            if let Some(failed) = failed {
                return Ok(failed);
            }
        }
        let mut created = Vec::new();
        for index in init_count..self.contents.len() {
            created.push((index, self.create(index, 0).await?));
        }
        timings.end(Stage::Create);
        let parts = created.first().map(|(_, created)| created.parts.clone());
        let started = Instant::now();
        for (index, container) in &created {
            self.start(*index, container).await?;
        }
        timings.end(Stage::Start);
        self.owned.change(|record| record.phase = Phase::Running);
        self.save();
        if let Some(tell) = on_started {
            tell(&self.owned.record().id);
        }
        let exits = self.supervise_all(created, policy).await?;
        if let (Some(parts), Some(end)) = (
            parts.filter(|parts| !parts.is_empty()),
            self.first_end.get(),
        ) {
            timings.add_parts(parts);
            timings.add_parts([Part {
                name: "function",
                how: "from its call to its end".to_owned(),
                duration: end.saturating_duration_since(started),
            }]);
        }
        if let Some(first) = self.first_output.get() {
            timings.end_at(Stage::FirstOutput, *first);
        }
        let worst = exits.iter().find(|exit| exit.code != 0);
        Ok((worst.map_or(0, |exit| exit.code), worst.and_then(describe)))
    }

    /// Runs an init container to success; otherwise the exit code of the whole.
    async fn run_init_container(
        self: &Arc<Self>,
        index: usize,
        policy: RestartPolicy,
    ) -> Result<Option<(u8, Option<String>)>> {
        let created = self.create(index, 0).await?;
        self.start(index, &created).await?;
        self.save();
        // Success is the end of an init container, whatever the policy for others.
        let policy = if policy == RestartPolicy::Never {
            policy
        } else {
            RestartPolicy::OnFailure
        };
        let exit = self.supervise(index, created, policy).await?;
        if exit.code == 0 && self.stopper.level() == StopLevel::None {
            return Ok(None);
        }
        let (container, _) = self.container(index)?;
        let reason = describe(&exit).map_or(String::new(), |reason| format!(": {reason}"));
        Ok(Some((
            exit.code,
            Some(format!(
                "init container {} ended with exit code {}{reason}",
                container.name, exit.code
            )),
        )))
    }

    /// Supervises all containers at once; the exits come in the order of the containers.
    async fn supervise_all(
        self: &Arc<Self>,
        created: Vec<(usize, crate::supervise::Created)>,
        policy: RestartPolicy,
    ) -> Result<Vec<Exit>> {
        let mut tasks = JoinSet::new();
        for (index, container) in created {
            let pod = Arc::clone(self);
            tasks.spawn(async move { (index, pod.supervise(index, container, policy).await) });
        }
        let mut exits = BTreeMap::new();
        while let Some(joined) = tasks.join_next().await {
            let (index, exit) = joined
                .map_err(|error| Problem::internal("a supervisor failed").caused_by(error))?;
            exits.insert(index, exit?);
        }
        Ok(exits.into_values().collect())
    }

    pub(crate) async fn destroy(&self) -> Result<()> {
        let mut result = Ok(());
        for sandbox in self.sandboxes.values() {
            let destroyed = sandbox.destroy(DestroyRequest {}).await;
            result = result.and(destroyed);
        }
        result
    }
}
