//! A microVM in the form that Firecracker reads with `--config-file` and over its API (mission M1.3).
//!
//! The fields, their types and which of them are required are those of its published API description; the tests hold
//! this file against a table of them, and the table against the description itself where one is at hand. What is not
//! listed here is not written and is refused when read.

use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result};

use super::socket_path;

/// Most vCPUs of a microVM.
pub const MAX_VCPUS: u8 = 32;

/// Smallest context identifier of a guest; those below belong to the hypervisor, the loopback and the host.
pub const MIN_GUEST_CID: u32 = 3;

/// Longest identifier of a drive or a network interface, in bytes.
const MAX_IDENTIFIER: usize = 64;

/// Bounds of an Ethernet frame's payload, in bytes (virtio's `VIRTIO_NET_F_MTU`).
const MTU: std::ops::RangeInclusive<u16> = 68..=u16::MAX;

/// A whole microVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Configuration {
    /// What the guest boots.
    pub boot_source: BootSource,
    /// Its disks, in the order in which the guest numbers them.
    pub drives: Vec<Drive>,
    /// Its processors and memory.
    pub machine_config: MachineConfiguration,
    /// Its network interfaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network_interfaces: Vec<NetworkInterface>,
    /// Its socket device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vsock: Option<Vsock>,
    /// Its source of randomness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<Entropy>,
    /// Where Firecracker itself logs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<Logger>,
}

/// What a guest boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootSource {
    /// An uncompressed kernel: an ELF file with a 64-bit entry point. The newest versions boot a packed one (bzImage) too.
    pub kernel_image_path: String,
    /// A first root file system, as a cpio archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd_path: Option<String>,
    /// The kernel's command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_args: Option<String>,
}

/// A disk that a file of the host stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drive {
    /// Letters, digits and underscores.
    pub drive_id: String,
    /// Whether the guest's kernel mounts it as its root.
    pub is_root_device: bool,
    /// The partition of it that is the root, by its unique id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partuuid: Option<String>,
    /// What a flush by the guest means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_type: Option<CacheType>,
    /// Whether the guest can write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_read_only: Option<bool>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_on_host: Option<String>,
    /// How fast it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
    /// How the file is read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io_engine: Option<IoEngine>,
}

/// What a flush by the guest means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheType {
    /// Nothing: a crash of the host may lose what the guest believes written.
    Unsafe,
    /// The host's cache is written to disk.
    Writeback,
}

/// How a drive's file is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoEngine {
    /// By plain system calls.
    Sync,
    /// By io_uring.
    Async,
}

/// How fast a device may be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimiter {
    /// By bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<TokenBucket>,
    /// By operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops: Option<TokenBucket>,
}

/// A quantity that is used up and fills again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenBucket {
    /// What it holds, in bytes or operations.
    pub size: u64,
    /// What may be used beyond that at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time_burst: Option<u64>,
    /// How long it takes to fill, in milliseconds.
    pub refill_time: u64,
}

/// Processors and memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineConfiguration {
    /// How many processors; with `smt` 1 or an even number.
    pub vcpu_count: u8,
    /// Memory in MiB.
    pub mem_size_mib: u32,
    /// Whether two processors share a core.
    #[serde(default)]
    pub smt: bool,
    /// Whether Firecracker notes which pages were written, for snapshots of differences.
    #[serde(default)]
    pub track_dirty_pages: bool,
    /// Which pages of the host the memory is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub huge_pages: Option<HugePages>,
}

/// Which pages of the host a guest's memory is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HugePages {
    /// Those of 4 KiB.
    None,
    /// Whatever the host's kernel finds best.
    Transparent,
    /// Those of 2 MiB, set aside beforehand.
    #[serde(rename = "2M")]
    TwoMebibytes,
}

/// A network interface, behind a tap device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkInterface {
    /// Letters, digits and underscores.
    pub iface_id: String,
    /// The tap device's name.
    pub host_dev_name: String,
    /// The guest's Ethernet address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_mac: Option<String>,
    /// The largest packet, in bytes, that the guest is told to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
    /// How fast the guest may receive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rx_rate_limiter: Option<RateLimiter>,
    /// How fast it may send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// The socket device, which Unix sockets of the host stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vsock {
    /// The guest's address, from [`MIN_GUEST_CID`] on.
    pub guest_cid: u32,
    /// The socket that Firecracker makes; connections of the guest come to `<uds_path>_<port>`.
    pub uds_path: String,
}

/// A source of randomness from the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entropy {
    /// How fast it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// Where Firecracker logs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logger {
    /// A file or pipe that is there already; standard output where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_path: Option<String>,
    /// What is worth a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Whether a line names its level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show_level: Option<bool>,
    /// Whether a line names the place in Firecracker's source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show_log_origin: Option<bool>,
    /// The only module that is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may fail.
    Warning,
    /// What happened.
    Info,
    /// How.
    Debug,
    /// Every step.
    Trace,
    /// Nothing.
    Off,
}

impl Configuration {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// Invalid, with line and column, where it is not JSON, has a field that is not listed here, lacks one that is
    /// required, or breaks a rule of [`Configuration::check`].
    pub fn from_json(text: &str) -> Result<Self> {
        let configuration: Self = serde_json::from_str(text).map_err(|error| {
            Problem::invalid("this is no configuration of a Firecracker microVM")
                .at(format!("line {} column {}", error.line(), error.column()))
                .found(error)
                .remedy("see src/firecracker/swagger/firecracker.yaml in Firecracker's sources")
        })?;
        configuration.check()?;
        Ok(configuration)
    }

    /// The JSON form, as `--config-file` takes it.
    ///
    /// # Errors
    /// Those of [`Configuration::check`].
    pub fn to_json(&self) -> Result<String> {
        self.check()?;
        serde_json::to_string_pretty(self).map_err(|error| {
            Problem::internal("cannot write a microVM's configuration").caused_by(error)
        })
    }

    /// Checks what Firecracker would refuse, before anything starts.
    ///
    /// # Errors
    /// Invalid, naming field, limit and value.
    pub fn check(&self) -> Result<()> {
        self.machine_config.check()?;
        for drive in &self.drives {
            check_identifier("drives.drive_id", &drive.drive_id)?;
        }
        check_unique("drives", self.drives.iter().map(|drive| &*drive.drive_id))?;
        let roots = self.drives.iter().filter(|drive| drive.is_root_device);
        if roots.count() > 1 {
            return Err(Problem::invalid("a microVM has one root disk")
                .at("drives.is_root_device")
                .limit("at most one")
                .found("several"));
        }
        for interface in &self.network_interfaces {
            interface.check()?;
        }
        let names = self.network_interfaces.iter();
        check_unique("network-interfaces", names.map(|one| &*one.iface_id))?;
        self.vsock.as_ref().map_or(Ok(()), Vsock::check)
    }
}

impl MachineConfiguration {
    /// Checks counts and sizes.
    ///
    /// # Errors
    /// Invalid, naming field, limit and value.
    pub fn check(&self) -> Result<()> {
        if !(1..=MAX_VCPUS).contains(&self.vcpu_count) {
            return Err(
                Problem::invalid("this is no number of processors for a microVM")
                    .at("machine-config.vcpu_count")
                    .limit(format!("1 to {MAX_VCPUS}"))
                    .found(self.vcpu_count),
            );
        }
        if self.smt && self.vcpu_count > 1 && self.vcpu_count % 2 == 1 {
            return Err(
                Problem::invalid("processors that share cores come in pairs")
                    .at("machine-config.vcpu_count")
                    .limit("1 or an even number with smt")
                    .found(self.vcpu_count),
            );
        }
        let in_pairs = matches!(
            self.huge_pages,
            Some(HugePages::Transparent | HugePages::TwoMebibytes)
        );
        if self.mem_size_mib == 0 || (in_pairs && self.mem_size_mib % 2 == 1) {
            return Err(Problem::invalid("a microVM cannot have this much memory")
                .at("machine-config.mem_size_mib")
                .limit(if in_pairs {
                    "an even number of MiB"
                } else {
                    "at least 1 MiB"
                })
                .found(format!("{} MiB", self.mem_size_mib)));
        }
        Ok(())
    }
}

impl NetworkInterface {
    fn check(&self) -> Result<()> {
        check_identifier("network-interfaces.iface_id", &self.iface_id)?;
        match self.mtu {
            Some(mtu) if !MTU.contains(&mtu) => Err(Problem::invalid("no packet is this small")
                .at("network-interfaces.mtu")
                .limit(format!("{} to {} bytes", MTU.start(), MTU.end()))
                .found(format!("{mtu} bytes"))),
            _ => Ok(()),
        }
    }
}

impl Vsock {
    /// Checks address and path.
    ///
    /// # Errors
    /// Invalid, naming field, limit and value.
    pub fn check(&self) -> Result<()> {
        if self.guest_cid < MIN_GUEST_CID {
            return Err(Problem::invalid("this address is not for guests")
                .at("vsock.guest_cid")
                .limit(format!("{MIN_GUEST_CID} or more"))
                .found(self.guest_cid));
        }
        socket_path::check_vsock(&self.uds_path).map_err(|problem| problem.within("vsock.uds_path"))
    }
}

/// Checks a name that becomes part of a path of the API.
pub(crate) fn check_identifier(place: &str, name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain && !name.is_empty() && name.len() <= MAX_IDENTIFIER {
        return Ok(());
    }
    Err(
        Problem::invalid("this is no name for a device of a microVM")
            .at(place)
            .limit(format!(
                "1 to {MAX_IDENTIFIER} letters, digits and underscores"
            ))
            .found(format!("{name:?}")),
    )
}

fn check_unique<'a>(place: &str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Problem::invalid("two devices have the same name")
                .at(place)
                .found(format!("{name:?}")));
        }
    }
    Ok(())
}
