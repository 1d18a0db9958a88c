//! Answers a host's requests, and tells it of ends.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Mutex as AsyncMutex, watch};
use uc_container::ContainerDriver;
use uc_guest_protocol::{
    Answer, Bounds, Call, Create, Event, Exec, Greeting, GuestProcess, Kind, Link, Renewal,
    Request, Response, StreamReader, VERSION,
};
use uc_model::{Problem, Result, Telling, workload::Network};
use uc_sandbox::{
    Driver, ExecRequest, PauseRequest, PrepareRequest, RemoveRequest, ResumeRequest, Sandbox,
    StatsRequest, StopRequest, TcpConnectRequest,
};

use crate::{channel::Channel, clock, machine, network, pipes, program::Program, volumes::Volumes};

/// Where what belongs to containers lies.
const PLACE: &str = "/run/undercurrent";

/// The machine's containers and what they share. It outlives its hosts' connections.
pub(crate) struct Agent {
    state: Mutex<State>,
    /// Made with the first container.
    sandbox: AsyncMutex<Option<Arc<dyn Sandbox>>>,
    volumes: Volumes,
}

#[derive(Default)]
struct State {
    hostname: String,
    has_network: bool,
    programs: BTreeMap<String, Arc<Program>>,
    /// Inputs of programs that are about to be executed.
    inputs: BTreeMap<u16, StreamReader>,
}

/// Serves hosts until none is left or one ends the machine.
pub(crate) async fn serve() -> Result<()> {
    let mut channel = Channel::open()?;
    let agent = Arc::new(Agent {
        state: Mutex::default(),
        sandbox: AsyncMutex::new(None),
        volumes: Volumes::default(),
    });
    while let Some(host) = channel.next_host().await? {
        let (link, mut incoming) = Link::over(host, Bounds::BY_AGENT, Bounds::BY_HOST);
        let booted = Event::Booted { version: VERSION };
        let _ = link.send(Kind::Event, &booted).await;
        while let Some(frame) = incoming.next().await {
            let request: Request = frame.message()?;
            if matches!(request.call, Call::ShutDown) {
                return Ok(());
            }
            let request = match request {
                // What comes behind it may rely on it, without waiting for its answer: a machine that cannot be renewed ends.
                Request {
                    id,
                    call: Call::Renew(renewal),
                } => {
                    agent.renew(renewal)?;
                    respond(&link, id, Ok(Answer::Done)).await;
                    continue;
                }
                // Its time passes, and one that a snapshot has kept must not come after the renewal.
                Request {
                    id,
                    call: Call::Ping { clock_ns },
                } => {
                    // A machine with a wrong clock is better than none.
                    let _ = clock::follow(clock_ns);
                    respond(&link, id, Ok(Answer::Done)).await;
                    continue;
                }
                other => other,
            };
            let (agent, link) = (Arc::clone(&agent), link.clone());
            tokio::spawn(async move {
                let answer = agent.answer(&link, request.call).await;
                respond(&link, request.id, answer).await;
            });
        }
    }
    Ok(())
}

async fn respond(link: &Link, id: u32, answer: Result<Answer>) {
    let answer = answer.map_err(|problem| Telling::of(&problem));
    // A host that is gone needs no answer.
    let _ = link.send(Kind::Response, &Response { id, answer }).await;
}

impl Agent {
    fn renew(&self, renewal: Renewal) -> Result<()> {
        machine::renew(&renewal)?;
        self.state().hostname = renewal.hostname;
        Ok(())
    }

    async fn answer(&self, link: &Link, call: Call) -> Result<Answer> {
        match call {
            Call::Greet(greeting) => self.greet(greeting),
            Call::Renew(renewal) => self.renew(renewal).map(|()| Answer::Done),
            Call::Fill { volume, stream } => {
                self.volumes.fill(link, &volume, stream)?;
                Ok(Answer::Done)
            }
            Call::Create(create) => self.create(link, *create).await,
            Call::Start { container, process } => self.start(link, container, process).await,
            Call::Stop {
                container,
                grace_ms,
                signal,
            } => {
                let program = self.state().programs.get(&container).cloned();
                let request = StopRequest {
                    container,
                    grace: Duration::from_millis(grace_ms),
                    signal,
                };
                let request = match program {
                    Some(program) => program.stop_request(request),
                    None => request,
                };
                self.existing()
                    .await?
                    .stop(request)
                    .await
                    .map(Answer::Ended)
            }
            Call::Pause { container, hold } => {
                let sandbox = self.existing().await?;
                let done = match hold {
                    true => sandbox.pause(PauseRequest { container }).await,
                    false => sandbox.resume(ResumeRequest { container }).await,
                };
                done.map(|()| Answer::Done)
            }
            Call::Remove { container } => self.remove(container).await,
            Call::Stats { container } => {
                let request = StatsRequest { container };
                self.existing()
                    .await?
                    .stats(request)
                    .await
                    .map(Answer::Stats)
            }
            Call::OpenInput { stream } => {
                let reader = link.reader(stream)?;
                self.state().inputs.insert(stream, reader);
                Ok(Answer::Done)
            }
            Call::Exec(exec) => self.exec(link, exec).await,
            Call::TcpConnect { port, timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms);
                let request = TcpConnectRequest { port, timeout };
                let connected = self.existing().await?.tcp_connect(request).await;
                connected.map(|()| Answer::Done)
            }
            Call::Rehearse { container } => {
                let program = self.state().programs.get(&container).cloned();
                if let Some(program) = program {
                    program.rehearse().await?;
                }
                Ok(Answer::Done)
            }
            Call::Ping { .. } | Call::ShutDown => Ok(Answer::Done),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greet(&self, greeting: Greeting) -> Result<Answer> {
        if greeting.version != VERSION {
            return Err(Problem::host("host and agent speak different versions")
                .limit(VERSION)
                .found(greeting.version)
                .remedy("build both from one source: cargo xtask guest"));
        }
        machine::renew(&greeting.renewal)?;
        network::bring_loopback_up()?;
        if let Some(settings) = &greeting.network {
            network::configure(settings)?;
        }
        let mut state = self.state();
        state.hostname = greeting.hostname;
        state.has_network = greeting.network.is_some();
        drop(state);
        Ok(Answer::Welcome(machine::welcome()))
    }

    /// The sandbox, made if this is the first container.
    async fn sandbox(&self) -> Result<Arc<dyn Sandbox>> {
        let mut slot = self.sandbox.lock().await;
        if let Some(sandbox) = slot.as_ref() {
            return Ok(Arc::clone(sandbox));
        }
        let place = PathBuf::from(PLACE);
        std::fs::create_dir_all(&place)
            .map_err(|error| Problem::storage("cannot make a directory").caused_by(error))?;
        let (hostname, has_network) = {
            let state = self.state();
            (state.hostname.clone(), state.has_network)
        };
        let request = PrepareRequest {
            id: "guest".to_owned(),
            hostname,
            network: if has_network {
                Network::Host
            } else {
                Network::None
            },
            ports: Vec::new(),
            directory: place.join("sandbox"),
            storage: place.join("storage"),
            ignore_unenforceable_limits: false,
            containers: Vec::new(),
        };
        let driver = ContainerDriver::new(place.join("mount-points"));
        let sandbox: Arc<dyn Sandbox> = Arc::from(driver.prepare(request).await?);
        *slot = Some(Arc::clone(&sandbox));
        Ok(sandbox)
    }

    async fn existing(&self) -> Result<Arc<dyn Sandbox>> {
        let slot = self.sandbox.lock().await;
        slot.clone()
            .ok_or_else(|| Problem::not_found("nothing has been made in this microVM yet"))
    }

    async fn create(&self, link: &Link, create: Create) -> Result<Answer> {
        let sandbox = self.sandbox().await?;
        let name = create.container.clone();
        let mounts = self.volumes.mounts(&create.mounts).await?;
        let (program, warnings) = Program::create(&*sandbox, link, create, mounts).await?;
        self.state().programs.insert(name, Arc::new(program));
        Ok(Answer::Created { warnings })
    }

    async fn start(
        &self,
        link: &Link,
        name: String,
        process: Option<Box<GuestProcess>>,
    ) -> Result<Answer> {
        let sandbox = self.existing().await?;
        let program = self.state().programs.get(&name).cloned();
        let program =
            program.ok_or_else(|| Problem::not_found("no such container").found(&name))?;
        program.start(&*sandbox, &name, process.as_deref()).await?;
        let link = link.clone();
        tokio::spawn(async move {
            if let Ok(exit) = program.run(&*sandbox, &name).await {
                let exited = Event::Exited {
                    container: name,
                    exit,
                };
                let _ = link.send(Kind::Event, &exited).await;
            }
        });
        Ok(Answer::Done)
    }

    async fn remove(&self, container: String) -> Result<Answer> {
        let sandbox = self.existing().await?;
        let program = self.state().programs.get(&container).cloned();
        if program.is_some_and(|program| program.is_function()) {
            // A runner waits for further calls that will not come.
            let stop = StopRequest {
                container: container.clone(),
                grace: Duration::ZERO,
                signal: libc::SIGKILL,
            };
            sandbox.stop(stop).await?;
        }
        let request = RemoveRequest {
            container: container.clone(),
        };
        sandbox.remove(request).await?;
        self.state().programs.remove(&container);
        Ok(Answer::Done)
    }

    fn opened_input(&self, stream: u16) -> Result<StreamReader> {
        let input = self.state().inputs.remove(&stream);
        input.ok_or_else(|| Problem::internal("a program's input has not been opened"))
    }

    async fn exec(&self, link: &Link, exec: Exec) -> Result<Answer> {
        let sandbox = self.existing().await?;
        let (stdio, ends) = match exec.streams {
            None => (None, None),
            Some(streams) => {
                let input = streams.stdin.map(|number| self.opened_input(number));
                let (stdio, ends) = pipes::make(link, streams, input.transpose()?)?;
                (Some(stdio), Some(ends))
            }
        };
        let request = ExecRequest {
            container: exec.container,
            command: exec.command,
            timeout: Duration::from_millis(exec.timeout_ms),
            stdio,
        };
        let (tell, ended) = watch::channel(false);
        let program = async {
            let exit = sandbox.exec(request).await;
            let _ = tell.send(true);
            exit
        };
        let carrying = async {
            if let Some(ends) = ends {
                ends.carry_until(ended).await;
            }
        };
        let (exit, ()) = tokio::join!(program, carrying);
        exit.map(Answer::Ended)
    }
}
