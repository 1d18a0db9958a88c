//! What may be done, and to whom: a TOML file that is read again when it changes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;
use uc_foresight::eviction::Policy;
use uc_model::{Problem, Result};

/// The longest file, in bytes.
const LONGEST_FILE: u64 = 1 << 20;

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// When to act, and how often at most.
    pub(super) policy: Policy,
    /// Names that are never evicted; one that ends in `*` stands for all that begin so.
    pub(super) protect: Vec<String>,
    /// Names that may be stopped although they are not ours: control groups and processes; `*` as above.
    pub(super) stop: Vec<String>,
    /// A program that is told every event: the event as JSON on its standard input.
    pub(super) hook: Option<PathBuf>,
    /// Whether a detached workload that was evicted is started again.
    pub(super) restart: Option<bool>,
}

impl Config {
    /// Whether a name is never evicted.
    pub(super) fn protects(&self, name: &str) -> bool {
        matches(&self.protect, name)
    }

    /// Whether a name that is not ours may be stopped.
    pub(super) fn may_stop(&self, name: &str) -> bool {
        matches(&self.stop, name)
    }
}

fn matches(patterns: &[String], name: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == pattern,
        })
}

/// A configuration with the file it came from.
pub(super) struct Source {
    path: Option<PathBuf>,
    read_at: Option<SystemTime>,
    pub(super) config: Config,
}

impl Source {
    /// Reads the file, if one is given.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let mut source = Self {
            path: path.map(Path::to_owned),
            read_at: None,
            config: Config::default(),
        };
        if let Some(path) = path {
            source.read_at = changed_at(path);
            source.config = read(path)?;
        }
        Ok(source)
    }

    /// Reads the file again if it changed. `true` if there is a new configuration; one that is malformed changes nothing.
    pub(super) fn reload(&mut self) -> Result<bool> {
        let Some(path) = &self.path else {
            return Ok(false);
        };
        let changed = changed_at(path);
        if changed == self.read_at {
            return Ok(false);
        }
        self.read_at = changed;
        let config = read(path)?;
        let is_new = config != self.config;
        self.config = config;
        Ok(is_new)
    }
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn read(path: &Path) -> Result<Config> {
    let unreadable = |error| {
        Problem::not_found("cannot read the configuration")
            .at(path.display())
            .caused_by(error)
    };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_FILE {
        return Err(Problem::invalid("the configuration is too long")
            .at(path.display())
            .limit(format!("{LONGEST_FILE} bytes"))
            .found(length));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let config: Config = toml::from_str(&text).map_err(|error| {
        Problem::invalid("the configuration is malformed")
            .at(path.display())
            .caused_by(error)
    })?;
    config
        .policy
        .check()
        .map_err(|problem| problem.within(path.display()))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_a_malformed_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "protect = [\"db*\"]\n[policy]\ngrace_s = 5\n").unwrap();
        let mut source = Source::open(Some(&path)).unwrap();
        assert!(source.config.protects("db/main") && !source.config.protects("web"));
        assert_eq!(source.config.policy.grace_s, 5);
        assert!(!source.reload().unwrap());
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        let write = |text: &str, at| {
            fs::write(&path, text).unwrap();
            fs::File::open(&path).unwrap().set_modified(at).unwrap();
        };
        write("protekt = []\n", later);
        assert!(source.reload().is_err());
        assert!(source.config.protects("db/main"));
        write(
            "stop = [\"web\"]\n",
            later + std::time::Duration::from_secs(5),
        );
        assert!(source.reload().unwrap() && source.config.may_stop("web"));
    }

    #[test]
    fn a_policy_that_no_fleet_can_keep_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "[policy]\nfindings_needed = 0\n").unwrap();
        assert!(Source::open(Some(&path)).is_err());
    }
}
