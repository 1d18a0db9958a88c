//! One run of a linked program, wherever it happens: its context, its store, its execution.

use tokio::runtime;
use uc_model::{Problem, Result};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtxBuilder, p1::WasiP1Ctx};

use crate::{
    host::Host,
    mounts::Directories,
    program::Program,
    randomness::{self, Kernel},
    stdio::{Input, Output, Sink, Source, Streams},
};

/// The most threads for file operations and name look-ups of one program. They run apart from the program's thread,
/// for they can block (a named pipe does) and the program must stay stoppable. It does one at a time; the others are
/// for operations it gave up.
const HELPER_THREADS_MAX: usize = 4;

/// What a program's host functions run on. A name look-up in progress has a thread of its own, which nothing can
/// interrupt; nobody waits for it at the end.
pub(crate) struct Runtime(Option<runtime::Runtime>);

impl Runtime {
    pub(crate) fn new() -> Result<Self> {
        runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(HELPER_THREADS_MAX)
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|error| {
                Problem::host("cannot watch the streams of a WebAssembly program")
                    .found(error.to_string())
                    .remedy("raise the limit on open files (ulimit -n)")
                    .caused_by(error)
            })
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(work))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What runs are given besides their streams.
pub(crate) struct Setting {
    /// The program's name, where `argv` has none.
    pub(crate) name: String,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    /// Whether the host's sockets may be used.
    pub(crate) sockets: bool,
    /// Whether operations on files may hold up the program's thread, which spares others.
    pub(crate) may_block: bool,
    pub(crate) directories: Directories,
}

impl Setting {
    /// The WASI context of one run: what was granted and nothing else.
    ///
    /// # Errors
    /// A directory cannot be opened, or the kernel has no random numbers.
    pub(crate) fn context<I: Source, O: Sink, E: Sink>(
        &self,
        streams: Streams<I, O, E>,
    ) -> Result<WasiP1Ctx> {
        let mut builder = WasiCtxBuilder::new();
        if self.argv.is_empty() {
            builder.arg(&self.name);
        } else {
            builder.args(&self.argv);
        }
        builder.envs(&self.env).initial_cwd(&self.cwd);
        if let Some(stdin) = streams.stdin {
            builder.stdin(Input::new(stdin));
        }
        builder
            .stdout(Output::new(streams.stdout))
            .stderr(Output::new(streams.stderr))
            .allow_blocking_current_thread(self.may_block)
            .secure_random(Kernel)
            .insecure_random(Kernel)
            .insecure_random_seed(randomness::seed()?);
        if self.sockets {
            builder
                .inherit_network()
                .allow_tcp(true)
                .allow_udp(true)
                .allow_ip_name_lookup(true);
        }
        self.directories.grant(&mut builder)?;
        Ok(builder.build_p1())
    }
}

/// A store whose memories and tables are counted.
pub(crate) fn new_store(engine: &Engine, host: Host) -> Store<Host> {
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.meter);
    store
}

/// Makes an instance, and drops it.
pub(crate) async fn instantiate(
    program: &Program,
    store: &mut Store<Host>,
) -> wasmtime::Result<()> {
    match program {
        Program::Module(linked) => linked.instantiate_async(&mut *store).await.map(drop),
        Program::Component(linked) => linked.instantiate_async(&mut *store).await.map(drop),
        Program::Handler(linked) => linked.instantiate_async(&mut *store).await.map(drop),
    }
}

/// Instantiates a program and runs it to its end.
pub(crate) async fn execute(program: &Program, store: &mut Store<Host>) -> wasmtime::Result<u8> {
    match program {
        Program::Module(linked) => {
            let instance = linked.instantiate_async(&mut *store).await?;
            let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
            start.call_async(&mut *store, ()).await?;
            Ok(0)
        }
        Program::Component(linked) => {
            let command = linked.instantiate_async(&mut *store).await?;
            let result = command.wasi_cli_run().call_run(&mut *store).await?;
            Ok(u8::from(result.is_err()))
        }
        Program::Handler(_) => Err(wasmtime::Error::msg(
            "it handles HTTP requests, and has none",
        )),
    }
}
