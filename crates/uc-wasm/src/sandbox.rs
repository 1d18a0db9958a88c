//! A sandbox: the programs of one workload.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use uc_model::{Problem, Result, workload::Network};
use uc_sandbox::{
    CreateRequest, CreateResponse, DestroyRequest, ExecRequest, Exit, HttpGrant, PauseRequest,
    Payload, Pending, RemoveRequest, ResumeRequest, Sandbox, StartRequest, StartResponse, Stats,
    StatsRequest, StopRequest, TcpConnectRequest, WaitRequest,
};

use crate::{
    container::Container, job::Job, loader::Loader, mounts::Scratch, program::Grants,
    ticker::Ticker,
};

/// The most containers of one sandbox.
const CONTAINERS_MAX: usize = 1_000;

/// The programs of one workload.
pub(crate) struct WasmSandbox {
    pub(crate) loader: Arc<Loader>,
    pub(crate) ticker: Ticker,
    pub(crate) network: Network,
    pub(crate) storage: PathBuf,
    pub(crate) ignore_unenforceable_limits: bool,
    pub(crate) containers: Mutex<HashMap<String, Arc<Container>>>,
}

impl WasmSandbox {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Container>>> {
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Arc<Container>> {
        self.lock().get(name).cloned().ok_or_else(|| {
            Problem::not_found("the sandbox has no such container")
                .at(format!("container {name}"))
                .remedy("create it first")
        })
    }

    async fn create(&self, request: CreateRequest) -> Result<CreateResponse> {
        let name = request.container.clone();
        if request.call_listener.is_some() {
            return Err(Problem::refused(
                "a WebAssembly program makes no system calls that could be traced",
            )
            .remedy("`uc compat --calls wasm` lists what it can ask for"));
        }
        self.check_room(&self.lock(), &name)?;
        let job = self.job(request)?;
        let (container, warnings) = Container::new(job).await?;
        let mut containers = self.lock();
        // Another of this name may have been quicker.
        self.check_room(&containers, &name)?;
        containers.insert(name, Arc::new(container));
        Ok(CreateResponse {
            pid: None,
            warnings,
            parts: Vec::new(),
        })
    }

    fn check_room(&self, containers: &HashMap<String, Arc<Container>>, name: &str) -> Result<()> {
        if containers.contains_key(name) {
            return Err(
                Problem::invalid("the sandbox has a container of this name already")
                    .found(name)
                    .remedy("give each container its own name"),
            );
        }
        if containers.len() >= CONTAINERS_MAX {
            return Err(
                Problem::refused("too many containers in one sandbox").limit(CONTAINERS_MAX)
            );
        }
        Ok(())
    }

    /// Checks what a WebAssembly container cannot have.
    fn job(&self, request: CreateRequest) -> Result<Job> {
        let Payload::Wasm {
            file,
            http,
            act_as,
            port,
        } = request.payload
        else {
            return Err(
                Problem::invalid("a Linux root file system is no WebAssembly program")
                    .remedy("run it as a container"),
            );
        };
        // The name becomes a directory and a thread.
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if request.container.is_empty()
            || request.container.len() > 63
            || !request.container.bytes().all(plain)
        {
            return Err(Problem::invalid("a container needs a name of its own")
                .limit("an RFC 1123 label: 1 to 63 of a-z, 0-9 and -")
                .found(request.container));
        }
        if request.seccomp_profile.is_some() {
            return Err(Problem::refused(
                "a WebAssembly program makes no system calls, so a seccomp profile has no effect",
            )
            .remedy("leave the profile out, or run it as a container"));
        }
        if let Some(text) = request
            .process
            .argv
            .iter()
            .chain(
                request
                    .process
                    .env
                    .iter()
                    .flat_map(|(name, value)| [name, value]),
            )
            .find(|text| text.contains('\0'))
        {
            return Err(
                Problem::invalid("arguments and environment cannot hold a zero byte").found(
                    format!("{} bytes, zero at {:?}", text.len(), text.find('\0')),
                ),
            );
        }
        Ok(Job {
            network: self.network,
            grants: self.grants(&http),
            port,
            scratch: Scratch {
                directory: self.storage.join(&request.container),
                ignore_size_limits: self.ignore_unenforceable_limits,
                owner: act_as.as_ref().map(|user| user.uid),
            },
            act_as,
            container: request.container,
            file,
            process: request.process,
            stdio: request.stdio,
            mounts: request.mounts,
            limits: request.limits,
            loader: Arc::clone(&self.loader),
            ticker: self.ticker.clone(),
        })
    }

    fn grants(&self, http: &HttpGrant) -> Grants {
        match self.network {
            // Sockets reach whatever HTTP could.
            Network::Host => Grants {
                http: true,
                sockets: true,
            },
            Network::Http => Grants {
                http: *http == HttpGrant::Any,
                sockets: false,
            },
            // The host's network is more than one of its own: here programs can only be asked.
            Network::None | Network::User => Grants {
                http: false,
                sockets: false,
            },
        }
    }

    /// Where a connection to a port of the sandbox is answered by a handler.
    fn served(&self, port: u16) -> Option<SocketAddr> {
        let containers = self.lock();
        let mut served = containers
            .values()
            .filter(|container| !container.has_ended())
            .filter_map(|container| container.served);
        let (_, mut address) = served.find(|(served, _)| *served == port)?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(address)
    }

    async fn destroy(&self) -> Result<()> {
        let containers: Vec<_> = self
            .lock()
            .drain()
            .map(|(_, container)| container)
            .collect();
        // All are told before any is waited for.
        let holds: Vec<_> = containers
            .iter()
            .map(|container| container.request_stop())
            .collect();
        let mut result = Ok(());
        for container in &containers {
            container.wait().await?;
            result = result.and(container.remove());
        }
        drop(holds);
        match std::fs::remove_dir(&self.storage) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                result.and(Err(Problem::storage("cannot remove the sandbox's storage")
                    .at(self.storage.display())
                    .caused_by(error)))
            }
            _ => result,
        }
    }
}

impl Sandbox for WasmSandbox {
    fn create(&self, request: CreateRequest) -> Pending<'_, CreateResponse> {
        Box::pin(Self::create(self, request))
    }

    fn start(&self, request: StartRequest) -> Pending<'_, StartResponse> {
        Box::pin(async move {
            self.find(&request.container)?.start()?;
            Ok(StartResponse {})
        })
    }

    fn wait(&self, request: WaitRequest) -> Pending<'_, Exit> {
        Box::pin(async move { self.find(&request.container)?.wait().await })
    }

    fn pause(&self, request: PauseRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let paused = self.find(&request.container)?.pause().await;
            paused.map_err(|problem| problem.at(format!("container {}", request.container)))
        })
    }

    fn resume(&self, request: ResumeRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let resumed = self.find(&request.container)?.resume();
            resumed.map_err(|problem| problem.at(format!("container {}", request.container)))
        })
    }

    /// A WebAssembly program cannot be signalled, so the grace would only be waited out: it is stopped at once. One that
    /// handles HTTP requests has it for its last answers.
    fn stop(&self, request: StopRequest) -> Pending<'_, Exit> {
        Box::pin(async move { self.find(&request.container)?.stop(request.grace).await })
    }

    fn exec(&self, request: ExecRequest) -> Pending<'_, Exit> {
        Box::pin(async move {
            self.find(&request.container)?;
            Err(Problem::refused(
                "a WebAssembly container is one program: nothing can be executed in it",
            )
            .at(format!("container {}", request.container))
            .found(request.command.join(" "))
            .remedy("probe it over TCP with the host's network, or run it as a container"))
        })
    }

    fn tcp_connect(&self, request: TcpConnectRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            if let Some(address) = self.served(request.port) {
                return connect(request, vec![address]).await;
            }
            if self.network == Network::User {
                return Err(refused_connection(request.port, "nothing answers there"));
            }
            if self.network != Network::Host {
                return Err(Problem::refused("the sandbox has no network to connect to")
                    .at(format!("port {}", request.port))
                    .limit("network host")
                    .found(format!("network {}", self.network))
                    .remedy("grant the host's network (spec.hostNetwork: true)"));
            }
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let addresses = loopback.map(|ip: IpAddr| SocketAddr::new(ip, request.port));
            connect(request, addresses.to_vec()).await
        })
    }

    fn remove(&self, request: RemoveRequest) -> Pending<'_, ()> {
        Box::pin(async move {
            let container = self.find(&request.container)?;
            if !container.has_ended() {
                return Err(Problem::invalid("the container has not ended")
                    .at(format!("container {}", request.container)));
            }
            self.lock().remove(&request.container);
            container.remove()
        })
    }

    fn stats(&self, request: StatsRequest) -> Pending<'_, Stats> {
        Box::pin(async move { Ok(self.find(&request.container)?.stats()) })
    }

    fn destroy(&self, _: DestroyRequest) -> Pending<'_, ()> {
        Box::pin(Self::destroy(self))
    }
}

fn refused_connection(port: u16, found: impl std::fmt::Display) -> Problem {
    Problem::unavailable("the program does not accept TCP connections")
        .at(format!("port {port}"))
        .found(found.to_string())
}

/// Connects to the first address that answers, on a thread of its own, so that any executor may wait.
async fn connect(request: TcpConnectRequest, addresses: Vec<SocketAddr>) -> Result<()> {
    let (sender, receiver) = oneshot::channel();
    let timeout = request.timeout.max(std::time::Duration::from_millis(1));
    let attempt = move || {
        let connected = addresses
            .iter()
            .map(|address| TcpStream::connect_timeout(address, timeout))
            .reduce(|first, second| first.or(second));
        let _ = sender.send(connected);
    };
    let unreachable =
        |error: std::io::Error| refused_connection(request.port, &error).caused_by(error);
    std::thread::Builder::new()
        .name("wasm-connect".into())
        .spawn(attempt)
        .map_err(unreachable)?;
    match receiver.await {
        Ok(Some(Ok(_))) => Ok(()),
        Ok(Some(Err(error))) => Err(unreachable(error)),
        _ => Err(Problem::internal("a TCP connection attempt was lost")),
    }
}
