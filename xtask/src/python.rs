//! Virtual environments of Python below `target`, with packages of fixed versions from PyPI.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// Its folder below `target`.
    pub(crate) name: &'static str,
    /// As pip takes them, with versions.
    pub(crate) packages: &'static [&'static str],
    /// A statement that succeeds where they are installed.
    pub(crate) probe: &'static str,
}

impl Environment {
    /// Its folder.
    pub(crate) fn place(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target")
            .join(self.name)
    }

    /// Its interpreter.
    pub(crate) fn python(&self) -> PathBuf {
        self.place().join("bin/python3")
    }

    /// Whether the packages are there.
    pub(crate) fn works(&self) -> bool {
        runs(&self.python().to_string_lossy(), &["-c", self.probe])
    }

    /// Makes it where it is missing; whether it works then.
    pub(crate) fn provide(&self) -> bool {
        if self.works() {
            return true;
        }
        let options = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            // Soon over where there is no network.
            "--timeout",
            "20",
            "--retries",
            "1",
        ];
        runs("python3", &["-m", "venv", &self.place().to_string_lossy()])
            && runs(
                &self.python().to_string_lossy(),
                &[&options[..], self.packages].concat(),
            )
            && self.works()
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
