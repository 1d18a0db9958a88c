//! Reading the small text files of /proc and of control groups: bounded, and telling "gone" from "unreadable".

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use uc_model::{Problem, Result};

/// The most that is read of one file. The longest are lists of processes.
pub(crate) const FILE_BYTES: u64 = 1 << 20;

/// A text, cut at [`FILE_BYTES`].
///
/// # Errors
/// What the system says; bytes that are no UTF-8 are replaced, since names of programs may hold any.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A text, or nothing where there is no such file any more.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<String>> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Whether what the file belongs to has ended: its directory was removed, or it was open while that happened (a control group
/// then answers ENODEV, a process ESRCH).
pub(crate) fn is_gone(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    const ENODEV: i32 = 19;
    error.kind() == io::ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ESRCH | ENODEV))
}

pub(crate) fn unreadable(path: &Path, error: io::Error) -> Problem {
    let problem = Problem::host("cannot read what the kernel tells").at(path.display());
    let problem = if error.kind() == io::ErrorKind::PermissionDenied {
        problem.remedy("run as root, or as the user that owns the workload")
    } else {
        problem
    };
    problem.caused_by(error)
}

/// The value of a line `key value`, as control groups and /proc/PID/status (`key:`) write them.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once([' ', '\t'])?;
        (name == key)
            .then(|| value.split_whitespace().next()?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let text = "anon_thp 7\nanon 4096\nRssAnon:\t  12 kB\nbad x\n";
        assert_eq!(keyed(text, "anon"), Some(4096));
        assert_eq!(keyed(text, "RssAnon:"), Some(12));
        assert_eq!(keyed(text, "bad"), None);
        assert_eq!(keyed(text, "absent"), None);
    }

    #[test]
    fn what_is_gone_is_told_from_what_cannot_be_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let absent = read_if_present(&directory.path().join("absent"));
        assert!(absent.expect("no problem").is_none());
        assert!(read_if_present(directory.path()).is_err());
    }
}
