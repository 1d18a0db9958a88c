//! A function in a container in a microVM: its cold start by stage, restored, and from a pool, beside bare QEMU and the other
//! sandboxes.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use uc_engine::Home;
use uc_microvm::{Accelerator, MicrovmDriver, Settings};
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{
    CreateRequest, DestroyRequest, Driver, HttpGrant, Limits, Payload, PrepareRequest, Process,
    Sandbox, StartRequest, Stdio, User, WaitRequest,
};

use super::{
    fixture::Fixture,
    measure::{Contender, Measured},
    statistics::Summary,
};
use crate::{drivers, table::Table};

/// Cold starts, at the most: each takes seconds without KVM.
const COLD_STARTS: usize = 10;

/// Machines that are restored at once.
const CONCURRENT: usize = 50;

/// Idle machines whose share of this process's memory is measured.
const IDLE: usize = 8;

/// How long a pool may take to fill.
const POOL_PATIENCE: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Serialize)]
pub(super) struct Microvm {
    accelerator: &'static str,
    /// From nothing, by stage.
    cold: Vec<Stage>,
    /// The same kernel and archive booted by QEMU alone, to the agent's first byte.
    bare_qemu_ms: Option<Summary>,
    /// The machine's stage of a cold start divided by that.
    cold_to_bare: Option<f64>,
    /// From the request to the function's end, restored from a snapshot.
    restored_ms: Option<Summary>,
    /// The same with a machine from a pool.
    pooled_ms: Option<Summary>,
    concurrent: Concurrent,
    /// What an idle machine takes of this process, in MiB.
    own_memory_mib: f64,
    /// Whole processes: the same function in other sandboxes.
    pub(super) sandboxes: Vec<Measured>,
}

/// A stage of a cold start against the source's budget.
#[derive(Serialize)]
struct Stage {
    stage: &'static str,
    measured_ms: Option<Summary>,
    budget_ms: f64,
}

/// Machines restored at once.
#[derive(Serialize)]
struct Concurrent {
    machines: usize,
    failures: usize,
    seconds: f64,
}

/// Runs of a function.
struct Bench {
    module: PathBuf,
    directory: PathBuf,
}

/// One call.
struct Call {
    machine: f64,
    container: f64,
    function: f64,
    total: f64,
}

/// Measures everything about microVMs.
pub(super) fn microvm(
    fixture: &Fixture,
    uc: &str,
    runs: usize,
    in_turns: impl FnOnce(Vec<Contender>) -> Vec<Measured>,
) -> Result<Microvm> {
    let runtime = super::super::runtime()?;
    let bench = Bench {
        module: fixture.module()?.into(),
        directory: fixture.file("sandboxes").into(),
    };
    // First, so that no memory of others is used again.
    let warm = driver(fixture, true, 0)?;
    let own_memory_mib = runtime.block_on(bench.own_memory(&warm))?;
    let cold = runtime.block_on(bench.cold(fixture, runs.min(COLD_STARTS)))?;
    let bare = runtime.block_on(bare(fixture, runs.min(COLD_STARTS)))?;
    let restored = runtime.block_on(bench.restored(&warm, runs))?;
    let pooled = runtime.block_on(bench.pooled(fixture, runs))?;
    let concurrent = runtime.block_on(bench.concurrent(&warm))?;
    let machine = Summary::of(&column(&cold, |call| call.machine));
    Ok(Microvm {
        accelerator: accelerator_name(&warm),
        cold_to_bare: machine
            .zip(bare)
            .map(|(ours, bare)| ours.median / bare.median),
        cold: vec![
            stage("machine", &cold, |call| call.machine, 125.0),
            stage("container", &cold, |call| call.container, 30.0),
            stage("function", &cold, |call| call.function, 50.0),
            stage(
                "together",
                &cold,
                |call| call.machine + call.container + call.function,
                205.0,
            ),
        ],
        bare_qemu_ms: bare,
        restored_ms: Summary::of(&restored),
        pooled_ms: Summary::of(&pooled),
        concurrent,
        own_memory_mib,
        sandboxes: in_turns(sandboxes(fixture, uc)?),
    })
}

fn column(calls: &[Call], of: impl Fn(&Call) -> f64) -> Vec<f64> {
    calls.iter().map(of).collect()
}

fn stage(stage: &'static str, calls: &[Call], of: impl Fn(&Call) -> f64, budget_ms: f64) -> Stage {
    Stage {
        stage,
        measured_ms: Summary::of(&column(calls, of)),
        budget_ms,
    }
}

fn accelerator_name(driver: &MicrovmDriver) -> &'static str {
    match driver.accelerator() {
        Accelerator::Kvm => "KVM",
        Accelerator::Tcg => "TCG (translated; no KVM that runs ordinary guests)",
    }
}

fn driver(fixture: &Fixture, snapshots: bool, pool: usize) -> Result<MicrovmDriver> {
    let settings = Settings {
        cache: fixture.file("microvm").into(),
        snapshots,
        pool,
        ..drivers::microvm(&Home::from_environment()?, None)?
    };
    Ok(MicrovmDriver::new(settings).fused())
}

async fn bare(fixture: &Fixture, runs: usize) -> Result<Option<Summary>> {
    let driver = driver(fixture, false, 0)?;
    let mut samples = Vec::new();
    for _ in 0..runs {
        samples.push(driver.bare_boot().await?.as_secs_f64() * 1e3);
    }
    Ok(Summary::of(&samples))
}

fn sandboxes(fixture: &Fixture, uc: &str) -> Result<Vec<Contender>> {
    let (module, image) = (fixture.module()?, fixture.image());
    let one = |name, runtime: &str, target: &[&str]| {
        let command = [&[uc, "run", "--runtime", runtime], target].concat();
        super::contender(fixture, name, &command)
    };
    let program = [image.as_str(), "--", "echo", "hello"];
    Ok(vec![
        one("fused", "fused", &[&module]),
        one("microvm", "microvm", &program),
        one("gvisor", "gvisor", &program),
        one("container", "container", &program),
        one("wasm", "wasm", &[&module]),
    ])
}

impl Bench {
    async fn cold(&self, fixture: &Fixture, runs: usize) -> Result<Vec<Call>> {
        let driver = driver(fixture, false, 0)?;
        // The first makes disks and compiles.
        self.call(&driver, 0).await?;
        let mut calls = Vec::new();
        for number in 0..runs {
            calls.push(self.call(&driver, number).await?);
        }
        Ok(calls)
    }

    async fn restored(&self, driver: &MicrovmDriver, runs: usize) -> Result<Vec<f64>> {
        // The first makes the snapshot.
        self.call(driver, 0).await?;
        let mut samples = Vec::new();
        for number in 0..runs {
            samples.push(self.call(driver, number).await?.total);
        }
        Ok(samples)
    }

    async fn pooled(&self, fixture: &Fixture, runs: usize) -> Result<Vec<f64>> {
        let driver = driver(fixture, true, 2)?;
        self.call(&driver, 0).await?;
        let mut samples = Vec::new();
        for number in 0..runs {
            let until = Instant::now() + POOL_PATIENCE;
            while driver.ready_machines() < 2 && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            samples.push(self.call(&driver, number).await?.total);
        }
        Ok(samples)
    }

    async fn own_memory(&self, driver: &MicrovmDriver) -> Result<f64> {
        // It compiles, and makes disks and a snapshot.
        self.call(driver, 0).await?;
        let before = own_memory_mib();
        let mut idle = Vec::new();
        for number in 0..IDLE {
            let (sandbox, _) = self.created(driver, number).await?;
            idle.push(sandbox);
        }
        let after = own_memory_mib();
        for sandbox in &idle {
            sandbox.destroy(DestroyRequest {}).await?;
        }
        Ok((after - before).max(0.0) / IDLE as f64)
    }

    async fn concurrent(&self, driver: &MicrovmDriver) -> Result<Concurrent> {
        let begin = Instant::now();
        let driver = Arc::new(driver.clone());
        let calls = (0..CONCURRENT).map(|number| {
            let driver = Arc::clone(&driver);
            async move { self.call(&driver, number).await.is_err() }
        });
        let mut failures = 0;
        for failed in join_all(calls).await {
            failures += usize::from(failed);
        }
        Ok(Concurrent {
            machines: CONCURRENT,
            failures,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }

    /// A container with the function, ready to be called; its parts in milliseconds.
    async fn created(
        &self,
        driver: &MicrovmDriver,
        number: usize,
    ) -> Result<(Box<dyn Sandbox>, [f64; 2])> {
        let place = self.directory.join(number.to_string());
        let sandbox = driver
            .prepare(PrepareRequest {
                id: format!("bench-{number}"),
                hostname: "bench".to_owned(),
                network: Network::None,
                ports: Vec::new(),
                directory: place.join("sandbox"),
                storage: place.join("storage"),
                ignore_unenforceable_limits: false,
                containers: Vec::new(),
            })
            .await?;
        let created = sandbox.create(self.request()?).await?;
        let part = |name| {
            let part = created.parts.iter().find(|part| part.name == name);
            part.map_or(0.0, |part| part.duration.as_secs_f64() * 1e3)
        };
        Ok((sandbox, [part("machine"), part("container")]))
    }

    fn request(&self) -> Result<CreateRequest> {
        let null = || {
            std::fs::File::options()
                .write(true)
                .open("/dev/null")
                .map(Into::into)
                .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))
        };
        Ok(CreateRequest {
            container: "main".to_owned(),
            payload: Payload::Wasm {
                file: self.module.clone(),
                http: HttpGrant::None,
                act_as: None,
                port: None,
            },
            process: Process {
                argv: vec!["hello".to_owned()],
                env: Vec::new(),
                cwd: "/".to_owned(),
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
        })
    }

    /// Calls the function once, from the request for a sandbox to the function's end.
    async fn call(&self, driver: &MicrovmDriver, number: usize) -> Result<Call> {
        let begin = Instant::now();
        let (sandbox, [machine, container]) = self.created(driver, number).await?;
        let called = Instant::now();
        let container_name = || "main".to_owned();
        sandbox
            .start(StartRequest {
                container: container_name(),
            })
            .await?;
        let exit = sandbox
            .wait(WaitRequest {
                container: container_name(),
            })
            .await?;
        let (function, total) = (called.elapsed(), begin.elapsed());
        sandbox.destroy(DestroyRequest {}).await?;
        if exit.code != 0 {
            return Err(Problem::internal("the function failed").found(exit.code));
        }
        Ok(Call {
            machine,
            container,
            function: function.as_secs_f64() * 1e3,
            total: total.as_secs_f64() * 1e3,
        })
    }
}

/// Runs all at once, on this thread; the results in order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// The memory that is this process's alone.
fn own_memory_mib() -> f64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kib = |name| {
        rollup
            .lines()
            .find_map(|line: &str| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok())
            .unwrap_or_default()
    };
    (kib("Private_Dirty:") + kib("Private_Clean:")) / 1024.0
}

impl Microvm {
    /// The report in words.
    pub(super) fn words(&self) -> String {
        let mut text = format!(
            "Function in a container in a microVM, {}: cold start by stage (ms, measured)\n",
            self.accelerator
        );
        let cell = |summary: &Option<Summary>, of: fn(&Summary) -> f64| {
            summary
                .as_ref()
                .map_or("-".to_owned(), |summary| format!("{:.1}", of(summary)))
        };
        let mut table = Table::new(&["STAGE", "MEDIAN", "±MAD", "MIN", "BUDGET (source)"]);
        for stage in &self.cold {
            table.row([
                stage.stage.to_owned(),
                cell(&stage.measured_ms, |summary| summary.median),
                cell(&stage.measured_ms, |summary| summary.deviation),
                cell(&stage.measured_ms, |summary| summary.minimum),
                format!("{:.0}", stage.budget_ms),
            ]);
        }
        text.push_str(&table.text());
        let rows = [
            ("bare QEMU to the same agent", &self.bare_qemu_ms),
            (
                "restored, request to answer (promise: 100)",
                &self.restored_ms,
            ),
            ("from the pool (promise: 25)", &self.pooled_ms),
        ];
        let mut table = Table::new(&["", "MEDIAN", "±MAD", "MIN"]);
        for (name, summary) in rows {
            table.row([
                name.to_owned(),
                cell(summary, |summary| summary.median),
                cell(summary, |summary| summary.deviation),
                cell(summary, |summary| summary.minimum),
            ]);
        }
        text.push_str(&table.text());
        if let Some(ratio) = self.cold_to_bare {
            text.push_str(&format!(
                "Machine cold / bare QEMU: {ratio:.2} (promise: 1.15)\n"
            ));
        }
        text.push_str(&format!(
            "{} restored at once: {} failures, {:.1} s. An idle machine takes {:.2} MiB of this process (promise: 15)\n",
            self.concurrent.machines,
            self.concurrent.failures,
            self.concurrent.seconds,
            self.own_memory_mib
        ));
        text
    }
}
