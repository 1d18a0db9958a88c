//! What microVMs can do on this host, found by booting one.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use uc_linux::network;
use uc_model::{
    Facility, Figure, Isolation, PayloadFormat, Problem, Result, RuntimeKind, workload::Network,
};
use uc_sandbox::{Availability, Limit, Offer, Probe};

use crate::{
    host::Host,
    images,
    launch::Launcher,
    machine::{Accelerator, Shape},
    qemu::{Qemu, stamp},
    sandbox::GUEST_OVERHEAD_MIB,
};

/// How long a guest on the processor itself may take to its agent: far longer than one does.
const KVM_PATIENCE: Duration = Duration::from_secs(4);

/// Memory of the machine of a trial, in MiB.
const TRIAL_MEMORY_MIB: u64 = 128;

/// Largest note of a trial, in bytes.
const MAX_NOTE: u64 = 4096;

/// What a trial found.
#[derive(Debug, Serialize, Deserialize)]
struct Trial {
    /// Of all that decides it.
    key: String,
    accelerator: Accelerator,
    /// Why not the processor itself.
    reason: String,
}

/// What executes guests' instructions here: a trial says, once for each host kernel, monitor and guest kernel.
pub(crate) fn accelerator(host: &Host, program: &Path) -> Result<Accelerator> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Accelerator::Tcg);
    }
    let kernel = host.kernel()?;
    let mut hash = images::hash("accelerator");
    hash.update(stamp(program));
    hash.update(kernel.digest.to_string());
    hash.update(host_kernel());
    let key = images::digest(hash).to_string();
    let note = host.settings.cache.join("accelerator.json");
    if let Some(trial) = remembered(&note).filter(|trial| trial.key == key) {
        return Ok(trial.accelerator);
    }
    let tried = try_kvm(host, program);
    let trial = Trial {
        key,
        accelerator: match tried {
            Ok(()) => Accelerator::Kvm,
            Err(_) => Accelerator::Tcg,
        },
        reason: tried
            .err()
            .map_or(String::new(), |problem| problem.to_string()),
    };
    // Nothing is lost if it cannot be kept: the next one tries again.
    let _ = fs::write(&note, serde_json::to_vec(&trial).unwrap_or_default());
    Ok(trial.accelerator)
}

fn remembered(note: &Path) -> Option<Trial> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = fs::File::open(note).ok()?;
    file.take(MAX_NOTE).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn host_kernel() -> String {
    fs::read_to_string("/proc/version").unwrap_or_default()
}

/// Boots a machine on the processor itself. A device file says little: some hosts' KVM runs guests made for it alone.
fn try_kvm(host: &Host, program: &Path) -> Result<()> {
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
        qemu: Qemu {
            program: program.to_owned(),
            accelerator: Accelerator::Kvm,
        },
        snapshots: None,
    };
    // A thread of its own: whoever asks may be within an asynchronous runtime.
    let trial = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Problem::internal("cannot try a microVM").caused_by(error))?
            .block_on(async {
                let boot = launcher.boot(shape, "trial");
                match tokio::time::timeout(KVM_PATIENCE, boot).await {
                    Ok(booted) => booted.map(drop),
                    Err(_) => Err(Problem::host("a guest does not reach its agent with KVM")
                        .limit(format!("{} s", KVM_PATIENCE.as_secs()))),
                }
            })
    });
    trial
        .join()
        .unwrap_or_else(|_| Err(Problem::internal("a trial broke off")))
}

/// Tries everything that a microVM needs.
pub(crate) fn probe(host: &Host, kind: RuntimeKind) -> Probe {
    // A monitor is tried with a kernel and an agent: the first that is missing is why.
    let mut facilities = vec![kernel(host), agent(host), monitor(host)];
    let availability = facilities.iter().find(|facility| !facility.found).map_or(
        Availability::Ready,
        |facility| Availability::Missing {
            what: format!("{}: {}", facility.name, facility.detail),
            remedy: facility.remedy.clone().unwrap_or_default(),
        },
    );
    let accelerator = host.accelerator();
    if kind == RuntimeKind::Fused {
        // They are those of microVMs, which are listed already.
        facilities.clear();
    }
    Probe {
        kind,
        availability,
        offer: offer(kind, accelerator),
        facilities,
    }
}

const ENABLES: &str = "microVMs";

fn found_or(name: &'static str, result: Result<String>) -> Facility {
    match result {
        Ok(detail) => Facility::found(name, detail, ENABLES),
        Err(problem) => {
            let view = problem.to_view();
            let remedy = view.remedy.unwrap_or_default().to_owned();
            let mut detail = view.what.to_owned();
            for more in [view.place, view.found].into_iter().flatten() {
                detail.push_str(": ");
                detail.push_str(more);
            }
            Facility::missing(name, detail, ENABLES, &remedy)
        }
    }
}

fn monitor(host: &Host) -> Facility {
    let begin = Instant::now();
    let described = host.launcher().map(|launcher| {
        let qemu = &launcher.qemu;
        let how = match qemu.accelerator {
            Accelerator::Kvm => "KVM".to_owned(),
            Accelerator::Tcg => format!("translated (TCG), since {}", why_not_kvm(host)),
        };
        let took = begin.elapsed().as_millis();
        let tried = if took > 100 {
            format!(", tried for {took} ms")
        } else {
            String::new()
        };
        format!("{}, {how}{tried}", qemu.program.display())
    });
    found_or("microVM monitor", described)
}

fn why_not_kvm(host: &Host) -> String {
    if !Path::new("/dev/kvm").exists() {
        return "there is no /dev/kvm".to_owned();
    }
    match remembered(&host.settings.cache.join("accelerator.json")) {
        Some(trial) if !trial.reason.is_empty() => "a guest did not boot with KVM".to_owned(),
        _ => "it was asked for".to_owned(),
    }
}

fn kernel(host: &Host) -> Facility {
    let described = host
        .kernel()
        .map(|kernel| format!("{} ({})", kernel.version, kernel.source.display()));
    found_or("guest kernel", described)
}

fn agent(host: &Host) -> Facility {
    let described = host.programs().map(|_| "built for this uc".to_owned());
    found_or("guest agent", described)
}

fn offer(kind: RuntimeKind, accelerator: Accelerator) -> Offer {
    let mut networks = BTreeSet::from([Network::None]);
    if network::link_program().is_some() && network::try_tap().is_ok() {
        networks.insert(Network::User);
    }
    let mut formats = BTreeSet::from([PayloadFormat::LinuxRootfs]);
    if kind == RuntimeKind::Fused {
        formats.extend([PayloadFormat::WasmModule, PayloadFormat::WasmComponent]);
    }
    let start_ms = match accelerator {
        Accelerator::Kvm => Figure::assumed(
            205.0,
            "ms",
            "the source's budget for machine, container and function; `uc bench --only microvm` measures yours",
        ),
        Accelerator::Tcg => Figure::assumed(
            1400.0,
            "ms",
            "a cold start without KVM on a development machine; `uc bench --only microvm` measures yours",
        ),
    };
    Offer {
        formats,
        networks,
        // The guest's own control groups enforce them, within the machine's memory and processors.
        limits: BTreeSet::from([Limit::Memory, Limit::Cpu, Limit::Pids]),
        isolation: Isolation::Hardware,
        isolation_bits: Figure::assumed(
            0.0,
            "bit",
            "a guest makes no system call of the host; what its monitor may call is confined",
        ),
        shared_loopback: true,
        exec: true,
        start_ms,
        overhead_mib: Figure::assumed(
            (GUEST_OVERHEAD_MIB + 60) as f64,
            "MiB",
            "the guest's kernel, and the monitor itself, on a development machine",
        ),
    }
}
