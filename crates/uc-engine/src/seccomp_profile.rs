//! The seccomp profile that a container names.

use std::path::Path;

use serde::de::IgnoredAny;
use uc_linux::seccomp_profile::{MAX_PROFILE, Profile};
use uc_model::{Bytes, Problem, Result, RuntimeKind, workload::Container};

use crate::regular_file;

/// The profile's bytes, where the container names one.
///
/// # Errors
/// Not found, too large, not a regular file, or no profile; each says which file.
pub(crate) fn read(container: &Container, runtime: RuntimeKind) -> Result<Option<Vec<u8>>> {
    let path = container.security.seccomp_profile.as_deref();
    path.map(|path| read_file(path, runtime))
        .transpose()
        .map_err(|problem| problem.within(format!("container {}", container.name)))
}

fn read_file(path: &Path, runtime: RuntimeKind) -> Result<Vec<u8>> {
    let what = "the seccomp profile";
    let bytes = regular_file::read(path, what, Bytes(MAX_PROFILE as u64))?;
    // Whoever puts it in force reads it again, and knows no file.
    check(&bytes, runtime).map_err(|problem| problem.within(path.display()))?;
    Ok(bytes)
}

fn check(bytes: &[u8], runtime: RuntimeKind) -> Result<()> {
    match runtime {
        // What is in it is for gVisor to judge.
        RuntimeKind::Gvisor => serde_json::from_slice::<IgnoredAny>(bytes)
            .map(drop)
            .map_err(|error| {
                Problem::invalid("not an OCI seccomp profile")
                    .at(format!("line {}", error.line()))
                    .found(error)
                    .remedy("see the OCI runtime specification, linux.seccomp")
            }),
        _ => Profile::read(bytes).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_profile_is_named_by_its_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mine.json");
        for (text, refused_by_gvisor) in [
            ("{\n\"defaultAction\": }", true),
            ("{\n\"defaultAction\": 7}", false),
            (r#"{"defaultAction": "SCMP_ACT_GUESS"}"#, false),
        ] {
            std::fs::write(&path, text).expect("written");
            for runtime in [RuntimeKind::Container, RuntimeKind::Gvisor] {
                let read = read_file(&path, runtime);
                if runtime == RuntimeKind::Gvisor && !refused_by_gvisor {
                    assert_eq!(read.expect("for gVisor to judge"), text.as_bytes());
                    continue;
                }
                let said = read.expect_err(text).to_string();
                assert!(said.starts_with(&path.display().to_string()), "{said}");
            }
        }
        std::fs::write(&path, r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#).expect("written");
        read_file(&path, RuntimeKind::Container).expect("a profile");
    }
}
