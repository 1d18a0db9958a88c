//! One container from its start to its last end: waiting, probing, stopping, restarting.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use uc_linux::IdMapping;
use uc_model::{Problem, Result, workload::RestartPolicy};
use uc_sandbox::{
    CreateRequest, Exit, ExitReason, Limits, Mount, MountSource, Part, Payload, RemoveRequest,
    Sandbox, StartRequest, Stdio, StopRequest, WaitRequest,
};

use crate::{
    environment, handlers,
    lifecycle::Pod,
    output::{Sink, Stream},
    pausing::attempt_name,
    probes, process,
    resolve::Content,
    seccomp_profile, stop_signal,
    stopper::StopLevel,
    volumes,
};

/// The most processes and threads of a container whose manifest sets no limit, where the host can enforce one.
const DEFAULT_PIDS_LIMIT: u32 = 4096;

/// First wait before a restart; it doubles each time. (Kubernetes starts at 10 s; one host can afford to be quicker.)
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// Longest wait before a restart, as in Kubernetes.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// A container that ran for so long has recovered: the wait starts over, as in Kubernetes.
const RECOVERED_AFTER: Duration = Duration::from_secs(600);
/// How long output may still arrive after a container's end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// A container that has been created.
pub(crate) struct Created {
    /// Its name in the sandbox: that of the manifest, with a number behind it after a restart.
    name: String,
    sandbox: Arc<dyn Sandbox>,
    relays: Vec<JoinHandle<Result<()>>>,
    /// The parts of making it.
    pub(crate) parts: Vec<Part>,
}

/// Volumes made for this workload belong to the root of its containers, whatever kind comes to them first.
fn give_volumes(mounts: &[Mount], mapping: &IdMapping) -> Result<()> {
    for mount in mounts {
        if let MountSource::Host(host) = &mount.source
            && host.owned
            && rustix::process::geteuid().is_root()
        {
            mapping.require_groups(&[host.group])?;
            uc_linux::userns::give_tree(mapping, &host.path, host.group).map_err(|error| {
                Problem::storage("cannot hand a volume to the program")
                    .at(host.path.display())
                    .caused_by(error)
            })?;
        }
    }
    Ok(())
}

impl Pod {
    /// Creates a container; `attempt` counts its restarts.
    pub(crate) async fn create(&self, index: usize, attempt: u32) -> Result<Created> {
        let (container, resolved) = self.container(index)?;
        let sandbox = self.sandbox(index)?;
        let name = attempt_name(&container.name, attempt);
        let mut mounts = volumes::mounts(&self.workload, container, &self.volumes)?;
        let process = environment::process(&self.workload, container, resolved)?;
        let payload = match &resolved.content {
            Content::Wasm { file, .. } => {
                let mapping = IdMapping::for_caller()?;
                give_volumes(&mounts, &mapping)?;
                Payload::Wasm {
                    file: file.clone(),
                    http: self.http_grant(),
                    act_as: environment::host_user(&process.user, &mapping)?,
                    port: handlers::served_port(container, resolved, self.workload.network),
                }
            }
            Content::Rootfs { layers } => {
                let own_targets: Vec<String> =
                    mounts.iter().map(|mount| mount.target.clone()).collect();
                let given = self
                    .network_mounts
                    .iter()
                    .filter(|mount| !own_targets.contains(&mount.target));
                mounts.splice(0..0, given.cloned());
                Payload::Rootfs {
                    layers: layers.clone(),
                }
            }
        };
        let (stdio, relays) = self.connect(index)?;
        let is_rootfs = matches!(payload, Payload::Rootfs { .. });
        let request = CreateRequest {
            container: name.clone(),
            payload,
            process,
            stdio,
            mounts,
            read_only_root: container.security.read_only_root,
            limits: Limits {
                memory: container.resources.memory_limit,
                cpu: container.resources.cpu_limit,
                cpu_weight: container.resources.cpu_request,
                pids: container
                    .resources
                    .pids_limit
                    .or((is_rootfs && self.can_limit_pids).then_some(DEFAULT_PIDS_LIMIT)),
            },
            seccomp_profile: seccomp_profile::read(container, self.runtime(index)?)?,
            call_listener: self
                .tracing
                .as_ref()
                .filter(|_| is_rootfs)
                .map(|tracing| tracing.listener(index)),
        };
        self.check_sources(&request)?;
        let response = sandbox
            .create(request)
            .await
            .map_err(|problem| problem.within(format!("container {}", container.name)))?;
        for warning in response.warnings {
            self.warn(&warning);
        }
        self.note(index, |record| {
            record.pid = response.pid;
            record.pid_began = response.pid.and_then(process::began);
        });
        Ok(Created {
            name,
            sandbox,
            relays,
            parts: response.parts,
        })
    }

    /// A mount's source must not lead into our own directories.
    fn check_sources(&self, request: &CreateRequest) -> Result<()> {
        for mount in &request.mounts {
            if let MountSource::Host(host) = &mount.source
                && !host.owned
                && self.is_ours(&host.path)
                && !host.path.starts_with(self.owned.directory())
            {
                return Err(Problem::refused(
                    "a container may not mount the files of Undercurrent itself",
                )
                .at(&mount.target)
                .found(host.path.display()));
            }
        }
        Ok(())
    }

    /// A container's streams, and the tasks that pass their content on.
    fn connect(&self, index: usize) -> Result<(Stdio, Vec<JoinHandle<Result<()>>>)> {
        let (container, resolved) = self.container(index)?;
        let no_pipe = |error: std::io::Error| Problem::host("cannot make a pipe").caused_by(error);
        let stdin = (container.stdin && !self.detached)
            .then(|| duplicate(rustix::stdio::stdin()))
            .transpose()
            .map_err(no_pipe)?;
        // A WebAssembly program can write to a stream and do nothing else with it, so it may have the caller's own.
        let is_wasm = matches!(resolved.content, Content::Wasm { .. });
        if is_wasm && !self.time_output && self.output.is_untouched() {
            let stdio = Stdio {
                stdin,
                stdout: duplicate(rustix::stdio::stdout()).map_err(no_pipe)?,
                stderr: duplicate(rustix::stdio::stderr()).map_err(no_pipe)?,
                owned: false,
            };
            return Ok((stdio, Vec::new()));
        }
        let sink = Arc::new(Sink::open(
            &self.output,
            &container.name,
            Arc::clone(&self.first_output),
        )?);
        let (out_reader, out_writer) = std::io::pipe().map_err(no_pipe)?;
        let (err_reader, err_writer) = std::io::pipe().map_err(no_pipe)?;
        let relays = vec![
            tokio::spawn(Arc::clone(&sink).relay(Stream::Stdout, out_reader.into())),
            tokio::spawn(sink.relay(Stream::Stderr, err_reader.into())),
        ];
        Ok((
            Stdio {
                stdin,
                stdout: out_writer.into(),
                stderr: err_writer.into(),
                owned: true,
            },
            relays,
        ))
    }

    /// Starts a created container.
    pub(crate) async fn start(&self, index: usize, created: &Created) -> Result<()> {
        let (container, _) = self.container(index)?;
        created
            .sandbox
            .start(StartRequest {
                container: created.name.clone(),
            })
            .await
            .map_err(|problem| problem.within(format!("container {}", container.name)))?;
        let ready = container.readiness_probe.is_none() && container.startup_probe.is_none();
        self.note(index, |record| {
            (record.running, record.ready) = (true, ready);
        });
        Ok(())
    }

    /// Waits for the end of a started container, stopping it when the workload is stopped or a probe says so.
    pub(crate) async fn run_to_end(&self, index: usize, created: Created) -> Result<Exit> {
        let (container, resolved) = self.container(index)?;
        let Created {
            name,
            sandbox,
            relays,
            ..
        } = created;
        let stop = || async {
            let signal = stop_signal::of(&resolved.config)?;
            self.stop_container(&*sandbox, &name, signal).await
        };
        let ready = |ready| {
            self.note(index, |record| record.ready = ready);
            self.save();
        };
        let exit = tokio::select! {
            exit = sandbox.wait(WaitRequest { container: name.clone() }) => exit?,
            () = self.stopper.reached(StopLevel::Graceful) => {
                self.is_paused_no_more();
                stop().await?
            }
            reason = probes::until_failure(&*sandbox, &name, container, self.pausing.watch(), ready) => {
                self.warn(&format!("container {}: {reason}", container.name));
                let exit = stop().await?;
                // Unhealthy counts as failed, whatever the program made of the signal.
                let reason = match exit.reason {
                    ExitReason::OutOfMemory => ExitReason::OutOfMemory,
                    _ => ExitReason::Unhealthy { message: reason },
                };
                Exit { code: exit.code.max(1), reason }
            }
        };
        let _ = self.first_end.set(Instant::now());
        for relay in relays {
            let _ = tokio::time::timeout(DRAIN_PATIENCE, relay).await;
        }
        self.note(index, |record| {
            record.running = false;
            record.ready = false;
            record.last_exit = Some(exit.clone());
        });
        if self.outlives_its_containers() {
            self.save();
        }
        sandbox.remove(RemoveRequest { container: name }).await?;
        Ok(exit)
    }

    async fn stop_container(&self, sandbox: &dyn Sandbox, name: &str, signal: i32) -> Result<Exit> {
        let request = |grace| StopRequest {
            container: name.to_owned(),
            grace,
            signal,
        };
        tokio::select! {
            exit = sandbox.stop(request(self.workload.termination_grace)) => exit,
            () = self.stopper.reached(StopLevel::Now) => sandbox.stop(request(Duration::ZERO)).await,
        }
    }

    /// Runs a container, which has been created and started once, until its policy lets it rest.
    pub(crate) async fn supervise(
        &self,
        index: usize,
        created: Created,
        policy: RestartPolicy,
    ) -> Result<Exit> {
        let mut created = created;
        let mut back_off = FIRST_BACK_OFF;
        let mut attempt = 0;
        loop {
            let started = Instant::now();
            let exit = self.run_to_end(index, created).await?;
            let again = match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => exit.code != 0,
                RestartPolicy::Never => false,
            };
            if !again || self.stopper.level() != StopLevel::None {
                return Ok(exit);
            }
            if started.elapsed() > RECOVERED_AFTER {
                back_off = FIRST_BACK_OFF;
            }
            self.save();
            let pause_is_over = async {
                tokio::time::sleep(back_off).await;
                self.pausing.unpaused().await
            };
            let _unpaused = tokio::select! {
                biased;
                () = self.stopper.reached(StopLevel::Graceful) => return Ok(exit),
                unpaused = pause_is_over => unpaused,
            };
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            attempt += 1;
            self.note(index, |record| record.restarts = attempt);
            created = self.create(index, attempt).await?;
            self.start(index, &created).await?;
            self.save();
        }
    }
}

/// The same open file under a number above those of the standard streams.
fn duplicate(stream: BorrowedFd<'_>) -> std::io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)
}
