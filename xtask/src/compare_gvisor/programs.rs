//! The programs: shell scripts in `xtask/programs/gvisor`, with C sources of the same name beside some.
//!
//! The head of a script says `# needs: PROGRAM...` and, where two runs write different things, `# output: varies`. Everything
//! that a script does must succeed, or it ends with an error. `# probe` marks what is no program of anybody, but a few lines
//! that make one call and have no other way.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uc_model::{Problem, Result};

/// Where they lie.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/gvisor")
}

/// What both runs have on their PATH.
pub(super) const PATH: &str =
    "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether the data of `uc-select` were corrected with a program's result in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// They were.
    Tuned,
    /// They were not: its result was looked at after the last correction.
    HeldOut,
}

impl Part {
    /// A third of the names is held out, drawn by their digests, so that nobody chose which.
    fn of(name: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        match digest[0] % 3 {
            0 => Self::HeldOut,
            _ => Self::Tuned,
        }
    }
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is called in the table.
    pub name: String,
    /// Whether its result was in sight.
    pub part: Part,
    /// Whether it was written for one call.
    pub is_probe: bool,
    needs: Vec<String>,
    pub(super) output_varies: bool,
    /// Whether a C source of this name lies beside it.
    pub(super) is_compiled: bool,
}

impl Program {
    fn read(script: &Path) -> Option<Self> {
        let name = script.file_stem()?.to_str()?.to_owned();
        let text = fs::read_to_string(script).ok()?;
        let head = |key: &str| {
            text.lines()
                .take_while(|line| line.starts_with('#'))
                .find_map(|line| line.strip_prefix(key))
        };
        Some(Self {
            part: Part::of(&name),
            needs: head("# needs: ")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            is_probe: head("# probe").is_some(),
            output_varies: head("# output: varies").is_some(),
            is_compiled: script.with_extension("c").is_file(),
            name,
        })
    }

    /// What it needs and this machine lacks.
    pub(super) fn missing(&self) -> Option<&str> {
        let is_there = |name: &str| match name.starts_with('/') {
            true => Path::new(name).exists(),
            false => env::split_paths(PATH).any(|place| place.join(name).is_file()),
        };
        let compiler = self.is_compiled.then_some("cc");
        self.needs
            .iter()
            .map(String::as_str)
            .chain(compiler)
            .find(|name| !is_there(name))
    }
}

/// All programs, by name.
///
/// # Errors
/// Host, where they are missing.
pub fn programs() -> Result<Vec<Program>> {
    let folder = folder();
    let entries = fs::read_dir(&folder).map_err(|error| {
        Problem::host("the programs to compare are missing")
            .at(folder.display())
            .caused_by(error)
    })?;
    let mut scripts: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "sh"))
        .collect();
    scripts.sort();
    Ok(scripts
        .iter()
        .filter_map(|script| Program::read(script))
        .collect())
}
