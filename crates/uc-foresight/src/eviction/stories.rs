//! Each transition as a short story on a host.

use super::*;

/// A host with its watcher.
struct Host {
    fleet: Fleet,
    policy: Policy,
    now_s: u64,
}

const EVICT: Finding = Finding::Evict {
    seconds_to_limit: 100,
};

impl Host {
    /// A host with these workloads of one group, one finding enough to evict, and nothing else that binds.
    fn with(names: &[&str]) -> Self {
        let policy = Policy {
            findings_needed: 1,
            fleet_evictions: 9,
            workload_evictions: 9,
            max_concurrent: 9,
            min_healthy: MinHealthy::Count(0),
            backoff_s: 10,
            ..Policy::default()
        };
        policy.check().unwrap();
        let mut host = Self {
            fleet: Fleet::default(),
            policy,
            now_s: 1_000,
        };
        for name in names {
            assert_eq!(host.joined(name, false, true), []);
        }
        host
    }

    fn happens(&mut self, event: &Event) -> Vec<Action> {
        let actions = step(&mut self.fleet, event, self.now_s, &self.policy);
        assert_eq!(self.fleet.flaw(&self.policy), None);
        actions
    }

    fn joined(&mut self, name: &str, protected: bool, owned: bool) -> Vec<Action> {
        self.happens(&Event::Joined {
            workload: name.into(),
            protected,
            owned,
            group: Some("replicas".into()),
        })
    }

    fn sees(&mut self, name: &str, finding: Finding) -> Vec<Action> {
        self.happens(&Event::Observed {
            workload: name.into(),
            finding,
        })
    }

    fn tick(&mut self, seconds: u64) -> Vec<Action> {
        self.now_s += seconds;
        self.happens(&Event::Tick)
    }

    fn exited(&mut self, name: &str, attempt: u64) -> Vec<Action> {
        self.happens(&Event::Exited {
            workload: name.into(),
            attempt: Some(Attempt(attempt)),
        })
    }

    fn inspected(&mut self, name: &str, attempt: u64, found: Found) -> Vec<Action> {
        self.happens(&Event::Inspected {
            workload: name.into(),
            attempt: Attempt(attempt),
            found,
        })
    }

    fn confirmed(&mut self, name: &str, attempt: u64) {
        let confirmed = Event::StopConfirmed {
            workload: name.into(),
            attempt: Attempt(attempt),
        };
        assert_eq!(self.happens(&confirmed), []);
    }

    fn restarted(&mut self, name: &str, attempt: u64) {
        let restarted = Event::Restarted {
            workload: name.into(),
            attempt: Some(Attempt(attempt)),
        };
        assert_eq!(self.happens(&restarted), []);
    }

    fn restart_failed(&mut self, name: &str, attempt: u64) -> Vec<Action> {
        self.happens(&Event::RestartFailed {
            workload: name.into(),
            attempt: Attempt(attempt),
        })
    }

    /// Lets a workload be stopped.
    fn evict(&mut self, name: &str) -> u64 {
        self.sees(name, EVICT);
        let attempt = self.fleet.next_attempt.0;
        assert_eq!(self.tick(1), [stop(name, attempt)]);
        attempt
    }

    fn phase(&self, name: &str) -> Phase {
        self.fleet.workloads[name].phase
    }

    /// How long a restart waits from now on.
    fn wait_s(&self, name: &str) -> u64 {
        match self.phase(name) {
            Phase::PendingRestart { due_s, .. } => due_s - self.fleet.age_s,
            phase => panic!("{name} is {phase:?}"),
        }
    }
}

fn stop(name: &str, attempt: u64) -> Action {
    Action::Stop {
        workload: name.into(),
        attempt: Attempt(attempt),
        grace_s: 30,
    }
}

fn kill(name: &str, attempt: u64) -> Action {
    Action::Kill {
        workload: name.into(),
        attempt: Attempt(attempt),
    }
}

fn restart(name: &str, attempt: u64) -> Action {
    Action::Restart {
        workload: name.into(),
        attempt: Attempt(attempt),
    }
}

fn inspect(name: &str, attempt: u64) -> Action {
    Action::Inspect {
        workload: name.into(),
        attempt: Attempt(attempt),
    }
}

fn report(name: &str, report: Report) -> Action {
    Action::Report {
        workload: name.into(),
        report,
    }
}

fn denied(name: &str, denial: Denial) -> Action {
    report(name, Report::Denied(denial))
}

#[test]
fn a_leak_is_suspected_warned_of_stopped_and_restarted() {
    let mut host = Host::with(&["web"]);
    assert_eq!(host.sees("web", Finding::Suspect), []);
    assert_eq!(host.phase("web"), Phase::Suspected);
    let warning = Action::Warn {
        workload: "web".into(),
    };
    assert_eq!(host.sees("web", Finding::Warn), [warning]);
    assert_eq!(host.sees("web", Finding::Suspect), []);
    assert_eq!(host.sees("web", Finding::Warn), [], "warned once");
    assert_eq!(host.sees("web", EVICT), [], "only a tick acts");
    assert_eq!(host.tick(1), [stop("web", 0)]);
    host.confirmed("web", 0);
    assert_eq!(host.exited("web", 0), []);
    assert_eq!(host.tick(9), []);
    assert_eq!(host.tick(1), [restart("web", 1)]);
    host.restarted("web", 1);
    assert_eq!(host.phase("web"), Phase::Healthy);
}

#[test]
fn findings_must_be_enough_in_a_row_and_recent() {
    let mut host = Host::with(&["web"]);
    host.policy.findings_needed = 2;
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), []);
    host.sees("web", Finding::Unknown);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [], "doubt interrupts");
    host.sees("web", EVICT);
    assert_eq!(host.tick(61), [], "old findings do not count");
    host.sees("web", EVICT);
    host.sees("web", EVICT);
    assert_eq!(host.tick(60), [stop("web", 0)]);
}

#[test]
fn a_healthy_finding_ends_the_warning() {
    let mut host = Host::with(&["web"]);
    assert_eq!(host.sees("web", Finding::Warn).len(), 1);
    host.sees("web", Finding::Healthy);
    assert_eq!(host.sees("web", Finding::Warn).len(), 1);
}

#[test]
fn what_outlives_its_grace_is_killed_where_the_policy_says_so() {
    let mut host = Host::with(&["web"]);
    host.policy.kill_after_grace = true;
    host.evict("web");
    host.confirmed("web", 0);
    assert_eq!(host.tick(29), []);
    assert_eq!(host.tick(1), [kill("web", 0)]);
    assert_eq!(host.tick(29), [], "killed once");
    assert_eq!(host.tick(1), [report("web", Report::WouldNotEnd)]);
}

#[test]
fn otherwise_it_is_left_running_and_restarted_if_it_ends_late() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    host.confirmed("web", 0);
    assert_eq!(host.tick(30), [report("web", Report::WouldNotEnd)]);
    assert!(matches!(host.phase("web"), Phase::Lingering { .. }));
    assert_eq!(host.tick(300), []);
    assert_eq!(host.phase("web"), Phase::Healthy);
    host.exited("web", 0);
    assert_eq!(host.wait_s("web"), 10);
}

#[test]
fn nobody_is_killed_who_was_perhaps_never_asked_to_end() {
    let mut host = Host::with(&["web"]);
    host.policy.kill_after_grace = true;
    host.evict("web");
    assert_eq!(host.tick(30), [inspect("web", 0)], "no word of the signal");
    assert_eq!(host.tick(30), [inspect("web", 0)]);
    assert_eq!(
        host.inspected("web", 0, Found::Running),
        [report("web", Report::InDoubt)]
    );
}

#[test]
fn a_crash_repeats_no_stop() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    assert_eq!(host.happens(&Event::Recovered), [inspect("web", 0)]);
    assert_eq!(host.happens(&Event::Recovered), [inspect("web", 0)]);
    assert_eq!(host.inspected("web", 0, Found::Signalled), []);
    assert_eq!(host.tick(29), [], "the whole grace from now on");
    assert_eq!(host.inspected("web", 0, Found::Gone), []);
    assert_eq!(host.wait_s("web"), 10);
}

#[test]
fn a_stop_that_a_crash_swallowed_is_taken_back_with_its_budget() {
    let mut host = Host::with(&["web"]);
    host.policy.fleet_evictions = 1;
    host.evict("web");
    host.happens(&Event::Recovered);
    assert_eq!(
        host.inspected("web", 0, Found::NotSignalled),
        [report("web", Report::Withdrawn)]
    );
    assert_eq!(host.tick(1), [], "it takes new findings");
    assert_eq!(host.evict("web"), 1, "and is another attempt");
}

#[test]
fn a_crash_repeats_no_restart_either() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    host.exited("web", 0);
    assert_eq!(host.tick(10), [restart("web", 1)]);
    assert_eq!(host.happens(&Event::Recovered), [inspect("web", 1)]);
    let found_gone = host.inspected("web", 1, Found::Gone);
    assert_eq!(found_gone, [report("web", Report::RestartFailed)]);
    assert_eq!(host.tick(20), [restart("web", 2)]);
    assert_eq!(host.tick(300), []);
    assert_eq!(host.tick(1), [inspect("web", 2)], "silence is asked about");
    host.inspected("web", 2, Found::Running);
    assert_eq!(host.phase("web"), Phase::Healthy);
}

#[test]
fn a_stop_that_failed_is_told_and_not_tried_again_at_once() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    let failed = Event::StopFailed {
        workload: "web".into(),
        attempt: Attempt(0),
    };
    assert_eq!(host.happens(&failed), [report("web", Report::StopFailed)]);
    assert_eq!(host.happens(&failed), [], "told twice, heard once");
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [denied("web", Denial::Cooldown)]);
    host.tick(298);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [stop("web", 1)]);
}

#[test]
fn restarts_wait_longer_each_time_but_not_beyond_the_bound() {
    let mut host = Host::with(&["web"]);
    host.policy.max_restart_wait_s = 25;
    host.evict("web");
    host.exited("web", 0);
    for (attempt, wait_s) in [(1, 10), (2, 20), (3, 25), (4, 25)] {
        assert_eq!(host.wait_s("web"), wait_s);
        assert_eq!(host.tick(wait_s), [restart("web", attempt)]);
        host.restart_failed("web", attempt);
    }
}

#[test]
fn a_calm_time_resets_the_back_off() {
    let mut host = Host::with(&["web"]);
    let evict_and_wait = |calm_s: u64| {
        let attempt = host.evict("web");
        host.exited("web", attempt);
        let wait_s = host.wait_s("web");
        host.tick(wait_s);
        host.restarted("web", attempt + 1);
        host.tick(300);
        if calm_s > 0 {
            host.sees("web", Finding::Healthy);
        }
        wait_s
    };
    assert_eq!([0, 60, 0].map(evict_and_wait), [10, 20, 10]);
}

#[test]
fn the_most_urgent_is_stopped_first_and_ties_go_by_name() {
    let mut host = Host::with(&["a", "b", "c"]);
    host.policy.fleet_evictions = 2;
    host.sees("a", EVICT);
    host.sees("b", EVICT);
    let urgent = Finding::Evict {
        seconds_to_limit: 5,
    };
    host.sees("c", urgent);
    let denied = denied("b", Denial::FleetBudget);
    assert_eq!(host.tick(1), [stop("c", 0), stop("a", 1), denied]);
}

#[test]
fn a_denial_is_told_once() {
    let mut host = Host::with(&["web", "db"]);
    host.policy.max_concurrent = 1;
    host.evict("web");
    host.sees("db", EVICT);
    assert_eq!(host.tick(1), [denied("db", Denial::Concurrency)]);
    assert_eq!(host.tick(1), []);
    host.sees("db", EVICT);
    assert_eq!(host.tick(1), []);
    host.sees("db", Finding::Healthy);
    host.sees("db", EVICT);
    assert_eq!(host.tick(1), [denied("db", Denial::Concurrency)]);
}

#[test]
fn budgets_slide_with_the_window() {
    let mut host = Host::with(&["web"]);
    host.policy.workload_evictions = 1;
    host.policy.cooldown_s = 0;
    host.evict("web");
    host.exited("web", 0);
    host.tick(10);
    host.restarted("web", 1);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [denied("web", Denial::WorkloadBudget)]);
    host.tick(3588);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [stop("web", 2)]);
}

#[test]
fn nobody_gets_a_new_budget_by_leaving() {
    let mut host = Host::with(&["web"]);
    host.policy.workload_evictions = 1;
    host.evict("web");
    host.happens(&Event::Vanished {
        workload: "web".into(),
    });
    host.joined("web", false, true);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [denied("web", Denial::WorkloadBudget)]);
}

#[test]
fn enough_of_a_group_keep_running() {
    let mut host = Host::with(&["a", "b", "c"]);
    host.policy.min_healthy = MinHealthy::Percent(50);
    let ended = Event::Exited {
        workload: "c".into(),
        attempt: None,
    };
    assert_eq!(host.happens(&ended), []);
    assert_eq!(host.phase("c"), Phase::Stopped);
    host.sees("a", EVICT);
    assert_eq!(host.tick(1), [denied("a", Denial::MinHealthy)]);
    host.happens(&Event::Restarted {
        workload: "c".into(),
        attempt: None,
    });
    host.sees("b", EVICT);
    assert_eq!(
        host.tick(1),
        [stop("a", 0), denied("b", Denial::MinHealthy)]
    );
}

#[test]
fn what_is_protected_or_not_ours_is_only_reported() {
    let mut host = Host::with(&[]);
    host.joined("db", true, true);
    host.joined("foreign", false, false);
    host.sees("db", EVICT);
    host.sees("foreign", EVICT);
    let would = |name: &str, because| Action::WouldEvict {
        workload: name.into(),
        because,
    };
    let reports = [
        would("db", Denial::Protected),
        would("foreign", Denial::NotOwned),
    ];
    assert_eq!(host.tick(1), reports);
    assert_eq!(host.tick(1), []);
}

#[test]
fn protection_that_comes_during_a_stop_spares_from_the_kill() {
    let mut host = Host::with(&["db"]);
    host.policy.kill_after_grace = true;
    host.evict("db");
    host.confirmed("db", 0);
    host.joined("db", true, true);
    assert_eq!(host.tick(30), [report("db", Report::WouldNotEnd)]);
}

#[test]
fn old_answers_change_nothing() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    host.exited("web", 0);
    host.tick(10);
    host.restarted("web", 1);
    let before = host.fleet.clone();
    host.exited("web", 0);
    host.restarted("web", 1);
    host.restart_failed("web", 1);
    host.inspected("web", 0, Found::NotSignalled);
    assert_eq!(host.fleet, before);
}

#[test]
fn a_clock_set_back_postpones_nothing() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    host.exited("web", 0);
    host.now_s = 3;
    assert_eq!(host.tick(0), []);
    assert_eq!(host.tick(9), []);
    assert_eq!(host.tick(1), [restart("web", 1)]);
}

#[test]
fn a_stricter_policy_shortens_what_is_waited_for() {
    let mut host = Host::with(&["web"]);
    host.evict("web");
    host.exited("web", 0);
    host.policy.max_restart_wait_s = 4;
    assert_eq!(host.happens(&Event::PolicyChanged), []);
    assert_eq!(host.tick(4), [restart("web", 1)]);
}

#[test]
fn too_many_workloads_and_too_long_names_are_refused_in_words() {
    let mut host = Host::with(&[]);
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    assert_eq!(
        host.joined(&long, false, true),
        [report(&long, Report::NameTooLong)]
    );
    let one = Workload::new(false, true, None);
    let many = (0..MAX_WORKLOADS).map(|number| (number.to_string(), one.clone()));
    host.fleet.workloads = many.collect();
    assert_eq!(
        host.joined("web", false, true),
        [report("web", Report::TooMany)]
    );
}

#[test]
fn what_cannot_be_read_keeps_its_evidence_and_is_left_alone_until_it_is_seen_again() {
    let mut host = Host::with(&["web", "db"]);
    let unread = |name: &str| Event::Unread {
        workload: name.into(),
    };
    host.policy.kill_after_grace = true;
    host.sees("web", EVICT);
    assert_eq!(host.happens(&unread("web")), []);
    assert_eq!(host.tick(1), []);
    assert_eq!(host.fleet.workloads["web"].evidence.unwrap().count, 1);
    host.sees("web", EVICT);
    assert_eq!(host.tick(1), [stop("web", 0)]);

    // Nor is it killed, nor counted as one that does not end.
    host.confirmed("web", 0);
    assert_eq!(host.happens(&unread("web")), []);
    assert_eq!(host.tick(60), []);
    host.joined("web", false, true);
    assert_eq!(host.tick(1), [kill("web", 0)]);

    // It is given up when it stays unread, so that others can be stopped.
    host.happens(&unread("web"));
    let given_up = report("web", Report::WouldNotEnd);
    assert_eq!(host.tick(30 + host.policy.cooldown_s), [given_up]);
    assert_eq!(host.fleet.under_way(), 0);
    host.joined("web", false, true);

    // One that is found to have ended meanwhile is restarted as any other.
    assert_eq!(host.happens(&unread("web")), []);
    host.exited("web", 0);
    assert_eq!(host.tick(10), [restart("web", 1)]);
}
