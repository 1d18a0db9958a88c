//! The cases. Each doc comment is the sentence of the contract that the case checks.

use std::time::{Duration, Instant};

use uc_model::{Bytes, ProblemKind};
use uc_sandbox::{
    DestroyRequest, ExitReason, StartRequest, Stats, StatsRequest, StopRequest, WaitRequest,
};

use super::{
    Task,
    bench::{Bench, Prepared},
};

/// A program on an idle host ends faster than this after a stop; busy test machines take their share.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Arguments arrive as given, and what the program writes is read.
pub async fn arguments_arrive_and_output_is_read(bench: &Bench) {
    let plan = bench.plan(Task::Arguments(&["hello", "two words", "", "größe"]));
    let (exit, stdout, stderr) = bench.run(plan).await;
    assert_eq!(exit.code, 0, "{exit:?}");
    assert_eq!(exit.reason, ExitReason::Exited);
    assert_eq!(stdout, "hello\ntwo words\n\ngröße\n");
    assert_eq!(stderr, "");
}

/// The environment is what the request says, with what this driver always gives, and nothing else.
pub async fn environment_is_exact(bench: &Bench) {
    let mut plan = bench.plan(Task::Environment);
    plan.env = vec![
        ("ZEBRA".into(), "1".into()),
        ("APPLE".into(), "a=b c".into()),
        ("EMPTY".into(), String::new()),
    ];
    let (exit, stdout, _) = bench.run(plan).await;
    assert_eq!(exit.code, 0, "{exit:?}");
    let mut variables: Vec<&str> = stdout.lines().collect();
    variables.retain(|variable| !bench.adds().contains(variable));
    variables.sort_unstable();
    assert_eq!(variables, ["APPLE=a=b c", "EMPTY=", "ZEBRA=1"]);
}

/// Standard output and standard error are two streams.
pub async fn output_and_error_are_separate(bench: &Bench) {
    let (exit, stdout, stderr) = bench.run(bench.plan(Task::Streams)).await;
    assert_eq!(exit.code, 0, "{exit:?}");
    assert_eq!(stdout, "out\n");
    assert_eq!(stderr, "err\n");
}

/// The exit code is the program's own, whatever it is.
pub async fn exit_codes_are_the_programs_own(bench: &Bench) {
    for code in [0, 1, 42, 126, 255] {
        let (exit, _, _) = bench.run(bench.plan(Task::Exit(code))).await;
        assert_eq!(exit.code, code);
        assert_eq!(exit.reason, ExitReason::Exited);
    }
}

/// Input arrives whole, more of it than a pipe holds, and its end is seen.
pub async fn stdin_is_copied_to_its_end(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut plan = bench.plan(Task::Echo);
    plan.stdin = true;
    let mut running = prepared.start("main", plan).await;
    let text = "0123456789abcde\n".repeat(20_000);
    let mut stdin = running.stdin.take().expect("the plan has input");
    let sent = text.clone();
    let writer = std::thread::spawn(move || {
        std::io::Write::write_all(&mut stdin, sent.as_bytes()).expect("sent");
    });
    let reader = running.collect();
    let exit = prepared.wait("main").await;
    writer.join().expect("the writer ends");
    assert_eq!(exit.code, 0, "{exit:?}");
    assert!(
        reader.join().expect("the reader ends") == text,
        "input and output differ"
    );
    prepared.destroy().await;
}

/// Without input the program reads the end of file at once.
pub async fn no_stdin_is_the_end_of_file(bench: &Bench) {
    let (exit, stdout, _) = bench.run(bench.plan(Task::Echo)).await;
    assert_eq!(exit.code, 0, "{exit:?}");
    assert_eq!(stdout, "");
}

/// `create` runs no instruction of the program.
pub async fn create_does_not_run_the_program(bench: &Bench) {
    let data = world_writable();
    let prepared = bench.prepare().await;
    let plan = bench.plan(Task::WriteMount).with_data(data.path(), false);
    let running = prepared.create("main", plan).await.expect("created");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        !data.path().join("out").exists(),
        "the program ran before its start"
    );
    prepared.start_created("main").await.expect("started");
    assert_eq!(prepared.wait("main").await.code, 0);
    assert_eq!(data.path().join("out").exists(), bench.writes_reach_host());
    running.finish();
    prepared.destroy().await;
}

/// A second `wait` answers the same at once.
pub async fn wait_answers_twice(bench: &Bench) {
    let prepared = bench.prepare().await;
    let _running = prepared.start("main", bench.plan(Task::Exit(7))).await;
    let first = prepared.wait("main").await;
    assert_eq!(first.code, 7);
    assert_eq!(prepared.wait("main").await, first);
    prepared.destroy().await;
}

/// A container that was stopped before its start has ended and cannot be started.
pub async fn stop_before_start_ends_it(bench: &Bench) {
    let prepared = bench.prepare().await;
    let running = prepared
        .create("main", bench.plan(Task::Streams))
        .await
        .expect("created");
    let exit = prepared.stop("main").await;
    assert_eq!(exit.reason, ExitReason::Stopped);
    assert_eq!(prepared.wait("main").await, exit);
    prepared
        .start_created("main")
        .await
        .expect_err("it has ended");
    let (stdout, _) = running.finish();
    assert_eq!(stdout, "", "the program ran");
    prepared.destroy().await;
}

/// A program that never waits is ended.
pub async fn stop_ends_a_busy_program(bench: &Bench) {
    stop_ends(bench, Task::Spin).await;
}

/// A program that waits for a clock is ended.
pub async fn stop_ends_a_sleeping_program(bench: &Bench) {
    stop_ends(bench, Task::Sleep).await;
}

async fn stop_ends(bench: &Bench, task: Task) {
    let prepared = bench.prepare().await;
    let mut running = prepared.start("main", bench.plan(task)).await;
    assert_eq!(running.line().await, "ready\n");
    check_stop(&prepared).await;
    running.finish();
    prepared.destroy().await;
}

async fn check_stop(prepared: &Prepared) {
    let before = Instant::now();
    let exit = prepared.stop("main").await;
    assert_eq!(exit.reason, ExitReason::Stopped);
    assert_ne!(exit.code, 0, "a stopped program has not succeeded");
    assert!(before.elapsed() < STOP_MAX, "took {:?}", before.elapsed());
    assert_eq!(prepared.wait("main").await, exit);
}

/// A program that waits for input that never comes is ended.
pub async fn stop_ends_a_program_that_waits_for_input(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut plan = bench.plan(Task::Echo);
    plan.stdin = true;
    let mut running = prepared.start("main", plan).await;
    running.send(b"x\n");
    assert_eq!(running.line().await, "x\n");
    check_stop(&prepared).await;
    running.finish();
    prepared.destroy().await;
}

/// A program whose output nobody reads is ended.
pub async fn stop_ends_a_program_that_nobody_reads(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut plan = bench.plan(Task::Echo);
    plan.stdin = true;
    let mut running = prepared.start("main", plan).await;
    let mut stdin = running.stdin.take().expect("the plan has input");
    // More than both pipes hold: the program is left with a full output.
    let writer = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut stdin, &vec![b'x'; 1 << 20]);
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    check_stop(&prepared).await;
    running.finish();
    writer.join().expect("the writer ends with the program");
    prepared.destroy().await;
}

/// A second `stop` answers the same.
pub async fn stop_twice_answers_the_same(bench: &Bench) {
    let prepared = bench.prepare().await;
    let _running = prepared.start("main", bench.plan(Task::Sleep)).await;
    let first = prepared.stop("main").await;
    assert_eq!(prepared.stop("main").await, first);
    prepared.destroy().await;
}

/// `stop` after the exit changes nothing.
pub async fn stop_after_the_exit_answers_the_exit(bench: &Bench) {
    let prepared = bench.prepare().await;
    let _running = prepared.start("main", bench.plan(Task::Exit(3))).await;
    let exit = prepared.wait("main").await;
    assert_eq!(prepared.stop("main").await, exit);
    assert_eq!(exit.code, 3);
    prepared.destroy().await;
}

/// A container is started once.
pub async fn start_twice_is_refused(bench: &Bench) {
    let prepared = bench.prepare().await;
    let _running = prepared.start("main", bench.plan(Task::Sleep)).await;
    prepared
        .start_created("main")
        .await
        .expect_err("it runs already");
    prepared.stop("main").await;
    prepared
        .start_created("main")
        .await
        .expect_err("it has ended");
    prepared.destroy().await;
}

/// Containers of one sandbox run side by side and end on their own.
pub async fn two_containers_share_a_sandbox(bench: &Bench) {
    let prepared = bench.prepare_for_several().await;
    let mut first = prepared.start("first", bench.plan(Task::Spin)).await;
    let second = prepared.start("second", bench.plan(Task::Exit(9))).await;
    assert_eq!(first.line().await, "ready\n");
    assert_eq!(prepared.wait("second").await.code, 9);
    assert_eq!(prepared.stop("first").await.reason, ExitReason::Stopped);
    first.finish();
    second.finish();
    prepared.destroy().await;
}

/// Every call that names an unknown container is a problem.
pub async fn unknown_containers_are_problems(bench: &Bench) {
    let prepared = bench.prepare().await;
    let container = || "nobody".to_owned();
    let sandbox = &prepared.sandbox;
    sandbox
        .start(StartRequest {
            container: container(),
        })
        .await
        .expect_err("start");
    sandbox
        .wait(WaitRequest {
            container: container(),
        })
        .await
        .expect_err("wait");
    sandbox
        .stats(StatsRequest {
            container: container(),
        })
        .await
        .expect_err("stats");
    let grace = Duration::ZERO;
    sandbox
        .stop(StopRequest {
            container: container(),
            grace,
            signal: rustix::process::Signal::TERM.as_raw(),
        })
        .await
        .expect_err("stop");
    prepared.destroy().await;
}

/// A name is used once in a sandbox; the first container of that name is not disturbed.
pub async fn a_name_is_given_once(bench: &Bench) {
    let prepared = bench.prepare().await;
    let running = prepared
        .create("main", bench.plan(Task::Exit(4)))
        .await
        .expect("created");
    assert!(
        prepared
            .create("main", bench.plan(Task::Exit(5)))
            .await
            .is_err(),
        "the name is taken"
    );
    prepared.start_created("main").await.expect("started");
    assert_eq!(prepared.wait("main").await.code, 4);
    running.finish();
    prepared.destroy().await;
}

/// A container that has ended can be removed, and its name is free again; one that runs cannot.
pub async fn removing_an_ended_container_frees_its_name(bench: &Bench) {
    let prepared = bench.prepare().await;
    let running = prepared.start("main", bench.plan(Task::Sleep)).await;
    assert!(prepared.remove("main").await.is_err(), "it runs");
    prepared.stop("main").await;
    running.finish();
    prepared.remove("main").await.expect("removed");
    assert!(prepared.remove("main").await.is_err(), "it is gone");
    let running = prepared.start("main", bench.plan(Task::Exit(4))).await;
    assert_eq!(prepared.wait("main").await.code, 4);
    running.finish();
    prepared.destroy().await;
}

/// A program that is not there is a problem of its own kind, at `create` or `start`.
pub async fn a_missing_program_is_command_not_found(bench: &Bench) {
    let prepared = bench.prepare().await;
    let problem = match prepared.create("main", bench.missing()).await {
        Err(problem) => problem,
        Ok(_) => prepared
            .start_created("main")
            .await
            .expect_err("there is no program"),
    };
    assert_eq!(problem.kind(), ProblemKind::CommandNotFound, "{problem}");
    prepared.destroy().await;
}

/// A program that takes more memory than its limit ends for want of memory.
pub async fn the_memory_limit_ends_a_hog(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut plan = bench.plan(Task::Eat);
    plan.limits.memory = Some(Bytes::mib(64));
    let running = prepared.start("main", plan).await;
    let exit = prepared.wait("main").await;
    assert_eq!(exit.reason, ExitReason::OutOfMemory, "{exit:?}");
    assert_eq!(exit.code, 137);
    let stats = stats(&prepared).await;
    assert_eq!(stats.memory_limit_bytes, Some(64 << 20));
    if let Some(peak) = stats.memory_peak_bytes {
        assert!(((32 << 20)..=(65 << 20)).contains(&peak), "peak {peak}");
    }
    running.finish();
    prepared.destroy().await;
}

/// What is measured grows with use, stays within the limit, and outlives the program.
pub async fn stats_are_plausible(bench: &Bench) {
    let prepared = bench.prepare().await;
    let mut plan = bench.plan(Task::Spin);
    plan.limits.memory = Some(Bytes::mib(64));
    let mut running = prepared.start("main", plan).await;
    assert_eq!(running.line().await, "ready\n");
    let early = stats(&prepared).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = stats(&prepared).await;
    let (early_us, late_us) = (
        early.cpu_us.expect("CPU time"),
        late.cpu_us.expect("CPU time"),
    );
    assert!(late_us > early_us + 10_000, "{early_us} then {late_us}");
    assert!(late_us < 60_000_000, "{late_us}");
    let memory = late.memory_bytes.expect("memory");
    assert!(memory > 0 && memory <= 64 << 20, "{memory}");
    assert!(late.memory_peak_bytes.is_none_or(|peak| peak >= memory));
    assert_eq!(late.memory_limit_bytes, Some(64 << 20));
    assert!(late.pids.is_none_or(|pids| pids >= 1));
    prepared.stop("main").await;
    let after = stats(&prepared).await;
    assert!(
        after.cpu_us.is_some_and(|cpu_us| cpu_us >= late_us),
        "{after:?}"
    );
    assert!(after.pids.is_none_or(|pids| pids == 0));
    running.finish();
    prepared.destroy().await;
}

async fn stats(prepared: &Prepared) -> Stats {
    let container = "main".to_owned();
    prepared
        .sandbox
        .stats(StatsRequest { container })
        .await
        .expect("stats")
}

/// A mounted directory is written, and so is the host's where the two are one.
pub async fn a_mount_is_written(bench: &Bench) {
    let data = world_writable();
    let plan = bench.plan(Task::WriteMount).with_data(data.path(), false);
    let (exit, _, stderr) = bench.run(plan).await;
    assert_eq!(exit.code, 0, "{exit:?} {stderr}");
    let written = std::fs::read_to_string(data.path().join("out")).ok();
    let expected = bench.writes_reach_host().then_some("written\n");
    assert_eq!(written.as_deref(), expected);
}

/// A read-only mount is not written.
pub async fn a_read_only_mount_is_not_written(bench: &Bench) {
    let data = world_writable();
    let plan = bench.plan(Task::WriteMount).with_data(data.path(), true);
    let (exit, _, _) = bench.run(plan).await;
    assert_eq!(exit.code, 1, "{exit:?}");
    assert!(!data.path().join("out").exists());
}

/// Relative paths start in the working directory.
pub async fn relative_paths_start_in_the_working_directory(bench: &Bench) {
    let data = world_writable();
    let mut plan = bench
        .plan(Task::WriteRelative)
        .with_data(data.path(), false);
    plan.cwd = "/data".into();
    let (exit, _, stderr) = bench.run(plan).await;
    assert_eq!(exit.code, 0, "{exit:?} {stderr}");
    assert_eq!(data.path().join("out").exists(), bench.writes_reach_host());
}

/// After the exit a reader sees the end of file although the sandbox is still there.
pub async fn streams_close_at_the_exit(bench: &Bench) {
    let prepared = bench.prepare().await;
    let running = prepared.start("main", bench.plan(Task::Streams)).await;
    prepared.wait("main").await;
    // Both reads go to the end of file; a copy left open would keep them waiting.
    let (stdout, stderr) = running.finish();
    assert_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "err\n"));
    prepared.destroy().await;
}

/// Dropping a sandbox without `destroy` ends its programs.
pub async fn dropping_a_sandbox_ends_its_programs(bench: &Bench) {
    for task in [Task::Spin, Task::Sleep] {
        let prepared = bench.prepare().await;
        let mut running = prepared.start("main", bench.plan(task)).await;
        assert_eq!(running.line().await, "ready\n");
        let before = Instant::now();
        drop(prepared);
        // The program holds its output open for as long as it lives.
        running.finish();
        assert!(before.elapsed() < STOP_MAX, "took {:?}", before.elapsed());
    }
}

/// A sandbox with a container that was never started is destroyed like any other.
pub async fn a_created_container_can_be_destroyed(bench: &Bench) {
    let prepared = bench.prepare().await;
    let running = prepared
        .create("main", bench.plan(Task::Streams))
        .await
        .expect("created");
    prepared.destroy().await;
    assert_eq!(running.finish().0, "");
}

/// `destroy` ends what runs and leaves no process, and a second one is no problem.
pub async fn destroy_leaves_nothing(bench: &Bench) {
    let children_before = children();
    let prepared = bench.prepare_for_several().await;
    let mut busy = prepared.start("busy", bench.plan(Task::Spin)).await;
    let mut idle = prepared.start("idle", bench.plan(Task::Sleep)).await;
    assert_eq!(busy.line().await, "ready\n");
    assert_eq!(idle.line().await, "ready\n");
    prepared
        .sandbox
        .destroy(DestroyRequest {})
        .await
        .expect("destroyed");
    busy.finish();
    idle.finish();
    assert_eq!(children(), children_before, "a child process is left");
    prepared.destroy().await;
}

/// Sandboxes made and destroyed in a row leave no descriptor, thread or process behind.
pub async fn fifty_sandboxes_leak_nothing(bench: &Bench) {
    // The first ones make what is kept for the next.
    for _ in 0..3 {
        bench.run(bench.plan(Task::Streams)).await;
    }
    let before = settled().await;
    for _ in 0..50 {
        bench.run(bench.plan(Task::Streams)).await;
    }
    let after = settled().await;
    assert!(
        after.0 <= before.0,
        "descriptors: {} then {}",
        before.0,
        after.0
    );
    assert!(
        after.1 <= before.1,
        "threads: {} then {}",
        before.1,
        after.1
    );
    assert_eq!(after.2, before.2, "child processes");
}

/// Descriptors, threads and children, once threads that are about to end have ended.
async fn settled() -> (usize, usize, Vec<String>) {
    let count = |path: &str| std::fs::read_dir(path).expect("procfs").count();
    let measure = || (count("/proc/self/fd"), count("/proc/self/task"), children());
    let mut last = measure();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = measure();
        last = (last.0.min(now.0), last.1.min(now.1), now.2);
    }
    last
}

/// Process ids of this process' children, running or not yet waited for.
fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for process in std::fs::read_dir("/proc").expect("procfs").flatten() {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        // pid (name) state parent …; a name may hold anything, so the last parenthesis counts.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent == Some(own.as_str()) {
            children.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    children.sort();
    children
}

/// A directory that a sandbox' user can write, whoever that is.
fn world_writable() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory.path(), everybody).expect("opened");
    directory
}
