//! From compiled code to a linked program.

use std::{fs::File, path::Path, sync::OnceLock};

use uc_model::{Bytes, Result};
use wasmtime::{Engine, Linker, Module, Precompiled, component};

use crate::{
    host::Host,
    program::{self, Grants, Program},
};

/// Compiled code of either format.
pub(crate) enum Code {
    Module(Module),
    Component(component::Component),
}

impl Code {
    /// Maps compiled code into memory.
    ///
    /// # Safety
    /// `path` and `file` are one file, which holds what [`crate::compile`] made and which nobody changes while it is in use.
    #[expect(
        unsafe_code,
        reason = "only the engine's unsafe functions take compiled code"
    )]
    pub(crate) unsafe fn load(engine: &Engine, path: &Path, file: File) -> wasmtime::Result<Self> {
        match Engine::detect_precompiled_file(path)? {
            // SAFETY: the caller vouches for the content.
            Some(Precompiled::Module) => unsafe {
                Module::deserialize_open_file(engine, file).map(Self::Module)
            },
            // SAFETY: as above.
            Some(Precompiled::Component) => unsafe {
                component::Component::deserialize_file(engine, path).map(Self::Component)
            },
            None => Err(wasmtime::Error::msg("not compiled code")),
        }
    }
}

/// Links compiled code to our functions. The tables of these are made when the first program needs them.
pub(crate) struct CodeLinker {
    engine: Engine,
    modules: OnceLock<Linker<Host>>,
    components: OnceLock<component::Linker<Host>>,
    components_with_http: OnceLock<component::Linker<Host>>,
}

impl CodeLinker {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            modules: OnceLock::new(),
            components: OnceLock::new(),
            components_with_http: OnceLock::new(),
        }
    }

    /// The engine that runs what this links.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Links a program.
    ///
    /// # Errors
    /// It asks for what is not granted or unknown, or starts above the memory limit.
    pub(crate) fn link(
        &self,
        code: &Code,
        grants: Grants,
        memory_limit: Option<Bytes>,
    ) -> Result<Program> {
        match code {
            Code::Module(module) => {
                program::check_memory(Some(&module.resources_required()), memory_limit)?;
                let linker = made_once(&self.modules, || program::module_linker(&self.engine))?;
                program::link_module(linker, module, grants)
            }
            Code::Component(component) => {
                program::check_memory(component.resources_required().as_ref(), memory_limit)?;
                let http = grants.http || program::handles_http(&self.engine, component);
                let cell = if http {
                    &self.components_with_http
                } else {
                    &self.components
                };
                let linker = made_once(cell, || program::component_linker(&self.engine, http))?;
                program::link_component(linker, component, grants)
            }
        }
    }
}

/// The value of `cell`, made at the first call that succeeds.
pub(crate) fn made_once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}
