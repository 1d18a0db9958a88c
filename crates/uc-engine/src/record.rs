//! What is written down about a workload, and how it is read back truthfully.
//!
//! A workload has a directory `workloads/ID` with `record.json`, replaced atomically, and `lock`, which its owner
//! holds for as long as it lives. That of a detached one is on disk and outlives it, that of another in memory. What a
//! workload keeps on disk, its storage, is elsewhere; it is made after the directory and removed before it. A record alone proves nothing: whoever reads it tries the lock. The lock is a POSIX
//! record lock, which forked children do not inherit, so only the owner's own death releases it. (It would also go with
//! any other descriptor of that file in the owner's process, so an owner must not list workloads.)

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    fs::FlockOperation,
    process::{Flock, FlockType},
};
use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result, RuntimeKind};
use uc_sandbox::{Exit, PortForward};

use crate::{
    home::{Home, cannot_write, make_private},
    process,
};

/// How long a workload's directory may take to get its name; one that is older was left by an owner that was killed.
const LONGEST_MAKING: Duration = Duration::from_secs(60);

/// A workload as written down by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Unique on this host.
    pub id: String,
    /// The Pod's name.
    pub name: String,
    /// What it was made from, as the user named it.
    pub source: String,
    /// Where the user stood then: what a relative source is relative to.
    #[serde(default)]
    pub directory: PathBuf,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// The owner's process id.
    pub owner: u32,
    /// Whether it runs without a terminal.
    pub detached: bool,
    /// How far it is.
    pub phase: Phase,
    /// Its containers, init containers first.
    pub containers: BTreeMap<String, ContainerRecord>,
    /// The Pod's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The ports of the host that lead into it.
    #[serde(default)]
    pub ports: Vec<PortForward>,
    /// The exit code of the whole, once it has ended.
    pub exit_code: Option<u8>,
    /// Why it ended, where there is more to say.
    pub message: Option<String>,
}

/// One container of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// The runtime it runs in.
    pub runtime: Option<RuntimeKind>,
    /// The host's process id, for kinds that have one.
    pub pid: Option<u32>,
    /// When that process began, in the kernel's clock ticks since boot: with it a process id is never mistaken.
    pub pid_began: Option<u64>,
    /// Whether its readiness probe passes; true for one without.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// Whether it runs.
    pub running: bool,
    /// Whether it is an init container, which ends before the others start.
    #[serde(default)]
    pub init: bool,
}

/// How far a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its sandbox is being made.
    Creating,
    /// It runs.
    Running,
    /// It runs, and is held where it is.
    Paused,
    /// It is being ended.
    Stopping,
    /// It has ended.
    Exited,
}

/// A record with the truth about it.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// What its owner wrote last.
    #[serde(flatten)]
    pub record: Record,
    /// Whether the owner lives.
    pub alive: bool,
    /// Where it is.
    #[serde(skip)]
    pub directory: PathBuf,
}

impl Status {
    /// One word: `creating`, `running`, `paused`, `stopping`, `exited`, or `lost` where the owner died before the end; its
    /// containers died with it.
    pub fn word(&self) -> &'static str {
        match (self.alive, self.record.phase) {
            (_, Phase::Exited) => "exited",
            (false, _) => "lost",
            (true, Phase::Creating) => "creating",
            (true, Phase::Running) => "running",
            (true, Phase::Paused) => "paused",
            (true, Phase::Stopping) => "stopping",
        }
    }
}

/// A workload's directory, held by its owner.
pub(crate) struct Owned {
    directory: PathBuf,
    record: Mutex<Written>,
    _lock: File,
}

/// A record, and the text of it that is on disk.
struct Written {
    record: Record,
    text: Vec<u8>,
}

impl Owned {
    /// Makes the directory of a new workload and takes its lock. The name of a detached one must be free, since `uc
    /// stop` and its like go by it.
    pub(crate) fn create(home: &Home, record: Record) -> Result<Self> {
        let workloads = if record.detached {
            home.workloads()
        } else {
            home.foreground()
        };
        make_private(&workloads)?;
        // It gets its name once it is locked and recorded: nobody ever finds a half-made one under it.
        let unfinished = workloads.join(unfinished_name(&record));
        fs::create_dir(&unfinished).map_err(|error| cannot_write(&unfinished, error))?;
        let owned = Self::take(unfinished.clone(), record).and_then(|owned| owned.publish(home));
        if owned.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        owned
    }

    fn publish(mut self, home: &Home) -> Result<Self> {
        let record = self.record();
        let text = as_text(&record)?;
        let file = self.directory.join("record.json");
        fs::write(&file, &text).map_err(|error| cannot_write(&file, error))?;
        self.written().text = text;
        // Of two that want one name at the same moment, the second finds the first.
        let _naming = record.detached.then(|| lock_names(home)).transpose()?;
        if record.detached {
            require_free_name(home, &record.name)?;
        }
        let directory = self.directory.with_file_name(&record.id);
        fs::rename(&self.directory, &directory).map_err(|error| cannot_write(&directory, error))?;
        self.directory = directory;
        Ok(self)
    }

    fn take(directory: PathBuf, record: Record) -> Result<Self> {
        let path = directory.join("lock");
        let lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| cannot_write(&path, error))?;
        rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(
            |errno| {
                Problem::storage("another process owns this workload")
                    .at(path.display())
                    .caused_by(std::io::Error::from(errno))
            },
        )?;
        Ok(Self {
            directory,
            record: Mutex::new(Written {
                record,
                text: Vec::new(),
            }),
            _lock: lock,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> Record {
        self.written().record.clone()
    }

    /// Changes the record; others see it after the next [`Owned::save`].
    pub(crate) fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.written().record);
    }

    /// Puts the record on disk, unless it is there already.
    pub(crate) fn save(&self) -> Result<()> {
        let mut written = self.written();
        let text = as_text(&written.record)?;
        if text != written.text {
            replace(&self.directory, &text)
                .map_err(|error| cannot_write(&self.directory.join("record.json"), error))?;
            written.text = text;
        }
        Ok(())
    }
}

fn as_text(record: &Record) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(record)
        .map_err(|error| Problem::internal("cannot write a record").caused_by(error))
}

/// Puts a new record in the old one's place, atomically for readers. The two files change places: a rename over an
/// existing file, or emptying one, would make ext4 write the content out at once, for a durability that a record does
/// not need, since what it tells of does not outlive the kernel.
fn replace(directory: &Path, text: &[u8]) -> std::io::Result<()> {
    let current = directory.join("record.json");
    let spare = directory.join(".record.json");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&spare)?;
    file.write_all(text)?;
    file.set_len(text.len() as u64)?;
    let exchanged = rustix::fs::renameat_with(
        rustix::fs::CWD,
        &spare,
        rustix::fs::CWD,
        &current,
        rustix::fs::RenameFlags::EXCHANGE,
    );
    match exchanged {
        Ok(()) => Ok(()),
        // Not every file system can exchange.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => fs::rename(&spare, &current),
        Err(errno) => Err(errno.into()),
    }
}

/// Held while a name is looked for and taken.
fn lock_names(home: &Home) -> Result<File> {
    let path = home.names_lock();
    let lock = File::create(&path).map_err(|error| cannot_write(&path, error))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(|errno| cannot_write(&path, errno.into()))?;
    Ok(lock)
}

fn require_free_name(home: &Home, name: &str) -> Result<()> {
    let taken = list(home)?
        .into_iter()
        .find(|status| status.alive && status.record.name == name);
    match taken {
        None => Ok(()),
        Some(status) => Err(Problem::invalid("a workload of this name runs already")
            .found(status.record.id)
            .remedy(format!(
                "choose another with --name, or end it: uc stop {name}"
            ))),
    }
}

/// Every workload of this user, oldest first.
///
/// # Errors
/// Storage, where the directory cannot be read.
pub fn list(home: &Home) -> Result<Vec<Status>> {
    // Storage is looked at first: that of a workload which ends meanwhile is gone before its directory is.
    let stored = entries(&home.storage())?;
    let mut paths = entries(&home.workloads())?;
    if home.foreground() != home.workloads() {
        paths.extend(entries(&home.foreground())?);
    }
    paths.retain(|path| !is_being_made(path));
    let mut found: Vec<Status> = paths.iter().map(|path| read(path)).collect();
    for storage in stored {
        // Storage alone: its workload was in the foreground, and the host has started anew.
        let id = id_of_storage(&storage);
        if found.iter().all(|status| status.record.id != id) && storage.exists() {
            found.push(read(&home.foreground().join(id)));
        }
    }
    found.sort_by(|a, b| {
        (a.record.created_ms, &a.record.id).cmp(&(b.record.created_ms, &b.record.id))
    });
    Ok(found)
}

/// The name of a workload's directory until it is one. It tells whose it is before there is a lock to ask.
fn unfinished_name(record: &Record) -> String {
    format!(".{}@{}", record.id, record.owner)
}

/// What is in a directory, which may not be there yet.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(cannot_write(directory, error)),
    }
}

/// The workload that a part of storage belongs to.
fn id_of_storage(storage: &Path) -> String {
    storage
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Whether a directory is not yet a workload: it has no name, and its maker lives and has not taken too long. (Another
/// process may have got the maker's number.)
fn is_being_made(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, maker)) = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('@'))
    else {
        return false;
    };
    let age = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|made| made.elapsed().ok());
    let lives = maker.parse().ok().and_then(process::began).is_some();
    lives && age.is_none_or(|age| age < LONGEST_MAKING)
}

/// Finds a workload by its id or its name. Of several with one name the one that runs is meant, or else the newest.
///
/// # Errors
/// Not found, or invalid where several that run have the name.
pub fn find(home: &Home, name: &str) -> Result<Status> {
    let all = list(home)?;
    if let Some(exact) = all.iter().find(|status| status.record.id == name) {
        return Ok(exact.clone());
    }
    let fitting = || all.iter().filter(|status| status.record.name == name);
    let running: Vec<&Status> = fitting().filter(|status| status.alive).collect();
    match (running.as_slice(), fitting().next_back()) {
        ([one], _) => Ok((*one).clone()),
        // Oldest first, so the last is the newest.
        ([], Some(newest)) => Ok(newest.clone()),
        ([], None) => Err(Problem::not_found("no such workload")
            .found(name)
            .remedy("uc ps lists them")),
        (several, _) => {
            let ids: Vec<&str> = several
                .iter()
                .map(|status| status.record.id.as_str())
                .collect();
            Err(
                Problem::invalid("several workloads that run have this name")
                    .found(ids.join(", "))
                    .remedy("name one by its id"),
            )
        }
    }
}

/// Another workload than `own_id` that has a port of the host, going by what its owner wrote. The locks are not asked: that would
/// release those which this process holds itself.
pub(crate) fn holder_of(home: &Home, own_id: &str, port: &PortForward) -> Option<String> {
    let covers = |theirs: &PortForward| {
        let either_is_any = theirs.host_ip.is_unspecified() || port.host_ip.is_unspecified();
        (theirs.host_port, theirs.protocol) == (port.host_port, port.protocol)
            && (theirs.host_ip == port.host_ip || either_is_any)
    };
    [home.workloads(), home.foreground()]
        .iter()
        .filter_map(|place| entries(place).ok())
        .flatten()
        .filter_map(|directory| fs::read(directory.join("record.json")).ok())
        .filter_map(|bytes| serde_json::from_slice::<Record>(&bytes).ok())
        .filter(|record| record.id != own_id && record.phase != Phase::Exited)
        .filter(|record| process::began(record.owner).is_some())
        .find(|record| record.ports.iter().any(covers))
        .map(|record| record.id)
}

/// The containers' processes that a directory's record names, each with the moment it began.
pub(crate) fn processes(directory: &Path) -> Vec<(u32, u64)> {
    let containers = read(directory).record.containers;
    containers
        .values()
        .filter_map(|container| container.pid.zip(container.pid_began))
        .collect()
}

/// Reads one directory. A directory without a record belongs to an owner that was killed in its first moments.
fn read(directory: &Path) -> Status {
    let id = directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // The lock first: a record read afterwards is at least as new as the answer.
    let alive = is_owned(directory);
    let record = fs::read(directory.join("record.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let record = record.unwrap_or_else(|| Record {
        name: id
            .rsplit_once('-')
            .map_or(id.as_str(), |(name, _)| name)
            .to_owned(),
        id,
        source: String::new(),
        directory: PathBuf::new(),
        created_ms: 0,
        owner: 0,
        detached: false,
        phase: Phase::Creating,
        containers: BTreeMap::new(),
        labels: BTreeMap::new(),
        ports: Vec::new(),
        exit_code: None,
        message: None,
    });
    Status {
        record,
        alive,
        directory: directory.to_owned(),
    }
}

/// Asks who holds the lock without taking it: a question must not get in an owner's way.
fn is_owned(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join("lock")) else {
        return false;
    };
    let wanted = Flock::from(FlockType::WriteLock);
    rustix::process::fcntl_getlk(&lock, &wanted).is_ok_and(|holder| holder.is_some())
}

/// An id for a workload: its name and six digits of chance.
pub(crate) fn new_id(name: &str) -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The standard library seeds this with the system's randomness; an id must be unlikely, not secret.
    let chance = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    let name: String = name.chars().take(60).collect();
    format!("{}-{:06x}", name.trim_end_matches('-'), chance & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record {
        Record {
            id: id.into(),
            name: "web".into(),
            source: "web.yaml".into(),
            directory: "/srv".into(),
            created_ms: 1,
            owner: std::process::id(),
            detached: true,
            phase: Phase::Running,
            containers: BTreeMap::new(),
            labels: BTreeMap::new(),
            ports: Vec::new(),
            exit_code: None,
            message: None,
        }
    }

    #[test]
    fn a_dead_owner_shows_as_lost_and_an_end_as_exited() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        let owned = Owned::create(&home, record("web-000001")).expect("made");
        drop(owned);
        let status = find(&home, "web").expect("found");
        assert_eq!((status.alive, status.word()), (false, "lost"));
        let owned = Owned::create(&home, record("web-000002")).expect("made");
        for phase in [Phase::Stopping, Phase::Exited] {
            owned.change(|record| record.phase = phase);
            owned.save().expect("written");
        }
        assert_eq!(find(&home, "web-000002").expect("found").word(), "exited");
    }

    #[test]
    fn of_several_with_one_name_the_one_that_runs_is_meant_or_else_the_newest() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        for (id, created_ms) in [("web-000001", 5), ("web-000002", 7), ("web-000003", 6)] {
            let created = Record {
                created_ms,
                ..record(id)
            };
            drop(Owned::create(&home, created).expect("made"));
        }
        let found = || find(&home, "web").expect("found").record.id;
        assert_eq!(found(), "web-000002");
        // Who asks for the lock must be another process: its holder would be told that nobody has it.
        let directory = home.workloads().join("web-000001");
        let mut holder = std::process::Command::new("python3")
            .args(["-c", "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f,fcntl.LOCK_EX); print('held',flush=True); input()"])
            .arg(directory.join("lock"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(holder) = &mut holder else {
            println!("skipped: python3, which holds a lock in another process, is not there");
            return;
        };
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("read");
        assert_eq!(found(), "web-000001");
        drop(holder.stdin.take());
        holder.wait().expect("ended");
    }

    #[test]
    fn a_record_may_grow_and_shrink() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        let owned = Owned::create(&home, record("web-000001")).expect("made");
        for length in [500, 3, 40, 0] {
            owned.change(|record| record.message = Some("m".repeat(length)));
            owned.save().expect("written");
            let read = find(&home, "web").expect("found").record;
            assert_eq!(read, owned.record());
        }
    }

    #[test]
    fn what_a_killed_maker_left_is_listed_and_what_a_living_one_makes_is_not() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        let mut made = record("web-abcdef");
        fs::create_dir_all(home.workloads().join(unfinished_name(&made))).expect("made");
        assert!(list(&home).expect("read").is_empty());
        // Larger than any process id can be.
        made.owner = 1 << 30;
        fs::create_dir_all(home.workloads().join(unfinished_name(&made))).expect("made");
        let words: Vec<&str> = list(&home)
            .expect("read")
            .iter()
            .map(Status::word)
            .collect();
        assert_eq!(words, ["lost"]);
    }

    #[test]
    fn storage_that_outlived_its_workload_is_listed_once() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        for part in ["volumes", "container"] {
            fs::create_dir_all(home.storage_of("web-abcdef", part)).expect("made");
        }
        let found = list(&home).expect("read");
        let words: Vec<_> = found
            .iter()
            .map(|one| (&*one.record.id, one.word()))
            .collect();
        assert_eq!(words, [("web-abcdef", "lost")]);
    }

    #[test]
    fn a_directory_without_a_record_is_listed_too() {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::below(temporary.path());
        fs::create_dir_all(home.workloads().join("web-abcdef")).expect("made");
        let status = find(&home, "web").expect("found");
        assert_eq!(status.word(), "lost");
    }
}
