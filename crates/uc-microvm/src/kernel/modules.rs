//! The modules of a kernel: which there are, and which others each needs before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use memchr::memmem;
use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result};

use super::{Feature, elf::Elf, payload};
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
    /// The features that need it.
    pub features: Vec<Feature>,
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

impl Chosen {
    /// Adds what a feature needs, each module once.
    pub(super) fn merge(&mut self, needed: Self, feature: Feature) {
        self.devices_by_parameter |= needed.devices_by_parameter;
        for mut module in needed.modules {
            match self
                .modules
                .iter_mut()
                .find(|known| known.name == module.name)
            {
                Some(known) => known.features.push(feature),
                None => {
                    module.features.push(feature);
                    self.modules.push(module);
                }
            }
        }
    }
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
            features: Vec::new(),
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
    use std::fs;

    use uc_model::ProblemKind;

    use super::*;

    /// An object with a section of what a module says of itself.
    fn module(information: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0";
        let mut out = vec![0; 64];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        out[16..20].copy_from_slice(&[1, 0, 62, 0]);
        let text = information.replace(' ', "\0").replace('~', " ");
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(names);
        let table = out.len() as u64;
        out[40..48].copy_from_slice(&table.to_le_bytes());
        out[58..64].copy_from_slice(&[64, 0, 3, 0, 2, 0]);
        out.resize(out.len() + 64, 0);
        for (name, offset, size) in [(1u32, 64, text.len()), (0, 64 + text.len(), names.len())] {
            let mut section = [0; 64];
            section[..4].copy_from_slice(&name.to_le_bytes());
            section[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
            section[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            out.extend_from_slice(&section);
        }
        out
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    /// A tree of modules as the build leaves it, with compressed files that its list does not tell of.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().expect("a directory");
        let at = |name: &str| tree.path().join(name);
        fs::create_dir(at("kernel")).expect("made");
        let order = "kernel/ring.ko\nkernel/virtio_blk.ko\nkernel/erofs.ko\nkernel/crc32c_generic.ko\nkernel/gone.ko\nkernel/lost.ko\n";
        fs::write(at("modules.order"), order).expect("written");
        fs::write(at("modules.builtin"), "kernel/drivers/virtio-base.ko\n").expect("written");
        let blk = module("license=GPL depends=ring,virtio-base ");
        fs::write(at("kernel/virtio_blk.ko.zst"), zstd(&blk)).expect("written");
        fs::write(at("kernel/ring.ko"), module("depends= ")).expect("written");
        let erofs = module("softdep=pre:~crc32c~nothing~post:~ring depends= ");
        fs::write(at("kernel/erofs.ko"), erofs).expect("written");
        fs::write(at("kernel/crc32c_generic.ko"), module("")).expect("written");
        fs::write(at("kernel/lost.ko"), module("depends=absent ")).expect("written");
        tree
    }

    #[test]
    fn modules_come_behind_those_that_they_need() {
        let directory = tree();
        let tree = ModuleTree::open(directory.path()).expect("lists");
        assert!(tree.has("virtio_base") && tree.has("erofs") && !tree.has("absent"));
        let mut chosen = Chosen::default();
        for (name, feature) in [
            ("virtio_blk", Feature::VirtioBlk),
            ("virtio_base", Feature::VirtioMmio),
            ("erofs", Feature::Erofs),
            ("ring", Feature::Vsock),
        ] {
            let mut needed = Chosen::default();
            tree.choose(name, &mut needed).expect("chosen");
            chosen.merge(needed, feature);
        }
        let names: Vec<&str> = chosen
            .modules
            .iter()
            .map(|module| module.name.as_str())
            .collect();
        assert_eq!(names, ["ring", "virtio_blk", "crc32c_generic", "erofs"]);
        assert_eq!(
            chosen.modules[0].features,
            [Feature::VirtioBlk, Feature::Vsock]
        );
        let bytes = chosen.modules[1].bytes().expect("decompressed");
        assert!(bytes == module("license=GPL depends=ring,virtio-base "));
        for name in ["gone", "lost"] {
            let problem = tree.choose(name, &mut Chosen::default()).expect_err(name);
            assert_eq!(problem.kind(), ProblemKind::Host, "{problem}");
        }
    }

    #[test]
    fn the_list_of_depmod_goes_before_that_of_the_build() {
        let directory = tree();
        let list = "kernel/ring.ko:\nupdates/erofs.ko.xz: kernel/ring.ko\n../../evil.ko:\n";
        fs::write(directory.path().join("modules.dep"), list).expect("written");
        let tree = ModuleTree::open(directory.path()).expect("lists");
        assert!(tree.has("ring") && tree.has("erofs"));
        assert!(!tree.has("virtio_blk") && !tree.has("evil"));
    }

    #[test]
    fn names_are_those_that_the_kernel_uses() {
        assert_eq!(name_of("kernel/drivers/virtio-rng.ko.xz"), "virtio_rng");
        assert_eq!(name_of("crc32c-intel"), "crc32c_intel");
    }
}
