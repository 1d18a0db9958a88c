//! One recording while it is made: rows go beside its place, and take it at the end.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use uc_model::{Problem, Result};

use super::programs::Running;

/// The first line of each file.
const HEADER: &str = "t_s,rss_bytes";

/// A recording that is not finished.
#[derive(Debug)]
pub(super) struct Series {
    file: PathBuf,
    part: PathBuf,
    rows: BufWriter<File>,
    running: Running,
}

impl Series {
    /// Opens the file beside `file`.
    ///
    /// # Errors
    /// Storage, where it cannot be written.
    pub(super) fn begin(file: PathBuf, running: Running) -> Result<Self> {
        let part = file.with_extension("csv.part");
        let rows = File::create(&part).map_err(|error| unwritable(&part, error))?;
        let mut series = Self {
            file,
            part,
            rows: BufWriter::new(rows),
            running,
        };
        series.row(HEADER)?;
        Ok(series)
    }

    /// Adds what the program holds now.
    ///
    /// # Errors
    /// Host, where it has ended; storage, where the row cannot be written.
    pub(super) fn sample(&mut self, now_s: u64) -> Result<()> {
        let bytes = self.running.memory_bytes()?;
        self.row(&format!("{now_s},{bytes}"))
    }

    /// Hands all rows to the system.
    ///
    /// # Errors
    /// Storage, where they cannot be written.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.rows
            .flush()
            .and_then(|()| self.rows.get_ref().sync_all())
            .map_err(|error| unwritable(&self.part, error))
    }

    /// Ends the program, and replaces the recording of before.
    ///
    /// # Errors
    /// Storage, where the file cannot be moved.
    pub(super) fn publish(self) -> Result<()> {
        fs::rename(&self.part, &self.file).map_err(|error| unwritable(&self.file, error))
    }

    fn row(&mut self, text: &str) -> Result<()> {
        writeln!(self.rows, "{text}").map_err(|error| unwritable(&self.part, error))
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        // It is gone where it was published. Half a recording is of no use.
        let _ = fs::remove_file(&self.part);
    }
}

fn unwritable(place: &std::path::Path, error: io::Error) -> Problem {
    Problem::storage("cannot write a recording")
        .at(place.display())
        .remedy("make room there, or name another folder")
        .caused_by(error)
}
