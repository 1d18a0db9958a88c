//! The runtimes, and where their command lines differ.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uc_model::{Problem, RuntimeKind, workload::Network};

/// An OCI runtime whose command line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// gVisor.
    Runsc,
    /// crun.
    Crun,
    /// runc.
    Runc,
    /// youki.
    Youki,
}

/// How gVisor's kernel catches the system calls of its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Seccomp traps; works everywhere.
    Systrap,
    /// ptrace: slower, for hosts where systrap fails.
    Ptrace,
    /// Hardware virtualisation; used only where a trial with it succeeded.
    Kvm,
}

impl Platform {
    /// The word on runsc's command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Systrap => "systrap",
            Self::Ptrace => "ptrace",
            Self::Kvm => "kvm",
        }
    }
}

impl FromStr for Platform {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        [Self::Systrap, Self::Ptrace, Self::Kvm]
            .into_iter()
            .find(|platform| platform.name() == text)
            .ok_or_else(|| {
                Problem::invalid("unknown platform of gVisor")
                    .limit("systrap, ptrace or kvm")
                    .found(text)
            })
    }
}

impl Flavour {
    /// The kind of sandbox that it makes.
    pub fn kind(self) -> RuntimeKind {
        match self {
            Self::Runsc => RuntimeKind::Gvisor,
            Self::Crun | Self::Runc | Self::Youki => RuntimeKind::Container,
        }
    }

    /// The name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Runsc => "runsc",
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Youki => "youki",
        }
    }

    /// Options before the command. The runtime never manages control groups: the supervisor is in the container's.
    pub(crate) fn global_options(
        self,
        state: &str,
        log: &str,
        network: Network,
        platform: Platform,
    ) -> Vec<String> {
        let mut options = vec!["--root".to_owned(), state.to_owned()];
        match self {
            Self::Runsc => options.extend(runsc_options(log, network, platform)),
            Self::Crun => options.extend(words(&["--log", log, "--cgroup-manager", "disabled"])),
            Self::Runc => options.extend(words(&["--log", log, "--rootless", "true"])),
            Self::Youki => options.extend(words(&["--log", log, "--log-format", "json"])),
        }
        options
    }

    /// Whether it runs no program whose environment does not say where programs are.
    pub(crate) fn needs_path(self) -> bool {
        self == Self::Youki
    }

    /// Whether the program is no process of the host, so that only the runtime can signal and hold it.
    pub(crate) fn has_own_kernel(self) -> bool {
        self == Self::Runsc
    }
}

fn runsc_options(log: &str, network: Network, platform: Platform) -> Vec<String> {
    let network = match network {
        Network::None | Network::Http => "none",
        Network::User => "sandbox",
        Network::Host => "host",
    };
    words(&[
        "--log",
        log,
        "--platform",
        platform.name(),
        "--network",
        network,
        "--ignore-cgroups",
        // The writable layer is the supervisor's; another one in gVisor's memory would count against the limit twice.
        "--overlay2",
        "none",
        // The kernel of the sandbox opens no file of the host itself: its file server does.
        "--directfs=false",
        "--oci-seccomp",
    ])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.program())
    }
}
