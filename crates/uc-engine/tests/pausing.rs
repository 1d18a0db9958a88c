//! Workloads that are paused, on a scripted driver: what is held, what waits, and what goes on.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::{path::PathBuf, time::Duration};

use support::{Host, workload};
use uc_engine::{Outcome, Record, Status, StopLevel, owner};
use uc_model::{
    Problem, ProblemKind, Result,
    workload::{Probe, ProbeAction, RestartPolicy, Workload},
};
use uc_sandbox::ExitReason;
use uc_testkit::fake::Script;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Many times what the probes of these tests wait.
const A_WHILE: Duration = Duration::from_millis(300);

/// The only workload, as its record tells of it. (Its lock must not be asked for in the owner's own process.)
fn status(host: &Host) -> Option<Status> {
    let directory: PathBuf = std::fs::read_dir(host.home().workloads())
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("record.json").exists())?;
    let text = std::fs::read(directory.join("record.json")).ok()?;
    let record: Record = serde_json::from_slice(&text).ok()?;
    Some(Status {
        record,
        alive: true,
        directory,
    })
}

async fn until_it_is(host: &Host, word: &str) -> Status {
    loop {
        if let Some(status) = status(host).filter(|status| status.word() == word) {
            return status;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn until_called(host: &Host, call: &str) {
    while !host.calls().iter().any(|made| made == call) {
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(host: &Host, what: fn(&Status) -> Result<()>) -> Result<()> {
    let status = status(host).expect("there");
    let asked = tokio::task::spawn_blocking(move || what(&status));
    asked.await.expect("answered")
}

/// Runs a workload, and a story with it that ends before it is stopped.
async fn tell(host: &Host, workload: Workload, story: impl Future<Output = ()>) -> Outcome {
    let story = async {
        until_it_is(host, "running").await;
        story.await;
        host.stopper.ask(StopLevel::Graceful);
    };
    let (outcome, ()) = tokio::join!(host.run(workload), story);
    outcome.expect("ran")
}

fn host() -> Host {
    let mut host = Host::new();
    host.detached = true;
    host
}

#[tokio::test]
async fn all_containers_are_held_and_let_go() {
    let host = host();
    host.driver.script("web", Script::runs_for_ever());
    host.driver.script("log", Script::runs_for_ever());
    let outcome = tell(&host, workload(&[], &["web", "log"]), async {
        ask(&host, owner::resume)
            .await
            .expect_err("it is not paused");
        ask(&host, owner::pause).await.expect("paused");
        until_it_is(&host, "paused").await;
        let again = ask(&host, owner::pause).await.expect_err("it is paused");
        assert_eq!(again.kind(), ProblemKind::Invalid);
        let status = status(&host).expect("there");
        let stats = tokio::task::spawn_blocking(move || owner::stats(&status));
        assert_eq!(stats.await.expect("answered").expect("stats").len(), 2);
        ask(&host, owner::resume).await.expect("resumed");
        until_it_is(&host, "running").await;
    })
    .await;
    assert_eq!(outcome.exit_code, 137);
    let calls = host.calls();
    let of = |verb: &str| -> Vec<String> {
        let calls = calls.iter().filter(|call| call.starts_with(verb));
        calls.cloned().collect()
    };
    assert_eq!(of("pause"), ["pause web", "pause log"]);
    assert_eq!(of("resume"), ["resume web", "resume log"]);
}

#[tokio::test]
async fn where_one_cannot_be_held_none_is() {
    let host = host();
    host.driver.script("web", Script::runs_for_ever());
    host.driver.script("log", Script::runs_for_ever());
    host.driver.fail_pause_of("log");
    tell(&host, workload(&[], &["web", "log"]), async {
        let problem: Problem = ask(&host, owner::pause).await.expect_err("refused");
        assert_eq!(problem.kind(), ProblemKind::Refused);
        assert!(problem.to_string().contains("log"), "{problem}");
        assert_eq!(status(&host).expect("there").word(), "running");
    })
    .await;
    let calls = host.calls();
    let resumed: Vec<_> = calls
        .iter()
        .filter(|call| call.starts_with("resume"))
        .collect();
    // The one that failed as well: it may be held nevertheless.
    assert_eq!(resumed, ["resume web", "resume log"]);
}

#[tokio::test]
async fn probes_of_a_paused_workload_do_not_count() {
    let host = host();
    host.driver.script("main", Script::runs_for_ever());
    let mut workload = workload(&[], &["main"]);
    workload.containers[0].liveness_probe = Some(Probe {
        action: ProbeAction::Exec {
            command: vec!["check".into()],
        },
        initial_delay: Duration::ZERO,
        period: Duration::from_millis(5),
        timeout: Duration::from_secs(1),
        success_threshold: 1,
        failure_threshold: 1,
    });
    let checks = || {
        let calls = host.calls();
        calls
            .iter()
            .filter(|call| *call == "exec main check")
            .count()
    };
    let outcome = tell(&host, workload, async {
        until_called(&host, "exec main check").await;
        ask(&host, owner::pause).await.expect("paused");
        let before = checks();
        // The scripted driver fails what is executed in a paused container.
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(checks(), before, "it is probed");
        ask(&host, owner::resume).await.expect("resumed");
        while checks() < before + 3 {
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
    let main = &outcome.containers["main"];
    assert_eq!(main.restarts, 0);
    let last = main.last_exit.as_ref().expect("ended");
    assert_eq!(last.reason, ExitReason::Stopped);
}

#[tokio::test]
async fn nothing_is_restarted_until_the_workload_is_resumed() {
    let host = host();
    host.driver.script("main", Script::exits(1));
    host.driver.script("main-r1", Script::runs_for_ever());
    let workload = Workload {
        restart_policy: Some(RestartPolicy::Always),
        ..workload(&[], &["main"])
    };
    let outcome = tell(&host, workload, async {
        until_called(&host, "remove main").await;
        ask(&host, owner::pause).await.expect("paused");
        // The first wait before a restart is a second.
        tokio::time::sleep(Duration::from_secs(1) + A_WHILE).await;
        assert!(!host.calls().contains(&"create main-r1".to_owned()));
        ask(&host, owner::resume).await.expect("resumed");
        until_called(&host, "start main-r1").await;
        ask(&host, owner::pause).await.expect("paused");
        until_called(&host, "pause main-r1").await;
        ask(&host, owner::resume).await.expect("resumed");
    })
    .await;
    assert_eq!(outcome.containers["main"].restarts, 1);
}

#[tokio::test]
async fn a_paused_workload_is_stopped_like_any_other() {
    let host = host();
    host.driver.script("main", Script::runs_for_ever());
    host.driver.script("crashed", Script::exits(1));
    let workload = Workload {
        restart_policy: Some(RestartPolicy::Always),
        ..workload(&[], &["main", "crashed"])
    };
    let outcome = tell(&host, workload, async {
        until_called(&host, "remove crashed").await;
        ask(&host, owner::pause).await.expect("paused");
    })
    .await;
    assert_eq!(outcome.exit_code, 137);
    assert!(!host.calls().contains(&"create crashed-r1".to_owned()));
    assert_eq!(status(&host).expect("there").word(), "exited");
}
