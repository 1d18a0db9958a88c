//! What is watched: workloads of `uc`, control groups, processes, and what a Prometheus knows.

use std::{collections::BTreeMap, path::Path};

use uc_engine::{Home, Phase, Status, owner, record};
use uc_foresight::Sample;
use uc_metrics::{
    cgroup::MemoryHierarchy,
    process::Processes,
    prometheus::{Options, Prometheus, memory_samples},
};
use uc_model::{Problem, Result};

/// Control groups watched below one that was named, at most.
const MOST_GROUPS: usize = 1_000;
/// How far back Prometheus is asked each time, in seconds, and in steps of how many.
const ASKED_BACK_S: f64 = 120.0;
const ASKED_STEP_S: f64 = 15.0;

/// How a subject is reached.
#[derive(Debug, Clone)]
pub(super) enum Handle {
    /// A workload of `uc`.
    Workload(Box<Status>),
    /// A control group.
    Group(String),
    /// A process with when it began, which tells it from a later one of the same number.
    Process { pid: u32, began: u64 },
    /// Somewhere else.
    Remote,
}

/// One subject, seen now.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) name: String,
    /// New samples in order of time: one, or for a Prometheus those since the last time.
    pub(super) samples: Vec<Sample>,
    pub(super) handle: Handle,
}

/// Where subjects come from.
pub(super) struct Subjects {
    home: Home,
    hierarchy: Option<MemoryHierarchy>,
    processes: Processes,
    groups: Vec<String>,
    pids: Vec<u32>,
    prometheus: Option<(Prometheus, String)>,
}

impl Subjects {
    /// Finds this host's control groups and prepares the rest.
    pub(super) fn new(
        home: Home,
        groups: &[String],
        pids: &[u32],
        prometheus: Option<(&str, &str, Option<&Path>)>,
    ) -> Result<Self> {
        let hierarchy = MemoryHierarchy::find()?;
        if hierarchy.is_none() && !groups.is_empty() {
            return Err(Problem::host("this host has no control groups for memory")
                .remedy("uc doctor says more"));
        }
        let prometheus = prometheus
            .map(|(url, selector, token)| {
                let options = Options {
                    bearer_token_file: token.map(Path::to_owned),
                    ..Options::default()
                };
                Ok::<_, Problem>((Prometheus::new(url, options)?, selector.to_owned()))
            })
            .transpose()?;
        Ok(Self {
            home,
            hierarchy,
            processes: Processes::of_this_host()?,
            groups: groups.to_vec(),
            pids: pids.to_vec(),
            prometheus,
        })
    }

    /// Everything there is now. What cannot be read is told and left out: nobody acts on doubt.
    pub(super) fn look(&self, now_s: f64, problems: &mut Vec<Problem>) -> Vec<Subject> {
        let mut subjects = Vec::new();
        self.workloads(now_s, &mut subjects, problems);
        for group in &self.groups {
            if let Err(problem) = self.group(group, now_s, &mut subjects) {
                problems.push(problem);
            }
        }
        for pid in &self.pids {
            match self.processes.read(*pid, now_s) {
                Ok(Some(sample)) => subjects.push(Subject {
                    name: format!("process/{pid}"),
                    samples: vec![sample],
                    handle: Handle::Process {
                        pid: *pid,
                        began: sample.life,
                    },
                }),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if let Some((client, selector)) = &self.prometheus {
            match memory_samples(client, selector, now_s - ASKED_BACK_S, now_s, ASKED_STEP_S) {
                Ok(answer) => {
                    problems.extend(answer.problems);
                    subjects.extend(answer.samples.into_iter().map(|(key, samples)| Subject {
                        name: format!("prometheus/{key}"),
                        samples,
                        handle: Handle::Remote,
                    }));
                }
                Err(problem) => problems.push(problem),
            }
        }
        subjects
    }

    fn workloads(&self, now_s: f64, subjects: &mut Vec<Subject>, problems: &mut Vec<Problem>) {
        let statuses = match record::list(&self.home) {
            Ok(statuses) => statuses,
            Err(problem) => return problems.push(problem),
        };
        let is_there = |status: &Status| {
            status.alive && matches!(status.record.phase, Phase::Running | Phase::Stopping)
        };
        for status in statuses.into_iter().filter(is_there) {
            // One that is being ended, or does not answer, is still there: without a sample, but not gone.
            let usage = match status.record.phase {
                Phase::Running => owner::stats(&status).unwrap_or_default(),
                _ => BTreeMap::new(),
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
                subjects.push(Subject {
                    name: format!("{}/{container}", status.record.name),
                    samples: sample.into_iter().collect(),
                    handle: Handle::Workload(Box::new(status.clone())),
                });
            }
        }
    }

    fn group(&self, under: &str, now_s: f64, subjects: &mut Vec<Subject>) -> Result<()> {
        let Some(hierarchy) = &self.hierarchy else {
            return Ok(());
        };
        for path in hierarchy.groups(under, MOST_GROUPS)?.paths {
            // A group that vanished since is nothing to tell.
            let Some(sample) = hierarchy.open(&path)?.read(now_s)? else {
                continue;
            };
            subjects.push(Subject {
                name: format!("cgroup{path}"),
                samples: vec![sample],
                handle: Handle::Group(path),
            });
        }
        Ok(())
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
