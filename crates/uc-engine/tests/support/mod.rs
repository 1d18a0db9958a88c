//! What the tests of the engine share: a scripted driver, and workloads for it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use uc_engine::{
    Engine, Home, Outcome, Resolved, ResolvedContainer, RunRequest, Stopper, Timings,
    resolve::Content,
};
use uc_model::{
    Isolation, PayloadFormat, Result, RuntimeChoice, RuntimeKind,
    workload::{
        Container, ImageSource, Network, Origin, PullPolicy, Resources, Security, Workload,
    },
};
use uc_testkit::fake::FakeDriver;
use uc_wasm::WasmFacts;

fn container(name: &str) -> Container {
    Container {
        name: name.into(),
        image: ImageSource::WasmFile {
            file: "unused.wasm".into(),
        },
        pull_policy: PullPolicy::Never,
        command: None,
        args: None,
        env: Vec::new(),
        working_dir: None,
        resources: Resources::default(),
        security: Security::default(),
        mounts: Vec::new(),
        ports: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        stdin: false,
    }
}

/// A workload of WebAssembly programs.
pub(crate) fn workload(init: &[&str], names: &[&str]) -> Workload {
    Workload {
        origin: Origin::Manifest {
            file: "web.yaml".into(),
        },
        name: "web".into(),
        namespace: "default".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        runtime: RuntimeChoice::Auto,
        isolation: Isolation::default(),
        network: Network::None,
        hostname: "web".into(),
        init_containers: init.iter().map(|name| container(name)).collect(),
        containers: names.iter().map(|name| container(name)).collect(),
        fs_group: None,
        volumes: Vec::new(),
        restart_policy: None,
        active_deadline: None,
        termination_grace: Duration::from_secs(5),
        ignore_unenforceable_limits: false,
        refuse_red_line_warnings: false,
    }
}

fn content(name: &str) -> ResolvedContainer {
    let facts = WasmFacts {
        format: PayloadFormat::WasmModule,
        imports: Vec::new(),
        exports: vec!["_start".into()],
        memory_min_bytes: 0,
        memory_max_bytes: None,
        memory64: false,
        package_bytes: 8,
    };
    ResolvedContainer {
        name: name.into(),
        content: Content::Wasm {
            file: "unused.wasm".into(),
            facts,
        },
        config: uc_image::ImageConfig::default(),
        digest: None,
        named_digest: None,
        image_bytes: None,
        footprint: None,
    }
}

/// An engine with a scripted driver, in a home of its own.
pub(crate) struct Host {
    directory: tempfile::TempDir,
    pub(crate) driver: FakeDriver,
    pub(crate) stopper: Stopper,
    pub(crate) detached: bool,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            driver: FakeDriver::new(RuntimeKind::Wasm),
            stopper: Stopper::default(),
            detached: false,
        }
    }

    pub(crate) fn home(&self) -> Home {
        Home::below(self.directory.path())
    }

    pub(crate) async fn run(&self, workload: Workload) -> Result<Outcome> {
        let containers: Vec<ResolvedContainer> = workload
            .init_containers
            .iter()
            .chain(&workload.containers)
            .map(|container| content(&container.name))
            .collect();
        let runtimes = vec![RuntimeKind::Wasm; containers.len()];
        let engine = Engine::new(self.home(), vec![Arc::new(self.driver.clone())]);
        let request = RunRequest {
            resolved: Resolved {
                workload,
                containers,
            },
            runtimes,
            source: "test".into(),
            detached: self.detached,
            named_output: false,
            output_to_stderr: false,
            time_output: true,
            trace: false,
            timings: Timings::start(),
            stopper: self.stopper.clone(),
            on_started: None,
        };
        engine.run(request).await
    }

    /// Calls on containers, without those on the sandbox, whose id is left to chance.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.driver
            .log()
            .into_iter()
            .filter(|call| !call.starts_with("prepare") && !call.starts_with("destroy"))
            .collect()
    }

    pub(crate) fn leftovers(&self) -> usize {
        let home = self.home();
        [home.workloads(), home.foreground(), home.storage()]
            .iter()
            .map(|directory| count(directory))
            .sum()
    }
}

fn count(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}
