//! A program ready to be instantiated: compiled, linked, and known to need nothing it will not get.

use uc_model::{Bytes, Problem, ProblemKind, Result};
use wasmtime::{
    Engine, ExternType, InstancePre, Linker, Module, ResourcesRequired, UnknownImportError,
    component,
};
use wasmtime_wasi::{I32Exit, p1, p2, p2::bindings::CommandPre};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{host::Host, meter::MEMORY_LIMIT_BYTES};

/// The most names listed in a message.
const NAMES_SHOWN: usize = 8;

const PAGE_BYTES: u64 = 65_536;

/// What a program may reach beyond its streams and directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Outgoing HTTP requests.
    pub(crate) http: bool,
    /// Sockets on the host's network.
    pub(crate) sockets: bool,
}

/// A linked program.
#[derive(Clone)]
pub(crate) enum Program {
    /// A WASI preview 1 module.
    Module(InstancePre<Host>),
    /// A WASI preview 2 component of the command world.
    Component(CommandPre<Host>),
    /// A WASI preview 2 component that handles HTTP requests.
    Handler(ProxyPre<Host>),
}

/// The functions offered to modules: WASI preview 1.
pub(crate) fn module_linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    let linked =
        p1::add_to_linker_async(&mut linker, |host: &mut Host| &mut host.wasi).and_then(|()| {
            // The stock function traps from 126 on, but C programs do exit with 255.
            linker.allow_shadowing(true);
            linker.func_wrap(
                "wasi_snapshot_preview1",
                "proc_exit",
                |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) },
            )?;
            linker.allow_shadowing(false);
            Ok(())
        });
    linked.map_err(|error| defect(&error))?;
    Ok(linker)
}

/// The interfaces offered to components: WASI preview 2, and outgoing HTTP where granted. Sockets are always linked;
/// a component that imports them without a grant is refused by [`check_grants`], and the context denies every address.
pub(crate) fn component_linker(engine: &Engine, http: bool) -> Result<component::Linker<Host>> {
    let mut linker = component::Linker::new(engine);
    p2::add_to_linker_async(&mut linker).map_err(|error| defect(&error))?;
    if http {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)
            .map_err(|error| defect(&error))?;
    }
    Ok(linker)
}

/// Links a module.
///
/// # Errors
/// An import that is unknown or not granted, or no `_start`.
pub(crate) fn link_module(
    linker: &Linker<Host>,
    module: &Module,
    grants: Grants,
) -> Result<Program> {
    for import in module.imports() {
        check_grants(import.module(), import.name(), grants)?;
    }
    let linked = linker.instantiate_pre(module).map_err(|error| {
        match error.downcast_ref::<UnknownImportError>() {
            Some(unknown) => unknown_import(&format!("{}.{}", unknown.module(), unknown.name())),
            None => unlinkable(&error),
        }
    })?;
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() + start.results().len() == 0 => {
            Ok(Program::Module(linked))
        }
        Some(_) => Err(no_entry(
            "`_start` is not a function without parameters and results",
            &[],
        )),
        None => {
            let exports: Vec<&str> = module.exports().map(|export| export.name()).collect();
            Err(no_entry("the module exports no `_start`", &exports))
        }
    }
}

/// Links a component.
///
/// # Errors
/// An import that is unknown or not granted, or neither `wasi:cli/run` nor an HTTP handler.
pub(crate) fn link_component(
    linker: &component::Linker<Host>,
    component: &component::Component,
    grants: Grants,
) -> Result<Program> {
    let engine = linker.engine();
    let component_type = component.component_type();
    let handler = handles_http(engine, component);
    let grants = Grants {
        // The requests of a handler come by types of this package; what it asks of others itself, its context judges.
        http: grants.http || handler,
        ..grants
    };
    for (name, _) in component_type.imports(engine) {
        check_grants(name, "", grants)?;
    }
    let linked = linker.instantiate_pre(component).map_err(|error| {
        let message = format!("{error:#}");
        let culprit = component_type
            .imports(engine)
            .map(|(name, _)| name)
            .find(|name| message.contains(&format!("`{name}`")));
        match culprit {
            Some(name) => unknown_import(name).caused_by(error),
            None => unlinkable(&error),
        }
    })?;
    if handler {
        return ProxyPre::new(linked)
            .map(Program::Handler)
            .map_err(|error| unlinkable(&error));
    }
    CommandPre::new(linked)
        .map(Program::Component)
        .map_err(|error| {
            let exports: Vec<&str> = component_type
                .exports(engine)
                .map(|(name, _)| name)
                .collect();
            no_entry(
                "the component exports no `wasi:cli/run` of WASI preview 2",
                &exports,
            )
            .caused_by(error)
        })
}

/// Whether a component handles HTTP requests and is no command.
pub(crate) fn handles_http(engine: &Engine, component: &component::Component) -> bool {
    let component_type = component.component_type();
    handler_among(component_type.exports(engine).map(|(name, _)| name))
}

/// Whether exports are those of a component that handles HTTP requests and is no command.
pub(crate) fn handler_among<'a>(exports: impl Iterator<Item = &'a str>) -> bool {
    let mut handler = false;
    for name in exports {
        if name.starts_with("wasi:cli/run@0.2.") {
            return false;
        }
        handler |= name.starts_with("wasi:http/incoming-handler@0.2.");
    }
    handler
}

/// Refuses a program whose memories at the start are beyond the engine's or the workload's limit.
pub(crate) fn check_memory(
    required: Option<&ResourcesRequired>,
    limit: Option<Bytes>,
) -> Result<()> {
    let pages = required
        .and_then(|required| required.max_initial_memory_size)
        .unwrap_or(0);
    check_memory_bytes(pages.saturating_mul(PAGE_BYTES), limit)
}

/// As [`check_memory`], from a number of bytes.
pub(crate) fn check_memory_bytes(start_bytes: u64, limit: Option<Bytes>) -> Result<()> {
    if start_bytes > MEMORY_LIMIT_BYTES {
        return Err(Problem::refused(
            "the program declares more memory than a WebAssembly program may have",
        )
        .limit(Bytes(MEMORY_LIMIT_BYTES))
        .found(Bytes(start_bytes))
        .remedy("build it with less initial memory, or run it as a container"));
    }
    match limit {
        Some(limit) if start_bytes > limit.0 => Err(Problem::refused(
            "the program starts with more memory than its limit allows",
        )
        .at("resources.limits.memory")
        .limit(limit)
        .found(Bytes(start_bytes))
        .remedy(format!(
            "raise the limit to at least {}",
            Bytes(start_bytes)
        ))),
        _ => Ok(()),
    }
}

/// Refuses imports that stand for a grant the program does not have.
fn check_grants(namespace: &str, name: &str, grants: Grants) -> Result<()> {
    let import = match name {
        "" => namespace.to_owned(),
        name => format!("{namespace}.{name}"),
    };
    let wants_sockets = namespace.starts_with("wasi:sockets/")
        || (namespace == "wasi_snapshot_preview1" && name.starts_with("sock_"));
    if wants_sockets && !grants.sockets {
        return Err(Problem::refused("the program imports sockets, which are not granted")
            .at(import)
            .remedy("grant the host's network (spec.hostNetwork: true), or build the program without sockets"));
    }
    if namespace.starts_with("wasi:http/") && !grants.http {
        return Err(
            Problem::refused("the program imports HTTP, which is not granted")
                .at(import)
                .remedy("grant outgoing HTTP (annotation undercurrent.dev/network: http)"),
        );
    }
    Ok(())
}

fn unknown_import(import: &str) -> Problem {
    let remedy = if import.starts_with("wasi_unstable") {
        "rebuild it with a toolchain of 2020 or later, which targets WASI preview 1"
    } else if import.starts_with("wasi:http/incoming-handler") || import.contains("@0.3") {
        "build it for WASI preview 2: as a command (wasi:cli/run), or as an HTTP handler that calls no other"
    } else if import.contains("sock_") {
        "build it for WASI preview 2, whose sockets can be granted"
    } else {
        "build it for WASI preview 1 or 2 alone, or run it as a container"
    };
    Problem::refused("the program imports something that no WebAssembly sandbox here provides")
        .at(import)
        .limit("WASI preview 1 (modules) or WASI preview 2 (components)")
        .remedy(remedy)
}

fn unlinkable(error: &wasmtime::Error) -> Problem {
    Problem::new(
        ProblemKind::NotExecutable,
        "the program's imports do not fit WASI",
    )
    .found(format!("{error:#}"))
    .remedy("build it for WASI preview 1 or 2")
}

fn no_entry(what: &str, exports: &[&str]) -> Problem {
    let shown: Vec<&str> = exports.iter().take(NAMES_SHOWN).copied().collect();
    let found = match (shown.len(), exports.len()) {
        (0, _) => "no exports".to_owned(),
        (shown_count, count) if count > shown_count => {
            format!(
                "exports {} and {} more",
                shown.join(", "),
                count - shown_count
            )
        }
        _ => format!("exports {}", shown.join(", ")),
    };
    Problem::new(ProblemKind::NotExecutable, what)
        .limit("a command: `_start` in a module, `wasi:cli/run` in a component; or `wasi:http/incoming-handler`")
        .found(found)
        .remedy("build an executable instead of a library (for example: a `main` function, no --no-entry)")
}

fn defect(error: &wasmtime::Error) -> Problem {
    Problem::internal("the WebAssembly engine rejects our WASI functions")
        .found(format!("{error:#}"))
}
