//! Firecracker as one of the monitors: a machine's shape as its configuration, its guest's socket device as the line to
//! the agent, its snapshot files as those of the store.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use uc_guest_protocol::{Descriptor, VSOCK_PORT};
use uc_linux::{cgroup::Entrances, exit::Ending};
use uc_model::{Problem, Result};

use super::{
    configuration::{
        BootSource, Configuration, Drive, Entropy, MIN_GUEST_CID, MachineConfiguration,
        NetworkInterface, Vsock,
    },
    jailer::Jailer,
    launch::{Confinement, GivenFile, Launch, TAP, VSOCK, given_path},
    machine::Machine,
};
use crate::{
    console::Console,
    kernel::Feature,
    machine::{ADDRESSES, QUIET, Shape},
    monitor::Words,
    place::Place,
    restore::NotRestored,
    snapshot::Snapshot,
};

/// The kernel and the archive with the agent, as Firecracker is given them.
const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs";

/// How long one connection may wait for the guest's kernel to answer: it may have to boot first.
const ANSWER: Duration = Duration::from_secs(60);

/// Between two connections, while nobody in the guest listens.
const PAUSE: Duration = Duration::from_millis(2);

/// Firecracker on this host.
#[derive(Debug, Clone)]
pub(crate) struct Firecracker {
    pub(crate) program: PathBuf,
    /// Its jailer, which only root can use; without it the driver's own jail.
    pub(crate) jailer: Option<PathBuf>,
    /// A directory for those of machines.
    pub(crate) machines: PathBuf,
}

impl Firecracker {
    /// Refuses what Firecracker's machines cannot have.
    pub(crate) fn check(&self, shape: &Shape) -> Result<()> {
        shape.kernel.require(Feature::Vsock)?;
        if shape.ports.is_some() {
            shape.kernel.require(Feature::VirtioNet)?;
        }
        of_shape(shape)?.check()
    }

    pub(crate) async fn boot(
        &self,
        shape: &Shape,
        groups: Entrances,
    ) -> Result<FirecrackerMachine> {
        self.check(shape)?;
        let place = Place::within(&self.machines)?;
        let mut launch = self.launch(shape, &place, groups);
        launch.configuration = Some(of_shape(shape)?);
        launch.files.extend([
            GivenFile::read_only(KERNEL, &shape.kernel.image),
            GivenFile::read_only(INITRAMFS, &shape.initramfs),
        ]);
        let machine = Machine::boot(launch).await?;
        Ok(FirecrackerMachine::new(machine, place))
    }

    pub(crate) async fn restore(
        &self,
        shape: &Shape,
        snapshot: &Snapshot,
        groups: Entrances,
    ) -> Result<FirecrackerMachine, NotRestored> {
        self.check(shape)?;
        let place = Place::within(&self.machines)?;
        let launch = self.launch(shape, &place, groups);
        let machine = Machine::restore_or_tell(launch, &snapshot.place, Vec::new()).await?;
        Ok(FirecrackerMachine::new(machine, place))
    }

    /// What booting and restoring have in common: the disks keep their names.
    fn launch(&self, shape: &Shape, place: &Place, groups: Entrances) -> Launch {
        let disks = shape.disks.iter().enumerate();
        let jailer = self.jailer.as_ref().map(Jailer::new);
        Launch {
            files: disks
                .map(|(index, disk)| GivenFile::read_only(disk_name(index), &disk.path))
                .collect(),
            confinement: jailer.map_or(Confinement::Namespaces, Confinement::Jailer),
            groups,
            ports: shape.ports.clone(),
            ..Launch::new(&self.program, place.id(), place.path().join("vm"))
        }
    }
}

/// What Firecracker is told of a machine of the driver's: `vm-config.json` of mission M1.3. Its files have the names that they
/// are given under.
///
/// # Errors
/// Refused, where it has more memory than a configuration can say.
pub fn configuration(vcpus: u32, memory_mib: u64, disks: usize) -> Result<Configuration> {
    let drives = (0..disks).map(|index| Drive {
        drive_id: disk_name(index),
        is_root_device: false,
        partuuid: None,
        cache_type: None,
        is_read_only: Some(true),
        path_on_host: Some(given_path(&disk_name(index))),
        rate_limiter: None,
        io_engine: None,
    });
    Ok(Configuration {
        boot_source: BootSource {
            kernel_image_path: given_path(KERNEL),
            initrd_path: Some(given_path(INITRAMFS)),
            boot_args: Some(format!("console=ttyS0 reboot=k panic=1 pci=off {QUIET}")),
        },
        drives: drives.collect(),
        machine_config: MachineConfiguration {
            // What does not fit is beyond the bound that is checked.
            vcpu_count: u8::try_from(vcpus).unwrap_or(u8::MAX),
            mem_size_mib: u32::try_from(memory_mib).map_err(|_| {
                Problem::refused("a microVM cannot have this much memory")
                    .limit(format!("{} MiB", u32::MAX))
                    .found(format!("{memory_mib} MiB"))
            })?,
            smt: false,
            track_dirty_pages: false,
            huge_pages: None,
        },
        network_interfaces: Vec::new(),
        vsock: Some(Vsock {
            guest_cid: MIN_GUEST_CID,
            uds_path: VSOCK.to_owned(),
        }),
        entropy: Some(Entropy::default()),
        logger: None,
    })
}

fn of_shape(shape: &Shape) -> Result<Configuration> {
    let mut all = configuration(shape.vcpus, shape.memory_mib, shape.disks.len())?;
    if shape.ports.is_some() {
        all.network_interfaces.push(network_card());
    }
    Ok(all)
}

/// The card of a guest that has a network.
fn network_card() -> NetworkInterface {
    let card = ADDRESSES.card.map(|byte| format!("{byte:02x}"));
    NetworkInterface {
        iface_id: "eth0".to_owned(),
        host_dev_name: TAP.to_owned(),
        guest_mac: Some(card.join(":")),
        mtu: None,
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    }
}

fn disk_name(index: usize) -> String {
    format!("disk{index}")
}

/// A machine run by Firecracker.
pub(crate) struct FirecrackerMachine {
    machine: Machine,
    /// To the agent, until the next.
    link: Option<Descriptor>,
    // Last: what is in it goes with the machine.
    _place: Place,
}

impl FirecrackerMachine {
    fn new(machine: Machine, place: Place) -> Self {
        Self {
            machine,
            link: None,
            _place: place,
        }
    }

    /// Connects to the agent as soon as it listens.
    pub(crate) async fn agent(&mut self) -> Result<Descriptor> {
        let connected = async {
            loop {
                match self.machine.connect(VSOCK_PORT, ANSWER).await {
                    Ok(stream) => return stream.into_std(),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let stream = tokio::select! {
            biased;
            exit = self.ending().wait() => return Err(self.machine.process().died(&exit?).await),
            stream = connected => stream,
        };
        let failed = |error: std::io::Error| {
            Problem::host("cannot keep the connection to a microVM").caused_by(error)
        };
        let link = Descriptor::exclusive(stream.map_err(failed)?.into())
            .map_err(|errno| failed(errno.into()))?;
        self.link = Some(link.clone());
        Ok(link)
    }

    pub(crate) async fn save(&mut self, into: &Path) -> Result<()> {
        self.machine.pause().await?;
        let saved = self.machine.snapshot(into).await;
        // The guest forgets its connections with a snapshot; whoever reads from this one is not to wait for it.
        if let Some(link) = self.link.take() {
            let _ = rustix::net::shutdown(link, rustix::net::Shutdown::Both);
        }
        self.machine.resume().await?;
        saved
    }

    pub(crate) fn ending(&self) -> &Ending {
        self.machine.process().ending()
    }

    pub(crate) fn words(&self) -> Words {
        Words {
            console: self.machine.process().said().clone(),
            // Firecracker and its guest's serial port write to one.
            monitor: Console::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{self, Kernel, Origin, Places},
        machine::DiskImage,
        monitor::Monitor,
        snapshot::{MEMORY, Snapshots},
    };

    fn digest(number: u8) -> uc_model::Digest {
        uc_model::Digest::from_sha256(&[number; 32])
    }

    /// A machine with two disks.
    fn shape() -> Shape {
        let disk = |number| DiskImage {
            path: format!("/cache/images/root-{number}").into(),
            digest: digest(number),
        };
        Shape {
            kernel: Kernel {
                source: "/boot/vmlinuz".into(),
                image: "/cache/kernels/vmlinux".into(),
                origin: Origin::Given,
                version: "6.1".to_owned(),
                modules: Vec::new(),
                console: "hvc0".to_owned(),
                needs_acpi: false,
                pvh: true,
                features: vec![Feature::Vsock],
                digest: digest(0),
            },
            initramfs: "/cache/images/initramfs".into(),
            initramfs_digest: digest(1),
            memory_mib: 512,
            vcpus: 2,
            disks: vec![disk(2), disk(3)],
            ports: None,
        }
    }

    fn here() -> Firecracker {
        Firecracker {
            program: "/usr/bin/firecracker".into(),
            jailer: None,
            machines: "/cache/machines".into(),
        }
    }

    #[test]
    fn what_firecracker_cannot_give_is_refused_before_anything_starts() {
        type Change = fn(&mut Shape);
        let cases: [(Change, &str); 4] = [
            (|shape| shape.vcpus = 33, "1 to 32; found: 33"),
            (|shape| shape.vcpus = 300, "1 to 32; found: 255"),
            (|shape| shape.kernel.features.clear(), "vsock"),
            (|shape| shape.ports = Some(Vec::new()), "virtio network"),
        ];
        here().check(&shape()).expect("well");
        for (change, words) in cases {
            let mut shape = shape();
            change(&mut shape);
            let problem = here().check(&shape).expect_err(words);
            assert!(problem.to_string().contains(words), "{problem}");
        }
    }

    /// Firecracker itself and a kernel, or nothing after saying why.
    fn real(cache: &Path) -> Option<(Firecracker, Kernel)> {
        let Some(program) = std::env::var_os("UC_FIRECRACKER") else {
            println!("skipped: UC_FIRECRACKER names no Firecracker");
            return None;
        };
        let Some(kernel) = std::env::var_os("UC_KERNEL") else {
            println!("skipped: UC_KERNEL names no kernel");
            return None;
        };
        let places = Places::of_host(None);
        let kernel = kernel::find(Some(Path::new(&kernel)), &places, &cache.join("kernels"));
        let firecracker = Firecracker {
            program: program.into(),
            jailer: None,
            machines: cache.join("machines"),
        };
        Some((firecracker, kernel.expect("a kernel")))
    }

    /// By way of the store: what comes back is at the same place, however far its guest came.
    async fn kept_and_restored(firecracker: Firecracker, shape: &Shape, cache: &Path, key: u8) {
        let machines = firecracker.machines.clone();
        let monitor = Monitor::Firecracker(firecracker);
        let mut machine = monitor
            .boot(shape, true, Entrances::default())
            .await
            .expect("boots");
        let store = Snapshots::in_directory(cache.join("snapshots"));
        store
            .save(&digest(key), &mut machine, None)
            .await
            .expect("kept");
        machine.kill().await;
        drop(machine);
        for _ in 0..2 {
            let snapshot = store.find(&digest(key)).expect("whole");
            let before = std::time::Instant::now();
            let restored = monitor.restore(shape, &snapshot, Entrances::default());
            let machine = restored.await.expect("restored");
            println!("restored in {:?}", before.elapsed());
            machine.kill().await;
            machine.ended().await;
        }
        let snapshot = store.find(&digest(key)).expect("whole");
        std::fs::remove_file(snapshot.place.join(MEMORY)).expect("removed");
        let restored = monitor.restore(shape, &snapshot, Entrances::default());
        let problem = restored.await.err();
        assert!(problem.is_some_and(|failed| failed.problem.to_string().contains("is missing")));
        assert_eq!(std::fs::read_dir(machines).expect("readable").count(), 0);
    }

    #[tokio::test]
    async fn firecracker_itself_is_kept_and_restored_by_the_store() {
        let scratch = tempfile::tempdir().expect("a directory");
        let Some((firecracker, kernel)) = real(scratch.path()) else {
            return;
        };
        let file = |name: &str| {
            let path = scratch.path().join(name);
            std::fs::write(&path, [0; 4096]).expect("written");
            path
        };
        let disk = DiskImage {
            path: file("disk"),
            digest: digest(2),
        };
        let shape = Shape {
            kernel,
            initramfs: file("initramfs"),
            memory_mib: 64,
            disks: vec![disk.clone(), disk],
            ..shape()
        };
        kept_and_restored(firecracker.clone(), &shape, scratch.path(), 7).await;
        if uc_linux::tap_link::has_program() {
            let linked = Shape {
                ports: Some(Vec::new()),
                ..shape.clone()
            };
            kept_and_restored(firecracker.clone(), &linked, scratch.path(), 9).await;
        }
        let jailer = std::env::var_os("UC_JAILER");
        if jailer.is_none() || !rustix::process::geteuid().is_root() {
            println!("skipped: UC_JAILER names no jailer, or this is not root");
            return;
        }
        let jailed = Firecracker {
            jailer: jailer.map(PathBuf::from),
            ..firecracker
        };
        kept_and_restored(jailed, &shape, scratch.path(), 8).await;
    }
}
