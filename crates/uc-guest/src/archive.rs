//! Unpacks a cpio archive (newc) as it comes.
//!
//! It comes from the host, which made it: this machine trusts it, and only guards against its own mistakes.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use uc_guest_protocol::StreamReader;
use uc_model::{Problem, Result};

/// Length of a header: a magic number of 6 and 13 fields of 8 hexadecimal digits.
const HEADER_BYTES: usize = 110;

/// The name of the last entry.
const TRAILER: &str = "TRAILER!!!";

/// Longest name, in bytes.
const MAX_NAME: usize = 4096;

/// Bytes of a stream, in the pieces that are asked for.
struct Input<'a> {
    stream: &'a mut StreamReader,
    chunk: Vec<u8>,
    at: usize,
    /// Bytes since the beginning.
    position: u64,
}

impl Input<'_> {
    /// Some bytes, at most `most`, which is not zero.
    async fn some(&mut self, most: usize) -> Result<Vec<u8>> {
        while self.at == self.chunk.len() {
            let ended = || Problem::host("a volume's archive ends too early");
            let passed_on = self.chunk.len();
            self.stream.pass_on(passed_on).await?;
            self.chunk = self.stream.next().await.ok_or_else(ended)?;
            self.at = 0;
        }
        let count = most.min(self.chunk.len() - self.at);
        let bytes = self.chunk.get(self.at..self.at + count).unwrap_or_default();
        self.at += count;
        self.position += count as u64;
        Ok(bytes.to_vec())
    }

    async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            bytes.extend(self.some(count - bytes.len()).await?);
        }
        Ok(bytes)
    }

    /// Skips to a multiple of four.
    async fn align(&mut self) -> Result<()> {
        let rest = (4 - self.position % 4) % 4;
        self.exactly(rest as usize).await.map(drop)
    }
}

struct Entry {
    path: PathBuf,
    is_last: bool,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
}

/// Unpacks an archive into a directory.
pub(crate) async fn unpack(stream: &mut StreamReader, directory: &Path) -> Result<()> {
    let mut input = Input {
        stream,
        chunk: Vec::new(),
        at: 0,
        position: 0,
    };
    loop {
        let entry = header(&mut input).await?;
        if entry.is_last {
            break;
        }
        unpack_entry(&mut input, &entry, directory).await?;
    }
    // What else comes is padding.
    while let Some(chunk) = input.stream.next().await {
        input.stream.pass_on(chunk.len()).await?;
    }
    Ok(())
}

async fn header(input: &mut Input<'_>) -> Result<Entry> {
    let nonsense = || Problem::internal("a volume's archive is not one");
    let header = input.exactly(HEADER_BYTES).await?;
    let field = |index: usize| {
        let start = 6 + index * 8;
        header
            .get(start..start + 8)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(nonsense)
    };
    if !header.starts_with(b"070701") {
        return Err(nonsense());
    }
    let name_size = field(11)? as usize;
    if !(1..=MAX_NAME).contains(&name_size) {
        return Err(nonsense());
    }
    let mut name = input.exactly(name_size).await?;
    name.pop();
    input.align().await?;
    let name = String::from_utf8(name).map_err(|_| nonsense())?;
    let path = PathBuf::from(&name);
    let stays = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    if !stays {
        return Err(nonsense().found(name));
    }
    Ok(Entry {
        is_last: name == TRAILER,
        path,
        mode: field(1)?,
        uid: field(2)?,
        gid: field(3)?,
        size: field(6)?.into(),
    })
}

async fn unpack_entry(input: &mut Input<'_>, entry: &Entry, directory: &Path) -> Result<()> {
    let path = directory.join(&entry.path);
    let failed = |error: std::io::Error| {
        Problem::storage("cannot fill a volume in the microVM")
            .at(entry.path.display())
            .remedy("the volumes' content must fit in half of its memory: raise limits.memory")
            .caused_by(error)
    };
    match entry.mode & libc::S_IFMT {
        libc::S_IFDIR => fs::create_dir_all(&path).map_err(failed)?,
        libc::S_IFLNK => {
            let target = input.exactly(entry.size as usize).await?;
            let target = String::from_utf8_lossy(&target).into_owned();
            std::os::unix::fs::symlink(target, &path).map_err(failed)?;
        }
        _ => {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(failed)?;
            let mut left = entry.size;
            while left > 0 {
                let bytes = input.some(left.min(1 << 20) as usize).await?;
                file.write_all(&bytes).map_err(failed)?;
                left -= bytes.len() as u64;
            }
        }
    }
    input.align().await?;
    std::os::unix::fs::lchown(&path, Some(entry.uid), Some(entry.gid)).map_err(failed)?;
    if entry.mode & libc::S_IFMT != libc::S_IFLNK {
        let mode = fs::Permissions::from_mode(entry.mode & 0o7777);
        fs::set_permissions(&path, mode).map_err(failed)?;
    }
    Ok(())
}
