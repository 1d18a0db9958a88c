//! The driver: what WebAssembly offers on this host, and the making of sandboxes.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

use uc_model::{Facility, Figure, PayloadFormat, Problem, Result, RuntimeKind, workload::Network};
use uc_sandbox::{
    Availability, Driver, Limit, Offer, Pending, PortForward, PrepareRequest, Probe, Sandbox,
};

use crate::{loader::Loader, sandbox::WasmSandbox, ticker::Ticker};

/// Runs WebAssembly in this process.
pub struct WasmDriver {
    cache_directory: PathBuf,
    backend: OnceLock<Backend>,
}

/// What all sandboxes share.
#[derive(Clone)]
struct Backend {
    loader: Arc<Loader>,
    ticker: Ticker,
}

impl WasmDriver {
    /// A driver that keeps compiled programs in `cache_directory`: a directory of the caller's own with mode 0700,
    /// made at the first run where it is missing. Nothing is touched or started before the first use.
    pub fn new(cache_directory: PathBuf) -> Self {
        Self {
            cache_directory,
            backend: OnceLock::new(),
        }
    }

    fn backend(&self) -> Result<&Backend> {
        if let Some(backend) = self.backend.get() {
            return Ok(backend);
        }
        let loader = Loader::new(self.cache_directory.clone())?;
        let ticker = Ticker::new(loader.engine().clone());
        Ok(self.backend.get_or_init(|| Backend {
            loader: Arc::new(loader),
            ticker,
        }))
    }

    fn prepare_now(&self, request: PrepareRequest) -> Result<Box<dyn Sandbox>> {
        // With the host's network a port is where it is; nothing can be forwarded to another one. With one of its own a
        // container is refused that does not listen at the host's port instead.
        let can_lead = |port: &&PortForward| match request.network {
            Network::None | Network::Http => false,
            Network::User => true,
            Network::Host => port.host_port == port.container_port,
        };
        let forwarded = request.ports.iter().find(|port| !can_lead(port));
        if let Some(port) = forwarded {
            return Err(Problem::refused("a WebAssembly sandbox cannot forward ports")
                .at(format!("host port {}", port.host_port))
                .limit("the host's network, with hostPort equal to containerPort")
                .found(format!("network {}, container port {}", request.network, port.container_port))
                .remedy("set spec.hostNetwork: true and leave hostPort out, or run it as a container"));
        }
        let Backend { loader, ticker } = self.backend()?.clone();
        Ok(Box::new(WasmSandbox {
            loader,
            ticker,
            network: request.network,
            storage: request.storage,
            ignore_unenforceable_limits: request.ignore_unenforceable_limits,
            containers: Mutex::new(HashMap::new()),
        }))
    }

    fn cache_facility(&self, backend: &Backend) -> Facility {
        const NAME: &str = "WebAssembly cache";
        const ENABLES: &str = "programs that start without being compiled again";
        // Whether it can be made is seen without making it.
        if !self.cache_directory.exists() {
            return Facility::found(
                NAME,
                format!("{} (made at the first run)", self.cache_directory.display()),
                ENABLES,
            );
        }
        match backend.loader.cache() {
            Ok(_) => Facility::found(NAME, self.cache_directory.display().to_string(), ENABLES),
            Err(problem) => Facility::missing(
                NAME,
                problem.to_string(),
                ENABLES,
                problem
                    .remedy_text()
                    .unwrap_or("name another cache directory"),
            ),
        }
    }
}

impl Driver for WasmDriver {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::Wasm
    }

    fn probe(&self) -> Probe {
        const NAME: &str = "WebAssembly engine";
        const ENABLES: &str =
            "WASI preview 1 modules and preview 2 components, HTTP handlers at a hostPort";
        let before = Instant::now();
        let backend = self.backend();
        let engine_ms = before.elapsed().as_secs_f64() * 1000.0;
        let (availability, facilities) = match backend {
            Ok(backend) => (
                Availability::Ready,
                vec![
                    Facility::found(NAME, "wasmtime 48 with Cranelift, built in", ENABLES),
                    self.cache_facility(backend),
                ],
            ),
            Err(problem) => {
                let what = problem.to_string();
                let remedy = problem.remedy_text().unwrap_or_default().to_owned();
                let facilities = vec![Facility::missing(NAME, &what, ENABLES, &remedy)];
                (Availability::Missing { what, remedy }, facilities)
            }
        };
        Probe {
            kind: RuntimeKind::Wasm,
            availability,
            offer: offer(engine_ms),
            facilities,
        }
    }

    fn prepare(&self, request: PrepareRequest) -> Pending<'_, Box<dyn Sandbox>> {
        Box::pin(async move { self.prepare_now(request) })
    }
}

fn offer(engine_ms: f64) -> Offer {
    Offer {
        formats: BTreeSet::from([PayloadFormat::WasmModule, PayloadFormat::WasmComponent]),
        networks: BTreeSet::from([Network::None, Network::Http, Network::Host]),
        // Processes need no counting: a program is one thread and can make no other.
        limits: BTreeSet::from([Limit::Memory, Limit::Cpu, Limit::Pids]),
        isolation: RuntimeKind::Wasm.isolation(),
        isolation_bits: Figure::modelled(
            0.0,
            "bit",
            "WebAssembly has no instruction that calls a kernel",
        ),
        shared_loopback: true,
        serves_handlers: true,
        exec: false,
        start_ms: Figure::modelled(
            0.3 + engine_ms,
            "ms",
            "the engine's start, measured in this probe, and an assumed 0.3 ms for loading and linking a cached program",
        ),
        overhead_mib: Figure::assumed(
            0.2,
            "MiB",
            "an estimate: the resident part of one thread, its stack and its store; the engine is shared",
        ),
    }
}
