//! The head of an ELF file: for which processor it is, and whether it names a loader of shared libraries.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

/// Most entries of a program's table of segments that are looked at.
const MAX_SEGMENTS: u16 = 64;

/// The segment that names the loader of shared libraries.
const PT_INTERP: u32 = 3;

/// What is needed of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The processor: `e_machine`.
    pub(crate) machine: u16,
    table: u64,
    entry: u16,
    entries: u16,
}

impl Header {
    /// The head of an ELF file of 64 bits, least significant byte first; `None` for anything else.
    pub(crate) fn read(file: &File) -> Option<Self> {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, 0).ok()?;
        bytes.starts_with(b"\x7fELF\x02\x01").then_some(())?;
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Some(Self {
            machine: half(18),
            table: u64::from_le_bytes(bytes[32..40].try_into().ok()?),
            entry: half(54),
            entries: half(56),
        })
    }

    fn names_loader(&self, file: &File) -> Option<bool> {
        for index in 0..self.entries.min(MAX_SEGMENTS) {
            let mut kind = [0; 4];
            let offset = u64::from(index) * u64::from(self.entry);
            file.read_exact_at(&mut kind, self.table.checked_add(offset)?)
                .ok()?;
            if u32::from_le_bytes(kind) == PT_INTERP {
                return Some(true);
            }
        }
        Some(false)
    }
}

/// Whether a program needs the host's shared libraries. What is none, or cannot be read, needs nothing: executing it says
/// why.
pub(crate) fn is_dynamic(program: &Path) -> bool {
    let Ok(file) = File::open(program) else {
        return false;
    };
    Header::read(&file)
        .and_then(|header| header.names_loader(&file))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_needs_nothing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(!is_dynamic(file.path()));
        let mut bytes = [0xff; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        std::fs::write(file.path(), bytes).expect("written");
        assert!(!is_dynamic(file.path()));
        assert!(!is_dynamic(Path::new("/nonexistent")));
    }
}
