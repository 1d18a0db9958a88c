//! Traces of machines as files, packed or not.

use std::{fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use uc_foresight::corpus::{Machine, read_trace};
use uc_model::{Bytes, Problem, Result};

/// The most text a trace may hold, in bytes.
const MOST_TEXT: u64 = 2 << 30;

/// Reads a trace.
pub(super) fn read(path: &Path) -> Result<Vec<Machine>> {
    let text = read_text(path)?;
    read_trace(&text).map_err(|problem| problem.within(path.display()))
}

/// A file's text, unpacked if its name ends in `.gz`.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let file = File::open(path).map_err(|error| {
        Problem::not_found("cannot open the file")
            .at(path.display())
            .caused_by(error)
    })?;
    let mut text = String::new();
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    let read = if is_packed {
        GzDecoder::new(file)
            .take(MOST_TEXT + 1)
            .read_to_string(&mut text)
    } else {
        file.take(MOST_TEXT + 1).read_to_string(&mut text)
    };
    read.map_err(|error| {
        Problem::invalid("cannot read the file as text")
            .at(path.display())
            .caused_by(error)
    })?;
    if text.len() as u64 > MOST_TEXT {
        return Err(Problem::invalid("the file is too long")
            .at(path.display())
            .limit(Bytes(MOST_TEXT)));
    }
    Ok(text)
}
