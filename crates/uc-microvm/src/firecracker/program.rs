//! Whether a program needs the host's shared libraries, which must then be in its root.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

/// Most entries of a program's table of segments that are looked at.
const MAX_SEGMENTS: u16 = 64;

/// The segment that names the loader of shared libraries.
const PT_INTERP: u32 = 3;

/// Whether an ELF file of 64 bits names a loader. What is none, or cannot be read, needs nothing: executing it says why.
pub(crate) fn is_dynamic(program: &Path) -> bool {
    File::open(program)
        .ok()
        .and_then(|file| names_loader(&file))
        .unwrap_or(false)
}

fn names_loader(file: &File) -> Option<bool> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).ok()?;
    // Magic number, 64 bits, least significant byte first.
    header.starts_with(b"\x7fELF\x02\x01").then_some(())?;
    let table = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let size = u16::from_le_bytes(header[54..56].try_into().ok()?);
    let count = u16::from_le_bytes(header[56..58].try_into().ok()?);
    for index in 0..count.min(MAX_SEGMENTS) {
        let mut kind = [0; 4];
        let at = table.checked_add(u64::from(index) * u64::from(size))?;
        file.read_exact_at(&mut kind, at).ok()?;
        if u32::from_le_bytes(kind) == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
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
