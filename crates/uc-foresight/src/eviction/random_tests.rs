//! Any events in any order at any times, nonsense too: nothing panics, the state stays sound and survives being written down.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn workload() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "protected", "foreign", "unknown", ""])
        .prop_map(str::to_owned)
}

fn attempt() -> impl Strategy<Value = Attempt> {
    prop_oneof![9 => 0..12_u64, 1 => any::<u64>()].prop_map(Attempt)
}

fn finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        1 => Just(Finding::Unknown),
        1 => Just(Finding::Healthy),
        1 => Just(Finding::Suspect),
        1 => Just(Finding::Warn),
        6 => any::<u64>().prop_map(|seconds_to_limit| Finding::Evict { seconds_to_limit }),
    ]
}

fn found() -> impl Strategy<Value = Found> {
    prop::sample::select(vec![
        Found::Gone,
        Found::Signalled,
        Found::NotSignalled,
        Found::Running,
    ])
}

fn event() -> impl Strategy<Value = Event> {
    let about = || (workload(), attempt());
    let perhaps = || (workload(), prop::option::of(attempt()));
    prop_oneof![
        8 => Just(Event::Tick),
        6 => (workload(), finding()).prop_map(|(workload, finding)| Event::Observed { workload, finding }),
        2 => (workload(), any::<bool>()).prop_map(|(workload, grouped)| Event::Joined {
            protected: workload == "protected",
            owned: workload != "foreign",
            group: grouped.then(|| "replicas".to_owned()),
            workload,
        }),
        1 => workload().prop_map(|workload| Event::Vanished { workload }),
        1 => workload().prop_map(|workload| Event::Unread { workload }),
        2 => about().prop_map(|(workload, attempt)| Event::StopConfirmed { workload, attempt }),
        1 => about().prop_map(|(workload, attempt)| Event::StopFailed { workload, attempt }),
        3 => perhaps().prop_map(|(workload, attempt)| Event::Exited { workload, attempt }),
        3 => perhaps().prop_map(|(workload, attempt)| Event::Restarted { workload, attempt }),
        1 => about().prop_map(|(workload, attempt)| Event::RestartFailed { workload, attempt }),
        2 => (about(), found()).prop_map(|((workload, attempt), found)| {
            Event::Inspected { workload, attempt, found }
        }),
        1 => Just(Event::Recovered),
        1 => Just(Event::PolicyChanged),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let numbers = (1..4_u32, 0..4_u32, 0..3_u32, 0..4_u32);
    let durations = (1..40_u64, 0..20_u64, 0..20_u64, 0..30_u64);
    (numbers, durations, any::<bool>(), 0..=100_u8).prop_map(
        |(
            (findings_needed, fleet, own, concurrent),
            (window_s, cooldown_s, grace_s, wait_s),
            kill,
            share,
        )| Policy {
            findings_needed,
            fleet_evictions: fleet,
            workload_evictions: own,
            max_concurrent: concurrent,
            window_s,
            cooldown_s,
            grace_s,
            max_restart_wait_s: wait_s,
            kill_after_grace: kill,
            min_healthy: MinHealthy::Percent(share),
            ..Policy::default()
        },
    )
}

/// A time that mostly goes on, and sometimes jumps.
fn times() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..8_u64, 1 => any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_events_lead_out_of_bounds(
        policy in policy(),
        events in prop::collection::vec((event(), times()), 0..120),
    ) {
        let mut fleet = Fleet::default();
        let mut now_s = 1_000_u64;
        let mut stopped = BTreeSet::new();
        for (event, time) in events {
            // A large number is a moment, a small one a distance.
            now_s = if time < 8 { now_s.saturating_add(time) } else { time % 4_000 };
            let unread = |workload: &String| fleet.workloads.get(workload).is_some_and(|known| known.unread);
            let unread: BTreeSet<String> = fleet.workloads.keys().filter(|name| unread(name)).cloned().collect();
            let actions = step(&mut fleet, &event, now_s, &policy);
            prop_assert_eq!(fleet.flaw(&policy), None);
            prop_assert!(fleet.evictions.len() <= policy.fleet_evictions as usize);
            for action in &actions {
                match action {
                    Action::Stop { workload, attempt, .. } => {
                        prop_assert_eq!(&event, &Event::Tick);
                        prop_assert!(workload != "protected" && workload != "foreign");
                        prop_assert!(!unread.contains(workload));
                        prop_assert!(stopped.insert(*attempt), "{:?} twice", attempt);
                        prop_assert!(fleet.under_way() <= policy.max_concurrent as usize);
                    }
                    Action::Kill { workload, attempt } => {
                        prop_assert!(policy.kill_after_grace && stopped.contains(attempt));
                        prop_assert!(!unread.contains(workload));
                        prop_assert!(workload != "protected" && workload != "foreign");
                    }
                    _ => {}
                }
            }
            let text = serde_json::to_string(&(&fleet, &event, &actions)).unwrap();
            let read: (Fleet, Event, Vec<Action>) = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read, (fleet.clone(), event, actions));
        }
    }

    #[test]
    fn the_same_events_lead_to_the_same_actions_wherever_the_clock_begins(
        policy in policy(),
        events in prop::collection::vec((event(), 0..8_u64), 0..60),
        begin_s in 0..1_000_000_000_u64,
    ) {
        let (mut here, mut there) = (Fleet::default(), Fleet::default());
        let mut passed_s = 0;
        for (event, seconds) in events {
            passed_s += seconds;
            let actions = step(&mut here, &event, passed_s, &policy);
            prop_assert_eq!(actions, step(&mut there, &event, begin_s + passed_s, &policy));
        }
    }
}
