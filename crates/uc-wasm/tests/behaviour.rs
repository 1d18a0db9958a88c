//! What WebAssembly programs in particular can and cannot do.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test speaks"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use uc_model::{Bytes, MilliCpu, Problem, ProblemKind, workload::Network};
use uc_sandbox::{
    Availability, Driver, ExecRequest, ExitReason, HttpGrant, Limit, Payload, StatsRequest,
    TcpConnectRequest,
};
use uc_testkit::contract::{Plan, Prepared, Program};
use uc_wasm::WasmDriver;

struct Home {
    directory: tempfile::TempDir,
    driver: WasmDriver,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let driver = WasmDriver::new(directory.path().join("cache"));
        Self { directory, driver }
    }

    /// Writes a program in text form.
    fn text(&self, text: &str) -> PathBuf {
        let file = self.directory.path().join("program.wat");
        std::fs::write(&file, text).expect("written");
        file
    }

    fn cache_entries(&self) -> Vec<PathBuf> {
        let mut entries: Vec<_> = std::fs::read_dir(self.directory.path().join("cache"))
            .expect("the cache")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        entries
    }

    async fn prepare(&self, network: Network) -> Prepared {
        Prepared::new(&self.driver, network).await
    }

    /// The problem that a program's creation ends with.
    async fn refusal(&self, network: Network, plan: Plan) -> Problem {
        let prepared = self.prepare(network).await;
        let Err(problem) = prepared.create("main", plan).await else {
            panic!("created");
        };
        prepared.destroy().await;
        problem
    }
}

fn plan(file: &Path, arguments: &[&str]) -> Plan {
    let mut argv = vec!["program".to_owned()];
    argv.extend(arguments.iter().map(ToString::to_string));
    let http = HttpGrant::None;
    Plan::new(Program {
        payload: Payload::Wasm {
            act_as: None,
            port: None,
            file: file.to_owned(),
            http,
        },
        argv,
    })
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

#[tokio::test]
async fn the_example_component_runs() {
    let home = Home::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello/hello.wat");
    for _ in 0..2 {
        let prepared = home.prepare(Network::None).await;
        let (exit, stdout, _) = prepared.run(plan(&file, &[])).await;
        assert_eq!(exit.code, 0, "{exit:?}");
        assert_eq!(stdout, "hello from a WebAssembly component\n");
    }
    assert_eq!(home.cache_entries().len(), 1);
}

#[tokio::test]
async fn a_trap_names_its_cause_and_place() {
    let home = Home::new();
    let file = home.text(
        r#"(module (memory (export "memory") 1)
            (func $divide (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
            (func $main (export "_start") (drop (call $divide (i32.const 0)))))"#,
    );
    let (exit, _, _) = home
        .prepare(Network::None)
        .await
        .run(plan(&file, &[]))
        .await;
    assert_eq!(exit.code, 134);
    let ExitReason::Trapped { message } = exit.reason else {
        panic!("{exit:?}")
    };
    assert_eq!(
        message,
        "wasm trap: integer divide by zero in divide < main"
    );
}

#[tokio::test]
async fn endless_recursion_traps() {
    let home = Home::new();
    let file = home.text(r#"(module (func $f (export "_start") (call $f)))"#);
    let (exit, _, _) = home
        .prepare(Network::None)
        .await
        .run(plan(&file, &[]))
        .await;
    let ExitReason::Trapped { message } = exit.reason else {
        panic!("{exit:?}")
    };
    assert!(message.contains("call stack exhausted"), "{message}");
}

#[tokio::test]
async fn denied_growth_alone_is_no_end() {
    let home = Home::new();
    let file = home.text(
        r#"(module (memory 1) (func (export "_start")
            (if (i32.ne (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))))"#,
    );
    let mut plan = plan(&file, &[]);
    plan.limits.memory = Some(Bytes::mib(1));
    let (exit, _, _) = home.prepare(Network::None).await.run(plan).await;
    assert_eq!((exit.code, exit.reason), (0, ExitReason::Exited));
}

#[tokio::test]
async fn tables_are_counted_as_memory() {
    let home = Home::new();
    let file = home.text(
        r#"(module (table $t 0 funcref) (func (export "_start")
            (loop $more
              (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
            unreachable))"#,
    );
    let mut plan = plan(&file, &[]);
    plan.limits.memory = Some(Bytes::mib(1));
    let (exit, _, _) = home.prepare(Network::None).await.run(plan).await;
    assert_eq!(exit.reason, ExitReason::OutOfMemory);
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_it_runs() {
    let home = Home::new();
    let cases = [
        (
            r#"(module (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32))) (func (export "_start")))"#,
            ProblemKind::Refused,
            "wasi_snapshot_preview1.sock_open",
        ),
        (
            r#"(module (import "env" "magic" (func)) (func (export "_start")))"#,
            ProblemKind::Refused,
            "env.magic",
        ),
        (
            r#"(component (import "wasi:sockets/tcp@0.2.3" (instance)))"#,
            ProblemKind::Refused,
            "wasi:sockets/tcp@0.2.3",
        ),
        (
            r#"(component (import "wasi:http/outgoing-handler@0.2.3" (instance)))"#,
            ProblemKind::Refused,
            "wasi:http/outgoing-handler@0.2.3",
        ),
        (
            r#"(component (import "my:own/thing@1.0.0" (instance (export "f" (func)))))"#,
            ProblemKind::Refused,
            "my:own/thing@1.0.0",
        ),
        (
            r#"(module (memory 70000) (func (export "_start")))"#,
            ProblemKind::Refused,
            "4 GiB",
        ),
        (
            r#"(module (func (export "run_me")) (func (export "and_me")))"#,
            ProblemKind::NotExecutable,
            "exports run_me, and_me",
        ),
        (r#"(component)"#, ProblemKind::NotExecutable, "no exports"),
        (
            r#"(module (func (export "_start") (param i32)))"#,
            ProblemKind::NotExecutable,
            "_start",
        ),
        (
            r#"(module (func (export "_start") i32.add))"#,
            ProblemKind::Invalid,
            "not valid",
        ),
        ("(module\n  (nonsense))", ProblemKind::Invalid, "line 2:"),
        ("", ProblemKind::Invalid, "program.wat"),
    ];
    for (text, kind, words) in cases {
        let file = home.text(text);
        let problem = home.refusal(Network::None, plan(&file, &[])).await;
        assert_eq!(problem.kind(), kind, "{text}: {problem}");
        assert!(problem.to_string().contains(words), "{text}: {problem}");
        assert!(
            problem.to_string().contains("program.wat"),
            "{text}: {problem}"
        );
        if kind != ProblemKind::Invalid {
            assert!(problem.remedy_text().is_some(), "{text}: {problem}");
        }
    }
}

#[tokio::test]
async fn grants_open_exactly_what_they_name() {
    let home = Home::new();
    let sockets = home.directory.path().join("sockets.wat");
    let module = r#"(module
        (import "wasi_snapshot_preview1" "sock_shutdown" (func (param i32 i32) (result i32)))
        (func (export "_start")))"#;
    std::fs::write(&sockets, module).expect("written");
    for network in [Network::None, Network::Http] {
        let problem = home.refusal(network, plan(&sockets, &[])).await;
        assert!(problem.to_string().contains("sock_shutdown"), "{problem}");
    }
    let (exit, _, _) = home
        .prepare(Network::Host)
        .await
        .run(plan(&sockets, &[]))
        .await;
    assert_eq!(exit.code, 0);
    // With HTTP granted the import is known: what is missing is then the program's own export.
    let text = r#"(component (import "wasi:http/outgoing-handler@0.2.3" (instance)))"#;
    let mut http = plan(&home.text(text), &[]);
    if let Payload::Wasm { http, .. } = &mut http.program.payload {
        *http = HttpGrant::Any;
    }
    let problem = home.refusal(Network::Http, http).await;
    assert_eq!(problem.kind(), ProblemKind::NotExecutable, "{problem}");
}

#[tokio::test]
async fn a_package_beyond_30_mb_is_refused() {
    let home = Home::new();
    let file = home.directory.path().join("large.wasm");
    let handle = std::fs::File::create(&file).expect("made");
    handle.set_len(30_000_001).expect("sparse");
    let problem = home.refusal(Network::None, plan(&file, &[])).await;
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(problem.to_string().contains("30000001 bytes"), "{problem}");
}

#[tokio::test]
async fn a_start_above_the_memory_limit_is_refused() {
    let home = Home::new();
    let file = home.text(r#"(module (memory 160) (func (export "_start")))"#);
    let mut plan = plan(&file, &[]);
    plan.limits.memory = Some(Bytes::mib(8));
    let problem = home.refusal(Network::None, plan).await;
    assert!(
        problem
            .to_string()
            .contains("expected: 8 MiB; found: 10 MiB"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_symbolic_link_does_not_lead_out_of_a_mount() {
    let home = Home::new();
    let data = tempfile::tempdir().expect("temporary directory");
    let outside = tempfile::tempdir().expect("temporary directory");
    for link in [
        outside.path().join("out"),
        PathBuf::from("../../../../../../../../tmp/escaped"),
    ] {
        let name = data.path().join("out");
        let _ = std::fs::remove_file(&name);
        std::os::unix::fs::symlink(&link, &name).expect("linked");
        let plan = plan(&fixture("write.wat"), &["/data"]).with_data(data.path(), false);
        let (exit, _, _) = home.prepare(Network::None).await.run(plan).await;
        assert_eq!(exit.code, 1, "{exit:?}");
        assert!(!link.exists());
    }
    assert_eq!(
        std::fs::read_dir(outside.path()).expect("listed").count(),
        0
    );
}

#[tokio::test]
async fn damaged_cache_entries_are_compiled_again() {
    let home = Home::new();
    let file = fixture("streams.wat");
    let run = async || {
        home.prepare(Network::None)
            .await
            .run(plan(&file, &[]))
            .await
    };
    run().await;
    let entries = home.cache_entries();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    let whole = std::fs::read(entry).expect("read");
    for damaged in [
        &whole[..0],
        &whole[..whole.len() / 2],
        &b"garbage".repeat(1000)[..],
    ] {
        // As another process would leave it: the file in use stays as it is.
        std::fs::remove_file(entry).expect("removed");
        std::fs::write(entry, damaged).expect("damaged");
        let (exit, stdout, _) = run().await;
        assert_eq!((exit.code, stdout.as_str()), (0, "out\n"));
        assert_eq!(
            std::fs::read(entry).expect("read").len(),
            whole.len(),
            "not mended"
        );
    }
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_refused() {
    let home = Home::new();
    let cache = home.directory.path().join("cache");
    std::fs::create_dir(&cache).expect("made");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&cache, mode).expect("opened");
    let problem = home
        .refusal(Network::None, plan(&fixture("streams.wat"), &[]))
        .await;
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(
        problem
            .remedy_text()
            .is_some_and(|remedy| remedy.contains("chmod")),
        "{problem}"
    );
}

#[tokio::test]
async fn an_endless_loop_stops_within_milliseconds() {
    let home = Home::new();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let prepared = home.prepare(Network::None).await;
        let mut running = prepared
            .start("main", plan(&fixture("spin.wat"), &[]))
            .await;
        assert_eq!(running.line().await, "ready\n");
        let before = Instant::now();
        prepared.stop("main").await;
        slowest = slowest.max(before.elapsed());
        running.finish();
        prepared.destroy().await;
    }
    println!("slowest stop: {slowest:?}");
    // Far above what it takes (see the benchmarks): a test machine may be busy.
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test]
async fn a_cpu_limit_is_kept() {
    let home = Home::new();
    let prepared = home.prepare(Network::None).await;
    let mut plan = plan(&fixture("spin.wat"), &[]);
    plan.limits.cpu = Some(MilliCpu(200));
    let mut running = prepared.start("main", plan).await;
    assert_eq!(running.line().await, "ready\n");
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let container = "main".to_owned();
    let stats = prepared
        .sandbox
        .stats(StatsRequest { container })
        .await
        .expect("stats");
    let share = stats.cpu_us.expect("CPU time") as f64 / before.elapsed().as_micros() as f64;
    prepared.stop("main").await;
    running.finish();
    prepared.destroy().await;
    // One window of 100 ms may be used up at once.
    assert!(share < 0.2 + 0.1, "got {share:.3} of a CPU");
}

#[tokio::test]
async fn exec_and_connections_are_refused_with_reasons() {
    let home = Home::new();
    let prepared = home.prepare(Network::None).await;
    let mut running = prepared
        .start("main", plan(&fixture("sleep.wat"), &[]))
        .await;
    running.line().await;
    let exec = ExecRequest {
        container: "main".into(),
        command: vec!["ls".into()],
        timeout: Duration::from_secs(1),
        stdio: None,
    };
    let problem = prepared.sandbox.exec(exec).await.expect_err("one program");
    assert!(problem.what().contains("one program"), "{problem}");
    let connect = TcpConnectRequest {
        port: 80,
        timeout: Duration::from_secs(1),
    };
    let problem = prepared
        .sandbox
        .tcp_connect(connect)
        .await
        .expect_err("no network");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    prepared.destroy().await;
    running.finish();
}

#[tokio::test]
async fn connections_reach_the_hosts_network_where_it_is_granted() {
    let home = Home::new();
    let prepared = home.prepare(Network::Host).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let connect = TcpConnectRequest {
        port,
        timeout: Duration::from_secs(5),
    };
    prepared
        .sandbox
        .tcp_connect(connect)
        .await
        .expect("it listens");
    drop(listener);
    let problem = prepared
        .sandbox
        .tcp_connect(connect)
        .await
        .expect_err("it does not");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    prepared.destroy().await;
}

#[test]
fn the_probe_promises_what_the_tests_show() {
    let home = Home::new();
    let probe = home.driver.probe();
    assert_eq!(probe.availability, Availability::Ready);
    assert!(probe.offer.limits.contains(&Limit::Cpu));
    assert!(!probe.offer.networks.contains(&Network::User));
    assert!(
        probe.facilities.iter().all(|facility| facility.found),
        "{probe:?}"
    );
    assert!(
        !home.directory.path().join("cache").exists(),
        "a probe leaves nothing behind"
    );
}

const GO_PROGRAM: &str = r#"package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println(os.Args[1:])
	fmt.Println(os.Environ())
	content, err := os.ReadFile("/data/greeting.txt")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	fmt.Print(string(content))
}
"#;

#[tokio::test]
async fn a_go_program_runs() {
    let home = Home::new();
    let source = home.directory.path().join("main.go");
    std::fs::write(&source, GO_PROGRAM).expect("written");
    let file = home.directory.path().join("program.wasm");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&file, &source])
        .envs([
            ("GOOS", "wasip1"),
            ("GOARCH", "wasm"),
            ("GO111MODULE", "off"),
        ])
        .output();
    match built {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            println!(
                "skipped: go build: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return;
        }
        Err(error) => {
            println!("skipped: go: {error}");
            return;
        }
    }
    let data = tempfile::tempdir().expect("temporary directory");
    std::fs::write(data.path().join("greeting.txt"), "hello from a file\n").expect("written");
    let mut elapsed = Vec::new();
    for _ in 0..2 {
        let mut plan = plan(&file, &["one", "two"]).with_data(data.path(), true);
        plan.env = vec![("GREETING".into(), "hi".into())];
        let before = Instant::now();
        let (exit, stdout, stderr) = home.prepare(Network::None).await.run(plan).await;
        elapsed.push(before.elapsed());
        assert_eq!(exit.code, 0, "{exit:?} {stderr}");
        assert_eq!(stdout, "[one two]\n[GREETING=hi]\nhello from a file\n");
    }
    println!("compiled {:?}, cached {:?}", elapsed[0], elapsed[1]);
    assert!(
        elapsed[1] < elapsed[0] / 2,
        "the cache did not help: {elapsed:?}"
    );
}

const C_PROGRAM: &str = r#"#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    printf("%d %s %s\n", argc, argv[1], getenv("GREETING"));
    FILE *file = fopen("greeting.txt", "r");
    char line[64];
    if (!file || !fgets(line, sizeof line, file)) return 3;
    fputs(line, stdout);
    return 255;
}
"#;

#[tokio::test]
async fn a_c_program_runs() {
    let home = Home::new();
    let source = home.directory.path().join("main.c");
    std::fs::write(&source, C_PROGRAM).expect("written");
    let file = home.directory.path().join("program.wasm");
    let compilers: [&[&str]; 2] = [
        &["python3", "-m", "ziglang", "cc", "--target=wasm32-wasi"],
        &["clang", "--target=wasm32-wasi", "--sysroot=/usr"],
    ];
    let built = compilers.iter().any(|compiler| {
        Command::new(compiler[0])
            .args(&compiler[1..])
            .args([&source])
            .args(["-o".as_ref(), file.as_os_str()])
            .output()
            .is_ok_and(|output| output.status.success())
    });
    if !built {
        println!("skipped: neither ziglang nor clang with wasi-libc is installed");
        return;
    }
    let data = tempfile::tempdir().expect("temporary directory");
    std::fs::write(data.path().join("greeting.txt"), "hello from a file\n").expect("written");
    let mut plan = plan(&file, &["one"]).with_data(data.path(), true);
    plan.env = vec![("GREETING".into(), "hi".into())];
    plan.cwd = "/data".into();
    let (exit, stdout, _) = home.prepare(Network::None).await.run(plan).await;
    assert_eq!(stdout, "2 one hi\nhello from a file\n");
    assert_eq!((exit.code, exit.reason), (255, ExitReason::Exited));
}
