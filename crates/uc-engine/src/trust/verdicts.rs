//! Verdicts that are kept, so that a start need not ask the registry again.
//!
//! Only acceptance is kept, under the digests of what was judged and of what it was judged by. Neither can change without
//! another name, so a verdict stays good until a key of the policy begins or ceases to count.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use uc_model::Digest;

use super::Artifact;
use crate::home::make_private;

/// Most verdicts that are kept; the oldest go first.
const MOST: usize = 4096;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// An acceptance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The verdict in one sentence.
    pub(super) summary: String,
    /// Who signed.
    pub(super) signers: Vec<String>,
    /// When it ends to be good, in Unix seconds.
    pub(super) until: Option<i64>,
}

/// The name of a verdict.
pub(super) fn name(artifact: &Artifact, trust: &Digest) -> String {
    let listed_in = artifact.listed_in.as_ref().map_or("", Digest::as_str);
    let text = format!(
        "{} {listed_in} {trust} {}",
        artifact.digest, artifact.repository
    );
    uc_image::verify::digest_of(text.as_bytes())
        .hex()
        .to_owned()
}

/// The verdict of this name, if it is still good.
pub(super) fn find(directory: &Path, name: &str, now: i64) -> Option<Kept> {
    let file = directory.join(name);
    if fs::metadata(&file).ok()?.len() > LARGEST {
        return None;
    }
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    kept.until.is_none_or(|until| now < until).then_some(kept)
}

/// Keeps a verdict. It is a convenience: where it cannot be written, the next start asks again.
pub(super) fn keep(directory: &Path, name: &str, kept: &Kept) {
    let Ok(text) = serde_json::to_vec(kept) else {
        return;
    };
    if make_private(directory).is_err() {
        return;
    }
    let temporary = directory.join(format!(".{name}-{}", std::process::id()));
    let written =
        fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, directory.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    prune(directory);
}

fn prune(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let mut all: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .map(|entry| {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            (modified.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
        })
        .collect();
    if all.len() <= MOST {
        return;
    }
    all.sort();
    for (_, path) in &all[..all.len() - MOST] {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_good_until_its_end_and_the_newest_stay() {
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = temporary.path().join("verdicts");
        let kept = |until| Kept {
            summary: "verified".into(),
            signers: vec!["release".into()],
            until,
        };
        keep(&directory, "a", &kept(Some(100)));
        assert!(find(&directory, "a", 99).is_some());
        assert!(find(&directory, "a", 100).is_none());
        for number in 0..MOST {
            fs::write(directory.join(format!("n{number}")), "{}").expect("written");
        }
        keep(&directory, "b", &kept(None));
        assert_eq!(fs::read_dir(&directory).expect("lists").count(), MOST);
        assert!(find(&directory, "b", i64::MAX).is_some());
        fs::write(directory.join("b"), "nonsense").expect("written");
        assert!(find(&directory, "b", 0).is_none());
    }
}
