//! The bytes under a signature, each hash of which is computed once at most.

use std::cell::OnceCell;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// What was signed. Checking it against many keys and signatures hashes it once per hash function.
#[derive(Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    sha256: OnceCell<[u8; 32]>,
    sha384: OnceCell<[u8; 48]>,
    sha512: OnceCell<Sha512>,
}

impl<'a> Message<'a> {
    /// A message that is held elsewhere.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            sha256: OnceCell::new(),
            sha384: OnceCell::new(),
            sha512: OnceCell::new(),
        }
    }

    /// The message itself, for the schemes that hash it together with the signature.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn sha256(&self) -> &[u8; 32] {
        self.sha256
            .get_or_init(|| Sha256::digest(self.bytes).into())
    }

    pub(crate) fn sha384(&self) -> &[u8; 48] {
        self.sha384
            .get_or_init(|| Sha384::digest(self.bytes).into())
    }

    /// The state rather than the value: Ed25519ph takes it so.
    pub(crate) fn sha512(&self) -> Sha512 {
        self.sha512
            .get_or_init(|| Sha512::new_with_prefix(self.bytes))
            .clone()
    }
}
