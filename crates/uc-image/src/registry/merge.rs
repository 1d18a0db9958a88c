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
    /// called many times; it keeps what it finds and appends to it. It is quick: what it names is pushed before, since the
    /// time between reading and writing is time in which others may write.
    ///
    /// # Errors
    /// Those of `merge` and of the registry; unavailable where others keep changing the tag.
    pub fn merge_tag(
        &self,
        tag: &str,
        merge: &mut dyn FnMut(Option<&FetchedManifest>) -> Result<Merged>,
    ) -> Result<()> {
        self.http.prepare_push()?;
        let mut merging = Merging {
            registry: self,
            tag,
            clock: Instant::now(),
            settling: Settling::default(),
            was_there: false,
            slow_reads: 0,
            challenged: false,
            failures: 0,
        };
        for _ in 0..ROUNDS {
            match merging.round(merge)? {
                Next::Done => return Ok(()),
                Next::Look => thread::sleep(merging.settling.wait(fastrand::f64())),
                Next::AtOnce => {}
            }
            if merging.clock.elapsed() > TIME {
                break;
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

/// One change of a tag, between its rounds.
struct Merging<'r, 'a> {
    registry: &'r Registry<'a>,
    tag: &'r str,
    clock: Instant,
    settling: Settling,
    /// Whether the tag was seen or set.
    was_there: bool,
    /// Reads in a row that took too long to write after them.
    slow_reads: u32,
    /// Whether the registry has refused our credentials once.
    challenged: bool,
    failures: u32,
}

/// What comes after a round.
enum Next {
    Done,
    /// Another look after a pause.
    Look,
    AtOnce,
}

impl Merging<'_, '_> {
    /// Reads, and writes where something has to change.
    fn round(
        &mut self,
        merge: &mut dyn FnMut(Option<&FetchedManifest>) -> Result<Merged>,
    ) -> Result<Next> {
        let started = self.clock.elapsed();
        let found = self.registry.find_manifest(self.tag)?;
        let ended = self.clock.elapsed();
        if found.is_none() && self.was_there {
            // A registry may take the old name away before it sets the new one.
            return Ok(Next::Look);
        }
        self.was_there |= found.is_some();
        let Some((media_type, bytes)) = merge(found.as_ref())? else {
            let settled = match &found {
                Some(found) if self.settling.has_tried() => {
                    let content = &found.descriptor.digest;
                    self.settling.saw(content, started, ended)
                }
                _ => true,
            };
            return Ok(if settled { Next::Done } else { Next::Look });
        };
        check_size(&bytes).map_err(|problem| problem.within(format!("tag {}", self.tag)))?;
        let since_read = self.clock.elapsed() - started;
        let round_trip = self.registry.http.round_trip();
        if self.slow_reads < SLOW_READS && !self.settling.may_write(since_read, round_trip) {
            self.slow_reads += 1;
            return Ok(Next::AtOnce);
        }
        self.slow_reads = 0;
        self.write(&media_type, &bytes, started)
    }

    fn write(&mut self, media_type: &str, bytes: &[u8], started: Duration) -> Result<Next> {
        self.settling.trying();
        let registry = self.registry;
        match registry.put_once(self.tag, media_type, bytes, self.challenged)? {
            PutOutcome::Stored(pushed) => {
                let ended = self.clock.elapsed();
                self.settling
                    .wrote(pushed.descriptor.digest, ended - started, ended);
                self.was_there = true;
                Ok(Next::Look)
            }
            PutOutcome::Challenged => {
                self.challenged = true;
                Ok(Next::AtOnce)
            }
            PutOutcome::Failed(problem, pause) => {
                self.failures += 1;
                if self.failures >= ATTEMPTS {
                    return Err(problem);
                }
                registry.pause(&problem, pause.unwrap_or_else(|| backoff(self.failures)));
                Ok(Next::AtOnce)
            }
        }
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
