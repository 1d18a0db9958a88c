//! The hashes that a file list gives of each file.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Hashes one file by SHA-1, which SPDX asks for, and SHA-256, which is worth something.
#[derive(Default)]
pub struct FileHasher {
    sha1: Sha1,
    sha256: Sha256,
}

impl FileHasher {
    /// Takes more of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha1.update(bytes);
        self.sha256.update(bytes);
    }

    /// Both, in lower-case hexadecimal.
    pub(crate) fn finish(self) -> (String, String) {
        (hex(&self.sha1.finalize()), hex(&self.sha256.finalize()))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}
