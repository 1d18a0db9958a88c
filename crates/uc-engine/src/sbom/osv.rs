//! An inventory against an offline export of OSV records: single files, and one zip archive for each ecosystem.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use uc_model::{Problem, Result};
use uc_sbom::{
    Inventory,
    vulnerability::{Report, Scan, each_record},
};

use super::Observer;
use crate::regular_file;

/// The largest single record, in bytes; the reader has the same limit.
const RECORD_BYTES: u64 = 32 << 20;
/// The most files of an export.
const FILES: u64 = 5_000_000;
/// How deep its directories may nest.
const DEPTH: usize = 8;
/// The most records that are named as unreadable; all are counted.
const NAMED: usize = 100;
/// How often progress is told, in records.
const PROGRESS_RECORDS: u64 = 1024;

/// A record, or a whole archive, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// The file; within an archive its path, `!/`, and the record's name.
    #[serde(rename = "where")]
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a scan found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scanned {
    /// A verdict for each package.
    #[serde(flatten)]
    pub report: Report,
    /// The first of what could not be read.
    pub unreadable_records: Vec<Unreadable>,
}

/// Matches an inventory against the records in a directory or an archive.
///
/// # Errors
/// Not found where there are no records; refused beyond a bound. A damaged record is none: it is counted and named.
pub fn scan(inventory: &Inventory, export: &Path, observer: &dyn Observer) -> Result<Scanned> {
    let mut reading = Reading {
        scan: Scan::new(inventory),
        observer,
        files: 0,
        records: 0,
        damaged_files: 0,
        unreadable: Vec::new(),
    };
    let metadata =
        fs::metadata(export).map_err(|error| regular_file::cannot_open(export, error))?;
    if metadata.is_dir() {
        reading.directory(export, 0)?;
    } else {
        reading.file(export);
    }
    if reading.records == 0 && reading.damaged_files == 0 {
        return Err(Problem::not_found("no OSV records")
            .at(export.display())
            .limit("files NAME.json, or all.zip of an ecosystem, as osv.dev exports them")
            .remedy("fetch https://osv-vulnerabilities.storage.googleapis.com/ECOSYSTEM/all.zip into it"));
    }
    let mut report = reading.scan.finish();
    report.unreadable += reading.damaged_files;
    Ok(Scanned {
        report,
        unreadable_records: reading.unreadable,
    })
}

struct Reading<'a> {
    scan: Scan<'a>,
    observer: &'a dyn Observer,
    files: u64,
    records: u64,
    damaged_files: u64,
    unreadable: Vec<Unreadable>,
}

impl Reading<'_> {
    fn directory(&mut self, directory: &Path, depth: usize) -> Result<()> {
        if depth > DEPTH {
            return Err(
                Problem::refused("the export's directories are nested too deeply")
                    .at(directory.display())
                    .limit(DEPTH),
            );
        }
        for path in names(directory)? {
            self.files += 1;
            if self.files > FILES {
                return Err(Problem::refused("the export has too many files").limit(FILES));
            }
            // Links are followed: whoever names an export also made it.
            if path.is_dir() {
                self.directory(&path, depth + 1)?;
            } else {
                self.file(&path);
            }
        }
        Ok(())
    }

    /// Reads a record or an archive of them; other files are none of ours.
    fn file(&mut self, path: &Path) {
        let extension = path.extension().and_then(OsStr::to_str);
        let read = match extension {
            Some("json") => self.record_file(path),
            Some("zip") => self.archive(path),
            _ => return,
        };
        if let Err(problem) = read {
            self.damaged_files += 1;
            self.name(path.display().to_string(), &problem);
        }
    }

    fn record_file(&mut self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        regular_file::open(path)?
            .take(RECORD_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(regular_file::unreadable)?;
        self.record(|| path.display().to_string(), &bytes);
        Ok(())
    }

    fn archive(&mut self, path: &Path) -> Result<()> {
        let mut reader: BufReader<File> = BufReader::new(regular_file::open(path)?);
        each_record(&mut reader, |name, content| {
            let place = || format!("{}!/{name}", path.display());
            match content {
                Ok(bytes) => self.record(place, bytes),
                Err(problem) => {
                    self.damaged_files += 1;
                    self.name(place(), &problem);
                }
            }
        })
    }

    fn record(&mut self, place: impl FnOnce() -> String, bytes: &[u8]) {
        self.records += 1;
        if self.records.is_multiple_of(PROGRESS_RECORDS) {
            self.observer.counted(self.records);
        }
        if let Err(problem) = self.scan.feed(bytes) {
            self.name(place(), &problem);
        }
    }

    fn name(&mut self, place: String, problem: &Problem) {
        if self.unreadable.len() < NAMED {
            self.unreadable.push(Unreadable {
                place,
                what: problem.to_string(),
            });
        }
    }
}

/// What is in a directory, sorted, so that equal exports give equal messages.
fn names(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in
        fs::read_dir(directory).map_err(|error| regular_file::cannot_open(directory, error))?
    {
        let entry = entry.map_err(|error| regular_file::cannot_open(directory, error))?;
        if paths.len() as u64 >= FILES {
            return Err(Problem::refused("the export has too many files").limit(FILES));
        }
        paths.push(entry.path());
    }
    paths.sort_unstable();
    Ok(paths)
}
