//! What containers can do on this host, found by trying.

use std::collections::BTreeSet;

use uc_linux::{
    cgroup::{Layout, Version, controller_of},
    idmap::{IdMapping, MapWriter},
    isolation, network, worker,
};
use uc_model::{Facility, Figure, Isolation, PayloadFormat, RuntimeKind, workload::Network};
use uc_sandbox::{Availability, Limit, Offer, Probe};

use crate::seccomp;

/// Tries everything a container needs.
pub(crate) fn probe() -> Probe {
    let mapping = IdMapping::for_caller();
    let namespaces = user_namespaces(mapping.as_ref().ok());
    let filter = seccomp_filter();
    let layout = Layout::of_this_host();
    let availability = [&namespaces, &filter]
        .into_iter()
        .find(|facility| !facility.found)
        .map_or(Availability::Ready, |facility| Availability::Missing {
            what: format!("{}: {}", facility.name, facility.detail),
            remedy: facility.remedy.clone().unwrap_or_default(),
        });
    let mut facilities = vec![namespaces, id_range(&mapping), filter];
    facilities
        .extend([Limit::Memory, Limit::Cpu, Limit::Pids].map(|limit| controller(&layout, limit)));
    let user_mode = user_mode_network();
    let offer = offer(&layout, user_mode.found);
    facilities.push(user_mode);
    Probe {
        kind: RuntimeKind::Container,
        availability,
        offer,
        facilities,
    }
}

fn offer(layout: &Layout, user_mode_network: bool) -> Offer {
    let mut networks = BTreeSet::from([Network::None, Network::Host]);
    if user_mode_network {
        networks.insert(Network::User);
    }
    let limits = [Limit::Memory, Limit::Cpu, Limit::Pids];
    Offer {
        formats: BTreeSet::from([PayloadFormat::LinuxRootfs]),
        networks,
        limits: limits
            .into_iter()
            .filter(|limit| layout.place(controller_of(*limit)).is_some())
            .collect(),
        isolation: Isolation::SharedKernel,
        isolation_bits: isolation::of_allow_list(),
        shared_loopback: true,
        serves_handlers: false,
        exec: true,
        start_ms: Figure::assumed(
            8.0,
            "ms",
            "crun's median on the development machine; `uc bench` measures yours",
        ),
        overhead_mib: Figure::assumed(
            3.5,
            "MiB",
            "the monitor's budget; `uc bench` measures yours",
        ),
    }
}

/// Makes a user namespace with the real mapping, mounts an overlay in it and goes away.
fn user_namespaces(mapping: Option<&IdMapping>) -> Facility {
    const NAME: &str = "user namespaces with overlayfs";
    const ENABLES: &str = "rootless containers";
    let Some(mapping) = mapping else {
        return Facility::missing(
            NAME,
            "no ids to map",
            ENABLES,
            "add a line root:100000:65536 to /etc/subuid and /etc/subgid",
        );
    };
    let tried = worker::run(mapping, std::path::Path::new("/"), || {
        Ok(try_overlay().map_err(|error| error.to_string()))
    });
    match tried {
        Ok(Ok(())) => Facility::found(NAME, kernel_release(), ENABLES),
        Ok(Err(refusal)) => Facility::missing(
            NAME,
            format!("overlayfs: {refusal}"),
            ENABLES,
            "Linux 5.11 or newer with overlayfs is needed",
        ),
        Err(problem) => Facility::missing(
            NAME,
            problem.to_string(),
            ENABLES,
            problem
                .remedy_text()
                .unwrap_or("allow user namespaces: sysctl user.max_user_namespaces=15000"),
        ),
    }
}

/// In a worker: can this namespace mount an overlay on a tmpfs?
fn try_overlay() -> std::io::Result<()> {
    use rustix::mount::{MountFlags, MountPropagationFlags};
    // SAFETY: the worker has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let tried = || {
        rustix::mount::mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        rustix::mount::mount(
            "tmpfs",
            "/tmp",
            "tmpfs",
            MountFlags::empty(),
            None::<&std::ffi::CStr>,
        )?;
        for directory in ["/tmp/lower", "/tmp/upper", "/tmp/work", "/tmp/root"] {
            rustix::fs::mkdir(directory, rustix::fs::Mode::RWXU)?;
        }
        let options = Some(c"lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work,userxattr");
        rustix::mount::mount(
            "overlay",
            "/tmp/root",
            "overlay",
            MountFlags::empty(),
            options,
        )
    };
    tried().map_err(|errno: rustix::io::Errno| errno.into())
}

fn kernel_release() -> String {
    let name = rustix::system::uname();
    format!("Linux {}", name.release().to_string_lossy())
}

fn id_range(mapping: &uc_model::Result<IdMapping>) -> Facility {
    const NAME: &str = "subordinate ids";
    const ENABLES: &str = "images with files and programs of several users";
    match mapping {
        Ok(mapping) if mapping.writer != MapWriter::OwnIdOnly => {
            let extents: Vec<String> = mapping
                .uids
                .iter()
                .map(|e| format!("{}+{}", e.outside, e.count))
                .collect();
            Facility::found(
                NAME,
                format!("host user ids {}", extents.join(", ")),
                ENABLES,
            )
        }
        Ok(_) => Facility::missing(
            NAME,
            "only your own id",
            ENABLES,
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER; apt install uidmap",
        ),
        Err(problem) => Facility::missing(
            NAME,
            problem.to_string(),
            ENABLES,
            problem.remedy_text().unwrap_or_default(),
        ),
    }
}

fn seccomp_filter() -> Facility {
    const NAME: &str = "seccomp filters";
    const ENABLES: &str = "the system-call allow-list of containers";
    let known =
        std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    match seccomp::built_in() {
        Ok(_) if known.contains("errno") => Facility::found(NAME, known.trim(), ENABLES),
        Ok(_) => Facility::missing(
            NAME,
            "not built into this kernel",
            ENABLES,
            "a kernel with CONFIG_SECCOMP_FILTER",
        ),
        Err(problem) => Facility::missing(
            NAME,
            problem.to_string(),
            ENABLES,
            "an x86-64 or 64-bit Arm processor",
        ),
    }
}

fn controller(layout: &Layout, limit: Limit) -> Facility {
    let controller = controller_of(limit);
    let name = format!("cgroup {} controller", controller.name_v2());
    let enables = format!(
        "limits of {} for containers",
        match limit {
            Limit::Memory => "memory",
            Limit::Cpu => "CPU time",
            Limit::Pids => "processes",
        }
    );
    match layout.place(controller) {
        Some(place) => {
            let version = if place.version == Version::V1 { 1 } else { 2 };
            Facility::found(
                &name,
                format!("version {version} at {}", place.parent.display()),
                &enables,
            )
        }
        None => Facility::missing(
            &name,
            "no group of yours has it",
            &enables,
            "run under systemd-run --user --scope, or as root",
        ),
    }
}

fn user_mode_network() -> Facility {
    const NAME: &str = "user-mode network";
    const ENABLES: &str = "network: user and hostPort";
    match network::link_program() {
        Some(program) => match network::try_tap() {
            Ok(()) => Facility::found(NAME, format!("{program}, /dev/net/tun"), ENABLES),
            Err(error) => Facility::missing(
                NAME,
                format!("{program} is there, but /dev/net/tun does not work: {error}"),
                ENABLES,
                "sudo modprobe tun; let everybody open it, as is usual: sudo chmod 666 /dev/net/tun",
            ),
        },
        None => Facility::missing(
            NAME,
            "neither pasta nor slirp4netns on PATH",
            ENABLES,
            "apt install passt",
        ),
    }
}
