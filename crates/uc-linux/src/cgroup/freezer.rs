//! Holding the processes of a group where they are, and letting them go on: the freezer of version 2, or of version 1.
//!
//! A group of version 2 can do it by itself. Where a container has none, a group for this alone is made when it is first
//! paused, in the hierarchy of version 2 or else in that of version 1, and its processes are moved there: a start does not
//! pay for what few need.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use super::layout::{Place, Version};

/// How long processes may take to stand still: one that waits for a disk or a server of files does so first.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Holds the processes of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Freezer {
    version: Version,
    /// The group that freezes.
    pub(super) directory: PathBuf,
    /// The group that the processes are found in, where they did not begin in `directory`.
    members: Option<PathBuf>,
}

impl Freezer {
    /// The group of version 2 that the processes are in from their start.
    pub(super) fn of_group(directory: PathBuf) -> Self {
        Self {
            version: Version::V2,
            directory,
            members: None,
        }
    }

    /// A group for this alone, made in a place; `None` where it cannot freeze.
    pub(super) fn make(place: &Place, name: &str, members: PathBuf) -> Option<Self> {
        let freezer = Self {
            version: place.version,
            directory: place.parent.join(name),
            members: Some(members),
        };
        match fs::create_dir(&freezer.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            _ if freezer.control().exists() => Some(freezer),
            _ => {
                let _ = fs::remove_dir(&freezer.directory);
                None
            }
        }
    }

    /// Where one would be made.
    pub(super) fn place(place: &Place, name: &str) -> PathBuf {
        place.parent.join(name)
    }

    fn control(&self) -> PathBuf {
        control(self.version, &self.directory)
    }

    /// Holds every process; what they start meanwhile is held as well.
    ///
    /// # Errors
    /// Host, where they cannot be moved, or do not stand still in time. They go on then.
    pub(super) async fn freeze(&self) -> Result<()> {
        let frozen = async {
            // The group first: whoever comes into it stands still, and starts no others elsewhere.
            self.write(true)?;
            if let Some(members) = &self.members {
                self.gather(members).await?;
            }
            self.settle().await
        };
        let frozen = frozen.await;
        if frozen.is_err() {
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets every process go on.
    pub(super) fn thaw(&self) -> Result<()> {
        self.write(false)
    }

    fn write(&self, hold: bool) -> Result<()> {
        let word = match (self.version, hold) {
            (Version::V1, true) => "FROZEN",
            (Version::V1, false) => "THAWED",
            (Version::V2, true) => "1",
            (Version::V2, false) => "0",
        };
        let path = self.control();
        fs::write(&path, word).map_err(|error| {
            Problem::host("a control group can be neither held nor let go")
                .at(path.display())
                .caused_by(error)
        })
    }

    /// Moves the processes into the group, until none is outside: those that are not there yet may still start others.
    async fn gather(&self, members: &Path) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut ended = BTreeSet::new();
        loop {
            let inside = processes(&self.directory);
            let mut outside: Vec<String> =
                processes(members).difference(&inside).cloned().collect();
            outside.retain(|pid| !ended.contains(pid));
            if outside.is_empty() {
                return Ok(());
            }
            for pid in outside {
                match fs::write(self.directory.join("cgroup.procs"), &pid) {
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                        ended.insert(pid);
                    }
                    Err(error) => {
                        return Err(
                            Problem::host("a process cannot be moved to a control group")
                                .at(self.directory.display())
                                .found(format!("process {pid}"))
                                .caused_by(error),
                        );
                    }
                    Ok(()) => {}
                }
                // Moving one may take the kernel ten milliseconds.
                tokio::task::yield_now().await;
            }
            if Instant::now() > until {
                return Err(
                    self.restless("its processes start others faster than they can be held")
                );
            }
        }
    }

    /// Waits until all stand still.
    async fn settle(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.is_settled() {
            if Instant::now() > until {
                return Err(self.restless("a process does not stand still"));
            }
            if self.version == Version::V1 {
                // A process that came in while it was making another is missed now and then, until it is asked again.
                self.write(true)?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn is_settled(&self) -> bool {
        match self.version {
            Version::V1 => {
                fs::read_to_string(self.control()).is_ok_and(|state| state.trim() == "FROZEN")
            }
            Version::V2 => super::keyed(&self.directory, "cgroup.events", "frozen") == Some(1),
        }
    }

    fn restless(&self, what: &str) -> Problem {
        Problem::host("the container cannot be paused")
            .at(self.directory.display())
            .limit(format!("{} s", PATIENCE.as_secs()))
            .found(what)
            .remedy("try again: it goes on until then")
    }
}

/// The file that holds a group and lets it go.
fn control(version: Version, directory: &Path) -> PathBuf {
    directory.join(match version {
        Version::V1 => "freezer.state",
        Version::V2 => "cgroup.freeze",
    })
}

fn processes(directory: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Lets the processes of a group of version 1 go on, so that those that have been killed can end. In version 2 they can
/// without.
pub(super) fn let_end(directory: &Path) {
    let control = control(Version::V1, directory);
    if control.exists() {
        let _ = fs::write(control, "THAWED");
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::cgroup::{Layout, remove_group};

    /// A shell that counts in a file, and makes a process for every number.
    struct Counter {
        shell: Child,
        file: tempfile::NamedTempFile,
        groups: Vec<PathBuf>,
    }

    impl Counter {
        fn start() -> Self {
            let file = tempfile::NamedTempFile::new().expect("a file");
            let script = "i=0; while :; do i=$((i+1)); /bin/echo $i >> \"$1\"; done";
            let shell = Command::new("sh")
                .args(["-c", script, "sh"])
                .arg(file.path())
                .stdin(Stdio::null())
                .spawn()
                .expect("started");
            Self {
                shell,
                file,
                groups: Vec::new(),
            }
        }

        fn length(&self) -> u64 {
            fs::metadata(self.file.path()).expect("there").len()
        }

        async fn grows(&self) {
            let before = self.length();
            while self.length() <= before {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    impl Drop for Counter {
        fn drop(&mut self) {
            // A frozen group is removed like any other.
            for group in &self.groups {
                remove_group(group).expect("removed");
            }
            let _ = self.shell.kill();
            let _ = self.shell.wait();
        }
    }

    /// Its processes in a group of version 1, as those of a container on a hybrid host.
    fn hold_in(place: &Place, source: &Place) -> Option<(Counter, Freezer, PathBuf)> {
        let name = format!("undercurrent-freezer-{}", std::process::id());
        let members = source.parent.join(format!("{name}-{:?}", place.version));
        fs::create_dir(&members).ok()?;
        let mut counter = Counter::start();
        counter.groups = vec![place.parent.join(&name), members.clone()];
        fs::write(members.join("cgroup.procs"), counter.shell.id().to_string()).ok()?;
        let freezer = Freezer::make(place, &name, members.clone())?;
        Some((counter, freezer, members))
    }

    async fn stands_still_until_it_is_let_go(place: &Place, source: &Place) {
        let Some((counter, freezer, members)) = hold_in(place, source) else {
            println!("skipped: no groups can be made here");
            return;
        };
        for _ in 0..3 {
            counter.grows().await;
            freezer.freeze().await.expect("frozen");
            let before = counter.length();
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(counter.length(), before, "{:?}", place.version);
            assert_eq!(processes(&members), processes(&freezer.directory));
            freezer.thaw().expect("thawed");
        }
        counter.grows().await;
        freezer.freeze().await.expect("frozen");
        drop(counter);
        assert!(!freezer.directory.exists() && !members.exists());
    }

    #[tokio::test]
    async fn processes_stand_still_until_they_are_let_go() {
        let own = fs::read_to_string("/proc/self/cgroup").expect("procfs");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
        let layout = Layout::from_texts(&own, &mounts);
        let source = layout.place(crate::cgroup::Controller::Pids);
        let Some(source) = source.filter(|source| source.version == Version::V1) else {
            println!("skipped: a container's own group freezes here");
            return;
        };
        for place in Layout::freezer_places(&own, &mounts) {
            stands_still_until_it_is_let_go(&place, source).await;
        }
    }

    #[tokio::test]
    async fn each_version_is_told_in_its_own_words() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("cgroup.events"), "populated 1\nfrozen 1\n").expect("written");
        let freezer = Freezer::of_group(directory.path().to_owned());
        freezer.freeze().await.expect("frozen");
        assert_eq!(fs::read_to_string(at("cgroup.freeze")).expect("there"), "1");
        freezer.thaw().expect("thawed");
        assert_eq!(fs::read_to_string(at("cgroup.freeze")).expect("there"), "0");
        let freezer = Freezer {
            version: Version::V1,
            ..freezer
        };
        freezer.freeze().await.expect("frozen");
        assert_eq!(
            fs::read_to_string(at("freezer.state")).expect("there"),
            "FROZEN"
        );
        let_end(directory.path());
        assert_eq!(
            fs::read_to_string(at("freezer.state")).expect("there"),
            "THAWED"
        );
    }
}
