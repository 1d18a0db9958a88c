//! A host that can run microVMs: its monitor, kernel and programs for guests.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "each test file uses a part of it, and says why it cannot run"
)]

use std::{
    env, fs,
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Ended, Host};

/// A home of its own, with what microVMs need.
pub(crate) struct MicrovmHost {
    host: Host,
    kernel: PathBuf,
    guest: PathBuf,
}

impl Deref for MicrovmHost {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl MicrovmHost {
    /// `None`, with the reason printed, where microVMs cannot run.
    pub(crate) fn new() -> Option<Self> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        let from = |variable: &str, brought: &str| {
            env::var_os(variable).map_or_else(|| target.join(brought), PathBuf::from)
        };
        let kernel = from("UC_KERNEL", "peers/libkrunfw.so");
        let guest = from("UC_GUEST_PROGRAMS", "guest");
        let path = env::var_os("PATH").unwrap_or_default();
        let has_qemu =
            env::split_paths(&path).any(|place| place.join("qemu-system-x86_64").exists());
        let missing = match () {
            () if !has_qemu => "qemu-system-x86_64 is missing (apt install qemu-system-x86)",
            () if !kernel.is_file() => "no kernel for microVMs (cargo xtask setup --for-tests)",
            () if !guest.join("uc-guest").is_file() || !guest.join("uc-function").is_file() => {
                "the programs for guests are missing (cargo xtask guest)"
            }
            () => "",
        };
        if !missing.is_empty() {
            println!("skipped: {missing}");
            return None;
        }
        Some(Self {
            host: Host::new()?,
            kernel,
            guest,
        })
    }

    /// The kernel's file.
    pub(crate) fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The command, ready to be given arguments.
    pub(crate) fn uc(&self) -> Command {
        let mut command = self.host.uc();
        command
            .env_remove("UC_QEMU")
            .env("UC_KERNEL", &self.kernel)
            .env("UC_GUEST_PROGRAMS", &self.guest);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.uc().args(arguments).output().expect("runs"))
    }

    /// Runs a manifest to its end.
    pub(crate) fn pod(&self, runtime: &str, manifest: &str) -> Ended {
        self.file("pod.yaml", manifest);
        let ended = self.run(&["run", "--runtime", runtime, "pod.yaml"]);
        self.assert_nothing_left();
        ended
    }

    /// The monitors and other processes of this home: whose command line, working directory or open files name it, or
    /// that descend from `uc` run here.
    pub(crate) fn monitors(&self) -> Vec<u32> {
        let home = self.path().to_string_lossy().into_owned();
        let cache = format!("{home}/home/cache");
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let directory = PathBuf::from(format!("/proc/{pid}"));
                let name = fs::read_to_string(directory.join("comm")).unwrap_or_default();
                name.starts_with("qemu")
                    && fs::read_dir(directory.join("fd"))
                        .into_iter()
                        .flatten()
                        .flatten()
                        .filter_map(|entry| fs::read_link(entry.path()).ok())
                        .any(|path| path.starts_with(&cache))
            })
            .collect()
    }
}
