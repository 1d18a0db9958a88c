//! Where subjects come from: workloads of `uc`, control groups, processes, and what a Prometheus knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use uc_engine::{Home, Phase, Status, owner, record};
use uc_foresight::{Sample, eviction::MAX_NAME_BYTES};
use uc_metrics::{
    cgroup::MemoryHierarchy,
    process::Processes,
    prometheus::{Options, Prometheus},
};
use uc_model::{Problem, ProblemKind, Result};

use super::{
    remote::Remote,
    subject::{Handle, Sight, Subject, Unread},
};

/// Control groups watched below one that was named, at most.
const MOST_GROUPS: usize = 1_000;
/// Processes watched of one name, at most.
const MOST_PROCESSES: usize = 1_000;
/// The labels that say what a Pod is a replica of, the first that is there.
const REPLICA_LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];

/// What is to be watched.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) groups: &'a [String],
    pub(super) pids: &'a [u32],
    pub(super) names: &'a [String],
    /// Address, label matchers and the token's file.
    pub(super) prometheus: Option<(&'a str, &'a str, Option<PathBuf>)>,
    /// Between two looks.
    pub(super) interval: Duration,
}

/// Where subjects come from.
pub(super) struct Sources {
    home: Home,
    hierarchy: Option<MemoryHierarchy>,
    processes: Processes,
    groups: Vec<String>,
    pids: Vec<u32>,
    names: BTreeSet<String>,
    prometheus: Option<Remote>,
}

impl Sources {
    /// Finds this host's control groups and prepares the rest.
    pub(super) fn new(home: Home, wanted: Wanted<'_>) -> Result<Self> {
        let hierarchy = MemoryHierarchy::find()?;
        if hierarchy.is_none() && !wanted.groups.is_empty() {
            return Err(Problem::host("this host has no control groups for memory")
                .remedy("uc doctor says more"));
        }
        wanted.names.iter().try_for_each(|name| check_name(name))?;
        let prometheus = wanted.prometheus.map(|(url, selector, token)| {
            let options = Options {
                bearer_token_file: token,
                ..Options::default()
            };
            let client = Prometheus::new(url, options)?;
            Remote::open(client, selector.to_owned(), wanted.interval)
        });
        Ok(Self {
            home,
            hierarchy,
            processes: Processes::of_this_host()?,
            groups: wanted.groups.to_vec(),
            pids: wanted.pids.to_vec(),
            names: wanted.names.iter().cloned().collect(),
            prometheus: prometheus.transpose()?,
        })
    }

    /// Everything there is now. What cannot be read is told and noted as such: nobody acts on doubt.
    pub(super) fn look(&mut self, now_s: f64) -> Sight {
        let mut sight = Sight::default();
        self.workloads(now_s, &mut sight);
        for under in &self.groups {
            self.groups(under, now_s, &mut sight);
        }
        for pid in &self.pids {
            self.process(*pid, format!("process/{pid}"), now_s, &mut sight);
        }
        self.named(now_s, &mut sight);
        if let Some(remote) = &mut self.prometheus {
            remote.look(now_s, &mut sight);
        }
        sight
    }

    fn workloads(&self, now_s: f64, sight: &mut Sight) {
        let statuses = match record::list(&self.home) {
            Ok(statuses) => statuses,
            Err(problem) => return sight.miss(Unread::Workloads, problem),
        };
        // The newest of a name first: an older one may still be ending.
        for status in statuses.into_iter().rev().filter(|status| status.alive) {
            let usage = match status.record.phase {
                Phase::Running => match owner::stats(&status) {
                    Ok(usage) => usage,
                    Err(problem) => {
                        if self.still_runs(&status) {
                            sight.miss(Unread::Workload(status.record.id), problem);
                        }
                        continue;
                    }
                },
                // One that is being ended, or is held, is still there, without a sample.
                Phase::Stopping | Phase::Paused => BTreeMap::new(),
                _ => {
                    // A record that cannot be read looks like one that is being made.
                    if status.record.created_ms == 0 {
                        sight.unread.push(Unread::Workload(status.record.id));
                    }
                    continue;
                }
            };
            for (container, known) in status.record.containers.iter().filter(|one| !one.1.init) {
                let sample = usage.get(container).and_then(|stats| {
                    let rss_bytes = stats.memory_anon_bytes.or(stats.memory_bytes)?;
                    Some(Sample {
                        life: status.record.created_ms.wrapping_mul(1_000)
                            + u64::from(known.restarts),
                        oom_kills: stats.oom_kills,
                        ..Sample::new(now_s, rss_bytes, stats.memory_limit_bytes)
                    })
                });
                sight.add(Subject {
                    name: format!("{}/{container}", status.record.name),
                    samples: sample.into_iter().collect(),
                    handle: Handle::Workload(Box::new(status.clone())),
                    replica_of: replica_of(&status.record.labels, container),
                });
            }
        }
    }

    /// Whether a workload that did not answer runs all the same, and was not just ending.
    fn still_runs(&self, status: &Status) -> bool {
        record::list(&self.home).is_ok_and(|statuses| {
            statuses.iter().any(|now| {
                now.alive && now.record.id == status.record.id && now.record.phase == Phase::Running
            })
        })
    }

    fn groups(&self, under: &str, now_s: f64, sight: &mut Sight) {
        let Some(hierarchy) = &self.hierarchy else {
            return;
        };
        let found = match hierarchy.groups(under, MOST_GROUPS) {
            Ok(found) => found,
            // It has vanished, and all below it.
            Err(problem) if problem.kind() == ProblemKind::NotFound => {
                return sight.problems.push(problem);
            }
            Err(problem) => return sight.miss(Unread::Groups(under.to_owned()), problem),
        };
        if found.is_truncated {
            sight.problems.push(
                Problem::refused("there are more control groups than are watched")
                    .at(under)
                    .limit(format!("{MOST_GROUPS} groups with processes"))
                    .remedy("name groups further down, each with a --cgroup of its own"),
            );
        }
        for (path, problem) in found.unread {
            sight.miss(Unread::Groups(path), problem);
        }
        for path in found.paths {
            let sample = match hierarchy.open(&path).and_then(|group| group.read(now_s)) {
                Ok(Some(sample)) => sample,
                // One that vanished since is nothing to tell.
                Ok(None) => continue,
                Err(problem) if problem.kind() == ProblemKind::NotFound => continue,
                Err(problem) => {
                    sight.miss(Unread::Groups(path), problem);
                    continue;
                }
            };
            sight.add(Subject {
                name: format!("cgroup{path}"),
                samples: vec![sample],
                handle: Handle::Group(path),
                replica_of: None,
            });
        }
    }

    fn process(&self, pid: u32, name: String, now_s: f64, sight: &mut Sight) {
        match self.processes.read(pid, now_s) {
            Ok(Some(sample)) => sight.add(Subject {
                name,
                samples: vec![sample],
                handle: Handle::Process {
                    pid,
                    began: sample.life,
                },
                replica_of: None,
            }),
            Ok(None) => {}
            Err(problem) => sight.miss(Unread::Process(pid), problem),
        }
    }

    /// The processes of the names, each once, and not this one.
    fn named(&self, now_s: f64, sight: &mut Sight) {
        let mut seen: BTreeSet<u32> = self.pids.iter().copied().collect();
        seen.insert(std::process::id());
        for name in &self.names {
            let mut pids = match self.processes.find_by_name(name) {
                Ok(pids) => pids,
                Err(problem) => {
                    sight.miss(Unread::Processes(name.clone()), problem);
                    continue;
                }
            };
            pids.retain(|pid| !seen.contains(pid));
            if pids.len() > MOST_PROCESSES {
                sight.problems.push(
                    Problem::refused("there are more processes of this name than are watched")
                        .at(name)
                        .limit(MOST_PROCESSES)
                        .found(pids.len())
                        .remedy("watch the control group that holds them, with --cgroup"),
                );
                pids.truncate(MOST_PROCESSES);
            }
            for pid in pids {
                seen.insert(pid);
                self.process(pid, format!("process/{name}/{pid}"), now_s, sight);
            }
        }
    }

    /// The processes of a control group.
    pub(super) fn processes_of(&self, group: &str) -> Result<Vec<u32>> {
        let Some(hierarchy) = &self.hierarchy else {
            return Ok(Vec::new());
        };
        hierarchy.open(group)?.processes()
    }

    /// When a process began, if it runs.
    pub(super) fn began(&self, pid: u32) -> Result<Option<u64>> {
        Ok(self.processes.read(pid, 0.0)?.map(|sample| sample.life))
    }
}

/// What a container's Pod says that it is a replica of.
fn replica_of(labels: &BTreeMap<String, String>, container: &str) -> Option<String> {
    let mut values = REPLICA_LABELS.iter().filter_map(|label| labels.get(*label));
    let value = values.find(|value| !value.is_empty())?;
    Some(format!("{value}/{container}"))
}

fn check_name(name: &str) -> Result<()> {
    let problem = |what: &str| {
        Problem::invalid(what)
            .at("--process")
            .found(name.escape_debug())
    };
    // What is remembered is the name with a number.
    let most = MAX_NAME_BYTES - 32;
    if name.is_empty() || name.len() > most {
        return Err(
            problem("this cannot be the name of a program").limit(format!("1 to {most} bytes"))
        );
    }
    if name.contains('/') {
        return Err(
            problem("this is a path, not the name of a program").remedy(format!(
                "--process {}",
                Path::new(name)
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
            )),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(hierarchy: Option<MemoryHierarchy>, processes: Processes, folder: &Path) -> Sources {
        Sources {
            home: Home::below(folder),
            hierarchy,
            processes,
            groups: Vec::new(),
            pids: Vec::new(),
            names: BTreeSet::new(),
            prometheus: None,
        }
    }

    fn names(sight: &Sight) -> Vec<&str> {
        let names = sight.subjects.iter().map(|subject| subject.name.as_str());
        names.collect()
    }

    #[test]
    fn one_group_that_cannot_be_read_is_told_and_the_others_are_seen() {
        let host = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let file = host.path().join("cg").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        put("cgroup.controllers", "memory\n");
        for group in ["a", "b"] {
            put(&format!("pods/{group}/cgroup.procs"), "1\n");
            put(&format!("pods/{group}/memory.stat"), "anon 4096\n");
        }
        let mounts =
            "24 1 0:21 / / rw - ext4 /dev/sda rw\n30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n";
        let hierarchy = MemoryHierarchy::from_mountinfo(mounts, host.path());
        assert!(hierarchy.is_some());
        let processes = Processes::new(host.path(), None);
        let mut sources = with(hierarchy, processes, host.path());
        sources.groups = vec!["/pods".to_owned()];
        let all = sources.look(1.0);
        assert_eq!(names(&all), ["cgroup/pods/a", "cgroup/pods/b"]);
        assert!(all.unread.is_empty() && all.problems.is_empty());
        // Reading a directory fails whoever asks.
        let stat = host.path().join("cg/pods/a/memory.stat");
        fs::remove_file(&stat).unwrap();
        fs::create_dir(&stat).unwrap();
        let sight = sources.look(2.0);
        assert_eq!(names(&sight), ["cgroup/pods/b"]);
        assert_eq!(sight.unread, [Unread::Groups("/pods/a".to_owned())]);
        assert_eq!(sight.problems.len(), 1, "{:?}", sight.problems);
        // One that has vanished is nothing to tell.
        fs::remove_dir_all(host.path().join("cg/pods/a")).unwrap();
        let sight = sources.look(3.0);
        assert!(sight.unread.is_empty() && sight.problems.is_empty());
    }

    #[test]
    fn processes_are_found_by_name_each_once_and_so_many_at_most() {
        let proc = tempfile::tempdir().unwrap();
        let put = |pid: u32, name: &str| {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir(&folder).unwrap();
            let stat = format!(
                "{pid} ({name}) S 1 1 1 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 {pid} 2998272 383"
            );
            fs::write(folder.join("stat"), stat).unwrap();
            fs::write(folder.join("status"), "RssAnon:\t1 kB\n").unwrap();
        };
        // Numbers that no kernel gives: this test's own is another.
        let first = 10_000_000;
        put(first, "web");
        put(first + 1, "db");
        put(first + 2, "web");
        let mut sources = with(None, Processes::new(proc.path(), None), proc.path());
        sources.names.insert("web".to_owned());
        sources.pids = vec![first + 2];
        let sight = sources.look(1.0);
        assert_eq!(names(&sight), ["process/10000002", "process/web/10000000"]);
        put(std::process::id(), "web");
        assert_eq!(sources.look(1.0).subjects.len(), 2, "the guard itself");
        for pid in 0..MOST_PROCESSES as u32 {
            put(first + 3 + pid, "web");
        }
        let sight = sources.look(2.0);
        assert_eq!(sight.subjects.len(), MOST_PROCESSES + 1);
        assert_eq!(sight.problems.len(), 1, "{:?}", sight.problems);
        fs::remove_dir_all(proc.path().join(first.to_string())).unwrap();
        assert!(!names(&sources.look(3.0)).contains(&"process/web/10000000"));
    }

    #[test]
    fn a_name_that_no_program_has_is_refused() {
        for name in ["", "/usr/bin/web", &"x".repeat(300)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        let problem = check_name("/usr/bin/web").unwrap_err();
        assert_eq!(problem.remedy_text(), Some("--process web"));
        check_name("web").unwrap();
    }

    #[test]
    fn a_pod_is_a_replica_of_what_its_labels_name() {
        let labels = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let of = |pairs| replica_of(&labels(pairs), "main");
        assert_eq!(of(&[("app", "web")]).as_deref(), Some("web/main"));
        let both = [("app", "web"), ("app.kubernetes.io/name", "shop")];
        assert_eq!(of(&both).as_deref(), Some("shop/main"));
        assert_eq!(of(&[("tier", "front"), ("app", "")]), None);
    }
}
