//! A runtime's program: where it is, and which version it says it is.

use std::{
    env,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use crate::flavour::Flavour;

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of what it says is read, in bytes.
const MAX_WORDS: u64 = 4 << 10;

/// A program that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    /// As it says itself: `20240729.0`, `1.8.1`.
    pub(crate) version: String,
}

/// The program of a runtime: the one given, or the first on PATH.
pub(crate) fn locate(flavour: Flavour, given: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = given {
        return Some(path.to_owned());
    }
    let of_administrators = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(of_administrators)
        .map(|directory| directory.join(flavour.program()))
        .find(|file| file.is_file())
}

impl Binary {
    /// Asks a program for its version.
    ///
    /// # Errors
    /// Host, where it cannot be executed, does not answer in time, or says nothing that is a version.
    pub(crate) fn ask(flavour: Flavour, path: PathBuf) -> Result<Self> {
        let words = first_words(&path)
            .map_err(|problem| problem.remedy(format!("install {flavour} anew")))?;
        let version = version(&words).ok_or_else(|| {
            Problem::host(format!("this is not {flavour}, or it is broken"))
                .at(path.display())
                .limit("a version behind `--version`")
                .found(format!("{:?}", words.chars().take(80).collect::<String>()))
                .remedy(format!("install {flavour} anew"))
        })?;
        Ok(Self { path, version })
    }
}

fn first_words(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| {
        Problem::host("a runtime cannot be executed")
            .at(path.display())
            .found(error)
    };
    let mut child = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + PATIENCE;
    // What it writes fits into the pipe, or it hangs and is ended.
    let status = loop {
        match child.try_wait().map_err(failed)? {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Problem::host("a runtime does not say its version")
            .at(path.display())
            .limit(format!("{} s", PATIENCE.as_secs())));
    };
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout {
        stdout
            .take(MAX_WORDS)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if !status.success() {
        return Err(Problem::host("a runtime fails when asked for its version")
            .at(path.display())
            .found(status));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first word that looks like a version: digits and dots, perhaps behind `release-` or `v`.
fn version(words: &str) -> Option<String> {
    let line = words.lines().next()?;
    line.split_whitespace().skip(1).find_map(|word| {
        let word = word.trim_start_matches("release-").trim_start_matches('v');
        let is_version = word.starts_with(|first: char| first.is_ascii_digit())
            && word.contains('.')
            && word.len() <= 40
            && word.chars().all(|c| c.is_ascii_graphic());
        // Debian calls gVisor's release of 29 July 2024 `0.0~20240729.0`.
        is_version.then(|| word.trim_start_matches("0.0~").to_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn versions_are_read_as_each_runtime_writes_them() {
        for (words, expected) in [
            (
                "runsc version 0.0~20240729.0\nspec: 1.0.2-dev\n",
                "20240729.0",
            ),
            ("runsc version release-20250407.0\n", "20250407.0"),
            ("crun version 1.8.1\ncommit: f8a0\n", "1.8.1"),
            ("runc version 1.1.5+ds1\n", "1.1.5+ds1"),
            ("youki version 0.5.4\n", "0.5.4"),
        ] {
            assert_eq!(version(words).as_deref(), Some(expected), "{words}");
        }
        for words in [
            "",
            "\n",
            "hello world",
            "1.2",
            "runsc version\n",
            "\u{1b}[31m ..9",
        ] {
            assert_eq!(version(words), None, "{words:?}");
        }
    }

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("runsc");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made");
        (directory, path)
    }

    #[test]
    fn programs_that_fail_hang_or_babble_are_told_apart() {
        for (text, expected) in [
            ("#!/bin/sh\nexit 3\n", "fails when asked"),
            ("#!/bin/sh\nexec sleep 100\n", "does not say"),
            ("#!/bin/sh\nhead -c 100000 /dev/urandom\n", "does not say"),
            ("#!/bin/sh\necho no such option\n", "not runsc"),
            ("#!/no/such/interpreter\n", "cannot be executed"),
        ] {
            let (_directory, path) = script(text);
            let problem = Binary::ask(Flavour::Runsc, path).expect_err(expected);
            assert!(problem.to_string().contains(expected), "{problem}");
            assert!(problem.remedy_text().is_some());
        }
        let (_directory, path) = script("#!/bin/sh\necho runsc version 1.2.3\n");
        let binary = Binary::ask(Flavour::Runsc, path).expect("answers");
        assert_eq!(binary.version, "1.2.3");
    }
}
