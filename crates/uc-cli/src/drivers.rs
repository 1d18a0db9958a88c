//! The drivers of this binary, and the environment variables that choose among them.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use uc_container::ContainerDriver;
use uc_engine::Home;
use uc_microvm::{Accelerator, MicrovmDriver, Settings};
use uc_model::{Problem, Result, Telling};
use uc_oci_runtime::{Flavour, OciRuntimeDriver, Platform};
use uc_sandbox::Driver;
use uc_wasm::WasmDriver;

use crate::guest_programs;

/// An OCI runtime that makes containers in place of the built-in launcher: `crun`, `runc` or `youki`, or a path to one.
pub(crate) const CONTAINER_RUNTIME: &str = "UC_CONTAINER_RUNTIME";

/// Where runsc is, if not on PATH.
pub(crate) const RUNSC: &str = "UC_RUNSC";

/// How gVisor catches system calls: `systrap`, `ptrace` or `kvm`.
pub(crate) const GVISOR_PLATFORM: &str = "UC_GVISOR_PLATFORM";

/// The kernel of microVMs: a vmlinux, a bzImage, or a libkrunfw.
pub(crate) const KERNEL: &str = "UC_KERNEL";

/// Where QEMU is, if not on PATH.
pub(crate) const QEMU: &str = "UC_QEMU";

/// Firecracker, which then is the monitor of microVMs whatever else there is.
pub(crate) const FIRECRACKER: &str = "UC_FIRECRACKER";

/// Firecracker's jailer, which only root can use.
pub(crate) const JAILER: &str = "UC_JAILER";

/// What executes the instructions of microVMs, in place of what a trial finds: `kvm` or `tcg`.
pub(crate) const ACCELERATOR: &str = "UC_MICROVM_ACCELERATOR";

/// `off`: microVMs never start from a snapshot.
pub(crate) const SNAPSHOTS: &str = "UC_MICROVM_SNAPSHOTS";

/// How many microVMs are kept ready of each kind, by an owner that starts many: a detached function that is restarted.
pub(crate) const POOL: &str = "UC_MICROVM_POOL";

/// Most of them: each holds its own memory.
const MAX_POOL: usize = 64;

/// The program that is a supervisor when called so: this one, even if its file has been replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// One driver for each kind of sandbox. `kernel` is for microVMs, in place of that of the environment.
pub(crate) fn drivers(home: &Home, kernel: Option<&Path>) -> Result<Vec<Arc<dyn Driver>>> {
    let microvm = MicrovmDriver::new(microvm(home, kernel)?);
    Ok(vec![
        Arc::new(WasmDriver::new(home.compiled())),
        container(home)?,
        Arc::new(gvisor(home)?),
        Arc::new(microvm.fused()),
        Arc::new(microvm),
    ])
}

/// How microVMs are made.
pub(crate) fn microvm(home: &Home, kernel: Option<&Path>) -> Result<Settings> {
    let accelerator = setting(ACCELERATOR)
        .map(|name| match name.as_str() {
            "kvm" => Ok(Accelerator::Kvm),
            "tcg" => Ok(Accelerator::Tcg),
            _ => Err(
                Problem::invalid(format!("{ACCELERATOR} names nothing that is known"))
                    .limit("kvm or tcg")
                    .found(name),
            ),
        })
        .transpose()?;
    let snapshots = match setting(SNAPSHOTS).as_deref() {
        None | Some("on") => true,
        Some("off") => false,
        Some(other) => {
            return Err(
                Problem::invalid(format!("{SNAPSHOTS} is neither on nor off")).found(other),
            );
        }
    };
    let pool = setting(POOL)
        .map(|text| pool_size(&text))
        .transpose()?
        .unwrap_or_default();
    Ok(Settings {
        qemu: setting(QEMU).map(PathBuf::from),
        firecracker: setting(FIRECRACKER).map(PathBuf::from),
        jailer: setting(JAILER).map(PathBuf::from),
        kernel: kernel
            .map(Path::to_owned)
            .or_else(|| setting(KERNEL).map(PathBuf::from)),
        accelerator,
        snapshots,
        pool,
        programs: guest_programs::find().map_err(|problem| Box::new(Telling::of(&problem))),
        cache: home.microvms(),
        home: setting("HOME").map(PathBuf::from),
        precompile: Arc::new(uc_wasm::precompile_for_guest),
    })
}

fn container(home: &Home) -> Result<Arc<dyn Driver>> {
    let Some(wanted) = setting(CONTAINER_RUNTIME) else {
        return Ok(Arc::new(ContainerDriver::new(home.mount_points())));
    };
    let path = PathBuf::from(&wanted);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let flavour = [Flavour::Crun, Flavour::Runc, Flavour::Youki]
        .into_iter()
        .find(|flavour| flavour.program() == name)
        .ok_or_else(|| {
            Problem::invalid(format!(
                "{CONTAINER_RUNTIME} names no runtime that is known"
            ))
            .limit("crun, runc or youki, or a path that ends so")
            .found(&wanted)
        })?;
    let driver = OciRuntimeDriver::new(flavour, THIS_PROGRAM.into(), home.mount_points());
    // Whoever names a runtime does not mean another sandbox where it is missing.
    let missing = |problem: Problem| problem.within(CONTAINER_RUNTIME);
    if !wanted.contains('/') {
        driver.program().map_err(missing)?;
        return Ok(Arc::new(driver));
    }
    if !path.is_file() {
        return Err(missing(
            Problem::not_found("no such program").at(path.display()),
        ));
    }
    Ok(Arc::new(driver.with_program(path)))
}

fn gvisor(home: &Home) -> Result<OciRuntimeDriver> {
    let driver = OciRuntimeDriver::new(Flavour::Runsc, THIS_PROGRAM.into(), home.mount_points());
    let driver = match setting(RUNSC) {
        Some(path) => driver.with_program(Path::new(&path).to_owned()),
        None => driver,
    };
    let Some(platform) = setting(GVISOR_PLATFORM) else {
        return Ok(driver);
    };
    let platform: Platform = platform
        .parse()
        .map_err(|problem: Problem| problem.within(GVISOR_PLATFORM))?;
    Ok(driver.with_platform(platform))
}

fn pool_size(text: &str) -> Result<usize> {
    text.parse()
        .ok()
        .filter(|size| *size <= MAX_POOL)
        .ok_or_else(|| {
            Problem::invalid(format!("{POOL} is no number of microVMs"))
                .limit(format!("0 to {MAX_POOL}"))
                .found(text)
        })
}

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
