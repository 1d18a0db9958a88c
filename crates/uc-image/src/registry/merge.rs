//! Changing what a tag names, among writers that know nothing of each other. How, and why it is safe: [`super::settle`].

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use uc_model::{Digest, Problem, Result};

use super::{
    FetchedManifest, Registry, fallback_tag,
    http::{ATTEMPTS, backoff},
    push::{PutOutcome, check_size},
    settle::Settling,
};
use crate::{bounds, media, spec, spec::Descriptor};

/// The most reads for one change.
const ROUNDS: u32 = 200;
/// The longest time for one change.
const TIME: Duration = Duration::from_secs(120);
/// The most reads in a row that took too long to write after them.
const SLOW_READS: u32 = 4;

/// What a tag is to name: media type and document, or `None` where nothing has to change.
pub type Merged = Option<(String, Vec<u8>)>;

impl Registry<'_> {
    /// Changes what a tag names so that neither we nor others who do the same at the same time lose anything: reads,
    /// merges, writes, and reads again after a pause until the change is known to last. One writer alone pays one pause,
    /// some tens of milliseconds.
    ///
    /// `merge` is given what is there and gives what to write, or `None` when its own addition is there already. It may be
    /// called many times; it keeps what it finds and appends to it.
    ///
    /// # Errors
    /// Those of `merge` and of the registry; unavailable where others keep changing the tag.
    pub fn merge_tag(
        &self,
        tag: &str,
        merge: &mut dyn FnMut(Option<&FetchedManifest>) -> Result<Merged>,
    ) -> Result<()> {
        self.http.prepare_push()?;
        let clock = Instant::now();
        let mut settling = Settling::default();
        let mut slow_reads = 0;
        let mut challenged = false;
        let mut failures = 0;
        let mut was_there = false;
        for _ in 0..ROUNDS {
            if clock.elapsed() > TIME {
                break;
            }
            let started = clock.elapsed();
            let found = self.find_manifest(tag)?;
            let ended = clock.elapsed();
            if found.is_none() && was_there {
                // A registry may take the old name away before it sets the new one.
                thread::sleep(settling.wait(fastrand::f64()));
                continue;
            }
            was_there |= found.is_some();
            let Some((media_type, bytes)) = merge(found.as_ref())? else {
                let settled = match &found {
                    Some(found) if settling.has_tried() => {
                        settling.saw(&found.descriptor.digest, started, ended)
                    }
                    _ => true,
                };
                if settled {
                    return Ok(());
                }
                thread::sleep(settling.wait(fastrand::f64()));
                continue;
            };
            check_size(&bytes).map_err(|problem| problem.within(format!("tag {tag}")))?;
            if slow_reads < SLOW_READS
                && !settling.may_write(clock.elapsed() - started, self.http.round_trip())
            {
                slow_reads += 1;
                continue;
            }
            slow_reads = 0;
            settling.trying();
            match self.put_once(tag, &media_type, &bytes, challenged)? {
                PutOutcome::Stored(pushed) => {
                    let ended = clock.elapsed();
                    settling.wrote(pushed.descriptor.digest, ended - started, ended);
                    was_there = true;
                    thread::sleep(settling.wait(fastrand::f64()));
                }
                PutOutcome::Challenged => challenged = true,
                PutOutcome::Failed(problem, pause) => {
                    failures += 1;
                    if failures >= ATTEMPTS {
                        return Err(problem);
                    }
                    self.pause(&problem, pause.unwrap_or_else(|| backoff(failures)));
                }
            }
        }
        Err(Problem::unavailable(
            "others keep changing the tag, so that our addition does not last",
        )
        .at(format!("{} tag {tag}", self.reference))
        .limit(format!("{ROUNDS} attempts in {} s", TIME.as_secs()))
        .remedy("try again when fewer sign or attach to this image at the same time"))
    }

    /// Lists referrers in the index under the fallback tag of their subject.
    pub(crate) fn list_referrers(&self, entries: &[Descriptor], subject: &Digest) -> Result<()> {
        self.merge_tag(&fallback_tag(subject), &mut |found| {
            with_entries(found, entries)
                .map(|bytes| bytes.map(|bytes| (media::OCI_INDEX.into(), bytes)))
        })
    }
}

/// The index with more entries, or `None` where all of them are listed. What we do not know in it is kept as it is.
fn with_entries(
    found: Option<&FetchedManifest>,
    entries: &[Descriptor],
) -> Result<Option<Vec<u8>>> {
    let mut index = match found {
        None => {
            serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [] })
        }
        Some(found) => spec::parse(&found.bytes, "index of referrers", bounds::MANIFEST_BYTES)?,
    };
    let manifests = index
        .as_object_mut()
        .and_then(|index| index.get_mut("manifests"))
        .and_then(Value::as_array_mut)
        .ok_or_else(|| {
            Problem::refused("the tag for referrers names something that is no index").remedy(
                "somebody else uses this tag; remove it, or use a registry with the referrers API",
            )
        })?;
    let listed: BTreeSet<String> = manifests
        .iter()
        .filter_map(|entry| entry["digest"].as_str().map(str::to_owned))
        .collect();
    let before = manifests.len();
    for entry in entries {
        if !listed.contains(entry.digest.as_str()) {
            let entry = serde_json::to_value(entry).map_err(|error| {
                Problem::internal("cannot write a JSON document").caused_by(error)
            })?;
            manifests.push(entry);
        }
    }
    if manifests.len() == before {
        return Ok(None);
    }
    spec::to_json(&index).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::digest_of;

    fn fetched(bytes: &[u8]) -> FetchedManifest {
        FetchedManifest {
            descriptor: Descriptor::new(media::OCI_INDEX, digest_of(bytes), bytes.len() as u64),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn entries_are_appended_and_the_rest_is_kept() {
        let entry = |text: &[u8]| Descriptor::new(media::OCI_MANIFEST, digest_of(text), 4);
        let first = with_entries(None, &[entry(b"one")])
            .expect("new")
            .expect("written");
        let strange = String::from_utf8(first)
            .expect("text")
            .replace("\"size\":4", "\"size\":4,\"data\":\"b25l\"")
            .replace("\"schemaVersion\":2", "\"schemaVersion\":2,\"extra\":[1]");
        let second = with_entries(Some(&fetched(strange.as_bytes())), &[entry(b"two")])
            .expect("an index")
            .expect("written");
        let index: Value = serde_json::from_slice(&second).expect("JSON");
        assert_eq!(index["extra"], serde_json::json!([1]));
        assert_eq!(index["manifests"][0]["data"], "b25l");
        assert_eq!(
            index["manifests"][1]["digest"],
            digest_of(b"two").to_string()
        );
        let again = with_entries(Some(&fetched(&second)), &[entry(b"one")]).expect("an index");
        assert!(again.is_none());
    }

    #[test]
    fn what_is_no_index_is_not_overwritten() {
        for other in ["{}", "[]", r#"{"manifests":{}}"#] {
            let entry = Descriptor::new(media::OCI_MANIFEST, digest_of(b"one"), 4);
            let problem =
                with_entries(Some(&fetched(other.as_bytes())), &[entry]).expect_err(other);
            assert_eq!(problem.kind(), uc_model::ProblemKind::Refused);
        }
    }
}
