//! The seccomp profile that a container names.

use uc_linux::seccomp_profile::MAX_PROFILE;
use uc_model::{Result, workload::Container};

use crate::regular_file;

/// The profile's bytes, where the container names one.
///
/// # Errors
/// Not found, too large, or not a regular file.
pub(crate) fn read(container: &Container) -> Result<Option<Vec<u8>>> {
    let path = container.security.seccomp_profile.as_deref();
    path.map(|path| regular_file::read(path, MAX_PROFILE))
        .transpose()
        .map_err(|problem| problem.within("the seccomp profile"))
}
