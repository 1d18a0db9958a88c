//! The inventory of a single file: a program, an archive, a WebAssembly file, or an SBOM that is read back.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use uc_image::verify::Hasher;
use uc_model::{Digest, Problem, Result};
use uc_sbom::{Collector, Entry, EntryKind, Options, Subject, SubjectKind, Want, document};

use super::{Bill, name_of, spool::Spool};
use crate::regular_file::{open, unreadable};

/// The largest SBOM, in bytes; the reader has the same limit.
const DOCUMENT_BYTES: u64 = 256 << 20;
/// Enough to tell what a file is.
const HEAD_BYTES: u64 = 512;
/// JSON that lists packages by its name, and is no SBOM.
const PACKAGE_LISTS: [&str; 3] = ["package.json", "package-lock.json", "npm-shrinkwrap.json"];

pub(super) fn bill(path: &Path, options: Options) -> Result<Bill> {
    let mut file = open(path)?;
    read(path, &mut file, options).map_err(|problem| problem.within(path.display()))
}

fn read(path: &Path, file: &mut File, options: Options) -> Result<Bill> {
    let mut head = Vec::new();
    file.by_ref()
        .take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let name = name_of(path);
    if is_json(&head) && !PACKAGE_LISTS.contains(&name.as_str()) {
        return of_document(file);
    }
    if path.extension().is_some_and(|extension| extension == "wat") {
        return Err(
            Problem::invalid("WebAssembly's text form says nothing of packages")
                .remedy("name the compiled file"),
        );
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(Problem::invalid("a tar archive is no target")
            .remedy(format!("if it holds an OCI layout, write oci-archive:{}; else extract it and name the directory", path.display())));
    }
    scan(path, name, file, options)
}

fn is_json(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    text.trim_ascii_start().starts_with(b"{")
}

fn of_document(file: &mut File) -> Result<Bill> {
    let mut bytes = Vec::new();
    // One byte more shows that there are too many; the reader says so.
    file.take(DOCUMENT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let (_, inventory) = document::read(&bytes)?;
    Ok(Bill {
        inventory,
        created_s: document::created(&bytes).unwrap_or(0),
    })
}

fn scan(path: &Path, name: String, file: &mut File, options: Options) -> Result<Bill> {
    let size = file.metadata().map_err(unreadable)?.len();
    let mut collector = Collector::new(options);
    collector.begin_layer(None);
    let want = collector.entry(&Entry {
        path: path.file_name().unwrap_or_default().as_bytes(),
        kind: EntryKind::File,
        size,
        link: b"",
    });
    if want == Want::Nothing {
        return Err(Problem::invalid("nothing is known of this kind of file")
            .limit("an SBOM (SPDX or CycloneDX as JSON), a program, a WebAssembly file, a Java archive, or a directory")
            .remedy("name the directory that it is in: the path tells what a file is"));
    }
    Spool::new().supply_file(&mut collector, want, file, size)?;
    Ok(Bill {
        inventory: collector.finish(Subject {
            kind: SubjectKind::File,
            name,
            digest: Some(digest(file)?),
        }),
        created_s: 0,
    })
}

fn digest(file: &mut File) -> Result<Digest> {
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut hasher = Hasher::sha256();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return hasher.finish(),
            count => hasher.update(&buffer[..count]),
        }
    }
}
