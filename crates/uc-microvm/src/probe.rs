//! What microVMs can do on this host, found by booting one.

use std::{collections::BTreeSet, time::Instant};

use uc_linux::network;
use uc_model::{
    Facility, Figure, Isolation, PayloadFormat, Result, RuntimeKind, workload::Network,
};
use uc_sandbox::{Availability, Limit, Offer, Probe};

use crate::{
    choice, host::Host, machine::Accelerator, monitor::Monitor, sandbox::GUEST_OVERHEAD_MIB,
};

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
    // Trying a network takes longer than a start of the lighter sandboxes, which all wait for this.
    let networks = has_network(host, availability == Availability::Ready);
    if kind == RuntimeKind::Fused {
        // They are those of microVMs, which are listed already.
        facilities.clear();
    }
    Probe {
        kind,
        availability,
        offer: offer(kind, accelerator, networks),
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
        let monitor = &launcher.monitor;
        let how = match monitor.accelerator() {
            Accelerator::Kvm => "with KVM".to_owned(),
            Accelerator::Tcg => {
                format!("translated (TCG), since {}", choice::why_translated(host))
            }
        };
        let took = begin.elapsed().as_millis();
        let tried = if took > 100 {
            format!(", tried for {took} ms")
        } else {
            String::new()
        };
        let others = match monitor {
            Monitor::Firecracker(_) => None,
            Monitor::Qemu(_) => choice::why_not_firecracker(host),
        };
        let others = others.map_or(String::new(), |why| format!("; not Firecracker, {why}"));
        let (name, program) = (monitor.name(), monitor.program().display());
        format!("{name} ({program}) {how}{tried}{others}")
    });
    found_or("microVM monitor", described)
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

/// Whether machines can have a network of user mode.
fn has_network(host: &Host, tries: bool) -> bool {
    let by_monitor = host
        .launcher()
        .map_or(true, |launcher| launcher.monitor.has_user_network());
    by_monitor && network::link_program().is_some() && (!tries || network::try_tap().is_ok())
}

fn offer(kind: RuntimeKind, accelerator: Accelerator, has_network: bool) -> Offer {
    let mut networks = BTreeSet::from([Network::None]);
    if has_network {
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
        serves_handlers: false,
        exec: true,
        start_ms,
        overhead_mib: Figure::assumed(
            (GUEST_OVERHEAD_MIB + 60) as f64,
            "MiB",
            "the guest's kernel, and the monitor itself, on a development machine",
        ),
    }
}
