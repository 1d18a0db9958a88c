//! Fetching what is attached to an artifact: side by side, in batches, until the answer is clear.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use uc_image::spec::{self, Descriptor};
use uc_model::{Digest, Problem, ProblemKind, Result};
use uc_sign::{Evidence, Form, MAX_EVIDENCE, PredicateType, dsse, oci, simple_signing};

use super::Shelf;

/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// Attachments fetched before it is first asked whether they are enough; each time after that, twice as many, since each
/// time all are judged anew.
const FIRST_BATCH: usize = 32;
/// Most bytes of attachments that are held, together.
const BYTES: usize = 512 << 20;
/// What a bundle has around its envelope, in bytes: room for certificates and log entries.
const BUNDLE_ROOM: usize = 4 << 20;

/// The signature envelopes of the Notary Project (signature specification 1.0, "Signature Formats").
const NOTATION: [&str; 2] = ["application/jose+json", "application/cose"];

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) signatures: bool,
    pub(super) attestations: bool,
}

/// A layer that may be evidence.
#[derive(Debug)]
pub(super) struct Piece {
    found: String,
    media_type: String,
    bytes: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

impl Piece {
    pub(super) fn evidence(&self) -> Evidence<'_> {
        Evidence {
            found: &self.found,
            media_type: &self.media_type,
            bytes: &self.bytes,
            annotations: &self.annotations,
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) pieces: Vec<Piece>,
    /// Attachments that were not fetched, for there are too many.
    pub(super) left_out: usize,
    /// Attachments that could not be read.
    pub(super) failures: Vec<Problem>,
}

impl Gathered {
    /// Why the answer might be another, if the place had answered.
    pub(super) fn unreachable(&mut self) -> Option<Problem> {
        let is_transport = |problem: &Problem| problem.kind() == ProblemKind::Unavailable;
        let position = self.failures.iter().position(is_transport)?;
        Some(self.failures.swap_remove(position))
    }
}

/// Something to fetch: a manifest whose layers are wanted, or a layer.
enum Lead {
    Referrer(Descriptor),
    Layer {
        found: String,
        descriptor: Descriptor,
    },
}

/// Fetches what is attached to any of the digests, until `enough` says so: first what tags hold, which takes the fewest
/// requests, then what refers to them.
///
/// # Errors
/// Those of the place, where not even the lists of attachments can be had.
pub(super) fn gather(
    shelf: &dyn Shelf,
    digests: &[Digest],
    wanted: Wanted,
    enough: &mut dyn FnMut(&[Piece]) -> bool,
) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    for questions in [tags(digests, wanted), referrers(digests)] {
        let mut leads = Vec::new();
        for list in side_by_side(questions, |question| ask(shelf, question)) {
            let (found, left_out) = list?;
            leads.extend(found);
            gathered.left_out += left_out;
        }
        let room = MAX_EVIDENCE.saturating_sub(gathered.pieces.len());
        gathered.left_out += leads.len().saturating_sub(room);
        leads.truncate(room);
        if follow_all(shelf, leads, wanted, &mut gathered, enough) {
            break;
        }
    }
    Ok(gathered)
}

/// Follows leads in batches; whether what they lead to is enough.
fn follow_all(
    shelf: &dyn Shelf,
    leads: Vec<Lead>,
    wanted: Wanted,
    gathered: &mut Gathered,
    enough: &mut dyn FnMut(&[Piece]) -> bool,
) -> bool {
    let mut leads = leads.into_iter();
    let mut size = FIRST_BATCH;
    loop {
        let batch: Vec<Lead> = leads.by_ref().take(size).collect();
        size *= 2;
        let bytes: usize = gathered.pieces.iter().map(|piece| piece.bytes.len()).sum();
        if batch.is_empty() || bytes > BYTES {
            gathered.left_out += batch.len() + leads.len();
            return false;
        }
        for outcome in side_by_side(batch, |lead| follow(shelf, &lead, wanted)) {
            match outcome {
                Ok(pieces) => gathered.pieces.extend(pieces),
                // One that cannot be read spoils nothing for the others.
                Err(problem) => gathered.failures.push(problem),
            }
        }
        if enough(&gathered.pieces) {
            return true;
        }
    }
}

enum Question {
    /// The layers of a tag of signatures or attestations.
    Tag(String),
    /// What names the digest as its subject.
    Referrers(Digest),
}

fn tags(digests: &[Digest], wanted: Wanted) -> Vec<Question> {
    let suffixes = [(wanted.signatures, ".sig"), (wanted.attestations, ".att")];
    let wanted = suffixes.into_iter().filter(|(wanted, _)| *wanted);
    wanted
        .flat_map(|(_, suffix)| {
            digests
                .iter()
                .map(move |digest| Question::Tag(oci::tag(digest, suffix)))
        })
        .collect()
}

fn referrers(digests: &[Digest]) -> Vec<Question> {
    digests.iter().cloned().map(Question::Referrers).collect()
}

fn ask(shelf: &dyn Shelf, question: Question) -> Result<(Vec<Lead>, usize)> {
    match question {
        Question::Tag(tag) => {
            let Some(bytes) = shelf.tagged(&tag)? else {
                return Ok((Vec::new(), 0));
            };
            // A tag that holds no manifest holds no signature either.
            let layers = layers_of(&bytes, &format!("tag {tag}")).unwrap_or_default();
            Ok((layers, 0))
        }
        Question::Referrers(subject) => {
            let (found, left_out) = shelf.referrers(&subject)?;
            Ok((found.into_iter().map(Lead::Referrer).collect(), left_out))
        }
    }
}

fn layers_of(manifest: &[u8], place: &str) -> Result<Vec<Lead>> {
    let manifest = spec::parse_manifest(manifest).map_err(|problem| problem.at(place))?;
    let layers = manifest.layers.into_iter().enumerate();
    Ok(layers
        .map(|(index, descriptor)| Lead::Layer {
            found: format!("{place}, layer {}", index + 1),
            descriptor,
        })
        .collect())
}

/// Fetches what a lead leads to.
fn follow(shelf: &dyn Shelf, lead: &Lead, wanted: Wanted) -> Result<Vec<Piece>> {
    match lead {
        Lead::Layer { found, descriptor } => {
            Ok(fetch(shelf, found, descriptor)?.into_iter().collect())
        }
        Lead::Referrer(descriptor) => {
            if !wanted.attestations && is_attestation(&descriptor.annotations) {
                return Ok(Vec::new());
            }
            let place = format!("referrer {}", descriptor.digest.short());
            let bytes = shelf.manifest(descriptor)?;
            let stated = spec::parse_manifest(&bytes).map_err(|problem| problem.at(&place))?;
            if !wanted.attestations && is_attestation(&stated.annotations) {
                return Ok(Vec::new());
            }
            let mut pieces = Vec::new();
            for lead in layers_of(&bytes, &place)? {
                if let Lead::Layer { found, descriptor } = lead {
                    pieces.extend(fetch(shelf, &found, &descriptor)?);
                }
            }
            Ok(pieces)
        }
    }
}

/// Whether a bundle says that it is no signature. Nobody signed that, but a false word could only hide a signature, as
/// leaving it away would.
fn is_attestation(annotations: &BTreeMap<String, String>) -> bool {
    let stated = annotations.get(oci::BUNDLE_PREDICATE_ANNOTATION);
    stated.is_some_and(|uri| !PredicateType::from_uri(uri.clone()).is_signature())
}

/// The layer as evidence, unless it is something else, such as an SBOM.
fn fetch(shelf: &dyn Shelf, found: &str, descriptor: &Descriptor) -> Result<Option<Piece>> {
    let limit = match Form::of(&descriptor.media_type) {
        Form::SimpleSigning => simple_signing::MAX_PAYLOAD_BYTES,
        Form::DsseEnvelope => dsse::MAX_ENVELOPE_BYTES,
        Form::Bundle => dsse::MAX_ENVELOPE_BYTES + BUNDLE_ROOM,
        // Named as a signature of another kind, and not fetched: nothing here could verify it.
        Form::Other if NOTATION.contains(&&*descriptor.media_type) => {
            return Ok(Some(Piece {
                found: found.to_owned(),
                media_type: descriptor.media_type.clone(),
                bytes: Vec::new(),
                annotations: BTreeMap::new(),
            }));
        }
        Form::Other => return Ok(None),
    };
    let bytes = shelf
        .blob(descriptor, limit as u64)
        .map_err(|problem| problem.within(found))?;
    Ok(Some(Piece {
        found: found.to_owned(),
        media_type: descriptor.media_type.clone(),
        bytes,
        annotations: descriptor.annotations.clone(),
    }))
}

/// Does something with each item on a few threads; the results come in the order of the items.
fn side_by_side<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let count = items.len();
    if count <= 1 {
        return items.into_iter().map(work).collect();
    }
    let items: Vec<Mutex<Option<T>>> = items
        .into_iter()
        .map(|item| Mutex::new(Some(item)))
        .collect();
    let results: Vec<Mutex<Option<R>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(item) = item {
                let result = work(item);
                *results[index]
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(count) {
            scope.spawn(take);
        }
        take();
    });
    results
        .into_iter()
        .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_their_items() {
        for count in [0, 1, 2, 100] {
            let squares = side_by_side((0..count).collect(), |number: u32| number * number);
            assert_eq!(
                squares,
                (0..count).map(|number| number * number).collect::<Vec<_>>()
            );
        }
    }
}
