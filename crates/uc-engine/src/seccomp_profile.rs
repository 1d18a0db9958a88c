//! The seccomp profile that a container names.

use std::fs;

use uc_model::{Problem, Result, workload::Container};

/// Largest profile that is read, in bytes.
const MAX_PROFILE: u64 = 1 << 20;

/// The profile's bytes, where the container names one.
///
/// # Errors
/// Not found, or too large.
pub(crate) fn read(container: &Container) -> Result<Option<Vec<u8>>> {
    let Some(path) = &container.security.seccomp_profile else {
        return Ok(None);
    };
    let unreadable = |found: String| {
        Problem::not_found("cannot read the seccomp profile")
            .at(path.display())
            .found(found)
    };
    let size = fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if size > MAX_PROFILE {
        return Err(Problem::refused("the seccomp profile is too large")
            .at(path.display())
            .limit("1 MiB")
            .found(size));
    }
    fs::read(path)
        .map(Some)
        .map_err(|error| unreadable(error.to_string()))
}
