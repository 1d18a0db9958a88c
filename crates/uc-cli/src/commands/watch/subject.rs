//! What is watched, as it is seen at one look: subjects, and where nothing could be seen.

use uc_engine::{Phase, Status};
use uc_foresight::{Sample, eviction::MAX_NAME_BYTES};
use uc_model::Problem;

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

impl Handle {
    /// Whether it is a workload that is held: what it used before says nothing about what it will use.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self, Self::Workload(status) if status.record.phase == Phase::Paused)
    }

    /// Whether this is certainly another workload or process than an earlier one of the same name.
    pub(super) fn is_another(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Workload(now), Self::Workload(then)) => now.record.id != then.record.id,
            (Self::Process { began: now, .. }, Self::Process { began: then, .. }) => now != then,
            _ => false,
        }
    }
}

/// One subject, seen now.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) name: String,
    /// New samples in order of time: one, or for a Prometheus those since the last time.
    pub(super) samples: Vec<Sample>,
    pub(super) handle: Handle,
    /// What it says of itself that it is a replica of.
    pub(super) replica_of: Option<String>,
}

/// What could not be looked at: whoever was there may still be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// All workloads of `uc`.
    Workloads,
    /// One of them, by its id.
    Workload(String),
    /// A control group and those below it.
    Groups(String),
    /// A process.
    Process(u32),
    /// The processes of a name.
    Processes(String),
    /// What a Prometheus knows.
    Remote,
}

impl Unread {
    /// Whether a subject that only an earlier run of this program saw may be among it.
    pub(super) fn may_cover(&self, name: &str) -> bool {
        let below = |begin: &str| {
            name.strip_prefix(begin)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_ours = || {
            !["cgroup", "process", "prometheus"]
                .iter()
                .any(|one| below(one))
        };
        match self {
            Self::Workloads => is_ours(),
            Self::Workload(id) => {
                let pod = name.rsplit_once('/').map_or(name, |(pod, _)| pod);
                is_ours() && id.starts_with(pod)
            }
            Self::Groups(under) => below(&format!("cgroup{}", under.trim_end_matches('/'))),
            Self::Process(pid) => below("process") && name.ends_with(&format!("/{pid}")),
            Self::Processes(of_name) => below(&format!("process/{of_name}")),
            Self::Remote => below("prometheus"),
        }
    }

    /// Whether a subject that was seen earlier is among it.
    pub(super) fn covers(&self, name: &str, handle: &Handle) -> bool {
        match (self, handle) {
            (Self::Workloads, Handle::Workload(_)) | (Self::Remote, Handle::Remote) => true,
            (Self::Workload(id), Handle::Workload(status)) => status.record.id == *id,
            (Self::Groups(under), Handle::Group(path)) => path
                .strip_prefix(under.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            (Self::Process(unread), Handle::Process { pid, .. }) => pid == unread,
            (Self::Processes(of_name), Handle::Process { .. }) => name
                .strip_prefix("process/")
                .and_then(|rest| rest.strip_prefix(of_name.as_str()))
                .is_some_and(|rest| rest.starts_with('/')),
            _ => false,
        }
    }
}

/// One look at everything.
#[derive(Debug, Default)]
pub(super) struct Sight {
    pub(super) subjects: Vec<Subject>,
    pub(super) unread: Vec<Unread>,
    /// Why something is unread or left out.
    pub(super) problems: Vec<Problem>,
}

impl Sight {
    /// Takes in a subject, unless nobody could remember its name.
    pub(super) fn add(&mut self, subject: Subject) {
        if subject.name.len() <= MAX_NAME_BYTES {
            self.subjects.push(subject);
            return;
        }
        let begin: String = subject.name.chars().take(60).collect();
        self.problems.push(
            Problem::invalid("it is not watched: its name is too long")
                .at(format!("{}…", begin.escape_debug()))
                .limit(format!("{MAX_NAME_BYTES} bytes"))
                .found(format!("{} bytes", subject.name.len())),
        );
    }

    /// Notes what could not be looked at, and why.
    pub(super) fn miss(&mut self, unread: Unread, problem: Problem) {
        self.unread.push(unread);
        self.problems.push(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_at_covers_what_is_below_it_and_nothing_beside_it() {
        let group = |path: &str| Handle::Group(path.to_owned());
        let under = Unread::Groups("/pods".to_owned());
        assert!(under.covers("cgroup/pods", &group("/pods")));
        assert!(under.covers("cgroup/pods/a", &group("/pods/a")));
        assert!(!under.covers("cgroup/podsa", &group("/podsa")));
        assert!(Unread::Groups("/".to_owned()).covers("cgroup/a", &group("/a")));
        let process = Handle::Process { pid: 7, began: 1 };
        assert!(Unread::Process(7).covers("process/7", &process));
        assert!(!Unread::Process(8).covers("process/7", &process));
        let named = Unread::Processes("web".to_owned());
        assert!(named.covers("process/web/7", &process));
        assert!(!named.covers("process/webs/7", &process));
        assert!(Unread::Remote.covers("prometheus/a", &Handle::Remote));
        assert!(!Unread::Workloads.covers("prometheus/a", &Handle::Remote));
    }

    #[test]
    fn what_an_earlier_run_saw_is_told_by_its_name() {
        let covers = |unread: Unread, name: &str| unread.may_cover(name);
        assert!(covers(Unread::Workloads, "web/main"));
        assert!(!covers(Unread::Workloads, "cgroup/web"));
        assert!(covers(Unread::Workload("web-0001".into()), "web/main"));
        assert!(!covers(Unread::Workload("web-0001".into()), "db/main"));
        assert!(covers(Unread::Groups("/".into()), "cgroup/web"));
        assert!(!covers(Unread::Groups("/pods".into()), "cgroup/podsa"));
        assert!(covers(Unread::Process(7), "process/web/7"));
        assert!(!covers(Unread::Process(7), "process/17"));
        assert!(covers(Unread::Processes("web".into()), "process/web/7"));
        assert!(covers(Unread::Remote, "prometheus/shop/a/b"));
        assert!(!covers(Unread::Remote, "web/main"));
    }

    #[test]
    fn a_name_that_nobody_could_remember_is_told_and_left_out() {
        let mut sight = Sight::default();
        for length in [MAX_NAME_BYTES, MAX_NAME_BYTES + 1] {
            sight.add(Subject {
                name: "x".repeat(length),
                samples: Vec::new(),
                handle: Handle::Remote,
                replica_of: None,
            });
        }
        assert_eq!((sight.subjects.len(), sight.problems.len()), (1, 1));
    }
}
