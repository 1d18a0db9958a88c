//! What the guard does when its history, its sources or its clock let it down.

use uc_foresight::eviction::{Attempt, MAX_NAME_BYTES, MAX_WORKLOADS, MinHealthy};
use uc_metrics::history::Bounds;

use super::{
    super::{bounds, subject::Unread},
    *,
};
use crate::commands::foresight;

const EVICT: Finding = Finding::Evict {
    seconds_to_limit: 100,
};

fn history(folder: &tempfile::TempDir, name: &str, bounds: Bounds) -> History {
    History::open(folder.path().join(name), bounds).unwrap().0
}

fn guard(folder: &tempfile::TempDir, bounds: Bounds) -> Guard {
    let history = history(folder, "history", bounds);
    let model = foresight::model(None).unwrap();
    Guard::open(history, model, &Policy::default()).unwrap().0
}

/// A guard that has seen nothing yet.
pub(in super::super) fn empty_guard(folder: &tempfile::TempDir) -> Guard {
    guard(folder, bounds())
}

fn joined(name: &str, group: Option<&str>) -> Event {
    Event::Joined {
        workload: name.to_owned(),
        protected: false,
        owned: true,
        group: group.map(str::to_owned),
    }
}

fn observed(name: &str, finding: Finding) -> Event {
    Event::Observed {
        workload: name.to_owned(),
        finding,
    }
}

/// Who is stopped after an event and a tick, and what went wrong.
fn stopped(
    guard: &mut Guard,
    events: &[Event],
    now_s: f64,
    policy: &Policy,
) -> (Vec<String>, Vec<Problem>) {
    let mut problems = Vec::new();
    let events = [events, &[Event::Tick]].concat();
    let actions = guard.decide(&events, now_s, policy, &mut problems);
    let stopped = actions.into_iter().filter_map(|action| match action {
        Action::Stop { workload, .. } => Some(workload),
        _ => None,
    });
    (stopped.collect(), problems)
}

fn seen(name: &str, t_s: f64, rss_bytes: u64) -> Sight {
    let mut sight = Sight::default();
    sight.add(Subject {
        name: name.to_owned(),
        samples: vec![Sample::new(t_s, rss_bytes, Some(100 << 20))],
        handle: Handle::Group("/pods/web".to_owned()),
        replica_of: None,
    });
    sight
}

fn see(guard: &mut Guard, sight: Sight, now_s: f64) -> Vec<Event> {
    let ours = |_: &Subject| Traits {
        protected: false,
        owned: true,
        group: None,
    };
    let mut problems = Vec::new();
    guard.see(sight, now_s, &Thresholds::default(), ours, &mut problems)
}

#[test]
fn a_paused_workload_is_neither_judged_nor_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = empty_guard(&folder);
    let look = |phase: uc_engine::Phase, samples: Vec<Sample>| {
        let record = serde_json::json!({
            "id": "web-000001", "name": "web", "source": "web.yaml", "created_ms": 1, "owner": 1,
            "detached": true, "phase": phase, "containers": {}, "exit_code": null, "message": null,
        });
        let status = uc_engine::Status {
            record: serde_json::from_value(record).unwrap(),
            alive: true,
            directory: folder.path().to_owned(),
        };
        let mut sight = Sight::default();
        sight.add(Subject {
            name: "web/main".to_owned(),
            samples,
            handle: Handle::Workload(Box::new(status)),
            replica_of: None,
        });
        sight
    };
    let sample = |t_s: f64| vec![Sample::new(t_s, 50 << 20, Some(100 << 20))];
    see(
        &mut guard,
        look(uc_engine::Phase::Running, sample(10.0)),
        10.0,
    );
    // Well before its last sample is too old to count.
    let events = see(&mut guard, look(uc_engine::Phase::Paused, Vec::new()), 12.0);
    assert_eq!(events.last(), Some(&observed("web/main", Finding::Unknown)));
    let events = see(
        &mut guard,
        look(uc_engine::Phase::Running, Vec::new()),
        14.0,
    );
    assert!(!events.contains(&observed("web/main", Finding::Unknown)));
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Vanished { .. }))
    );
}

#[test]
fn what_cannot_be_written_down_is_told_and_not_done_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = Bounds {
        state_bytes: 1,
        ..bounds()
    };
    let mut guard = guard(&folder, narrow);
    let policy = Policy::default();
    let evict = [observed("web", EVICT)];
    stopped(&mut guard, &[joined("web", None)], 0.0, &policy);
    assert!(stopped(&mut guard, &evict, 5.0, &policy).1.is_empty());
    let before = guard.fleet.workloads["web"].phase;
    let (names, problems) = stopped(&mut guard, &evict, 10.0, &policy);
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(problems.len(), 1, "{problems:?}");
    // As if it had not been decided: no attempt, no budget used, and watching goes on.
    assert_eq!(guard.fleet.workloads["web"].phase, before);
    assert_eq!(guard.fleet.next_attempt, Attempt(0));
    assert!(guard.fleet.evictions.is_empty());
    assert_eq!(see(&mut guard, seen("db", 12.0, 1 << 20), 12.0).len(), 3);

    guard.history = history(&folder, "another", bounds());
    let (names, problems) = stopped(&mut guard, &evict, 15.0, &policy);
    assert_eq!(names, ["web"]);
    assert!(problems.is_empty(), "{problems:?}");
    let written = guard.history.states().unwrap();
    let written: Fleet = serde_json::from_slice(&written[FLEET]).unwrap();
    assert!(matches!(
        written.workloads["web"].phase,
        Phase::Stopping { .. }
    ));
}

#[test]
fn samples_wait_for_a_history_that_can_be_written_but_not_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = Bounds {
        state_bytes: 1,
        ..bounds()
    };
    let mut guard = guard(&folder, narrow);
    let sample = Sample::new(1.0, 1, None);
    guard.fresh = vec![("old".to_owned(), sample); 10];
    guard
        .fresh
        .extend(vec![("web".to_owned(), sample); MOST_FRESH]);
    assert!(guard.write().is_err());
    assert_eq!(guard.fresh.len(), MOST_FRESH);
    assert!(guard.fresh.iter().all(|(name, _)| name == "web"));
}

#[test]
fn the_largest_fleet_can_be_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, bounds());
    let policy = Policy::default();
    let group = "g".repeat(MAX_NAME_BYTES);
    for number in 0..MAX_WORKLOADS {
        let name = format!("{number:0>MAX_NAME_BYTES$}");
        step(&mut guard.fleet, &joined(&name, Some(&group)), 1, &policy);
    }
    assert_eq!(guard.fleet.workloads.len(), MAX_WORKLOADS);
    guard.write().unwrap();
}

#[test]
fn a_group_that_cannot_be_read_for_a_moment_has_not_vanished() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, bounds());
    let policy = Policy::default();
    let name = "cgroup/pods/web";
    let events = see(&mut guard, seen(name, 1.0, 1 << 20), 1.0);
    stopped(&mut guard, &events, 1.0, &policy);
    let evict = [observed(name, EVICT)];
    stopped(&mut guard, &evict, 2.0, &policy);

    let mut sight = Sight::default();
    let problem = Problem::host("unreadable");
    sight.miss(Unread::Groups("/pods/web".to_owned()), problem);
    let events = see(&mut guard, sight, 3.0);
    let unread = Event::Unread {
        workload: name.to_owned(),
    };
    assert_eq!(events, [unread]);
    assert!(stopped(&mut guard, &events, 3.0, &policy).0.is_empty());
    assert!(guard.watched.contains_key(name));
    assert_eq!(guard.fleet.workloads[name].evidence.unwrap().count, 1);

    // Seen again, it goes on from there; and one that is gone is gone.
    let events = see(&mut guard, seen(name, 4.0, 1 << 20), 4.0);
    assert!(matches!(&events[0], Event::Joined { .. }), "{events:?}");
    assert_eq!(stopped(&mut guard, &evict, 4.0, &policy).0, [name]);
    let events = see(&mut guard, Sight::default(), 5.0);
    assert!(matches!(&events[..], [Event::Exited { .. }]), "{events:?}");
    assert!(guard.watched.is_empty());
}

#[test]
fn one_sample_is_one_finding_however_often_it_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, bounds());
    let findings = |events: Vec<Event>| {
        let events = events.into_iter();
        events
            .filter(|event| matches!(event, Event::Observed { .. }))
            .count()
    };
    assert_eq!(findings(see(&mut guard, seen("web", 1.0, 1 << 20), 1.0)), 1);
    assert_eq!(findings(see(&mut guard, seen("web", 1.0, 1 << 20), 2.0)), 0);
    assert_eq!(findings(see(&mut guard, seen("web", 3.0, 1 << 20), 3.0)), 1);
    // Old data is told as doubt, which ends what was believed.
    let events = see(&mut guard, seen("web", 3.0, 1 << 20), 100.0);
    let doubt = observed("web", Finding::Unknown);
    assert!(events.contains(&doubt), "{events:?}");
}

#[test]
fn looks_that_are_minutes_apart_still_lead_to_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let stops_with = |name: &str, policy: &Policy| {
        let history = history(&folder, name, bounds());
        let model = foresight::model(None).unwrap();
        let mut guard = Guard::open(history, model, policy).unwrap().0;
        let evict = [observed("web", EVICT)];
        stopped(&mut guard, &[joined("web", None)], 0.0, policy);
        stopped(&mut guard, &evict, 120.0, policy);
        stopped(&mut guard, &evict, 240.0, policy).0
    };
    let stretched = super::super::config::Source::open(None, 120).unwrap();
    assert_eq!(stops_with("stretched", &stretched.config.policy), ["web"]);
    assert!(stops_with("as-is", &Policy::default()).is_empty());
}

#[test]
fn of_two_replicas_that_leak_one_is_stopped_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, bounds());
    let policy = Policy {
        max_concurrent: 9,
        findings_needed: 1,
        ..Policy::default()
    };
    assert_eq!(policy.min_healthy, MinHealthy::Percent(50));
    let both = ["web-1/main", "web-2/main"];
    let join = both.map(|name| joined(name, Some("web/main")));
    stopped(&mut guard, &join, 0.0, &policy);
    let evict = both.map(|name| observed(name, EVICT));
    assert_eq!(stopped(&mut guard, &evict, 1.0, &policy).0, ["web-1/main"]);
    assert!(stopped(&mut guard, &evict, 2.0, &policy).0.is_empty());
    // The first ended and runs again: now the other may go.
    let again = [
        Event::Exited {
            workload: both[0].to_owned(),
            attempt: Some(Attempt(0)),
        },
        Event::Restarted {
            workload: both[0].to_owned(),
            attempt: None,
        },
        evict[1].clone(),
    ];
    assert_eq!(stopped(&mut guard, &again, 3.0, &policy).0, ["web-2/main"]);
}

#[test]
fn a_successor_of_the_same_name_gets_nothing_that_was_meant_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut guard = guard(&folder, bounds());
    let policy = Policy {
        kill_after_grace: true,
        findings_needed: 1,
        ..Policy::default()
    };
    let process = |began, t_s| {
        let mut sight = seen("web", t_s, 1 << 20);
        sight.subjects[0].handle = Handle::Process { pid: 7, began };
        sight
    };
    let kills = |guard: &mut Guard, sight: Sight, now_s: f64| {
        let mut events = see(guard, sight, now_s);
        events.push(Event::Tick);
        let actions = guard.decide(&events, now_s, &policy, &mut Vec::new());
        let kills = |action: &Action| matches!(action, Action::Kill { .. });
        actions.iter().any(kills)
    };
    let stop = |guard: &mut Guard| {
        assert!(!kills(guard, process(1, 1.0), 1.0));
        let evict = [observed("web", EVICT)];
        assert_eq!(stopped(guard, &evict, 2.0, &policy).0, ["web"]);
        let confirmed = Event::StopConfirmed {
            workload: "web".to_owned(),
            attempt: Attempt(0),
        };
        stopped(guard, &[confirmed], 3.0, &policy);
    };
    stop(&mut guard);
    let after_grace_s = 4.0 + policy.grace_s as f64;
    assert!(!kills(&mut guard, process(2, after_grace_s), after_grace_s));
    assert_eq!(guard.fleet.workloads["web"].phase, Phase::Healthy);
    assert!(guard.fleet.workloads["web"].cooldown_until_s.is_some());

    // The same one that does not end is killed.
    let folder = tempfile::tempdir().unwrap();
    let mut guard = super::tests::guard(&folder, bounds());
    stop(&mut guard);
    assert!(kills(&mut guard, process(1, after_grace_s), after_grace_s));
}

#[test]
fn what_was_decided_under_another_policy_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let before = Policy {
        findings_needed: 9,
        ..Policy::default()
    };
    let mut guard = guard(&folder, bounds());
    stopped(&mut guard, &[joined("web", None)], 0.0, &before);
    for now_s in 1..=5 {
        let evict = [observed("web", EVICT)];
        stopped(&mut guard, &evict, f64::from(now_s), &before);
    }
    guard.write().unwrap();
    assert!(guard.fleet.flaw(&Policy::default()).is_some());
    drop(guard);
    let guard = super::tests::guard(&folder, bounds());
    let evidence = guard.fleet.workloads["web"].evidence.unwrap();
    assert_eq!(evidence.count, Policy::default().findings_needed);
}
