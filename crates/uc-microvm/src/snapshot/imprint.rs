//! Whether a snapshot's files are still what was saved.
//!
//! Reading all of a memory takes longer than restoring it, so that is done once after each start of the host: a crash leaves
//! files half written, and disks rot. At every restore sizes and times of change are compared, for nobody ever changes these
//! files on purpose. What is missed is what changes neither within one run of the host: a disk that returns other bytes than
//! a moment before, or an owner who sets the time back.

use std::{
    fs::File,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{fs::SeekFrom, io::Errno};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What is read at once, and hashed by one thread on its own.
const PART_BYTES: u64 = 4 << 20;

/// A part without anything but zeros is as good as a hole, so a block of those is left out.
const BLOCK: [u8; 4096] = [0; 4096];

/// Most threads that read one file.
const MAX_THREADS: usize = 4;

/// What is known of a snapshot's two files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Imprint {
    state: Stamp,
    memory: Stamp,
    /// Digests of what is in them.
    state_content: String,
    memory_content: String,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// When it was last written, since 1970.
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}

impl Imprint {
    /// Reads both files to their ends.
    pub(super) fn of(state: &File, memory: &File) -> std::io::Result<Self> {
        Ok(Self {
            state: Stamp::of(state)?,
            memory: Stamp::of(memory)?,
            state_content: content(state)?,
            memory_content: content(memory)?,
        })
    }

    /// Whether the files look as if nobody had written to them.
    pub(super) fn is_like(&self, state: &File, memory: &File) -> std::io::Result<bool> {
        Ok(Stamp::of(state)? == self.state && Stamp::of(memory)? == self.memory)
    }

    /// Whether the files are the same, by all that is in them.
    pub(super) fn is_of(&self, state: &File, memory: &File) -> std::io::Result<bool> {
        Self::of(state, memory).map(|now| now == *self)
    }
}

/// The digest of what a file holds: of its parts' digests, in order. Holes and zeros are the same.
fn content(file: &File) -> std::io::Result<String> {
    let size = file.metadata()?.len();
    let next = AtomicU64::new(0);
    let parts: Mutex<Vec<(u64, [u8; 32])>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let read = || -> std::io::Result<()> {
        let mut buffer = vec![0; usize::try_from(PART_BYTES.min(size)).unwrap_or_default()];
        loop {
            let at = next.fetch_add(PART_BYTES, Ordering::Relaxed);
            if at >= size {
                return Ok(());
            }
            if let Some(digest) = part(file, at, (at + PART_BYTES).min(size), &mut buffer)? {
                let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
                parts.push((at, digest));
            }
        }
    };
    std::thread::scope(|scope| {
        let wanted = size.div_ceil(PART_BYTES).try_into().unwrap_or(usize::MAX);
        let others = threads.min(MAX_THREADS).min(wanted).saturating_sub(1);
        // Where there can be no more threads, fewer read all.
        let others: Vec<_> = (0..others)
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, read).ok())
            .collect();
        let own = read();
        let others = others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
        });
        std::iter::once(own)
            .chain(others)
            .collect::<std::io::Result<()>>()
    })?;
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(size.to_le_bytes());
    for (at, digest) in parts {
        hash.update(at.to_le_bytes());
        hash.update(digest);
    }
    Ok(uc_model::Digest::from_sha256(&hash.finalize().into())
        .hex()
        .to_owned())
}

/// The digest of a part of a file; `None` where there are zeros alone.
fn part(file: &File, start: u64, end: u64, buffer: &mut [u8]) -> std::io::Result<Option<[u8; 32]>> {
    let mut hash = Sha256::new();
    let mut any = false;
    if is_hole(file, start, end)? {
        return Ok(None);
    }
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    let buffer = buffer
        .get_mut(..length)
        .ok_or(std::io::ErrorKind::InvalidInput)?;
    file.read_exact_at(buffer, start)?;
    for (index, block) in buffer.chunks(BLOCK.len()).enumerate() {
        if BLOCK.starts_with(block) {
            continue;
        }
        any = true;
        hash.update((index as u64).to_le_bytes());
        hash.update(block);
    }
    Ok(any.then(|| hash.finalize().into()))
}

/// Whether nothing has been written to a part of a file. File systems that do not know say no.
fn is_hole(file: &File, start: u64, end: u64) -> std::io::Result<bool> {
    match rustix::fs::seek(file, SeekFrom::Data(start)) {
        Ok(data) => Ok(data >= end),
        Err(Errno::NXIO) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(size: u64, holds: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(size).expect("set");
        for (at, bytes) in holds {
            file.write_all_at(bytes, *at).expect("written");
        }
        file
    }

    fn digest(size: u64, holds: &[(u64, &[u8])]) -> String {
        content(&file(size, holds)).expect("read")
    }

    #[test]
    fn any_other_byte_place_or_size_is_another_content() {
        let base = digest(20 * MIB, &[(5 * MIB, b"one"), (17 * MIB + 7, b"two")]);
        for other in [
            digest(20 * MIB, &[(5 * MIB, b"onf"), (17 * MIB + 7, b"two")]),
            digest(20 * MIB, &[(6 * MIB, b"one"), (17 * MIB + 7, b"two")]),
            digest(
                20 * MIB,
                &[(5 * MIB + 4096, b"one"), (17 * MIB + 7, b"two")],
            ),
            digest(20 * MIB, &[(5 * MIB, b"one")]),
            digest(20 * MIB + 1, &[(5 * MIB, b"one"), (17 * MIB + 7, b"two")]),
            digest(20 * MIB, &[(5 * MIB, b"two"), (17 * MIB + 7, b"one")]),
            digest(20 * MIB, &[(20 * MIB - 1, b"x")]),
            digest(20 * MIB, &[]),
            digest(0, &[]),
        ] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn zeros_that_were_written_are_a_hole() {
        let zeros = vec![0; 9 * MIB as usize];
        let holds: &[(u64, &[u8])] = &[(MIB, &zeros), (3 * MIB, b"one")];
        assert_eq!(digest(12 * MIB, holds), digest(12 * MIB, &holds[1..]));
    }

    #[test]
    fn files_that_were_written_to_look_so() {
        let (state, memory) = (file(100, &[]), file(MIB, &[(0, b"one")]));
        let imprint = Imprint::of(&state, &memory).expect("read");
        assert!(imprint.is_like(&state, &memory).expect("known"));
        assert!(imprint.is_of(&state, &memory).expect("read"));
        // The time of change has the grain of the kernel's clock.
        std::thread::sleep(std::time::Duration::from_millis(20));
        (&memory).write_all(b"two").expect("written");
        assert!(!imprint.is_like(&state, &memory).expect("known"));
        assert!(!imprint.is_of(&state, &memory).expect("read"));
    }
}
