//! What may be done, and to whom: a TOML file that is read again when it changes.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Deserialize;
use uc_foresight::eviction::{MAX_NAME_BYTES, Policy};
use uc_model::{Problem, Result};

use super::{pattern::any_fits, webhook};

/// The longest file, in bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// Groups at most.
const MOST_GROUPS: usize = 1_000;
/// How much longer than two looks a finding stays valid, in seconds: a look takes time itself.
const SLACK_S: u64 = 15;

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// When to act, and how often at most.
    pub(super) policy: Policy,
    /// Names that are never evicted; `*` stands for anything.
    pub(super) protect: Vec<String>,
    /// Names that may be stopped although they are not ours: control groups and processes; `*` as above.
    pub(super) stop: Vec<String>,
    /// A program that is told every event: the event as JSON on its standard input.
    pub(super) hook: Option<PathBuf>,
    /// An address that is told every event: the same JSON, posted.
    pub(super) webhook: Option<Secret>,
    /// A file with the bearer token that it asks for.
    pub(super) webhook_token_file: Option<PathBuf>,
    /// Whether a detached workload that was evicted is started again.
    pub(super) restart: Option<bool>,
    /// Who is a replica of whom, of which enough keep running.
    pub(super) group: Vec<Group>,
}

/// A text that nobody may see by accident.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Replicas of each other.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    /// What they are called together.
    name: String,
    /// Their names; `*` stands for anything.
    members: Vec<String>,
}

impl Config {
    /// Whether a name is never evicted.
    pub(super) fn protects(&self, name: &str) -> bool {
        any_fits(&self.protect, name)
    }

    /// Whether a name that is not ours may be stopped.
    pub(super) fn may_stop(&self, name: &str) -> bool {
        any_fits(&self.stop, name)
    }

    /// The group that a name was put into: the first that has it.
    pub(super) fn group_of(&self, name: &str) -> Option<&str> {
        let mut groups = self.group.iter();
        let group = groups.find(|group| any_fits(&group.members, name))?;
        Some(&group.name)
    }

    fn check(&self) -> Result<()> {
        self.policy.check()?;
        self.check_groups()?;
        match (&self.webhook, &self.webhook_token_file) {
            (Some(webhook), token_file) => webhook::client(webhook, token_file.clone())
                .map(|_| ())
                .map_err(|problem| problem.within("webhook")),
            (None, Some(_)) => Err(Problem::invalid("there is a token and no webhook")
                .at("webhook_token_file")
                .remedy("name the webhook, as webhook = \"https://…\"")),
            (None, None) => Ok(()),
        }
    }

    fn check_groups(&self) -> Result<()> {
        if self.group.len() > MOST_GROUPS {
            return Err(Problem::invalid("there are too many groups")
                .at("group")
                .limit(MOST_GROUPS)
                .found(self.group.len()));
        }
        let mut names = BTreeSet::new();
        for group in &self.group {
            let name = &group.name;
            let problem = |what: &str| Problem::invalid(what).at("group.name").found(name);
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return Err(problem("this cannot be the name of a group")
                    .limit(format!("1 to {MAX_NAME_BYTES} bytes")));
            }
            if !names.insert(name) {
                return Err(problem("two groups have the same name")
                    .remedy("name all their members in one"));
            }
            if group.members.is_empty() {
                return Err(
                    problem("a group has no members").remedy("name them, as members = [\"web-*\"]")
                );
            }
        }
        Ok(())
    }
}

/// A configuration with the file it came from.
pub(super) struct Source {
    path: Option<PathBuf>,
    interval_s: u64,
    read_at: Option<SystemTime>,
    pub(super) config: Config,
}

impl Source {
    /// Reads the file, if one is given. Looks are so many seconds apart.
    pub(super) fn open(path: Option<&Path>, interval_s: u64) -> Result<Self> {
        let mut source = Self {
            path: path.map(Path::to_owned),
            interval_s,
            read_at: None,
            config: Config::default(),
        };
        let mut config = Config::default();
        if let Some(path) = path {
            source.read_at = changed_at(path);
            config = read(path)?;
        }
        source.config = stretched(config, interval_s);
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
        let config = stretched(read(path)?, self.interval_s);
        let is_new = config != self.config;
        self.config = config;
        Ok(is_new)
    }
}

/// A finding must still be valid at the look after it, or never would there be two in a row.
fn stretched(mut config: Config, interval_s: u64) -> Config {
    let least_s = 2 * interval_s + SLACK_S;
    config.policy.finding_valid_s = config.policy.finding_valid_s.max(least_s);
    config
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
    let config: Config = toml::from_str(&text).map_err(|error| malformed(path, &text, &error))?;
    config
        .check()
        .map_err(|problem| problem.within(path.display()))?;
    Ok(config)
}

/// Names the line and does not repeat it: it can be a webhook's, which is a secret.
fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Problem::invalid("the configuration is malformed")
        .at(format!("{}:{line}", path.display()))
        .found(error.message())
        .remedy("uc watch --help shows a configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_changes_and_a_malformed_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "protect = [\"db*\"]\n[policy]\ngrace_s = 5\n").unwrap();
        let mut source = Source::open(Some(&path), 5).unwrap();
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
    fn two_findings_in_a_row_stay_valid_however_far_apart_looks_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "[policy]\nfinding_valid_s = 100\n").unwrap();
        let valid_s = |path, interval_s| {
            let source = Source::open(path, interval_s).unwrap();
            source.config.policy.finding_valid_s
        };
        assert_eq!(
            [5, 120].map(|interval_s| valid_s(None, interval_s)),
            [60, 255]
        );
        assert_eq!(
            [5, 300].map(|interval_s| valid_s(Some(&path), interval_s)),
            [100, 615]
        );
    }

    #[test]
    fn replicas_are_named_by_patterns_and_groups_that_say_nothing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        let open = |text: &str| {
            fs::write(&path, text).unwrap();
            Source::open(Some(&path), 5).map(|source| source.config)
        };
        let group = "[[group]]\nname = \"web\"\nmembers = [\"web-*\", \"cgroup/*/web\"]\n";
        let config = open(group).unwrap();
        let of = |name| config.group_of(name);
        assert_eq!(of("web-1/main"), Some("web"));
        assert_eq!(of("cgroup/a/web"), Some("web"));
        assert_eq!(of("db/main"), None);
        for text in [
            format!("{group}{group}"),
            "[[group]]\nname = \"\"\nmembers = [\"a\"]\n".to_owned(),
            "[[group]]\nname = \"a\"\nmembers = []\n".to_owned(),
            "[[group]]\nname = \"a\"\n".to_owned(),
        ] {
            assert!(open(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_malformed_line_is_named_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "restart = true\nwebhook = \"https://s3cret\n").unwrap();
        let Err(problem) = Source::open(Some(&path), 5) else {
            panic!("taken")
        };
        assert!(
            problem.place().unwrap().ends_with("watch.toml:2"),
            "{problem}"
        );
        assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
    }

    #[test]
    fn a_webhook_is_encrypted_or_on_this_machine_and_its_path_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        let open = |text: &str| {
            fs::write(&path, text).unwrap();
            Source::open(Some(&path), 5).map(|source| source.config)
        };
        for address in [
            "https://chat.example/s3cret?key=1",
            "http://127.0.0.1:9/s3cret",
        ] {
            let config = open(&format!("webhook = \"{address}\"\n")).unwrap();
            assert!(!format!("{config:?}").contains("s3cret"));
        }
        for text in [
            "webhook = \"http://chat.example/s3cret\"\n",
            "webhook = \"chat.example/s3cret\"\n",
            "webhook = \"https://me:s3cret@chat.example\"\n",
            "webhook_token_file = \"token\"\n",
        ] {
            let problem = open(text).unwrap_err();
            assert!(!format!("{problem:?}").contains("s3cret"), "{problem:?}");
            assert!(
                problem.remedy_text().is_some() || text.contains("\"chat"),
                "{problem:?}"
            );
        }
    }

    #[test]
    fn the_configuration_in_the_help_can_be_read() {
        use clap::Args as _;
        let command = super::super::WatchArgs::augment_args(clap::Command::new("watch"));
        let help = command.get_after_help().unwrap().to_string();
        let (_, shown) = help.split_once("when it changes:\n").unwrap();
        // What it means stands behind at least two blanks.
        let meant = |line: &str| {
            line.trim()
                .split("  ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let lines: Vec<String> = shown.lines().map(meant).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, lines.join("\n")).unwrap();
        let config = Source::open(Some(&path), 5).unwrap().config;
        assert_eq!((config.policy.fleet_evictions, config.group.len()), (5, 1));
        assert!(config.webhook.is_some() && config.webhook_token_file.is_some());
    }

    #[test]
    fn a_policy_that_no_fleet_can_keep_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watch.toml");
        fs::write(&path, "[policy]\nfindings_needed = 0\n").unwrap();
        assert!(Source::open(Some(&path), 5).is_err());
    }
}
