//! Gives a collector the content that it asks for, from a stream that cannot seek.

use std::{
    env,
    fs::File,
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use uc_image::verify::problem_of;
use uc_model::{Problem, Result};
use uc_sbom::{Collector, Content, FileHasher, Want};

/// Larger files are spooled to disk, in bytes.
const MEMORY_BYTES: u64 = 4 << 20;
/// What a buffer may keep between two files, in bytes.
const KEPT_BYTES: usize = 4 << 20;
const COPY_BYTES: usize = 256 << 10;

/// A buffer, and a place for what does not fit into it.
pub(super) struct Spool {
    buffer: Vec<u8>,
    copy: Vec<u8>,
    directory: PathBuf,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            copy: vec![0; COPY_BYTES],
            directory: temporary_directory(),
        }
    }

    /// Reads what is wanted of a file of `size` bytes, and all of it where its hash is wanted too.
    ///
    /// # Errors
    /// Those of the stream; storage where the disk is full.
    pub(super) fn supply(
        &mut self,
        collector: &mut Collector,
        mut want: Want,
        content: &mut dyn Read,
        size: u64,
    ) -> Result<()> {
        let hasher = collector.hasher();
        if want == Want::Nothing && hasher.is_none() {
            return Ok(());
        }
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        let mut content = Hashing {
            inner: content,
            hasher,
        };
        loop {
            want = match want {
                Want::Nothing => break,
                Want::Head(count) => {
                    (&mut content)
                        .take(count as u64)
                        .read_to_end(&mut self.buffer)
                        .map_err(unreadable)?;
                    collector.supply(Content::Bytes(&self.buffer))
                }
                Want::Seekable if size > MEMORY_BYTES => {
                    let mut file = self.spooled(&mut content)?;
                    collector.supply(Content::Reader(&mut file))
                }
                Want::Whole | Want::Seekable => {
                    content.read_to_end(&mut self.buffer).map_err(unreadable)?;
                    if want == Want::Whole {
                        collector.supply(Content::Bytes(&self.buffer))
                    } else {
                        collector.supply(Content::Reader(&mut Cursor::new(&self.buffer)))
                    }
                }
            };
        }
        if content.hasher.is_some() {
            while content.read(&mut self.copy).map_err(unreadable)? > 0 {}
        }
        if let Some(hasher) = content.hasher {
            collector.hashed(hasher);
        }
        Ok(())
    }

    /// The same for a file, which can seek by itself and is not spooled.
    ///
    /// # Errors
    /// Those of the file.
    pub(super) fn supply_file(
        &mut self,
        collector: &mut Collector,
        want: Want,
        file: &mut File,
        size: u64,
    ) -> Result<()> {
        // It may have grown since its size was asked for.
        if collector.wants_hashes() || want != Want::Seekable && !matches!(want, Want::Head(_)) {
            return self.supply(collector, want, &mut file.take(size), size);
        }
        let mut want = want;
        if let Want::Head(count) = want {
            self.buffer.clear();
            (&mut *file)
                .take(count as u64)
                .read_to_end(&mut self.buffer)
                .map_err(unreadable)?;
            want = collector.supply(Content::Bytes(&self.buffer));
        }
        if want == Want::Nothing {
            return Ok(());
        }
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        if want == Want::Seekable {
            collector.supply(Content::Reader(&mut BufReader::new(file)));
            return Ok(());
        }
        self.supply(collector, want, &mut file.take(size), size)
    }

    /// What was read and the rest, in a file without a name.
    fn spooled(&mut self, content: &mut dyn Read) -> Result<File> {
        let full = |directory: &Path, error: io::Error| {
            Problem::storage("cannot keep a large file while it is looked into")
                .at(directory.display())
                .remedy("free some space there, or set TMPDIR to another directory")
                .caused_by(error)
        };
        let mut file =
            tempfile::tempfile_in(&self.directory).map_err(|error| full(&self.directory, error))?;
        file.write_all(&self.buffer)
            .map_err(|error| full(&self.directory, error))?;
        loop {
            let count = content.read(&mut self.copy).map_err(unreadable)?;
            if count == 0 {
                break;
            }
            file.write_all(&self.copy[..count])
                .map_err(|error| full(&self.directory, error))?;
        }
        file.seek(SeekFrom::Start(0))
            .map_err(|error| full(&self.directory, error))?;
        Ok(file)
    }
}

/// TMPDIR, or `/var/tmp`: `/tmp` is in memory on many hosts, and large files would fill it.
fn temporary_directory() -> PathBuf {
    let disk = Path::new("/var/tmp");
    if env::var_os("TMPDIR").is_none() && disk.is_dir() {
        disk.to_owned()
    } else {
        env::temp_dir()
    }
}

fn unreadable(error: io::Error) -> Problem {
    problem_of(error, |error| {
        Problem::invalid("the file cannot be read")
            .found(&error)
            .caused_by(error)
    })
}

/// Hashes what passes, if that is wanted.
struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hasher: Option<FileHasher>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}
