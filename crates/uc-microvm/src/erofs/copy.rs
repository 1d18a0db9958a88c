//! Copying the data of a file within the kernel where it can, leaving holes out.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use rustix::{
    fs::{SeekFrom, copy_file_range, seek},
    io::Errno,
};
use uc_model::{Problem, Result};

use super::image::unwritable;

/// Bytes that are copied at once where it goes through our memory.
const BUFFER: usize = 256 << 10;

/// Copies the first `length` bytes of `from` to a place of `out` that holds zeros.
///
/// # Errors
/// Invalid where `from` is shorter or cannot be read, storage where `out` cannot be written.
pub(super) fn copy(from: &File, out: &File, length: u64, to: u64) -> Result<()> {
    let metadata = from.metadata().map_err(unreadable)?;
    if metadata.blocks().saturating_mul(512) >= metadata.len() {
        return copy_range(from, out, 0, length, to);
    }
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, length)? {
        copy_range(from, out, start, end - start, to + start)?;
        at = end;
    }
    Ok(())
}

/// The next bytes that are no hole, from `at` on and before `length`.
fn next_data(from: &File, at: u64, length: u64) -> Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    let start = match seek(from, SeekFrom::Data(at)) {
        Ok(start) if start < length => start,
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes.
        Err(_) => return Ok(Some((at, length))),
    };
    let end = seek(from, SeekFrom::Hole(start)).unwrap_or(length);
    Ok((end > start).then_some((start, end.min(length))))
}

fn copy_range(from: &File, out: &File, start: u64, length: u64, to: u64) -> Result<()> {
    let (mut source, mut target) = (start, to);
    while source < start + length {
        let rest = usize::try_from(start + length - source).unwrap_or(usize::MAX);
        match copy_file_range(
            from,
            Some(&mut source),
            out,
            Some(&mut target),
            rest.min(1 << 30),
        ) {
            Ok(0) => {
                return copy_through_memory(from, out, source, start + length - source, target);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                return Err(unwritable(errno.into()));
            }
            // Two file systems, or one that cannot do it.
            Err(_) => {
                return copy_through_memory(from, out, source, start + length - source, target);
            }
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, out: &File, start: u64, length: u64, to: u64) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).map_or(BUFFER, |rest| rest.min(BUFFER));
        let part = &mut buffer[..count];
        from.read_exact_at(part, start + done).map_err(unreadable)?;
        out.write_all_at(part, to + done).map_err(unwritable)?;
        done += count as u64;
    }
    Ok(())
}

fn unreadable(error: io::Error) -> Problem {
    Problem::invalid("cannot read a file of the image").caused_by(error)
}
