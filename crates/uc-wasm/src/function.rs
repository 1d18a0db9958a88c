//! A precompiled program that is loaded once and called any number of times, each time as a fresh instance.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use uc_model::{Problem, ProblemKind, Result};
use uc_sandbox::{Exit, HostMount, Mount, MountSource};
use wasmtime::Store;

use crate::{
    code::{Code, CodeLinker},
    ending, engine,
    host::Host,
    meter::{Meter, Usage},
    mounts::{self, Scratch},
    program::{Grants, Program},
    run::{Runtime, Setting, execute, instantiate, new_store},
    serve::{self, Server, Until},
    stdio::{Sink, Source, Streams},
    ticker::Ticker,
};

/// How far ahead the deadline of a call lies: it is never reached, since nothing advances the epoch. Whoever has enough of a
/// call ends the process.
const EPOCHS: u64 = u64::MAX / 2;

/// A loaded program.
pub struct Function {
    linker: CodeLinker,
    program: Program,
    runtime: Runtime,
    name: String,
}

/// What one call of a function is given.
#[derive(Clone, Default)]
pub struct Call {
    /// Its name and arguments; without any it is called by the name of its file.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// The directories it may reach.
    pub directories: Vec<Directory>,
    /// The most bytes of its memories and tables.
    pub memory_limit_bytes: Option<u64>,
    /// Whether it may use the network of this process.
    pub sockets: bool,
}

/// A directory under the path that it has for this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The absolute, normalised path.
    pub path: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl Function {
    /// Loads what `precompile_for_guest` made. No instruction of the program runs, and nothing is drawn at random that a
    /// program could see, so a process that has come this far may be cloned.
    ///
    /// # Errors
    /// Not executable for a file that is something else, of another release or for another processor; refused for a
    /// program that imports what no guest has.
    ///
    /// # Safety
    /// The file is machine code: it must hold what `precompile_for_guest` made of a program, and not change while the
    /// function exists.
    #[expect(
        unsafe_code,
        reason = "whoever names a file of machine code has to vouch for it"
    )]
    pub unsafe fn load(path: &Path) -> Result<Self> {
        let linker = CodeLinker::new(engine::runner()?);
        let file = File::open(path).map_err(|error| {
            Problem::new(
                ProblemKind::CommandNotFound,
                "the precompiled function cannot be read",
            )
            .at(path.display())
            .found(error.to_string())
            .caused_by(error)
        })?;
        // SAFETY: the caller vouches for the file; both name the same one, which does not change.
        let code = unsafe { Code::load(linker.engine(), path, file) }.map_err(|error| {
            Problem::new(
                ProblemKind::NotExecutable,
                "the precompiled function does not fit this engine",
            )
            .at(path.display())
            .found(format!("{error:#}"))
            .remedy("compile it anew with the release of uc that runs it")
        })?;
        // Whether there is a network is known at the call alone; without one every address is denied.
        let grants = Grants {
            http: false,
            sockets: true,
        };
        let program = linker
            .link(&code, grants, None)
            .map_err(|problem| problem.within(path.display()))?;
        Ok(Self {
            linker,
            program,
            runtime: Runtime::new()?,
            name: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        })
    }

    /// Where the program's file is mapped: its machine code and the first content of its memories.
    pub fn image(&self) -> Range<*const u8> {
        match &self.program {
            Program::Module(linked) => linked.module().image_range(),
            Program::Component(linked) => linked.instance_pre().component().image_range(),
            Program::Handler(linked) => linked.instance_pre().component().image_range(),
        }
    }

    /// Whether it handles HTTP requests, and so is to be served rather than called.
    pub fn handles_http(&self) -> bool {
        matches!(self.program, Program::Handler(_))
    }

    /// Answers HTTP requests at a port of every IPv4 address, until `until`: each in an instance of its own, many at once on
    /// this thread. An instance that fails costs its client the answer and is told on standard error. The memories of all
    /// instances together stay within the limit.
    ///
    /// # Errors
    /// The program handles no requests, has no network, or the port cannot be listened on.
    pub fn serve<O: Sink + Clone, E: Sink + Clone>(
        &self,
        call: &Call,
        port: u16,
        (stdout, stderr): (O, E),
        until: &dyn Until,
    ) -> Result<()> {
        let Program::Handler(linked) = &self.program else {
            return Err(Problem::invalid("the program handles no HTTP requests"));
        };
        if !call.sockets {
            return Err(
                Problem::refused("an HTTP handler without a network has no requests")
                    .remedy("give it one: annotation undercurrent.dev/network: user"),
            );
        }
        let engine = self.linker.engine().clone();
        let server = Arc::new(Server {
            linked: linked.clone(),
            ticker: Ticker::new(engine.clone()),
            engine,
            setting: self.setting(call, false)?,
            memory_limit_bytes: call.memory_limit_bytes,
            may_send: false,
            stdout,
            stderr,
            usage: Arc::default(),
            // A guest has control groups for that.
            throttle: None,
            instances: serve::instances(),
        });
        let deaf = |error: std::io::Error| {
            Problem::host("the HTTP handler cannot listen on its port")
                .at(format!("containerPort {port}"))
                .found(error.to_string())
                .remedy("choose a containerPort of 1024 or above that no other container of the Pod uses")
                .caused_by(error)
        };
        let listener =
            serve::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).map_err(deaf)?;
        // With this runtime ends whatever was left running.
        let served = Runtime::new()?.block_on(async {
            // Whoever has no patience left ends this process.
            let patience = std::future::pending();
            server.serve(listener, serve::come(until), patience).await
        });
        served.map_or(Ok(()), |served| served.map(drop).map_err(deaf))
    }

    /// Runs the program to its end, on this thread and in an instance of its own. Nothing can stop it but the end of this
    /// process.
    ///
    /// # Errors
    /// A directory cannot be opened, or the kernel has no random numbers. The program has not run then.
    pub fn call<I: Source, O: Sink, E: Sink>(
        &self,
        call: &Call,
        streams: Streams<I, O, E>,
    ) -> Result<Exit> {
        let (mut store, usage) = self.prepare(call, streams)?;
        let result = self.runtime.block_on(execute(&self.program, &mut store));
        drop(store);
        let denied = usage.denied.load(Ordering::Relaxed);
        Ok(result.map_or_else(ending::broken, |result| ending::of(result, denied)))
    }

    /// Does all that a call does before it calls the program, and undoes it. A start function of a module runs, with nothing
    /// granted to it.
    ///
    /// # Errors
    /// As those of [`Function::call`].
    pub fn rehearse<I: Source, O: Sink, E: Sink>(&self, streams: Streams<I, O, E>) -> Result<()> {
        let (mut store, _) = self.prepare(&Call::default(), streams)?;
        // What fails here fails in a call as well, and is told then.
        let _ = self
            .runtime
            .block_on(instantiate(&self.program, &mut store));
        Ok(())
    }

    fn prepare<I: Source, O: Sink, E: Sink>(
        &self,
        call: &Call,
        streams: Streams<I, O, E>,
    ) -> Result<(Store<Host>, Arc<Usage>)> {
        let wasi = self.setting(call, true)?.context(streams)?;
        let usage = Arc::new(Usage::default());
        let meter = Meter::new(Arc::clone(&usage), call.memory_limit_bytes);
        let mut store = new_store(self.linker.engine(), Host::new(wasi, meter));
        store.set_epoch_deadline(EPOCHS);
        Ok((store, usage))
    }

    fn setting(&self, call: &Call, may_block: bool) -> Result<Setting> {
        let mounts: Vec<Mount> = call.directories.iter().map(mount).collect();
        Ok(Setting {
            name: self.name.clone(),
            argv: call.argv.clone(),
            env: call.env.clone(),
            cwd: call.cwd.clone(),
            sockets: call.sockets,
            may_block,
            // No fresh directory is ever asked for. What a user should know of them, whoever grants them knows before.
            directories: mounts::open(&mounts, &call.cwd, &Scratch::default())?,
        })
    }
}

fn mount(directory: &Directory) -> Mount {
    Mount {
        source: MountSource::Host(HostMount {
            path: directory.path.clone().into(),
            sub_path: None,
            owned: false,
            group: 0,
        }),
        target: directory.path.clone(),
        read_only: directory.read_only,
    }
}
