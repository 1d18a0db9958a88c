//! Readers and hashers that hold content to its digest and size.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256, Sha512};
use uc_model::{Digest, Problem, Result};

/// A running hash of the algorithm that a digest names.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// The hasher that can reproduce `digest`.
    pub fn for_digest(digest: &Digest) -> Self {
        if digest.algorithm() == "sha512" {
            Self::Sha512(Box::default())
        } else {
            Self::sha256()
        }
    }

    /// A SHA-256 hasher.
    pub fn sha256() -> Self {
        Self::Sha256(Sha256::default())
    }

    /// Takes more content.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of what was taken.
    ///
    /// # Errors
    /// Never in practice: the text is built from the hash itself.
    pub fn finish(self) -> Result<Digest> {
        match self {
            Self::Sha256(hash) => Ok(Digest::from_sha256(&hash.finalize().into())),
            Self::Sha512(hash) => {
                let mut text = String::from("sha512:");
                for byte in hash.finalize() {
                    text.push_str(&format!("{byte:02x}"));
                }
                text.parse()
            }
        }
    }
}

/// The SHA-256 digest of some bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// Checks bytes against a digest and a size.
///
/// # Errors
/// Invalid, naming both digests or both sizes.
pub fn check(bytes: &[u8], digest: &Digest, size: u64) -> Result<()> {
    if bytes.len() as u64 != size {
        return Err(wrong_size(digest, size, bytes.len() as u64));
    }
    let mut hasher = Hasher::for_digest(digest);
    hasher.update(bytes);
    let found = hasher.finish()?;
    if found == *digest {
        Ok(())
    } else {
        Err(wrong_digest(digest, &found))
    }
}

pub(crate) fn wrong_digest(expected: &Digest, found: &Digest) -> Problem {
    Problem::invalid("the content does not have its digest")
        .at(format!("blob {}", expected.short()))
        .limit(expected)
        .found(found)
        .remedy("it was damaged or tampered with: remove the image and fetch it again from a source you trust")
}

pub(crate) fn wrong_size(digest: &Digest, expected: u64, found: u64) -> Problem {
    let what = if found < expected {
        "the blob is truncated"
    } else {
        "the blob is longer than its descriptor says"
    };
    Problem::invalid(what)
        .at(format!("blob {}", digest.short()))
        .limit(format!("{expected} bytes"))
        .found(format!("{found} bytes"))
        .remedy("remove the image and fetch it again")
}

/// Reads a blob and fails at its end, or as soon as it is too long, unless it has the expected digest and size.
///
/// What is read before the end is not yet verified: a consumer must read to the end and drop what it made on an error.
/// The error's source is a [`Problem`]; [`problem_of`] takes it out.
pub struct VerifyingReader<R> {
    inner: R,
    digest: Digest,
    size: u64,
    seen: u64,
    /// `None` once the end has been verified.
    hasher: Option<Hasher>,
}

impl<R: Read> VerifyingReader<R> {
    /// Holds `inner` to `digest` and `size`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        let hasher = Some(Hasher::for_digest(&digest));
        Self {
            inner,
            digest,
            size,
            seen: 0,
            hasher,
        }
    }

    fn verify_end(&mut self) -> Result<()> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(());
        };
        if self.seen != self.size {
            return Err(wrong_size(&self.digest, self.size, self.seen));
        }
        let found = hasher.finish()?;
        if found == self.digest {
            Ok(())
        } else {
            Err(wrong_digest(&self.digest, &found))
        }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.verify_end().map_err(io::Error::other)?;
            return Ok(0);
        }
        self.seen += count as u64;
        if self.seen > self.size {
            return Err(io::Error::other(wrong_size(
                &self.digest,
                self.size,
                self.seen,
            )));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// The [`Problem`] inside an I/O error, or one made by `otherwise`.
pub fn problem_of(error: io::Error, otherwise: impl FnOnce(io::Error) -> Problem) -> Problem {
    match error.downcast::<Problem>() {
        Ok(problem) => problem,
        Err(error) => otherwise(error),
    }
}
