//! Cases of pausing and resuming. Each doc comment is the sentence of the contract that the case checks.

use std::{sync::atomic::Ordering, time::Duration};

use uc_model::Problem;
use uc_sandbox::{
    DestroyRequest, ExecRequest, ExitReason, PauseRequest, ResumeRequest, StatsRequest,
};

use super::{
    Task,
    bench::{Bench, Lines, Prepared},
};

/// Longer than a running program of these cases takes for a line.
const SILENCE: Duration = Duration::from_millis(400);

/// How many times what was on its way when a program was paused may still arrive.
const STRAGGLERS_MAX: u32 = 5;

/// A program that computes does nothing while it is paused, and goes on where it was, as often as it is asked to.
pub async fn pause_holds_a_busy_program(bench: &Bench) {
    holds(bench, Task::Count).await;
}

/// A program that waits for a clock, and makes other processes where it can, does nothing while it is paused.
pub async fn pause_holds_a_program_that_waits(bench: &Bench) {
    holds(bench, Task::Tick).await;
}

async fn holds(bench: &Bench, task: Task) {
    let prepared = bench.prepare().await;
    let lines = prepared.start("main", bench.plan(task)).await.count();
    for _ in 0..2 {
        goes_on(&lines).await;
        pause(&prepared, "main").await.expect("paused");
        stands_still(&lines).await;
        resume(&prepared, "main").await.expect("resumed");
    }
    goes_on(&lines).await;
    assert_eq!(prepared.stop("main").await.reason, ExitReason::Stopped);
    prepared.destroy().await;
}

/// A paused container is alone in that.
pub async fn pause_spares_the_other_containers(bench: &Bench) {
    let prepared = bench.prepare_for_several().await;
    let paused = prepared.start("paused", bench.plan(Task::Count)).await;
    let paused = paused.count();
    let other = prepared
        .start("other", bench.plan(Task::Tick))
        .await
        .count();
    goes_on(&paused).await;
    if let Err(problem) = pause(&prepared, "paused").await {
        // One that can only hold all says so, and holds none.
        assert_eq!(problem.kind(), uc_model::ProblemKind::Refused, "{problem}");
        assert!(problem.remedy_text().is_some(), "{problem}");
        goes_on(&paused).await;
    } else {
        stands_still(&paused).await;
    }
    goes_on(&other).await;
    prepared.destroy().await;
}

/// Containers are held together, whatever the sandbox can do with a single one of them, and go on together.
pub async fn pause_all_holds_the_containers_of_a_sandbox(bench: &Bench) {
    let prepared = bench.prepare_for_several().await;
    let first = prepared
        .start("first", bench.plan(Task::Count))
        .await
        .count();
    let second = prepared
        .start("second", bench.plan(Task::Tick))
        .await
        .count();
    let both = || vec!["first".to_owned(), "second".to_owned()];
    for _ in 0..2 {
        goes_on(&first).await;
        goes_on(&second).await;
        prepared.sandbox.pause_all(both()).await.expect("paused");
        stands_still(&first).await;
        stands_still(&second).await;
        prepared.sandbox.resume_all(both()).await.expect("resumed");
    }
    // All or none.
    let unknown = vec!["first".to_owned(), "nobody".to_owned()];
    prepared
        .sandbox
        .pause_all(unknown)
        .await
        .expect_err("unknown");
    goes_on(&first).await;
    goes_on(&second).await;
    prepared.destroy().await;
}

/// A container that does not run cannot be paused, one that is paused cannot be paused again, and one that is not cannot be
/// resumed.
pub async fn what_is_paused_twice_or_does_not_run_is_a_problem(bench: &Bench) {
    let prepared = bench.prepare().await;
    pause(&prepared, "nobody").await.expect_err("unknown");
    resume(&prepared, "nobody").await.expect_err("unknown");
    let created = prepared.create("main", bench.plan(Task::Sleep)).await;
    let mut running = created.expect("created");
    pause(&prepared, "main").await.expect_err("not started");
    prepared.start_created("main").await.expect("started");
    assert_eq!(running.line().await, "ready\n");
    resume(&prepared, "main").await.expect_err("not paused");
    pause(&prepared, "main").await.expect("paused");
    pause(&prepared, "main").await.expect_err("paused already");
    resume(&prepared, "main").await.expect("resumed");
    resume(&prepared, "main")
        .await
        .expect_err("resumed already");
    prepared.stop("main").await;
    pause(&prepared, "main").await.expect_err("it has ended");
    resume(&prepared, "main").await.expect_err("it has ended");
    running.finish();
    prepared.destroy().await;
}

/// What a paused container uses is known; no other program is run in it.
pub async fn stats_are_had_and_nothing_is_executed_while_it_is_paused(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut running = prepared.start("main", bench.plan(Task::Sleep)).await;
    assert_eq!(running.line().await, "ready\n");
    pause(&prepared, "main").await.expect("paused");
    let container = "main".to_owned();
    let stats = prepared.sandbox.stats(StatsRequest { container }).await;
    let stats = stats.expect("stats");
    assert!(
        stats.memory_bytes.is_some_and(|bytes| bytes > 0),
        "{stats:?}"
    );
    let exec = ExecRequest {
        container: "main".into(),
        command: vec!["true".into()],
        timeout: Duration::from_secs(60),
        stdio: None,
    };
    prepared.sandbox.exec(exec).await.expect_err("it is paused");
    prepared.stop("main").await;
    running.finish();
    prepared.destroy().await;
}

/// A paused program is asked to end, and ended, like any other.
pub async fn stop_ends_a_paused_program(bench: &Bench) {
    for task in [Task::Spin, Task::Sleep] {
        let prepared = bench.prepare().await;
        let mut running = prepared.start("main", bench.plan(task)).await;
        assert_eq!(running.line().await, "ready\n");
        pause(&prepared, "main").await.expect("paused");
        let exit = prepared.stop("main").await;
        assert_eq!(exit.reason, ExitReason::Stopped);
        assert_eq!(prepared.wait("main").await, exit);
        running.finish();
        prepared.remove("main").await.expect("removed");
        prepared.destroy().await;
    }
}

/// A paused container is destroyed like any other, and ends with a sandbox that is dropped.
pub async fn a_paused_container_can_be_destroyed_or_dropped(bench: &Bench) {
    for is_dropped in [false, true] {
        let prepared = bench.prepare().await;
        let mut running = prepared.start("main", bench.plan(Task::Sleep)).await;
        assert_eq!(running.line().await, "ready\n");
        pause(&prepared, "main").await.expect("paused");
        if is_dropped {
            drop(prepared);
        } else {
            let destroyed = prepared.sandbox.destroy(DestroyRequest {}).await;
            destroyed.expect("destroyed");
            prepared.destroy().await;
        }
        // The program holds its output open for as long as it lives.
        running.finish();
    }
}

async fn pause(prepared: &Prepared, container: &str) -> Result<(), Problem> {
    let container = container.to_owned();
    prepared.sandbox.pause(PauseRequest { container }).await
}

async fn resume(prepared: &Prepared, container: &str) -> Result<(), Problem> {
    let container = container.to_owned();
    prepared.sandbox.resume(ResumeRequest { container }).await
}

/// Waits for further lines.
async fn goes_on(lines: &Lines) {
    let before = lines.load(Ordering::Relaxed);
    while lines.load(Ordering::Relaxed) <= before + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Checks that no line comes any more, once those have arrived that were on their way.
async fn stands_still(lines: &Lines) {
    for _ in 0..STRAGGLERS_MAX {
        let before = lines.load(Ordering::Relaxed);
        tokio::time::sleep(SILENCE).await;
        if lines.load(Ordering::Relaxed) == before {
            return;
        }
    }
    panic!("it goes on although it is paused");
}
