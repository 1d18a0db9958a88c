//! What names a manifest as its subject: asked of the registry's referrers API, else read from the fallback tag.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU8, Ordering},
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use uc_model::{Digest, Problem, ProblemKind, Result};

use super::{ATTEMPTS, Registry, backoff, location, request::Request, response::Response};
use crate::{bounds, media, spec, spec::Descriptor};

/// The largest page of a list, in bytes: room for [`bounds::REFERRERS`] with annotations.
const PAGE_BYTES: u64 = 16 << 20;

/// The manifests that name one subject. Nothing in a descriptor but its digest and size can be relied on, and not all
/// tools write the artifact type that their manifest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// Each of them once, at most [`bounds::REFERRERS`].
    pub manifests: Vec<Descriptor>,
    /// Where the list came from.
    pub source: ReferrersSource,
    /// At least so many more were listed and are left out, beyond the bound.
    pub left_out: usize,
}

/// Where a list of referrers came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferrersSource {
    /// The registry lists them by itself; in a layout, the index lists them.
    Api,
    /// An index under the tag that [`fallback_tag`] makes.
    FallbackTag,
    /// Neither is there.
    None,
}

/// The tag of the index that clients keep where a registry does not list referrers: `sha256-<hex>`.
pub fn fallback_tag(subject: &Digest) -> String {
    format!("{}-{}", subject.algorithm(), subject.hex())
}

/// What is known of a registry: asked once for each client, since the answer does not depend on the subject.
#[derive(Default)]
pub(super) struct ApiSupport(AtomicU8);

impl ApiSupport {
    const ABSENT: u8 = 1;

    fn is_absent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ABSENT
    }

    fn set_absent(&self) {
        self.0.store(Self::ABSENT, Ordering::Relaxed);
    }
}

impl Registry<'_> {
    /// Manifests that name `subject`: from the referrers API, all pages, else from the fallback tag. They are not
    /// filtered by artifact type, which some tools write wrongly into the list.
    ///
    /// # Errors
    /// Unavailable or refused, as the registry says; invalid for a malformed list; unavailable for one without end.
    pub fn referrers(&self, subject: &Digest) -> Result<Referrers> {
        if !self.referrers_api.is_absent() {
            if let Some(found) = self.read_api(subject)? {
                return Ok(found);
            }
            self.referrers_api.set_absent();
        }
        self.read_fallback_tag(subject)
    }

    fn read_api(&self, subject: &Digest) -> Result<Option<Referrers>> {
        let mut url = self.url(&format!("referrers/{subject}"));
        let mut list = List::default();
        let mut asked = BTreeSet::new();
        while asked.insert(url.clone()) {
            if asked.len() > bounds::REFERRER_PAGES {
                return Err(Problem::refused(
                    "the registry's list of referrers has too many pages",
                )
                .at(location::without_query(&url))
                .limit(bounds::REFERRER_PAGES));
            }
            let Some((bytes, next)) = self.page(&url, asked.len() == 1)? else {
                return Ok(None);
            };
            list.add(&bytes, PAGE_BYTES)
                .map_err(|problem| problem.within(location::without_query(&url)))?;
            let Some(next) = next else {
                return Ok(Some(list.into_referrers(ReferrersSource::Api)));
            };
            let next = location::resolve(&url, &next)?;
            if location::origin(&next) != location::origin(&url) {
                return Err(Problem::unavailable(
                    "the registry's list of referrers goes on at another host",
                )
                .at(location::without_query(&url))
                .found(location::without_query(&next)));
            }
            url = next;
        }
        Err(
            Problem::unavailable("the registry's list of referrers goes in circles")
                .at(location::without_query(&url)),
        )
    }

    /// One page, and where the next one is; `None` where the first one shows that the registry has no such lists.
    fn page(&self, url: &str, is_first: bool) -> Result<Option<(Vec<u8>, Option<String>)>> {
        let request = Request::get(url).header("Accept", media::OCI_INDEX);
        let mut attempt = 1;
        loop {
            let response = self.http.send(&request)?;
            if is_first && !knows_referrers(&response) {
                response.drain();
                return Ok(None);
            }
            let response = response.success(url)?;
            let next = location::next_page(&response.headers("Link"));
            match response.bytes(PAGE_BYTES) {
                Ok(bytes) => return Ok(Some((bytes, next))),
                Err(problem)
                    if problem.kind() == ProblemKind::Unavailable && attempt < ATTEMPTS =>
                {
                    self.pause(&problem, backoff(attempt));
                    attempt += 1;
                }
                Err(problem) => return Err(problem.within(location::without_query(url))),
            }
        }
    }

    fn read_fallback_tag(&self, subject: &Digest) -> Result<Referrers> {
        let tag = fallback_tag(subject);
        let Some(found) = self.find_manifest(&tag)? else {
            return Ok(List::default().into_referrers(ReferrersSource::None));
        };
        let mut list = List::default();
        list.add(&found.bytes, bounds::MANIFEST_BYTES)
            .map_err(|problem| problem.within(format!("{} tag {tag}", self.reference)))?;
        Ok(list.into_referrers(ReferrersSource::FallbackTag))
    }
}

/// Registries without the API answer in many ways; those that deny access are not among them.
fn knows_referrers(response: &Response) -> bool {
    match response.status() {
        200 => response
            .header("Content-Type")
            .is_some_and(|media_type| media_type.to_ascii_lowercase().contains("json")),
        400 | 404 | 405 | 406 | 410 | 415 | 501 => false,
        _ => true,
    }
}

/// Descriptors from the pages read so far.
#[derive(Default)]
pub(crate) struct List {
    manifests: Vec<Descriptor>,
    seen: BTreeSet<Digest>,
    left_out: usize,
}

impl List {
    /// Takes what one index lists.
    pub(crate) fn add(&mut self, bytes: &[u8], limit: u64) -> Result<()> {
        let page: Page = spec::parse(bytes, "list of referrers", limit)?;
        let Some(manifests) = page.manifests else {
            return Err(Problem::invalid("the list of referrers is not an index")
                .limit("a field manifests"));
        };
        self.left_out += manifests.more;
        for descriptor in manifests.kept {
            self.push(descriptor);
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, descriptor: Descriptor) {
        if self.seen.contains(&descriptor.digest) {
            return;
        }
        if self.manifests.len() >= bounds::REFERRERS {
            self.left_out += 1;
            return;
        }
        self.seen.insert(descriptor.digest.clone());
        self.manifests.push(descriptor);
    }

    pub(crate) fn into_referrers(self, source: ReferrersSource) -> Referrers {
        Referrers {
            manifests: self.manifests,
            source,
            left_out: self.left_out,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    manifests: Option<Bounded>,
}

/// The first [`bounds::REFERRERS`] entries; the others are counted and take no memory.
struct Bounded {
    kept: Vec<Descriptor>,
    more: usize,
}

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Bounded;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of descriptors")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Bounded, A::Error> {
                let mut bounded = Bounded {
                    kept: Vec::new(),
                    more: 0,
                };
                while bounded.kept.len() < bounds::REFERRERS {
                    match entries.next_element()? {
                        Some(descriptor) => bounded.kept.push(descriptor),
                        None => return Ok(bounded),
                    }
                }
                while entries.next_element::<IgnoredAny>()?.is_some() {
                    bounded.more += 1;
                }
                Ok(bounded)
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::digest_of;

    fn page(range: std::ops::Range<usize>) -> Vec<u8> {
        let manifests: Vec<Descriptor> = range
            .map(|number| Descriptor::new(media::OCI_MANIFEST, digest_of(&number.to_le_bytes()), 8))
            .collect();
        serde_json::to_vec(&serde_json::json!({ "schemaVersion": 2, "manifests": manifests }))
            .expect("serialises")
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted() {
        let mut list = List::default();
        list.add(&page(0..bounds::REFERRERS + 7), PAGE_BYTES)
            .expect("fits");
        list.add(&page(0..10), PAGE_BYTES).expect("known already");
        list.add(&page(20_000..20_003), PAGE_BYTES).expect("more");
        let found = list.into_referrers(ReferrersSource::Api);
        assert_eq!((found.manifests.len(), found.left_out), (10_000, 10));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for wrong in [
            "{}",
            "[]",
            "",
            r#"{"manifests":{}}"#,
            r#"{"manifests":[{}]}"#,
        ] {
            let mut list = List::default();
            assert!(list.add(wrong.as_bytes(), PAGE_BYTES).is_err(), "{wrong}");
        }
    }
}
