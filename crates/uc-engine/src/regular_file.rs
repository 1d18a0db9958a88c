//! Files that somebody names: only regular ones are read, since a device has no end and a pipe waits for a writer.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use uc_model::{Bytes, Problem, Result};

/// Reads a file of at most `limit` bytes; `what` it is, for problems with that.
///
/// # Errors
/// Not found; invalid, where it is not a regular file; refused, where it is too large.
pub(crate) fn read(path: &Path, what: &str, limit: Bytes) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(limit.0.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error).at(path.display()))?;
    if bytes.len() as u64 > limit.0 {
        return Err(Problem::refused(format!("{what} is too large"))
            .at(path.display())
            .limit(limit));
    }
    Ok(bytes)
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File> {
    // Not blocking: a pipe would wait for somebody to write.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let file = File::options()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
        .map_err(|error| cannot_open(path, error))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_file {
        Ok(file)
    } else {
        Err(Problem::invalid("not a regular file").at(path.display()))
    }
}

pub(crate) fn cannot_open(path: &Path, error: io::Error) -> Problem {
    let problem = if error.kind() == io::ErrorKind::NotFound {
        Problem::not_found("no such file or directory").remedy("check the path")
    } else {
        Problem::invalid("cannot be read").found(&error)
    };
    problem.at(path.display()).caused_by(error)
}

pub(crate) fn unreadable(error: io::Error) -> Problem {
    Problem::invalid("the file cannot be read")
        .found(&error)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use uc_model::ProblemKind;

    use super::*;

    #[test]
    fn what_has_no_end_or_waits_is_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .expect("made");
        for path in [Path::new("/dev/zero"), &pipe] {
            let problem = read(path, "it", Bytes(10)).expect_err("not regular");
            assert_eq!(problem.kind(), ProblemKind::Invalid, "{problem}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        let missing = read(&file, "it", Bytes(10)).expect_err("missing");
        assert_eq!(missing.kind(), ProblemKind::NotFound, "{missing}");
        std::fs::write(&file, [b'x'; 10]).expect("written");
        assert_eq!(read(&file, "it", Bytes(10)).expect("read"), [b'x'; 10]);
        let problem = read(&file, "it", Bytes(9)).expect_err("too large");
        assert_eq!(problem.kind(), ProblemKind::Refused, "{problem}");
    }
}
