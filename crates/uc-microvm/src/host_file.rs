//! Reading a file of the host into memory, no larger than expected.

use std::{fs::File, io::Read as _, path::Path};

use uc_model::{Problem, ProblemKind, Result};

/// The bytes of a file.
///
/// # Errors
/// Not found where there is none, invalid where it cannot be read or is no file, refused beyond `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit)).unwrap_or_default());
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Problem::refused("the file is too large")
            .at(path.display())
            .limit(format!("{limit} bytes"))
            .found(format!("{} bytes", size.max(bytes.len() as u64))));
    }
    Ok(bytes)
}

/// The first bytes of a file, `count` at most.
///
/// # Errors
/// Not found where there is none, invalid where it cannot be read or is no file.
pub(crate) fn head(path: &Path, count: u64) -> Result<Vec<u8>> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(count)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    Ok(bytes)
}

/// A regular file, and its size in bytes.
///
/// # Errors
/// As for [`read`].
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    // A FIFO would keep the open waiting.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(Problem::invalid("not a regular file").at(path.display()));
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    Ok((file, metadata.len()))
}

fn unreadable(path: &Path, error: std::io::Error) -> Problem {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ProblemKind::NotFound,
        _ => ProblemKind::Invalid,
    };
    Problem::new(kind, "cannot read the file")
        .at(path.display())
        .caused_by(error)
}
