//! Control groups of one container: limits, membership, usage, removal. Version 1, version 2 and hybrid.

mod cpu;
mod freezer;
mod layout;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use freezer::Freezer;
pub use layout::{Controller, Layout, Place, Version};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use uc_model::{Bytes, MilliCpu, Problem, Result};
use uc_sandbox::{Limit, Limits, Stats};

/// The file in a sandbox's directory that lists its groups, written before they are made, so that they are found
/// again whatever happens. No container has a name with a dot.
const LEDGER: &str = ".cgroups";

/// How long removal waits for processes that are being killed.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);

/// What a process needs to get into its groups.
#[derive(Debug, Default)]
pub struct Entrances {
    /// The directory in the hierarchy of version 2, which a process is cloned into.
    unified: Option<File>,
    /// The file in each hierarchy of version 1 that a process puts itself in.
    pub tasks: Vec<File>,
}

impl Entrances {
    /// The directory in the hierarchy of version 2, to clone a process into.
    pub fn unified(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// The same entrances, opened once more.
    ///
    /// # Errors
    /// Host, where too many files are open.
    pub fn try_clone(&self) -> Result<Self> {
        let failed = |error| Problem::host("too many open files").caused_by(error);
        let unified = self.unified.as_ref().map(File::try_clone).transpose();
        let tasks: io::Result<_> = self.tasks.iter().map(File::try_clone).collect();
        Ok(Self {
            unified: unified.map_err(failed)?,
            tasks: tasks.map_err(failed)?,
        })
    }

    /// Moves this process, which has one thread, into the groups of version 1: it was cloned into that of version 2.
    /// Async-signal-safe.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn enter_tasks(&self) -> Result<(), Errno> {
        self.tasks.iter().try_for_each(|tasks| enter(tasks.as_fd()))
    }

    /// Moves this process, which has one thread, into all groups, however it was made. Async-signal-safe.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn enter_all(&self) -> Result<(), Errno> {
        if let Some(unified) = &self.unified {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let members = rustix::fs::openat(unified, c"cgroup.procs", flags, Mode::empty())?;
            enter(members.as_fd())?;
        }
        self.enter_tasks()
    }
}

fn enter(members: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::io::write(members, b"0")).map(drop)
}

/// The groups of one container: one directory per hierarchy.
#[derive(Debug, Default)]
pub struct Cgroup {
    limits: Limits,
    directories: Vec<PathBuf>,
    by_controller: BTreeMap<Controller, (Version, PathBuf)>,
    /// Found when its processes are first held.
    freezer: OnceLock<Freezer>,
}

impl Cgroup {
    /// Says which groups there will be. A limit without a controller is refused, or skipped with a warning if the
    /// workload says so.
    pub fn plan(
        layout: &Layout,
        name: &str,
        limits: &Limits,
        ignore_unenforceable: bool,
    ) -> Result<(Self, Vec<String>)> {
        let mut warnings = Vec::new();
        for (limit, wanted) in wanted_limits(limits) {
            if !wanted || layout.place(controller_of(limit)).is_some() {
                continue;
            }
            let problem = unenforceable(limit);
            if !ignore_unenforceable {
                return Err(problem);
            }
            warnings.push(format!("{problem}; skipped because the file says so"));
        }
        let mut cgroup = Self {
            limits: *limits,
            ..Self::default()
        };
        for controller in Controller::ALL {
            // The CPU controller costs time on every switch of tasks, so it is used for limits only.
            let needed = controller != Controller::Cpu
                || limits.cpu.is_some()
                || limits.cpu_weight.is_some();
            if let (true, Some(place)) = (needed, layout.place(controller)) {
                cgroup.add(controller, place, name);
            }
        }
        Ok((cgroup, warnings))
    }

    /// Makes the groups, once they are recorded in the sandbox's directory, and sets the limits.
    pub fn make(&self, directory: &Path) -> Result<Entrances> {
        self.make_with(directory, &self.limits)?;
        self.enter()
    }

    /// The same with other limits than those planned, which come later by [`Cgroup::set`].
    pub fn make_with(&self, directory: &Path, limits: &Limits) -> Result<()> {
        self.record(directory)?;
        self.make_directories()?;
        self.set(limits)
    }

    /// Opens the groups for a process that is to be in them.
    pub fn enter(&self) -> Result<Entrances> {
        let mut entrances = Entrances::default();
        for directory in &self.directories {
            let is_unified = self
                .by_controller
                .values()
                .any(|(version, of)| *version == Version::V2 && of == directory);
            let path = if is_unified {
                directory.clone()
            } else {
                directory.join("tasks")
            };
            let opened = fs::OpenOptions::new()
                .read(is_unified)
                .write(!is_unified)
                .open(&path)
                .map_err(|error| {
                    Problem::host("cannot open a control group")
                        .at(path.display())
                        .caused_by(error)
                })?;
            if is_unified {
                entrances.unified = Some(opened);
            } else {
                entrances.tasks.push(opened);
            }
        }
        Ok(entrances)
    }

    fn add(&mut self, controller: Controller, place: &Place, name: &str) {
        let directory = place.parent.join(name);
        if !self.directories.contains(&directory) {
            self.directories.push(directory.clone());
        }
        self.by_controller
            .insert(controller, (place.version, directory));
    }

    /// Records the groups in a sandbox's directory, where [`reclaim`] finds them.
    pub fn record(&self, directory: &Path) -> Result<()> {
        record(directory, &self.directories)
    }

    fn make_directories(&self) -> Result<()> {
        for directory in &self.directories {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Problem::host("cannot make a control group")
                        .at(directory.display())
                        .remedy("run under a delegated group: systemd-run --user --scope uc run …")
                        .caused_by(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sets limits on groups that are there. One that is not among them stays as it is, as does one without a group.
    pub fn set(&self, limits: &Limits) -> Result<()> {
        if let (Some(memory), Some((version, directory))) =
            (limits.memory, self.by_controller.get(&Controller::Memory))
        {
            match version {
                Version::V1 => {
                    write(directory, "memory.limit_in_bytes", memory.0)?;
                    // Without this, pages over the limit go to swap; it exists only with swap accounting.
                    write_if_present(directory, "memory.memsw.limit_in_bytes", memory.0)?;
                }
                Version::V2 => {
                    write(directory, "memory.max", memory.0)?;
                    write_if_present(directory, "memory.swap.max", 0)?;
                    // A container dies as a whole, not one process of it.
                    write_if_present(directory, "memory.oom.group", 1)?;
                }
            }
        }
        if let (Some(pids), Some((_, directory))) =
            (limits.pids, self.by_controller.get(&Controller::Pids))
        {
            write(directory, "pids.max", pids)?;
        }
        if let Some((version, directory)) = self.by_controller.get(&Controller::Cpu) {
            cpu::apply(*version, directory, limits)?;
        }
        Ok(())
    }

    /// Sets other limits than those that were planned; none lifts what was set. Only a controller that was planned for is
    /// used.
    ///
    /// # Errors
    /// Host, where a limit cannot be set.
    pub fn change(&self, limits: &Limits) -> Result<()> {
        if let Some((version, directory)) = self.by_controller.get(&Controller::Memory) {
            change_memory(*version, directory, limits.memory)?;
        }
        if let Some((version, directory)) = self.by_controller.get(&Controller::Cpu) {
            if limits.cpu.is_none() {
                cpu::lift(*version, directory)?;
            }
            cpu::apply(*version, directory, limits)?;
        }
        Ok(())
    }

    /// Bounds the use of processors by the first of these quotas that the groups around it leave room for, and sets its share.
    /// `false` where they leave room for none: then they alone bound it. Nothing is done where there is no group for it.
    ///
    /// # Errors
    /// Host, where a limit cannot be set for another reason.
    pub fn bound_cpu(&self, quotas: &[MilliCpu], weight: Option<MilliCpu>) -> Result<bool> {
        let Some((version, directory)) = self.by_controller.get(&Controller::Cpu) else {
            return Ok(true);
        };
        let shares = Limits {
            cpu_weight: weight,
            ..Limits::default()
        };
        cpu::apply(*version, directory, &shares)?;
        Ok(quotas.is_empty() || cpu::set_first(*version, directory, quotas)?)
    }

    /// Whether [`Cgroup::bound_cpu`] will bound it by one of these quotas, found by trial: no quota is left behind.
    ///
    /// # Errors
    /// Host, where a limit cannot be set for another reason.
    pub fn has_room_for(&self, quotas: &[MilliCpu]) -> Result<bool> {
        match self.by_controller.get(&Controller::Cpu) {
            Some((Version::V1, directory)) if !quotas.is_empty() => {
                let has_room = cpu::set_first(Version::V1, directory, quotas)?;
                cpu::lift(Version::V1, directory)?;
                Ok(has_room)
            }
            // Version 2 takes every quota, and the narrower one counts.
            _ => Ok(true),
        }
    }

    /// What the container uses.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        if let Some((version, directory)) = self.by_controller.get(&Controller::Memory) {
            memory_stats(*version, directory, &mut stats);
        }
        if let Some((version, directory)) = self.by_controller.get(&Controller::CpuAccount) {
            stats.cpu_us = match version {
                Version::V1 => {
                    number(directory, "cpuacct.usage").map(|nanoseconds| nanoseconds / 1000)
                }
                Version::V2 => keyed(directory, "cpu.stat", "usage_usec"),
            };
        }
        if let Some((_, directory)) = self.by_controller.get(&Controller::Pids) {
            stats.pids = number(directory, "pids.current");
        }
        stats
    }

    /// Holds every process of the container where it is. `directory` is the sandbox's, where another group that is needed
    /// for it is recorded.
    ///
    /// # Errors
    /// Host, where nothing here can hold them, or they do not stand still in time.
    pub async fn freeze(&self, directory: &Path) -> Result<()> {
        let freezer = match self.freezer.get() {
            Some(freezer) => freezer,
            None => {
                let found = self.find_freezer(directory)?;
                self.freezer.get_or_init(|| found)
            }
        };
        freezer.freeze().await
    }

    /// Lets the processes go on, where they are held.
    ///
    /// # Errors
    /// Host, where the kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        self.freezer.get().map_or(Ok(()), Freezer::thaw)
    }

    fn find_freezer(&self, directory: &Path) -> Result<Freezer> {
        let unified = self
            .by_controller
            .values()
            .find(|(version, _)| *version == Version::V2);
        if let Some((_, group)) = unified {
            return Ok(Freezer::of_group(group.clone()));
        }
        let unfreezable = || {
            Problem::host("the container cannot be paused")
                .limit("a control group that you may use, with the freezer of version 2 or 1")
                .found("none")
                .remedy(
                    "run it as root, or under a delegated group: systemd-run --user --scope uc run …",
                )
        };
        let members = self.directories.first().ok_or_else(unfreezable)?;
        let name = members.file_name().ok_or_else(unfreezable)?;
        let name = name.to_string_lossy();
        for place in Layout::freezer_places_of_this_host() {
            record(directory, &[Freezer::place(&place, &name)])?;
            if let Some(freezer) = Freezer::make(&place, &name, members.clone()) {
                return Ok(freezer);
            }
        }
        Err(unfreezable())
    }

    /// Removes the groups, killing what is left in them.
    pub fn remove(&self) {
        let _ = self.thaw();
        let freezer = self.freezer.get().map(|freezer| &freezer.directory);
        for directory in self.directories.iter().chain(freezer) {
            // What cannot be removed stays in the ledger, for `reclaim`.
            let _ = remove_group(directory);
        }
    }
}

/// Writes down groups before they are made, in the sandbox's directory.
fn record(directory: &Path, groups: &[PathBuf]) -> Result<()> {
    let mut text = fs::read_to_string(directory.join(LEDGER)).unwrap_or_default();
    for group in groups {
        text.push_str(&format!("{}\n", group.display()));
    }
    let written =
        fs::create_dir_all(directory).and_then(|()| fs::write(directory.join(LEDGER), text));
    written.map_err(|error| {
        Problem::storage("cannot record the control groups")
            .at(directory.display())
            .caused_by(error)
    })
}

fn wanted_limits(limits: &Limits) -> [(Limit, bool); 3] {
    [
        (Limit::Memory, limits.memory.is_some()),
        (Limit::Cpu, limits.cpu.is_some()),
        (Limit::Pids, limits.pids.is_some()),
    ]
}

/// The controller that enforces a limit.
pub fn controller_of(limit: Limit) -> Controller {
    match limit {
        Limit::Memory => Controller::Memory,
        Limit::Cpu => Controller::Cpu,
        Limit::Pids => Controller::Pids,
    }
}

fn unenforceable(limit: Limit) -> Problem {
    let name = controller_of(limit).name_v2();
    Problem::refused(format!("the {name} limit cannot be enforced here"))
        .limit(format!("a cgroup {name} controller that you may use"))
        .remedy(
            "run as root, or under a delegated group (systemd-run --user --scope uc run …), or accept it with the \
             annotation undercurrent.dev/unenforceable-limits: ignore",
        )
}

fn change_memory(version: Version, directory: &Path, limit: Option<Bytes>) -> Result<()> {
    match version {
        Version::V1 => {
            let limit = limit.map_or(-1, |limit| i64::try_from(limit.0).unwrap_or(i64::MAX));
            // Memory alone may not have a higher limit than together with swap: which comes first depends on the present one.
            let with_swap = "memory.memsw.limit_in_bytes";
            if write_if_present(directory, with_swap, limit).is_ok() {
                return write(directory, "memory.limit_in_bytes", limit);
            }
            write(directory, "memory.limit_in_bytes", limit)?;
            write_if_present(directory, with_swap, limit)
        }
        Version::V2 => match limit {
            Some(limit) => write(directory, "memory.max", limit.0),
            None => write(directory, "memory.max", "max"),
        },
    }
}

fn memory_stats(version: Version, directory: &Path, stats: &mut Stats) {
    /// Version 1 shows "no limit" as the largest multiple of the page size.
    const UNLIMITED_FROM: u64 = 1 << 60;
    match version {
        Version::V1 => {
            stats.memory_bytes = number(directory, "memory.usage_in_bytes");
            stats.memory_peak_bytes = number(directory, "memory.max_usage_in_bytes");
            stats.memory_limit_bytes =
                number(directory, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED_FROM);
            stats.memory_anon_bytes = keyed(directory, "memory.stat", "rss");
            stats.oom_kills = keyed(directory, "memory.oom_control", "oom_kill");
        }
        Version::V2 => {
            stats.memory_bytes = number(directory, "memory.current");
            stats.memory_peak_bytes = number(directory, "memory.peak");
            stats.memory_limit_bytes = number(directory, "memory.max");
            stats.memory_anon_bytes = keyed(directory, "memory.stat", "anon");
            stats.oom_kills = keyed(directory, "memory.events", "oom_kill");
        }
    }
}

fn number(directory: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(directory.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

fn keyed(directory: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(directory.join(file)).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok()).flatten()
    })
}

fn write(directory: &Path, file: &str, value: impl std::fmt::Display) -> Result<()> {
    try_write(directory, file, &value).map_err(|error| not_written(directory, file, value, error))
}

fn try_write(directory: &Path, file: &str, value: &impl std::fmt::Display) -> io::Result<()> {
    fs::write(directory.join(file), value.to_string())
}

fn not_written(
    directory: &Path,
    file: &str,
    value: impl std::fmt::Display,
    error: io::Error,
) -> Problem {
    Problem::host("cannot set a control group up")
        .at(directory.join(file).display())
        .found(format!("{value}: {error}"))
        .remedy("`uc doctor` shows which controllers work here")
}

fn write_if_present(directory: &Path, file: &str, value: impl std::fmt::Display) -> Result<()> {
    if directory.join(file).exists() {
        write(directory, file, value)
    } else {
        Ok(())
    }
}

/// Removes one group, killing its processes first, and waits until the kernel lets go of it.
fn remove_group(directory: &Path) -> io::Result<()> {
    let deadline = Instant::now() + REMOVAL_PATIENCE;
    loop {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => kill_members(directory),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn kill_members(directory: &Path) {
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
    {
        let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    freezer::let_end(directory);
}

/// Removes the groups that a sandbox's ledger lists; they belong to an owner that died.
pub fn reclaim(directory: &Path) -> Result<()> {
    let ledger = directory.join(LEDGER);
    let Ok(text) = fs::read_to_string(&ledger) else {
        return Ok(());
    };
    let groups = || {
        text.lines()
            .filter(|line| line.starts_with('/') && line.contains("undercurrent-"))
    };
    // First in all of them: what one holds keeps others from being removed.
    for line in groups() {
        kill_members(Path::new(line));
    }
    for line in groups() {
        remove_group(Path::new(line)).map_err(|error| {
            Problem::host("a control group of a dead workload cannot be removed")
                .at(line)
                .caused_by(error)
        })?;
    }
    fs::remove_file(&ledger).map_err(|error| {
        Problem::storage("cannot remove a file")
            .at(ledger.display())
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a version 2 group as a plain directory: what is written can be read back.
    fn fixture(version: Version, files: &[(&str, &str)]) -> (tempfile::TempDir, Cgroup) {
        let temporary = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            fs::write(temporary.path().join(name), text).expect("written");
        }
        let directory = temporary.path().to_owned();
        let by_controller = Controller::ALL
            .into_iter()
            .map(|controller| (controller, (version, directory.clone())))
            .collect();
        (
            temporary,
            Cgroup {
                limits: Limits::default(),
                directories: vec![directory],
                by_controller,
                freezer: OnceLock::new(),
            },
        )
    }

    #[test]
    fn version_2_limits_are_written_in_its_own_terms() {
        let (directory, cgroup) = fixture(
            Version::V2,
            &[("memory.swap.max", "max"), ("memory.oom.group", "0")],
        );
        let limits = Limits {
            memory: Some(Bytes::mib(64)),
            cpu: Some(MilliCpu(500)),
            cpu_weight: Some(MilliCpu(1000)),
            pids: Some(10),
        };
        cgroup.set(&limits).expect("applied");
        let read = |file: &str| fs::read_to_string(directory.path().join(file)).expect("there");
        assert_eq!(read("memory.max"), "67108864");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("cpu.max"), "50000 100000");
        assert_eq!(read("cpu.weight"), "39");
        assert_eq!(read("pids.max"), "10");
    }

    #[test]
    fn limits_are_changed_and_lifted() {
        let limits = |memory: Option<u64>, cpu: Option<u64>| Limits {
            memory: memory.map(Bytes::mib),
            cpu: cpu.map(MilliCpu),
            ..Limits::default()
        };
        let files = [
            ("memory.memsw.limit_in_bytes", "0"),
            ("cpu.cfs_period_us", "0"),
        ];
        for (version, limits, expected) in [
            (
                Version::V1,
                limits(Some(64), Some(500)),
                [
                    ("memory.limit_in_bytes", "67108864"),
                    ("memory.memsw.limit_in_bytes", "67108864"),
                    ("cpu.cfs_quota_us", "50000"),
                ]
                .as_slice(),
            ),
            (
                Version::V1,
                limits(None, None),
                &[
                    ("memory.limit_in_bytes", "-1"),
                    ("memory.memsw.limit_in_bytes", "-1"),
                    ("cpu.cfs_quota_us", "-1"),
                ],
            ),
            (
                Version::V2,
                limits(Some(64), Some(500)),
                &[("memory.max", "67108864"), ("cpu.max", "50000 100000")],
            ),
            (
                Version::V2,
                limits(None, None),
                &[("memory.max", "max"), ("cpu.max", "max")],
            ),
        ] {
            let (directory, cgroup) = fixture(version, &files);
            cgroup.change(&limits).expect("changed");
            for (file, text) in expected {
                let read = fs::read_to_string(directory.path().join(file)).expect("there");
                assert_eq!(read, *text, "{version:?} {file}");
            }
        }
    }

    /// A group with half a processor, in which groups are made; it goes with them.
    struct Half {
        layout: Layout,
        directory: PathBuf,
    }

    impl Half {
        /// `None`, with the reason printed, where version 1 does not bound processors.
        fn make() -> Option<Self> {
            let own = fs::read_to_string("/proc/self/cgroup").expect("procfs");
            let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
            let layout = Layout::from_texts(&own, &mounts);
            let place = layout.place(Controller::Cpu);
            let Some(place) = place.filter(|place| place.version == Version::V1) else {
                println!("skipped: no group of version 1 bounds processors here");
                return None;
            };
            let name = format!("undercurrent-half-{}", std::process::id());
            let directory = place.parent.join(&name);
            fs::create_dir(&directory).expect("made");
            cpu::apply(Version::V1, &directory, &quota(500)).expect("bounded");
            let inside: Vec<String> = own
                .lines()
                .map(|line| match line.split(':').nth(1) {
                    Some(names) if names.split(',').any(|name| name == "cpu") => {
                        format!("{}/{name}", line.trim_end_matches('/'))
                    }
                    _ => line.to_owned(),
                })
                .collect();
            let layout = Layout::from_texts(&inside.join("\n"), &mounts);
            Some(Self { layout, directory })
        }
    }

    impl Drop for Half {
        fn drop(&mut self) {
            remove_group(&self.directory).expect("removed");
        }
    }

    fn quota(milli: u64) -> Limits {
        Limits {
            cpu: Some(MilliCpu(milli)),
            ..Limits::default()
        }
    }

    #[test]
    fn a_quota_above_that_of_the_group_around_gives_way_to_the_next() {
        let Some(half) = Half::make() else { return };
        assert_eq!(
            half.layout
                .place(Controller::Cpu)
                .map(|place| &place.parent),
            Some(&half.directory)
        );
        let (cgroup, _) = Cgroup::plan(&half.layout, "inner", &quota(500), true).expect("planned");
        let inner = half.directory.join("inner");
        let read = || fs::read_to_string(inner.join("cpu.cfs_quota_us")).expect("there");
        let sandbox = tempfile::tempdir().expect("a directory");
        cgroup
            .make_with(sandbox.path(), &Limits::default())
            .expect("made");
        cgroup.set(&quota(750)).expect_err("more than half");
        for (quotas, fits, set) in [
            (&[MilliCpu(750), MilliCpu(500)][..], true, "50000\n"),
            (&[MilliCpu(450), MilliCpu(200)], true, "45000\n"),
            (&[MilliCpu(1250), MilliCpu(1000)], false, "-1\n"),
            (&[], true, "-1\n"),
        ] {
            assert_eq!(cgroup.has_room_for(quotas).expect("tried"), fits);
            assert_eq!(read(), "-1\n");
            let weight = Some(MilliCpu(100));
            assert_eq!(cgroup.bound_cpu(quotas, weight).expect("set"), fits);
            assert_eq!(read(), set);
            cpu::lift(Version::V1, &inner).expect("lifted");
        }
        assert_eq!(number(&inner, "cpu.shares"), Some(102));
        cgroup.remove();
    }

    #[test]
    fn version_2_usage_is_read_in_its_own_terms() {
        let (_directory, cgroup) = fixture(
            Version::V2,
            &[
                ("memory.current", "4096\n"),
                ("memory.max", "max\n"),
                ("memory.stat", "anon 1024\nfile 2048\n"),
                ("memory.events", "low 0\noom 2\noom_kill 1\n"),
                ("cpu.stat", "usage_usec 77\n"),
                ("pids.current", "3\n"),
            ],
        );
        let stats = cgroup.stats();
        assert_eq!(stats.memory_bytes, Some(4096));
        assert_eq!(stats.memory_anon_bytes, Some(1024));
        assert_eq!(stats.memory_limit_bytes, None);
        assert_eq!(stats.oom_kills, Some(1));
        assert_eq!(stats.cpu_us, Some(77));
        assert_eq!(stats.pids, Some(3));
    }

    #[test]
    fn a_limit_without_a_controller_is_refused_unless_the_file_accepts_it() {
        let limits = Limits {
            memory: Some(Bytes::mib(1)),
            ..Limits::default()
        };
        let nowhere = Layout::default();
        let refused = Cgroup::plan(&nowhere, "undercurrent-x", &limits, false);
        assert_eq!(
            refused.expect_err("refused").kind(),
            uc_model::ProblemKind::Refused
        );
        let (_, warnings) =
            Cgroup::plan(&nowhere, "undercurrent-x", &limits, true).expect("accepted");
        assert!(warnings[0].contains("memory limit"), "{warnings:?}");
    }
}
