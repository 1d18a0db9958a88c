//! What every test has: a Firecracker, a kernel, a disk, a configuration.

use std::{fs, path::PathBuf, time::Instant};

use uc_microvm::firecracker::{
    configuration::{BootSource, Configuration, Drive, Entropy, MachineConfiguration, Vsock},
    jailer::Jailer,
    launch::{GivenFile, Launch, VSOCK},
    machine::Machine,
    process::Process,
};

/// What a test has: the program, a directory, a kernel and a disk.
pub(crate) struct Bench {
    pub(crate) firecracker: PathBuf,
    pub(crate) scratch: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Option<Self> {
        let Some(firecracker) = std::env::var_os("UC_FIRECRACKER") else {
            println!("skipped: UC_FIRECRACKER names no Firecracker");
            return None;
        };
        let scratch = tempfile::tempdir().expect("a directory");
        let bench = Self {
            firecracker: firecracker.into(),
            scratch,
        };
        match std::env::var_os("UC_FIRECRACKER_KERNEL") {
            Some(kernel) => drop(fs::copy(kernel, bench.path("vmlinux")).expect("copied")),
            None => fs::write(bench.path("vmlinux"), tiny_kernel()).expect("written"),
        }
        fs::write(bench.path("disk"), vec![0; 1 << 20]).expect("written");
        Some(bench)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A snapshot of a paused machine.
    pub(crate) async fn kept(&self, machine: &Machine) -> PathBuf {
        let kept = self.path("kept");
        fs::create_dir(&kept).expect("made");
        machine.snapshot(&kept).await.expect("kept");
        kept
    }

    /// The jailer, where there is one that can be used with this Firecracker.
    pub(crate) fn jailer(&self) -> Option<Jailer> {
        let program = std::env::var_os("UC_JAILER");
        let bytes = fs::read(&self.firecracker).expect("readable");
        let head = &bytes[..bytes.len().min(4096)];
        let is_dynamic = head
            .windows(7)
            .any(|window| window == b"/ld-lin" || window == b"/ld-mus");
        let why = if program.is_none() {
            "UC_JAILER names no jailer"
        } else if !rustix::process::geteuid().is_root() {
            "the jailer is for root alone"
        } else if is_dynamic {
            "this Firecracker needs shared libraries, which a jail has not"
        } else {
            return program.map(Jailer::new);
        };
        println!("skipped: {why}");
        None
    }

    /// A start of a microVM that is given the kernel and the disk.
    pub(crate) fn launch(&self, id: &str) -> Launch {
        Launch {
            files: vec![
                GivenFile::read_only("kernel", self.path("vmlinux")),
                GivenFile::read_only("disk", self.path("disk")),
            ],
            kvm: std::env::var_os("UC_FIRECRACKER_KVM").map_or("/dev/kvm".into(), PathBuf::from),
            ..Launch::new(&self.firecracker, id, self.path(id))
        }
    }
}

/// An ELF file that a 64-bit loader accepts: one segment at 16 MiB that halts.
pub(crate) fn tiny_kernel() -> Vec<u8> {
    const ENTRY: u64 = 16 << 20;
    let code = [0xfau8, 0xf4, 0xeb, 0xfd];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend([ENTRY, 64, 0].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat());
    file.extend([1u32, 5].map(u32::to_le_bytes).concat());
    let length = code.len() as u64;
    file.extend(
        [120, ENTRY, ENTRY, length, length, 0x1000]
            .map(u64::to_le_bytes)
            .concat(),
    );
    file.extend(code);
    file
}

pub(crate) fn boot_source() -> BootSource {
    BootSource {
        kernel_image_path: "/files/kernel".to_owned(),
        initrd_path: None,
        boot_args: Some("console=ttyS0 reboot=k panic=1".to_owned()),
    }
}

pub(crate) fn disk() -> Drive {
    Drive {
        drive_id: "root".to_owned(),
        is_root_device: true,
        partuuid: None,
        cache_type: None,
        is_read_only: Some(true),
        path_on_host: Some("/files/disk".to_owned()),
        rate_limiter: None,
        io_engine: None,
    }
}

pub(crate) fn machine() -> MachineConfiguration {
    MachineConfiguration {
        vcpu_count: 1,
        mem_size_mib: 64,
        smt: false,
        track_dirty_pages: false,
        huge_pages: None,
    }
}

pub(crate) fn vsock() -> Vsock {
    Vsock {
        guest_cid: 3,
        uds_path: VSOCK.to_owned(),
    }
}

pub(crate) fn configuration() -> Configuration {
    Configuration {
        boot_source: boot_source(),
        drives: vec![disk()],
        machine_config: machine(),
        network_interfaces: Vec::new(),
        vsock: Some(vsock()),
        entropy: Some(Entropy::default()),
        logger: None,
    }
}

/// Runs a step and prints how long it took.
pub(crate) async fn timed<T>(what: &str, step: impl Future<Output = uc_model::Result<T>>) -> T {
    let before = Instant::now();
    let value = step
        .await
        .unwrap_or_else(|problem| panic!("{what}: {problem:?}"));
    println!("{what}: {:.1} ms", before.elapsed().as_secs_f64() * 1000.0);
    value
}

/// What goes wrong when this is booted, call by call or by a file.
pub(crate) async fn refused(launch: Launch, by_file: bool) -> uc_model::Problem {
    let directory = launch.directory.clone();
    let problem = if by_file {
        Process::start(launch).await.map(drop)
    } else {
        Machine::boot(launch).await.map(drop)
    };
    let problem = problem.expect_err("nothing to boot");
    println!(
        "{problem}\n  remedy: {}",
        problem.remedy_text().unwrap_or("-")
    );
    assert!(!directory.exists(), "{problem}");
    problem
}
