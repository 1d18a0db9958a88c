//! The life of workloads on a scripted driver: order, restarts, probes, deadlines, and what is left afterwards.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::time::Duration;

use support::{Host, workload};
use uc_engine::StopLevel;
use uc_model::{
    ProblemKind,
    workload::{Probe, ProbeAction, RestartPolicy, Workload},
};
use uc_sandbox::{Exit, ExitReason};
use uc_testkit::fake::Script;

#[tokio::test(start_paused = true)]
async fn init_containers_run_one_by_one_before_the_others_start_together() {
    let host = Host::new();
    host.driver.script(
        "one",
        Script {
            runs_for: Some(Duration::from_secs(3)),
            ..Script::default()
        },
    );
    let outcome = host
        .run(workload(&["first", "second"], &["one", "two"]))
        .await
        .expect("ran");
    assert_eq!(outcome.exit_code, 0);
    let expected = [
        "create first",
        "start first",
        "remove first",
        "create second",
        "start second",
        "remove second",
        "create one",
        "create two",
        "start one",
        "start two",
        "remove two",
        "remove one",
    ];
    assert_eq!(host.calls(), expected);
    assert_eq!(host.leftovers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_init_container_ends_the_workload() {
    let host = Host::new();
    host.driver.script("first", Script::exits(9));
    let outcome = host
        .run(workload(&["first"], &["main"]))
        .await
        .expect("ran");
    assert_eq!(outcome.exit_code, 9);
    assert!(
        outcome
            .message
            .expect("says why")
            .contains("init container first")
    );
    assert!(!host.calls().contains(&"create main".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn failures_are_restarted_with_growing_pauses_until_success() {
    let host = Host::new();
    for name in ["main", "main-r1"] {
        host.driver.script(name, Script::exits(1));
    }
    let begun = tokio::time::Instant::now();
    let workload = Workload {
        restart_policy: Some(RestartPolicy::OnFailure),
        ..workload(&[], &["main"])
    };
    let outcome = host.run(workload).await.expect("ran");
    assert_eq!(
        (outcome.exit_code, outcome.containers["main"].restarts),
        (0, 2)
    );
    let pauses = begun.elapsed();
    assert!(
        pauses >= Duration::from_secs(3) && pauses < Duration::from_secs(4),
        "{pauses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_liveness_probe_that_keeps_failing_restarts_the_container() {
    let host = Host::new();
    host.driver.script("main", Script::runs_for_ever());
    for _ in 0..3 {
        host.driver.script_exec(Exit::with_code(1));
    }
    let mut workload = Workload {
        restart_policy: Some(RestartPolicy::OnFailure),
        ..workload(&[], &["main"])
    };
    workload.containers[0].liveness_probe = Some(Probe {
        action: ProbeAction::Exec {
            command: vec!["check".into()],
        },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 3,
    });
    let outcome = host.run(workload).await.expect("ran");
    assert_eq!(
        (outcome.exit_code, outcome.containers["main"].restarts),
        (0, 1)
    );
    assert_eq!(
        host.calls()
            .iter()
            .filter(|call| *call == "exec main check")
            .count(),
        3
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_stops_everything_with_124() {
    let host = Host::new();
    host.driver.script("main", Script::runs_for_ever());
    let workload = Workload {
        active_deadline: Some(Duration::from_secs(7)),
        ..workload(&[], &["main"])
    };
    let outcome = host.run(workload).await.expect("ran");
    assert_eq!(outcome.exit_code, 124);
    assert_eq!(
        outcome.containers["main"]
            .last_exit
            .as_ref()
            .expect("ended")
            .reason,
        ExitReason::Stopped
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_even_what_is_always_restarted() {
    let mut host = Host::new();
    host.detached = true;
    host.driver.script(
        "main",
        Script {
            stops_after: Duration::from_secs(60),
            ..Script::runs_for_ever()
        },
    );
    let stopper = host.stopper.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        stopper.ask(StopLevel::Graceful);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stopper.ask(StopLevel::Now);
    });
    let begun = tokio::time::Instant::now();
    let outcome = host.run(workload(&[], &["main"])).await.expect("ran");
    assert_eq!(outcome.exit_code, 137);
    assert!(
        begun.elapsed() < Duration::from_secs(103),
        "the second request cuts the grace short"
    );
    // A detached workload's record stays until it is removed.
    assert_eq!(host.leftovers(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_before_the_start_leaves_nothing() {
    let host = Host::new();
    host.driver.fail_next_prepare(ProblemKind::Host);
    assert_eq!(
        host.run(workload(&[], &["main"]))
            .await
            .expect_err("fails")
            .kind(),
        ProblemKind::Host
    );
    host.driver.script(
        "two",
        Script {
            create_fails: Some(ProblemKind::Refused),
            ..Script::default()
        },
    );
    let problem = host
        .run(workload(&[], &["one", "two"]))
        .await
        .expect_err("fails");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(
        !host.calls().contains(&"start one".to_owned()),
        "nothing starts unless all can"
    );
    assert_eq!(host.leftovers(), 0);
}
