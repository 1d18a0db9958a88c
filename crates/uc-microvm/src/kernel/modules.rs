//! The modules of a kernel: which there are, and which others each needs before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use memchr::memmem;
use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result};

use super::{elf::Elf, payload};
use crate::host_file;

/// Most bytes of a list of modules.
const LIST_BYTES: u64 = 16 << 20;
/// Most bytes of a module, compressed or not.
const MODULE_BYTES: u64 = 64 << 20;
/// Most modules that a guest loads.
const MODULES: usize = 128;
/// Ends of the names of module files.
const SUFFIXES: [&str; 4] = ["", ".xz", ".zst", ".gz"];

/// A kernel module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name, with underscores.
    pub name: String,
    /// Its file, which may be compressed.
    pub path: PathBuf,
}

impl Module {
    /// The module itself, uncompressed, as `init_module` takes it.
    ///
    /// # Errors
    /// Not found or invalid where it cannot be read, refused beyond 64 MiB.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = host_file::read(&self.path, MODULE_BYTES)?;
        payload::decompress_file(bytes, MODULE_BYTES)
            .map_err(|problem| problem.at(self.path.display()))
    }
}

/// The modules of one version: a directory such as `/lib/modules/6.1.0`.
#[derive(Debug)]
pub(super) struct ModuleTree {
    builtin: BTreeSet<String>,
    /// Files by name.
    files: BTreeMap<String, PathBuf>,
}

/// What a module says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Modules whose symbols it uses.
    symbols: Vec<String>,
    /// Modules that it would like to find.
    wished: Vec<String>,
}

/// Modules that are needed, in the order of loading.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) modules: Vec<Module>,
    /// Whether virtio-mmio, if it is a module, takes devices from its parameters.
    pub(super) devices_by_parameter: bool,
    seen: BTreeSet<String>,
}

impl ModuleTree {
    /// # Errors
    /// Not found or invalid where a list cannot be read.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let builtin = read_list(&directory.join("modules.builtin"))?;
        // Made by depmod, with the names that files really have; before that there is the list of the build.
        let listed = match read_list(&directory.join("modules.dep")) {
            Ok(listed) => listed,
            Err(_) => read_list(&directory.join("modules.order"))?,
        };
        let files = listed.lines().filter_map(|line| {
            let path = line.split_once(':').map_or(line, |(path, _)| path);
            let safe = !path.is_empty() && !path.split('/').any(|part| part == "..");
            safe.then(|| (name_of(path), directory.join(path)))
        });
        Ok(Self {
            builtin: builtin.lines().map(name_of).collect(),
            files: files.collect(),
        })
    }

    pub(super) fn has_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// Whether a module is built in or has a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.has_builtin(name) || self.files.contains_key(name)
    }

    /// Adds a module behind those that it needs; nothing where it is built in.
    ///
    /// # Errors
    /// Invalid where a module cannot be read, of the host where one that it needs is missing.
    pub(super) fn choose(&self, name: &str, chosen: &mut Chosen) -> Result<()> {
        if self.has_builtin(name) || !chosen.seen.insert(name.to_owned()) {
            return Ok(());
        }
        if chosen.seen.len() > MODULES {
            return Err(Problem::refused("the kernel needs too many modules").limit(MODULES));
        }
        let listed = self.files.get(name).ok_or_else(|| missing(name))?;
        let module = Module {
            name: name.to_owned(),
            path: existing(listed).ok_or_else(|| missing(name).at(listed.display()))?,
        };
        let bytes = module.bytes()?;
        let needs = Needs::of(&bytes).map_err(|problem| problem.at(module.path.display()))?;
        for needed in &needs.symbols {
            self.choose(needed, chosen)?;
        }
        for wished in needs.wished.iter().filter(|wished| self.has(wished)) {
            self.choose(wished, chosen)?;
        }
        if name == "virtio_mmio" {
            chosen.devices_by_parameter = memmem::find(&bytes, b"__param_str_device\0").is_some();
        }
        chosen.modules.push(module);
        Ok(())
    }
}

impl Needs {
    fn of(module: &[u8]) -> Result<Self> {
        let information = Elf::parse(module)?
            .section(b".modinfo")
            .ok_or_else(|| Problem::invalid("not a kernel module: it has no section .modinfo"))?;
        let mut needs = Self::default();
        for field in information.split(|byte| *byte == 0) {
            let Ok(field) = std::str::from_utf8(field) else {
                continue;
            };
            if let Some(names) = field.strip_prefix("depends=") {
                let names = names.split(',').filter(|name| !name.is_empty());
                needs.symbols.extend(names.map(name_of));
            } else if let Some(wishes) = field.strip_prefix("softdep=pre:") {
                let before = wishes.split("post:").next().unwrap_or_default();
                needs
                    .wished
                    .extend(before.split_whitespace().flat_map(providers));
            }
        }
        Ok(needs)
    }
}

/// The modules behind a name that a module wishes for: `crc32c` is what several algorithms are called.
fn providers(wished: &str) -> Vec<String> {
    let name = name_of(wished);
    let generic = format!("{name}_generic");
    vec![name, generic]
}

/// The name in a module's path, with underscores.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.split_once(".ko").map_or(file, |(name, _)| name);
    name.replace('-', "_")
}

/// The file of a module: the list may name it without the suffix of its compression.
fn existing(listed: &Path) -> Option<PathBuf> {
    SUFFIXES.iter().find_map(|suffix| {
        let mut path = listed.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        path.is_file().then_some(path)
    })
}

fn read_list(path: &Path) -> Result<String> {
    let bytes = host_file::read(path, LIST_BYTES)?;
    String::from_utf8(bytes)
        .map_err(|_| Problem::invalid("not a list of modules").at(path.display()))
}

fn missing(name: &str) -> Problem {
    Problem::host("a module of the kernel is missing")
        .found(name)
        .remedy("install all of the kernel's package, or name another kernel with --kernel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_kernel_uses() {
        assert_eq!(name_of("kernel/drivers/virtio-rng.ko.xz"), "virtio_rng");
        assert_eq!(name_of("crc32c-intel"), "crc32c_intel");
    }
}
