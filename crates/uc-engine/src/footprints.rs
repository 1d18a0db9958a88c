//! What is known of the system calls of images' programs: a file for each image, to which every traced run adds.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use uc_model::{Digest, Problem, Result};
use uc_select::Footprint;

use crate::home::{cannot_write, make_private};

/// Largest file read, in bytes; one of all calls with all variants that are told apart is smaller.
const MAX_BYTES: u64 = 4 << 20;

/// The footprints that are kept.
#[derive(Debug, Clone)]
pub struct Footprints {
    directory: PathBuf,
}

impl Footprints {
    /// Those in a directory, made at the first that is kept.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{}.json", digest.hex()))
    }

    /// That of an image, by its manifest's digest. A damaged one counts as absent: the next trace replaces it.
    pub fn find(&self, digest: &Digest) -> Option<Footprint> {
        read(&self.file(digest)).ok()
    }

    /// Adds what a run of an image has shown, and returns all that is known now.
    ///
    /// # Errors
    /// Storage, where it cannot be written.
    pub fn add(&self, digest: &Digest, seen: Footprint) -> Result<Footprint> {
        make_private(&self.directory)?;
        let mut all = seen;
        if let Some(known) = self.find(digest) {
            // One of another processor is of no use here any more.
            let _ = all.merge(known);
        }
        let file = self.file(digest);
        let temporary = self
            .directory
            .join(format!(".{}-{}", digest.hex(), std::process::id()));
        let text = serde_json::to_vec(&all)
            .map_err(|error| Problem::internal("a footprint cannot be written").caused_by(error))?;
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &file))
            .map_err(|error| {
                let _ = fs::remove_file(&temporary);
                cannot_write(&file, error)
            })?;
        Ok(all)
    }
}

/// Reads a footprint, as `uc trace --output` writes it.
///
/// # Errors
/// Not found; invalid where it is none.
pub fn read(file: &Path) -> Result<Footprint> {
    let mut text = String::new();
    fs::File::open(file)
        .and_then(|opened| opened.take(MAX_BYTES).read_to_string(&mut text))
        .map_err(|error| {
            Problem::not_found("cannot read a footprint")
                .at(file.display())
                .remedy("`uc trace --output FILE -- COMMAND` writes one")
                .caused_by(error)
        })?;
    serde_json::from_str(&text).map_err(|error| {
        Problem::invalid("not a footprint of system calls")
            .at(format!("{}, line {}", file.display(), error.line()))
            .found(error)
            .remedy("`uc trace --output FILE -- COMMAND` writes one")
    })
}

#[cfg(test)]
mod tests {
    use uc_select::{Architecture, Method};

    use super::*;

    fn seen(calls: &[&str]) -> Footprint {
        let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
        for call in calls {
            footprint.add(call, None);
        }
        footprint
    }

    #[test]
    fn runs_add_up_and_damage_counts_as_absence() {
        let directory = tempfile::tempdir().expect("a directory");
        let footprints = Footprints::new(directory.path().join("footprints"));
        let digest: Digest = format!("sha256:{}", "ab".repeat(32))
            .parse()
            .expect("valid");
        assert_eq!(footprints.find(&digest), None);
        footprints.add(&digest, seen(&["read"])).expect("kept");
        let all = footprints
            .add(&digest, seen(&["read", "write"]))
            .expect("kept");
        assert_eq!(all.calls["read"].count, 2);
        assert_eq!(footprints.find(&digest), Some(all));
        fs::write(footprints.file(&digest), "{").expect("written");
        assert_eq!(footprints.find(&digest), None);
        let problem = read(&footprints.file(&digest)).expect_err("damaged");
        assert!(problem.to_string().contains("line 1"), "{problem}");
        footprints.add(&digest, seen(&["read"])).expect("replaced");
        assert!(footprints.find(&digest).is_some());
    }
}
