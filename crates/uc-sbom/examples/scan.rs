//! Scans a directory or an OCI layout: `scan spdx|cyclonedx|table PATH`. For developers, to compare with other tools;
//! users have `uc sbom`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

use std::{
    error::Error,
    fs::{self, File},
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;
use uc_sbom::{
    Collector, Content, Entry, EntryKind, Inventory, Options, Subject, SubjectKind, Want, document,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Larger files are spooled to a temporary file.
const MEMORY_BYTES: u64 = 4 << 20;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, path] = arguments.as_slice() else {
        return Err("usage: scan spdx|cyclonedx|table PATH".into());
    };
    let path = Path::new(path);
    let is_layout = path.join("oci-layout").exists();
    let mut collector = Collector::new(Options {
        declared: !is_layout,
        files: std::env::var_os("FILES").is_some(),
    });
    if is_layout {
        layout(&mut collector, path)?;
    } else {
        collector.begin_layer(None);
        directory(&mut collector, path, path)?;
    }
    let inventory = collector.finish(Subject {
        kind: if is_layout {
            SubjectKind::Image
        } else {
            SubjectKind::Directory
        },
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        digest: None,
    });
    print(format, &inventory)
}

fn print(format: &str, inventory: &Inventory) -> Result<()> {
    for warning in &inventory.warnings {
        eprintln!("{}: {}", warning.path, warning.what);
    }
    let mut out = io::stdout().lock();
    match format {
        "spdx" => out.write_all(&document::spdx(inventory, 0)?)?,
        "cyclonedx" => out.write_all(&document::cyclonedx(inventory, 0)?)?,
        _ => {
            for row in document::rows(inventory) {
                writeln!(
                    out,
                    "{}\t{}\t{}\t{}\t{}",
                    row.kind, row.name, row.version, row.licences, row.path
                )?;
            }
        }
    }
    Ok(())
}

fn layout(collector: &mut Collector, path: &Path) -> Result<()> {
    let json = |path: &Path| -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    };
    let blob = |value: &serde_json::Value| -> Result<std::path::PathBuf> {
        let digest = value["digest"].as_str().ok_or("no digest")?;
        Ok(path.join("blobs").join(digest.replace(':', "/")))
    };
    let index = json(&path.join("index.json"))?;
    let manifest = json(&blob(&index["manifests"][0])?)?;
    for layer in manifest["layers"].as_array().ok_or("no layers")? {
        let digest = layer["digest"].as_str().ok_or("no digest")?.parse()?;
        collector.begin_layer(Some(digest));
        let mut file = BufReader::with_capacity(128 << 10, File::open(blob(layer)?)?);
        let mut magic = [0; 2];
        file.read_exact(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        let plain: Box<dyn Read> = if magic == [0x1f, 0x8b] {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        entries(collector, plain)?;
    }
    Ok(())
}

fn entries(collector: &mut Collector, plain: impl Read) -> Result<()> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(256 << 10, plain));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
            EntryType::Directory => EntryKind::Directory,
            EntryType::Symlink => EntryKind::Symlink,
            EntryType::Link => EntryKind::HardLink,
            _ => EntryKind::Other,
        };
        let path = entry.path_bytes().into_owned();
        let link = entry
            .link_name_bytes()
            .map(|link| link.into_owned())
            .unwrap_or_default();
        let size = entry.size();
        let want = collector.entry(&Entry {
            path: &path,
            kind,
            size,
            link: &link,
        });
        supply(collector, want, &mut entry, size)?;
    }
    Ok(())
}

fn directory(collector: &mut Collector, root: &Path, path: &Path) -> Result<()> {
    let mut children: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    children.sort_by_key(fs::DirEntry::file_name);
    for child in children {
        let path = child.path();
        let metadata = fs::symlink_metadata(&path)?;
        let link = fs::read_link(&path).unwrap_or_default();
        let (kind, size) = if metadata.is_dir() {
            (EntryKind::Directory, 0)
        } else if metadata.is_symlink() {
            (EntryKind::Symlink, 0)
        } else if metadata.is_file() {
            (EntryKind::File, metadata.len())
        } else {
            (EntryKind::Other, 0)
        };
        let relative = path.strip_prefix(root)?;
        let want = collector.entry(&Entry {
            path: relative.as_os_str().as_bytes(),
            kind,
            size,
            link: link.as_os_str().as_bytes(),
        });
        if kind == EntryKind::Directory {
            directory(collector, root, &path)?;
        } else if want != Want::Nothing || collector.wants_hashes() && kind == EntryKind::File {
            if metadata.permissions().mode() & 0o400 == 0 {
                continue;
            }
            supply(collector, want, &mut File::open(&path)?, size)?;
        }
    }
    Ok(())
}

/// Gives what is wanted, from a stream that cannot seek.
fn supply(
    collector: &mut Collector,
    mut want: Want,
    stream: &mut impl Read,
    size: u64,
) -> Result<()> {
    let mut hasher = collector.hasher();
    let mut read = Vec::new();
    loop {
        match want {
            Want::Nothing => break,
            Want::Head(count) => {
                stream.take(count as u64).read_to_end(&mut read)?;
                want = collector.supply(Content::Bytes(&read));
            }
            Want::Whole => {
                stream.read_to_end(&mut read)?;
                want = collector.supply(Content::Bytes(&read));
            }
            Want::Seekable if size <= MEMORY_BYTES => {
                stream.read_to_end(&mut read)?;
                want = collector.supply(Content::Reader(&mut Cursor::new(&read)));
            }
            Want::Seekable => {
                let mut spool = tempfile::tempfile()?;
                spool.write_all(&read)?;
                io::copy(stream, &mut spool)?;
                spool.seek(SeekFrom::Start(0))?;
                want = collector.supply(Content::Reader(&mut BufReader::new(&mut spool)));
                if let Some(hasher) = &mut hasher {
                    spool.seek(SeekFrom::Start(0))?;
                    read.clear();
                    hash(&mut spool, hasher)?;
                }
            }
        }
    }
    if let Some(mut hasher) = hasher {
        hasher.update(&read);
        hash(stream, &mut hasher)?;
        collector.hashed(hasher);
    }
    Ok(())
}

fn hash(stream: &mut impl Read, hasher: &mut uc_sbom::FileHasher) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
