//! Shares and quotas of CPU time, in the words of each version.

use std::{io, path::Path};

use rustix::io::Errno;
use uc_model::{MilliCpu, Result};
use uc_sandbox::Limits;

use super::{layout::Version, not_written, try_write, write};

/// The period of CPU limits, in microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// Sets the limits that are given.
pub(super) fn apply(version: Version, directory: &Path, limits: &Limits) -> Result<()> {
    if let Some(cpu) = limits.cpu {
        set_quota(version, directory, cpu)
            .map_err(|(file, error)| not_written(directory, file, quota_us(cpu), error))?;
    }
    // Kubernetes' rule for requests: 1024 shares per CPU, at least 2.
    let shares = limits
        .cpu_weight
        .map(|cpu| (cpu.0.saturating_mul(1024) / 1000).clamp(2, 262_144));
    match (version, shares) {
        (_, None) => Ok(()),
        (Version::V1, Some(shares)) => write(directory, "cpu.shares", shares),
        // The kernel's mapping of shares 2-262144 to weights 1-10000.
        (Version::V2, Some(shares)) => {
            write(directory, "cpu.weight", 1 + (shares - 2) * 9999 / 262_142)
        }
    }
}

/// Sets the first of these quotas that the kernel takes: version 1 refuses one that is above that of a group around it.
/// Whether there was one.
pub(super) fn set_first(version: Version, directory: &Path, quotas: &[MilliCpu]) -> Result<bool> {
    for cpu in quotas {
        match set_quota(version, directory, *cpu) {
            Ok(()) => return Ok(true),
            Err((_, error)) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
            Err((file, error)) => {
                return Err(not_written(directory, file, quota_us(*cpu), error));
            }
        }
    }
    Ok(false)
}

/// Lifts the quota.
pub(super) fn lift(version: Version, directory: &Path) -> Result<()> {
    match version {
        Version::V1 => write(directory, "cpu.cfs_quota_us", -1),
        Version::V2 => write(directory, "cpu.max", "max"),
    }
}

fn quota_us(cpu: MilliCpu) -> u64 {
    (cpu.0.saturating_mul(PERIOD_US) / 1000).max(1000)
}

fn set_quota(
    version: Version,
    directory: &Path,
    cpu: MilliCpu,
) -> std::result::Result<(), (&'static str, io::Error)> {
    let set = |file: &'static str, value: String| {
        try_write(directory, file, &value).map_err(|error| (file, error))
    };
    let quota = quota_us(cpu);
    match version {
        Version::V1 => {
            set("cpu.cfs_period_us", PERIOD_US.to_string())?;
            set("cpu.cfs_quota_us", quota.to_string())
        }
        Version::V2 => set("cpu.max", format!("{quota} {PERIOD_US}")),
    }
}
