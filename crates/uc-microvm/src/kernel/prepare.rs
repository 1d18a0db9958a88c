//! From a kernel's file to a kernel that boots.

use std::{borrow::Cow, path::Path};

use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

use super::{
    Feature, Kernel, Origin,
    cache::{Cache, Stamp},
    features::Inside,
    formats::{self, Bootable, KERNEL_BYTES},
    modules::{Chosen, ModuleTree},
};
use crate::host_file;

/// Prepares a kernel, or finds it prepared. `modules` says where the modules of a version would be.
///
/// # Errors
/// Not found where the file is missing, invalid where it is no kernel, of the host where it is none for this host or
/// cannot be reached by a guest's devices, storage where the cache cannot be written.
pub(super) fn prepare(
    source: &Path,
    origin: Origin,
    modules: &dyn Fn(&str) -> Option<std::path::PathBuf>,
    cache: &Path,
) -> Result<Kernel> {
    let source = &std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
    let cache = Cache::open(cache)?;
    let stamp = Stamp::of(source);
    let known = stamp.as_ref().and_then(|stamp| cache.kernel(stamp));
    if let Some(kernel) = known {
        return Ok(Kernel { origin, ..kernel });
    }
    let bytes = host_file::read(source, KERNEL_BYTES)?;
    let hash: [u8; 32] = Sha256::digest(&bytes).into();
    let digest = Digest::from_sha256(&hash);
    let at_source = |problem: Problem| problem.within(source.display());
    let bootable = formats::read(&bytes).map_err(at_source)?;
    let tree = match bootable.is_krunfw {
        true => None,
        false => modules(&bootable.inside.version),
    };
    let parts = Parts::of(&bootable, tree.as_deref()).map_err(at_source)?;
    let mut kernel = Kernel {
        source: source.clone(),
        image: source.clone(),
        origin,
        version: bootable.inside.version,
        modules: parts.chosen.modules,
        console: parts.console.to_owned(),
        needs_acpi: parts.needs_acpi,
        pvh: bootable.pvh,
        features: parts.features,
        digest,
    };
    for feature in Feature::INDISPENSABLE {
        kernel.require(feature)?;
    }
    if let Cow::Owned(elf) = &bootable.elf {
        kernel.image = cache.keep(&kernel.digest, elf)?;
    }
    if let Some(stamp) = stamp {
        cache.remember(stamp, tree.as_deref(), &kernel);
    }
    Ok(kernel)
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
                tree.choose(module, &mut chosen)?;
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
