//! A program's life: first everything that can fail, then, on a thread of its own, the program.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use tokio::sync::oneshot;
use uc_model::{MilliCpu, Problem, Result};
use uc_sandbox::{Exit, HostUser, Limits, Mount, Process, Stdio};
use wasmtime::{Store, UpdateDeadline};

use crate::{
    container::Control,
    ending,
    host::Host,
    loader::Loader,
    meter::Meter,
    mounts::Scratch,
    program::{Grants, Program},
    run::{Runtime, Setting, execute, new_store},
    throttle::{Throttle, thread_cpu},
    ticker::{Hold, Ticker},
};

/// A container to be made.
pub(crate) struct Job {
    pub(crate) container: String,
    pub(crate) file: PathBuf,
    pub(crate) grants: Grants,
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
    program: Program,
    store: Store<Host>,
    runtime: Runtime,
    limits: Limits,
    act_as: Option<HostUser>,
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
        let limits = job.limits;
        let act_as = job.act_as.clone();
        let ticker = job.ticker.clone();
        let engine = job.loader.engine().clone();
        let setting = Setting {
            name: job.file.file_name().unwrap_or_default().to_string_lossy(),
            argv: &job.process.argv,
            env: &job.process.env,
            cwd: &job.process.cwd,
            sockets: job.grants.sockets,
            may_block: false,
            mounts: &job.mounts,
            scratch: &job.scratch,
        };
        let (wasi, warnings) = setting.context(job.stdio.into())?;
        let usage = Arc::clone(&control.usage);
        let meter = Meter::new(usage, limits.memory.map(|limit| limit.0));
        let store = new_store(&engine, Host::new(wasi, meter));
        let prepared = Self {
            program,
            store,
            runtime,
            limits,
            act_as,
            ticker,
        };
        Ok((prepared, warnings))
    }

    /// Runs the program to its end. Its streams and files are closed when this returns.
    pub(crate) fn run(self, control: &Arc<Control>) -> Exit {
        let Self {
            program,
            mut store,
            runtime,
            limits,
            act_as,
            ticker,
        } = self;
        lower_priority(limits.cpu_weight);
        if let Some(user) = &act_as
            && let Err(errno) = become_user(user)
        {
            return ending::powerless(errno);
        }
        let _ticking = look_up(&mut store, control, limits.cpu, &ticker);
        let result = runtime.block_on(async {
            tokio::select! {
                biased;
                () = control.stopping.notified() => None,
                result = control.gate.pass(execute(&program, &mut store)) => Some(result),
            }
        });
        drop(store);
        drop(runtime);
        match result.flatten() {
            Some(Err(_)) | None if control.stop.load(Ordering::SeqCst) => ending::stopped(),
            Some(result) => ending::of(result, control.usage.denied.load(Ordering::Relaxed)),
            None => ending::broken(),
        }
    }
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
