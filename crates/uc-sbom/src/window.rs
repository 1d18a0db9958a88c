//! A part of something seekable, read at offsets, never beyond its end.

use std::io::{self, Read as _, SeekFrom};

use uc_model::{Problem, Result};

use crate::collector::ReadSeek;

/// A range of a seekable reader.
pub(crate) struct Window<'a> {
    reader: &'a mut dyn ReadSeek,
    start: u64,
    len: u64,
}

impl<'a> Window<'a> {
    /// All of a reader.
    pub(crate) fn whole(reader: &'a mut dyn ReadSeek) -> Result<Self> {
        let len = reader.seek(SeekFrom::End(0)).map_err(unreadable)?;
        Ok(Self {
            reader,
            start: 0,
            len,
        })
    }

    /// A part of this part.
    pub(crate) fn part(&mut self, offset: u64, len: u64) -> Result<Window<'_>> {
        self.check(offset, len)?;
        Ok(Window {
            start: self.start + offset,
            len,
            reader: &mut *self.reader,
        })
    }

    /// The bytes in it.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fills a buffer from an offset.
    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.check(offset, buffer.len() as u64)?;
        self.reader
            .seek(SeekFrom::Start(self.start + offset))
            .and_then(|_| self.reader.read_exact(buffer))
            .map_err(unreadable)
    }

    /// As many bytes from an offset, at most `limit`.
    pub(crate) fn bytes_at(&mut self, offset: u64, len: u64, limit: u64) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        if len > limit {
            return Err(Problem::refused("a part of the file is too large")
                .limit(format!("{limit} bytes"))
                .found(format!("{len} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// A stream over a part.
    pub(crate) fn stream(&mut self, offset: u64, len: u64) -> Result<io::Take<&mut dyn ReadSeek>> {
        self.check(offset, len)?;
        self.reader
            .seek(SeekFrom::Start(self.start + offset))
            .map_err(unreadable)?;
        let reader: &mut dyn ReadSeek = &mut *self.reader;
        Ok(reader.take(len))
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(Problem::invalid("the file points beyond its own end")
                .limit(format!("{} bytes", self.len))
                .found(format!("{len} bytes at {offset}"))),
        }
    }
}

fn unreadable(error: io::Error) -> Problem {
    Problem::invalid("the file cannot be read")
        .found(&error)
        .caused_by(error)
}
