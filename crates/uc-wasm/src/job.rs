//! A program's life: first everything that can fail, then, on a thread of its own, the program.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::sync::oneshot;
use uc_model::{MilliCpu, Problem, Result, workload::Network};
use uc_sandbox::{Exit, HandlerPort, HostUser, Limits, Mount, Process, Stdio};
use wasmtime::{Store, UpdateDeadline};

use crate::{
    container::Control,
    ending,
    handler::Handler,
    host::Host,
    loader::Loader,
    meter::Meter,
    mounts::{self, Scratch},
    program::{Grants, Program},
    run::{Runtime, Setting, execute, new_store},
    serve::{self, Server},
    stdio::Stream,
    throttle::{Throttle, thread_cpu},
    ticker::{Hold, Ticker},
};

/// A container to be made.
pub(crate) struct Job {
    pub(crate) container: String,
    pub(crate) file: PathBuf,
    pub(crate) network: Network,
    pub(crate) grants: Grants,
    /// Where it answers, if it handles HTTP requests.
    pub(crate) port: Option<HandlerPort>,
    pub(crate) act_as: Option<HostUser>,
    pub(crate) process: Process,
    pub(crate) stdio: Stdio,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) limits: Limits,
    pub(crate) scratch: Scratch,
    pub(crate) loader: Arc<Loader>,
    pub(crate) ticker: Ticker,
}

/// A program that only has to be let go.
pub(crate) struct Prepared {
    work: Work,
    runtime: Runtime,
    limits: Limits,
    act_as: Option<HostUser>,
}

/// What a thread is to do.
enum Work {
    /// To run a program once.
    Command(Box<Command>),
    /// To serve one.
    Handler(Box<Handler>),
}

struct Command {
    program: Program,
    store: Store<Host>,
    ticker: Ticker,
}

impl Job {
    /// Loads and links the program: here where that is quick, else on a thread, so that the caller can do other things
    /// meanwhile.
    pub(crate) async fn load(&self) -> Result<Program> {
        let (grants, memory_limit) = (self.grants, self.limits.memory);
        if let Some(program) = self.loader.load_cached(&self.file, grants, memory_limit)? {
            return Ok(program);
        }
        let (sender, loaded) = oneshot::channel();
        let (loader, file) = (Arc::clone(&self.loader), self.file.clone());
        std::thread::Builder::new()
            .name("wasm-compiler".into())
            .spawn(move || {
                // Nobody hears it where the creation was given up; the result is in the cache.
                let _ = sender.send(loader.load(&file, grants, memory_limit));
            })
            .map_err(cannot_make_thread)?;
        loaded
            .await
            .unwrap_or_else(|_| Err(Problem::internal("the WebAssembly compiler failed")))
    }
}

/// A thread that cannot be made, with its remedy.
pub(crate) fn cannot_make_thread(error: std::io::Error) -> Problem {
    Problem::host("cannot make a thread for a WebAssembly program")
        .found(error.to_string())
        .remedy("raise the limit on threads (ulimit -u), or run fewer programs")
        .caused_by(error)
}

impl Prepared {
    /// Opens everything that a loaded program needs; also says what the user should know.
    pub(crate) fn new(
        job: Job,
        program: Program,
        control: &Control,
    ) -> Result<(Self, Vec<String>)> {
        let runtime = Runtime::new()?;
        let (limits, act_as) = (job.limits, job.act_as);
        let mut directories = mounts::open(&job.mounts, &job.process.cwd, &job.scratch)?;
        let warnings = std::mem::take(&mut directories.warnings);
        let name = job.file.file_name().unwrap_or_default().to_string_lossy();
        let setting = Setting {
            name: name.into_owned(),
            argv: job.process.argv,
            env: job.process.env,
            cwd: job.process.cwd,
            sockets: job.grants.sockets,
            may_block: false,
            directories,
        };
        let usage = Arc::clone(&control.usage);
        let memory_limit_bytes = limits.memory.map(|limit| limit.0);
        let engine = job.loader.engine().clone();
        let work = match program {
            Program::Handler(linked) => {
                let server = Server {
                    linked,
                    ticker: job.ticker,
                    engine,
                    setting,
                    memory_limit_bytes,
                    may_send: job.grants.http,
                    stdout: Stream::new(job.stdio.stdout),
                    stderr: Stream::new(job.stdio.stderr),
                    usage,
                    throttle: None,
                    instances: serve::instances(),
                };
                Work::Handler(Box::new(Handler::new(server, job.port)?))
            }
            _ if job.network == Network::User => return Err(no_network_of_its_own()),
            program => {
                let wasi = setting.context(job.stdio.into())?;
                let meter = Meter::new(usage, memory_limit_bytes);
                Work::Command(Box::new(Command {
                    program,
                    store: new_store(&engine, Host::new(wasi, meter)),
                    ticker: job.ticker,
                }))
            }
        };
        let prepared = Self {
            work,
            runtime,
            limits,
            act_as,
        };
        Ok((prepared, warnings))
    }

    /// The port at which it answers once it runs, and where connections to it come.
    pub(crate) fn served(&self) -> Option<(u16, SocketAddr)> {
        match &self.work {
            Work::Command(_) => None,
            Work::Handler(handler) => handler.served(),
        }
    }

    /// Whether it can be started.
    ///
    /// # Errors
    /// It handles requests that cannot come.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.work {
            Work::Command(_) => Ok(()),
            Work::Handler(handler) => handler.check(),
        }
    }

    /// Runs the program to its end. Its streams and files are closed when this returns.
    pub(crate) fn run(self, control: &Arc<Control>) -> Exit {
        let Self {
            work,
            runtime,
            limits,
            act_as,
        } = self;
        lower_priority(limits.cpu_weight);
        if let Some(user) = &act_as
            && let Err(errno) = become_user(user)
        {
            return ending::powerless(errno);
        }
        match work {
            Work::Command(command) => command.run(&runtime, limits.cpu, control),
            Work::Handler(handler) => handler.run(runtime, limits.cpu, control),
        }
    }
}

impl Command {
    fn run(self, runtime: &Runtime, cpu_limit: Option<MilliCpu>, control: &Arc<Control>) -> Exit {
        let Self {
            program,
            mut store,
            ticker,
        } = self;
        let _ticking = look_up(&mut store, control, cpu_limit, &ticker);
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                () = control.stopping.notified() => None,
                result = control.gate.pass(execute(&program, &mut store)) => Some(result),
            }
        });
        match result.flatten() {
            Some(Err(_)) | None if control.stop.load(Ordering::SeqCst) => ending::stopped(),
            Some(result) => ending::of(result, control.usage.denied.load(Ordering::Relaxed)),
            None => ending::broken(),
        }
    }
}

fn no_network_of_its_own() -> Problem {
    Problem::refused("a WebAssembly program has no network stack of its own")
        .limit("network none, http or host; user for HTTP handlers with a hostPort")
        .found("network user")
        .remedy(
            "set the annotation undercurrent.dev/network to http or host, or run it as a container",
        )
}

/// Makes the program look up whenever the epoch advances: for a stop, a pause, and its CPU limit.
fn look_up(
    store: &mut Store<Host>,
    control: &Arc<Control>,
    cpu_limit: Option<MilliCpu>,
    ticker: &Ticker,
) -> Option<Hold> {
    let mut throttle =
        cpu_limit.and_then(|share| Throttle::new(share, Instant::now(), thread_cpu()));
    let ticking = throttle.is_some().then(|| ticker.hold());
    let control = Arc::clone(control);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        if control.stop.load(Ordering::SeqCst) {
            return Ok(UpdateDeadline::Interrupt);
        }
        if control.gate.is_closed() {
            return Ok(UpdateDeadline::Yield(1));
        }
        let pause = throttle
            .as_mut()
            .and_then(|throttle| throttle.pause(Instant::now(), thread_cpu()));
        Ok(match pause {
            Some(pause) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(pause))),
            None => UpdateDeadline::Continue(1),
        })
    });
    ticking
}

/// Takes the rights of a user on the host's files, and all capabilities away, from the calling thread and from those it
/// makes: the operations on a program's files run there and nowhere else. On Linux each thread has rights of its own.
fn become_user(user: &HostUser) -> Result<(), rustix::io::Errno> {
    use rustix::process::{Gid, Uid};
    let groups: Vec<Gid> = user
        .groups
        .iter()
        .map(|group| Gid::from_raw(*group))
        .collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Gives the calling thread the scheduler's weight for a CPU request: 1 CPU is 1024, the weight of nice 0, and each
/// step of nice is a factor of 1.25. Above one CPU it stays at 0, since a program has one thread.
fn lower_priority(request: Option<MilliCpu>) {
    if let Some(nice) = request.map(nice_for).filter(|nice| *nice > 0) {
        // On Linux "this process" means the calling thread. It is never refused, as it only lowers.
        let _ = rustix::process::setpriority_process(None, nice);
    }
}

fn nice_for(request: MilliCpu) -> i32 {
    let cpus = request.0.max(1) as f64 / 1000.0;
    // The product is between 0 and 19.
    (-cpus.ln() / 1.25_f64.ln()).round().clamp(0.0, 19.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_request_becomes_the_nearest_weight() {
        for (milli, nice) in [
            (4000, 0),
            (1000, 0),
            (800, 1),
            (500, 3),
            (100, 10),
            (10, 19),
            (0, 19),
        ] {
            assert_eq!(nice_for(MilliCpu(milli)), nice, "{milli}m");
        }
    }
}
