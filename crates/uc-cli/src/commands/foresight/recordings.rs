//! Recordings of programs, with their answers: a list in TOML beside the files.

use std::{fs, path::Path};

use serde::Deserialize;
use uc_foresight::{Sample, recording::read_recording};
use uc_model::{Problem, Result};

use super::trace;

/// One recording with its answer.
pub(super) struct Labelled {
    pub(super) file: String,
    pub(super) leaks: bool,
    pub(super) is_held_out: bool,
    pub(super) samples: Vec<Sample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    recording: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    leaks: bool,
    limit_bytes: u64,
    split: Split,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Split {
    Tuning,
    HeldOut,
}

/// Reads the list and every recording in it.
pub(super) fn read(index: &Path) -> Result<Vec<Labelled>> {
    let text = fs::read_to_string(index).map_err(|error| {
        Problem::not_found("cannot read the list of recordings")
            .at(index.display())
            .caused_by(error)
    })?;
    let list: Index = toml::from_str(&text).map_err(|error| {
        Problem::invalid("the list of recordings is malformed")
            .at(index.display())
            .caused_by(error)
    })?;
    let folder = index.parent().unwrap_or(Path::new("."));
    list.recording
        .into_iter()
        .map(|entry| {
            let path = folder.join(&entry.file);
            let recording = read_recording(&trace::read_text(&path)?, entry.limit_bytes)
                .map_err(|problem| problem.within(path.display()))?;
            Ok(Labelled {
                file: entry.file,
                leaks: entry.leaks,
                is_held_out: entry.split == Split::HeldOut,
                samples: recording.samples,
            })
        })
        .collect()
}
