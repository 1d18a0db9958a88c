//! Components that handle HTTP requests, served by the driver: what a client sees, and how they end.
//!
//! What a server makes of single requests, `uc-function/tests/serving.rs` shows.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is how a test speaks"
)]

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use uc_model::{Bytes, MilliCpu, Problem, workload::Network};
use uc_sandbox::{
    Exit, ExitReason, HandlerPort, HostUser, HttpGrant, PauseRequest, Payload, ResumeRequest,
    Stats, StatsRequest, StopRequest, TcpConnectRequest,
};
use uc_testkit::contract::{Plan, Prepared, Program};
use uc_wasm::WasmDriver;

const CONTAINER_PORT: u16 = 8080;

/// Long enough that no test sees its end.
const PATIENCE: Duration = Duration::from_secs(60);

struct Home {
    driver: WasmDriver,
    _cache: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let cache = tempfile::tempdir().expect("temporary directory");
        Self {
            driver: WasmDriver::new(cache.path().join("cache")),
            _cache: cache,
        }
    }

    async fn sandbox(&self) -> Prepared {
        Prepared::new(&self.driver, Network::User).await
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn program(name: &str, host: Option<SocketAddr>) -> Plan {
    Plan::new(Program {
        payload: Payload::Wasm {
            act_as: None,
            port: Some(HandlerPort {
                container_port: CONTAINER_PORT,
                host,
            }),
            file: fixture(name),
            http: HttpGrant::Any,
        },
        argv: vec!["handler".into()],
    })
}

/// A plan for the fixture, and the address at which it is to answer.
fn handler() -> (Plan, SocketAddr) {
    let address = free_address();
    (program("handler.wat", Some(address)), address)
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address")
}

/// Sends a request whose body may follow, and gives the connection.
fn send(address: SocketAddr, target: &str, body_bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connected");
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {body_bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

/// What comes until the connection ends.
async fn rest(mut stream: TcpStream) -> String {
    let reading = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        // A connection that is cut may end with an error.
        let _ = stream.read_to_string(&mut answer);
        answer
    });
    reading.await.expect("read")
}

async fn ask(address: SocketAddr, target: &str) -> String {
    rest(send(address, target, 0)).await
}

async fn stop(prepared: &Prepared, grace: Duration) -> Exit {
    let request = StopRequest {
        container: "main".into(),
        grace,
        signal: rustix::process::Signal::TERM.as_raw(),
    };
    prepared.sandbox.stop(request).await.expect("an end")
}

async fn stats(prepared: &Prepared) -> Stats {
    let container = "main".into();
    let request = StatsRequest { container };
    prepared.sandbox.stats(request).await.expect("known")
}

async fn connect(prepared: &Prepared, port: u16) -> Result<(), Problem> {
    let timeout = PATIENCE;
    let request = TcpConnectRequest { port, timeout };
    prepared.sandbox.tcp_connect(request).await
}

fn assert_first(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("request 1 of "), "{answer}");
    assert!(answer.contains("handler"), "{answer}");
}

fn stopped() -> Exit {
    Exit {
        code: 137,
        reason: ExitReason::Stopped,
    }
}

#[tokio::test]
async fn each_request_has_an_instance_of_its_own() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (mut plan, address) = handler();
    plan.limits.memory = Some(Bytes::mib(64));
    let running = prepared.create("main", plan).await.expect("created");
    // Who comes before the start waits for it.
    let early = send(address, "/", 0);
    prepared.start_created("main").await.expect("started");
    assert_first(&rest(early).await);
    let many: Vec<_> = (0..80)
        .map(|_| tokio::spawn(async move { ask(address, "/").await }))
        .collect();
    for answer in many {
        assert_first(&answer.await.expect("a client"));
    }
    for (target, words) in [("/trap", "unreachable"), ("/memory", "out of memory")] {
        let answer = ask(address, target).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{words}: {answer}");
        assert_first(&ask(address, "/").await);
    }
    let seen = stats(&prepared).await;
    let peak_bytes = seen.memory_peak_bytes.expect("known");
    assert!(
        (60 << 20..=64 << 20).contains(&peak_bytes),
        "{peak_bytes} bytes"
    );
    assert_eq!(seen.memory_limit_bytes, Some(64 << 20));
    assert!(seen.cpu_us.is_some_and(|cpu_us| cpu_us > 0), "{seen:?}");
    assert_eq!(seen.pids, Some(1));
    assert_eq!(stop(&prepared, PATIENCE).await, Exit::with_code(0));
    assert_eq!(
        stats(&prepared).await.memory_bytes,
        Some(0),
        "no instance is left"
    );
    let (_, stderr) = running.finish();
    for words in [
        "uc: POST /trap: wasm trap: wasm `unreachable`",
        "uc: POST /memory: out of memory",
    ] {
        assert!(stderr.contains(words), "{stderr}");
    }
    prepared.destroy().await;
}

#[tokio::test]
async fn an_answer_that_is_not_whole_does_not_end_like_one() {
    const LAST_CHUNK: &str = "0\r\n\r\n";
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (plan, address) = handler();
    let running = prepared.start("main", plan).await;
    for (target, is_whole) in [("/", true), ("/cut", false), ("/", true)] {
        let answer = ask(address, target).await;
        assert_first(&answer);
        assert_eq!(answer.ends_with(LAST_CHUNK), is_whole, "{target}: {answer}");
    }
    prepared.stop("main").await;
    let (_, stderr) = running.finish();
    assert!(stderr.contains("uc: POST /cut: wasm trap"), "{stderr}");
    prepared.destroy().await;
}

#[tokio::test]
async fn a_paused_server_answers_nobody_until_it_is_resumed() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (plan, address) = handler();
    let running = prepared.start("main", plan).await;
    // One that computes, and one that waits for its client.
    let _busy = send(address, "/loop", 0);
    let mut slow = send(address, "/echo", 5);
    assert_first(&ask(address, "/").await);
    let container = || "main".to_owned();
    for _ in 0..2 {
        let request = PauseRequest {
            container: container(),
        };
        prepared.sandbox.pause(request).await.expect("paused");
        let mut waiting = send(address, "/", 0);
        let silence = Some(Duration::from_millis(300));
        waiting.set_read_timeout(silence).expect("set");
        let heard = waiting.read(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(heard, Err(std::io::ErrorKind::WouldBlock), "it answers");
        waiting.set_read_timeout(None).expect("set");
        let request = ResumeRequest {
            container: container(),
        };
        prepared.sandbox.resume(request).await.expect("resumed");
        assert_first(&rest(waiting).await);
    }
    slow.write_all(b"whole").expect("sent");
    assert!(rest(slow).await.contains("whole"));
    let pause = PauseRequest {
        container: container(),
    };
    prepared.sandbox.pause(pause).await.expect("paused");
    // It goes on for its last answers, of which one never comes.
    assert_eq!(stop(&prepared, Duration::from_millis(50)).await, stopped());
    running.finish();
    prepared.destroy().await;
}

#[tokio::test]
async fn what_is_in_progress_is_answered_within_the_grace() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (plan, address) = handler();
    let running = prepared.start("main", plan).await;
    let mut slow = send(address, "/echo", 8);
    slow.write_all(b"half").expect("sent");
    let mut head = [0; 12];
    slow.read_exact(&mut head).expect("an answer has begun");
    let ending = async {
        // Nobody new is answered from now on, so the server has heard of it.
        while TcpStream::connect(address).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        slow.write_all(b"whole").expect("sent");
        rest(slow).await
    };
    let (exit, answer) = tokio::join!(stop(&prepared, PATIENCE), ending);
    assert_eq!(exit, Exit::with_code(0));
    assert!(answer.contains("whol"), "{answer}");
    running.finish();
    prepared.destroy().await;
}

#[tokio::test]
async fn a_stop_ends_what_takes_longer_than_its_grace() {
    let home = Home::new();
    for (target, body_bytes) in [("/loop", 0), ("/echo", 8)] {
        for grace in [Duration::from_millis(50), Duration::ZERO] {
            let prepared = home.sandbox().await;
            let (plan, address) = handler();
            let running = prepared.start("main", plan).await;
            let slow = send(address, target, body_bytes);
            // Another is answered, so that the first has been taken up.
            assert_first(&ask(address, "/").await);
            assert_eq!(
                stop(&prepared, grace).await,
                stopped(),
                "{target} {grace:?}"
            );
            rest(slow).await;
            running.finish();
            prepared.destroy().await;
        }
    }
}

#[tokio::test]
async fn a_hard_stop_overtakes_a_graceful_one() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (plan, address) = handler();
    let running = prepared.start("main", plan).await;
    let _slow = send(address, "/loop", 0);
    assert_first(&ask(address, "/").await);
    let harder = async {
        while TcpStream::connect(address).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop(&prepared, Duration::ZERO).await
    };
    let (first, second) = tokio::join!(stop(&prepared, PATIENCE), harder);
    assert_eq!((first, second), (stopped(), stopped()));
    running.finish();
    prepared.destroy().await;
}

#[tokio::test]
async fn its_port_can_be_probed_while_it_runs_and_used_again_afterwards() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let address = free_address();
    for container in ["main", "main-r1"] {
        let plan = program("handler.wat", Some(address));
        let running = prepared.start(container, plan).await;
        connect(&prepared, CONTAINER_PORT).await.expect("answers");
        connect(&prepared, CONTAINER_PORT + 1)
            .await
            .expect_err("nobody listens there");
        assert_first(&ask(address, "/").await);
        assert_eq!(prepared.stop(container).await, Exit::with_code(0));
        connect(&prepared, CONTAINER_PORT)
            .await
            .expect_err("it has ended");
        running.finish();
        prepared.remove(container).await.expect("removed");
    }
    prepared.destroy().await;
}

#[tokio::test]
async fn one_that_listens_everywhere_is_probed_on_the_loopback() {
    let home = Home::new();
    for unspecified in ["0.0.0.0", "::"] {
        let ip = unspecified.parse().expect("an address");
        let Ok(listener) = TcpListener::bind(SocketAddr::new(ip, 0)) else {
            println!("skipped: this host has no {unspecified}");
            continue;
        };
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let prepared = home.sandbox().await;
        let running = prepared
            .start("main", program("handler.wat", Some(address)))
            .await;
        connect(&prepared, CONTAINER_PORT).await.expect("answers");
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        assert_first(&ask(loopback, "/").await);
        prepared.stop("main").await;
        running.finish();
        prepared.destroy().await;
    }
}

#[tokio::test]
async fn a_processor_limit_holds_for_all_instances_together() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let (mut plan, address) = handler();
    plan.limits.cpu = Some(MilliCpu(200));
    let running = prepared.start("main", plan).await;
    let looping: Vec<_> = (0..4).map(|_| send(address, "/loop", 0)).collect();
    assert_first(&ask(address, "/").await);
    let (before, begin) = (stats(&prepared).await, std::time::Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (after, wall) = (stats(&prepared).await, begin.elapsed());
    let used_us = after.cpu_us.expect("known") - before.cpu_us.expect("known");
    let share = used_us as f64 / wall.as_micros() as f64;
    // Of a window that has begun it may have used all at once.
    assert!(share <= 0.2 + 0.1, "{share}");
    drop(looping);
    stop(&prepared, Duration::ZERO).await;
    running.finish();
    prepared.destroy().await;
}

#[tokio::test]
async fn a_user_of_its_own_answers_with_directories_that_are_not_its_own() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root gives a program a user of its own");
        return;
    }
    let home = Home::new();
    let data = tempfile::tempdir().expect("temporary directory");
    let prepared = home.sandbox().await;
    let (plan, address) = handler();
    let mut plan = plan.with_data(data.path(), true);
    if let Payload::Wasm { act_as, .. } = &mut plan.program.payload {
        *act_as = Some(HostUser {
            uid: 65_533,
            gid: 65_533,
            groups: Vec::new(),
        });
    }
    let running = prepared.start("main", plan).await;
    assert_first(&ask(address, "/").await);
    assert_eq!(prepared.stop("main").await, Exit::with_code(0));
    running.finish();
    prepared.destroy().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused() {
    let home = Home::new();
    let prepared = home.sandbox().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address));
    let (_listener, taken) = taken.expect("an address");
    // Of a net that no host has an address in.
    let foreign = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 8080));
    for (name, plan, words) in [
        ("taken", program("handler.wat", Some(taken)), "another port"),
        ("foreign", program("handler.wat", Some(foreign)), "hostIP"),
        (
            "command",
            program("echo.wat", Some(free_address())),
            "http or host",
        ),
    ] {
        let Err(problem) = prepared.create(name, plan).await else {
            panic!("{name} is created");
        };
        let remedy = problem.remedy_text().unwrap_or_default();
        assert!(remedy.contains(words), "{name}: {problem} {remedy}");
        // Whoever asks for it says which container it is.
        let place = problem.place().unwrap_or_default();
        assert!(!place.contains("container "), "{place}");
    }
    let plan = program("handler.wat", None);
    let running = prepared.create("alone", plan).await.expect("created");
    let problem = prepared.start_created("alone").await.expect_err("refused");
    let remedy = problem.remedy_text().unwrap_or_default();
    assert!(remedy.contains("hostPort"), "{problem} {remedy}");
    assert_eq!(problem.place(), None);
    prepared.destroy().await;
    running.finish();
}
