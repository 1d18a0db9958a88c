//! Which monitor makes machines here, and what executes their guests' instructions.
//!
//! A trial guest says whether KVM works: a device file says little, since the KVM of some hosts runs guests made for it
//! alone. The answer is remembered for each host kernel, monitor and guest kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uc_linux::idmap::find_program;
use uc_model::{Problem, Result};

use crate::{
    bounds::Bounds,
    firecracker::{launch::check_program, monitor::Firecracker},
    host::Host,
    images,
    launch::Launcher,
    machine::{Accelerator, Shape},
    monitor::Monitor,
    qemu::{self, Qemu},
};

/// How long a guest on the processor itself may take to its agent: far longer than one does.
const KVM_PATIENCE: Duration = Duration::from_secs(4);

/// Memory of the machine of a trial, in MiB.
const TRIAL_MEMORY_MIB: u64 = 128;

/// Largest note of a trial, in bytes.
const MAX_NOTE: u64 = 16 << 10;

const KVM: &str = "/dev/kvm";

/// The monitor for this host: Firecracker where it is named, or is on `PATH` and boots a guest; else QEMU.
pub(crate) fn choose(host: &Host) -> Result<Monitor> {
    let settings = &host.settings;
    if let Some(program) = &settings.firecracker {
        return named(host, program);
    }
    // Who names QEMU, or has instructions translated, means QEMU.
    let may_be_tried = settings.qemu.is_none() && settings.accelerator != Some(Accelerator::Tcg);
    if let Some(program) = find_program("firecracker").filter(|_| may_be_tried) {
        let monitor = firecracker(host, &program);
        if boots(host, &monitor)?.is_ok() {
            return Ok(monitor);
        }
    }
    by_qemu(host)
}

/// Firecracker, which was asked for.
fn named(host: &Host, program: &Path) -> Result<Monitor> {
    check_program(program)?;
    let monitor = firecracker(host, program);
    match host.settings.accelerator {
        Some(Accelerator::Kvm) => Ok(monitor),
        Some(Accelerator::Tcg) => Err(Problem::invalid("Firecracker translates no instructions")
            .at(program.display())
            .limit("KVM")
            .found("the accelerator tcg")
            .remedy(
                "leave UC_FIRECRACKER out, so that QEMU runs microVMs, or UC_MICROVM_ACCELERATOR",
            )),
        None => boots(host, &monitor)?.map(|()| monitor).map_err(|reason| {
            Problem::host("Firecracker was asked for, and no guest boots with KVM")
                .at(program.display())
                .found(reason)
                .remedy("leave UC_FIRECRACKER out, so that QEMU runs microVMs without KVM")
        }),
    }
}

fn firecracker(host: &Host, program: &Path) -> Monitor {
    Monitor::Firecracker(Firecracker {
        program: program.to_owned(),
        jailer: host.settings.jailer.clone(),
        machines: host.machines(),
    })
}

fn by_qemu(host: &Host) -> Result<Monitor> {
    let program = host.settings.qemu.clone().or_else(qemu::find);
    let program = program.ok_or_else(|| {
        Problem::host("no monitor for microVMs is installed")
            .limit("qemu-system-x86_64 on PATH")
            .remedy("apt install qemu-system-x86")
    })?;
    let with = |accelerator| {
        Monitor::Qemu(Qemu {
            program: program.clone(),
            accelerator,
        })
    };
    Ok(with(match host.settings.accelerator {
        Some(accelerator) => accelerator,
        None => match boots(host, &with(Accelerator::Kvm))? {
            Ok(()) => Accelerator::Kvm,
            Err(_) => Accelerator::Tcg,
        },
    }))
}

/// Why instructions are translated, where they are.
pub(crate) fn why_translated(host: &Host) -> &'static str {
    match host.settings.accelerator {
        Some(_) => "it was asked for",
        None if !Path::new(KVM).exists() => "there is no /dev/kvm",
        None => "a guest did not boot with KVM",
    }
}

/// Why a Firecracker on `PATH` is not the monitor, where it is not.
pub(crate) fn why_not_firecracker(host: &Host) -> Option<String> {
    let program = find_program("firecracker")?;
    let trial = remembered(&note(host, &firecracker(host, &program)));
    Some(match trial.and_then(|trial| trial.reason) {
        Some(reason) => format!("{}: {reason}", program.display()),
        None => format!("{}: QEMU was asked for", program.display()),
    })
}

/// What a trial found.
#[derive(Debug, Serialize, Deserialize)]
struct Trial {
    /// Of all that decides it.
    key: String,
    /// Why no guest boots; `None` where one does.
    reason: Option<String>,
}

/// Whether a guest boots on the processor itself, or why not.
///
/// # Errors
/// Those of finding a kernel: a trial needs one.
fn boots(host: &Host, monitor: &Monitor) -> Result<std::result::Result<(), String>> {
    if !Path::new(KVM).exists() {
        return Ok(Err(format!("there is no {KVM}")));
    }
    let mut hash = images::hash("trial");
    hash.update(monitor.stamp());
    hash.update(format!("{:?}", host.settings.jailer));
    hash.update(host.kernel()?.digest.to_string());
    // Without an agent there is nothing to try, nor to remember.
    let known = host
        .programs()
        .and_then(|programs| programs.agent.identify(&mut hash));
    if let Err(problem) = known {
        return Ok(Err(problem.to_string()));
    }
    hash.update(fs::read_to_string("/proc/version").unwrap_or_default());
    let key = images::digest(hash).to_string();
    let note = note(host, monitor);
    let trial = match remembered(&note).filter(|trial| trial.key == key) {
        Some(trial) => trial,
        None => {
            let reason = attempt(host, monitor).err();
            let reason = reason.map(|problem| problem.to_string());
            let trial = Trial { key, reason };
            // Nothing is lost if it cannot be kept: the next one tries again.
            let _ = fs::write(&note, serde_json::to_vec(&trial).unwrap_or_default());
            trial
        }
    };
    Ok(trial.reason.map_or(Ok(()), Err))
}

fn note(host: &Host, monitor: &Monitor) -> PathBuf {
    let name = monitor.name().to_ascii_lowercase();
    host.settings.cache.join(format!("trial-{name}.json"))
}

fn remembered(note: &Path) -> Option<Trial> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = fs::File::open(note).ok()?;
    file.take(MAX_NOTE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Boots a machine to its agent.
fn attempt(host: &Host, monitor: &Monitor) -> Result<()> {
    let kernel = host.kernel()?.clone();
    let (initramfs, initramfs_digest) =
        host.images()?.initramfs(&kernel, &host.programs()?.agent)?;
    let shape = Shape {
        kernel,
        initramfs,
        initramfs_digest,
        memory_mib: TRIAL_MEMORY_MIB,
        vcpus: 1,
        disks: Vec::new(),
        ports: None,
    };
    let launcher = Launcher {
        monitor: monitor.clone(),
        snapshots: None,
    };
    // A thread of its own: whoever asks may be within an asynchronous runtime.
    let trial = std::thread::spawn(move || {
        // What runs there is ours, and for a moment.
        let bounds = Bounds::default();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::internal("cannot try a microVM").caused_by(error))?
            .block_on(launcher.boot_within(KVM_PATIENCE, shape, "trial", &bounds))
            .map(drop)
    });
    trial
        .join()
        .unwrap_or_else(|_| Err(Problem::internal("a trial broke off")))
}
