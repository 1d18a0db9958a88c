//! From a kernel's file to a kernel that boots.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result, Telling};

use super::{
    Feature, Kernel, Origin,
    cache::{Cache, Ground, Outcome, Stamp},
    features::Inside,
    formats::{self, Bootable, KERNEL_BYTES},
    modules::{Chosen, ModuleTree},
};
use crate::host_file;

/// Prepares a kernel, or finds it prepared. `modules` says where the modules of a version are.
///
/// # Errors
/// Not found where the file is missing, invalid where it is no kernel, of the host where it is none for this host or
/// cannot be reached by a guest's devices, storage where the cache cannot be written.
pub(super) fn prepare(
    source: &Path,
    origin: Origin,
    modules: &dyn Fn(&str) -> Option<PathBuf>,
    cache: &Path,
) -> Result<Kernel> {
    let source = &std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let cache = Cache::open(cache)?;
    let stamp = Stamp::of(source);
    let known = stamp.as_ref().and_then(|stamp| cache.known(stamp, modules));
    let outcome = match known {
        Some(outcome) => outcome,
        None => {
            let bytes = host_file::read(source, KERNEL_BYTES)?;
            let mut ground = Ground::default();
            let outcome = match make(source, &bytes, modules, &mut ground) {
                Ok((mut kernel, elf)) => {
                    if let Some(elf) = elf {
                        kernel.image = cache.keep(&kernel.digest, &elf)?;
                    }
                    Outcome::Kernel(Box::new(kernel))
                }
                Err(problem) => Outcome::Refusal(Telling::of(&problem)),
            };
            if let Some(stamp) = stamp {
                cache.remember(stamp, &ground, &outcome);
            }
            outcome
        }
    };
    match outcome {
        Outcome::Kernel(kernel) => Ok(Kernel { origin, ..*kernel }),
        Outcome::Refusal(telling) => Err(telling.into_problem()),
    }
}

/// A kernel, with the bytes of its ELF where its file is not one itself.
fn make(
    source: &Path,
    bytes: &[u8],
    modules: &dyn Fn(&str) -> Option<PathBuf>,
    ground: &mut Ground,
) -> Result<(Kernel, Option<Vec<u8>>)> {
    let at_source = |problem: Problem| problem.within(source.display());
    let bootable = formats::read(bytes).map_err(at_source)?;
    if !bootable.is_krunfw {
        ground.version.clone_from(&bootable.inside.version);
    }
    ground.modules = modules(&ground.version);
    let parts = Parts::of(&bootable, ground.modules.as_deref()).map_err(at_source)?;
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let kernel = Kernel {
        source: source.to_owned(),
        image: source.to_owned(),
        origin: Origin::Given,
        version: bootable.inside.version,
        modules: parts.chosen.modules,
        console: parts.console.to_owned(),
        needs_acpi: parts.needs_acpi,
        pvh: bootable.pvh,
        features: parts.features,
        digest: Digest::from_sha256(&hash),
    };
    for feature in Feature::INDISPENSABLE {
        kernel.require(feature)?;
    }
    let elf = match bootable.elf {
        Cow::Owned(elf) => Some(elf),
        Cow::Borrowed(_) => None,
    };
    Ok((kernel, elf))
}

/// What a kernel has, and what must be loaded for it.
struct Parts {
    features: Vec<Feature>,
    chosen: Chosen,
    console: &'static str,
    needs_acpi: bool,
}

impl Parts {
    fn of(bootable: &Bootable<'_>, tree: Option<&Path>) -> Result<Self> {
        let inside = &bootable.inside;
        let tree = tree.map(ModuleTree::open).transpose()?;
        let mut chosen = Chosen::default();
        let mut features = Vec::new();
        for feature in Feature::ALL {
            if inside.features.contains(&feature) {
                features.push(feature);
                continue;
            }
            let (Some(tree), Some(module)) = (&tree, feature.module()) else {
                continue;
            };
            if tree.has(module) {
                let mut needed = Chosen::default();
                tree.choose(module, &mut needed)?;
                chosen.merge(needed, feature);
                features.push(feature);
            }
        }
        let mmio_is_module = chosen
            .modules
            .iter()
            .any(|module| module.name == "virtio_mmio");
        Ok(Self {
            console: console(inside),
            needs_acpi: match mmio_is_module {
                true => !chosen.devices_by_parameter,
                false => !inside.devices_by_command_line,
            },
            features,
            chosen,
        })
    }
}

/// The virtio console speaks from the start only where it is built in.
fn console(inside: &Inside) -> &'static str {
    match inside.serial && !inside.features.contains(&Feature::VirtioConsole) {
        true => "ttyS0",
        false => "hvc0",
    }
}
