//! The function runner with a component that handles HTTP requests: what a client sees, and what the runner says.
//!
//! As `runner.rs`, against each runner there is.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed expectation is how a test speaks"
)]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use uc_guest_protocol::{
    Bounds, Decoder, Frame, Kind, encode, encode_json,
    function::{Call, Report, STDERR, STDIN},
};
use uc_sandbox::Exit;

/// A runner that serves the fixture.
struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    decoder: Decoder,
    port: u16,
    _directory: tempfile::TempDir,
}

/// What a client is sent.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: Vec<u8>,
}

fn runners() -> Vec<PathBuf> {
    let mut runners = vec![PathBuf::from(env!("CARGO_BIN_EXE_uc-function"))];
    match std::env::var_os("UC_GUEST_PROGRAMS") {
        Some(folder) => runners.push(Path::new(&folder).join("uc-function")),
        None => println!("skipped: UC_GUEST_PROGRAMS does not name the guest's own runner"),
    }
    runners
}

fn call(port: Option<u16>) -> Call {
    Call {
        argv: vec!["handler".to_owned()],
        env: Vec::new(),
        cwd: "/".into(),
        directories: Vec::new(),
        memory_limit_bytes: Some(16 << 20),
        sockets: true,
        port,
        rehearsal: false,
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    /// A runner that has loaded the fixture.
    fn loaded(runner: &Path) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let file = directory.path().join("program");
        let fixture =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../uc-wasm/tests/fixtures/handler.wat");
        let compiled = uc_wasm::precompile_for_guest(&std::fs::read(fixture).expect("a fixture"));
        std::fs::write(&file, compiled.expect("compiles")).expect("written");
        let mut child = Command::new(runner)
            .arg(&file)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut server = Self {
            input: child.stdin.take(),
            output: child.stdout.take().expect("a pipe"),
            child,
            decoder: Decoder::new(Bounds::BY_HOST),
            port: free_port(),
            _directory: directory,
        };
        let ready = server.frame().expect("a report");
        assert_eq!(ready.message::<Report>().expect("a report"), Report::Ready);
        server
    }

    fn start(runner: &Path) -> Self {
        let mut server = Self::loaded(runner);
        server.say(
            &encode_json(Kind::Request, &call(Some(server.port)), Bounds::BY_AGENT).expect("short"),
        );
        // As an agent does for a function without standard input: no end of the server.
        server.say(&encode(Kind::End, STDIN, b""));
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "nobody listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn say(&mut self, bytes: &[u8]) {
        self.input
            .as_mut()
            .expect("open")
            .write_all(bytes)
            .expect("heard");
    }

    fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().expect("frames") {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.output.read(&mut buffer).expect("read") {
                0 => return None,
                count => self.decoder.push(&buffer[..count]),
            }
        }
    }

    /// The next line on standard error.
    fn told(&mut self) -> String {
        let frame = self.frame().expect("words");
        assert_eq!((frame.kind, frame.stream), (Kind::Data, STDERR));
        String::from_utf8(frame.payload).expect("text")
    }

    fn ask(&self, target: &str) -> Answer {
        ask(self.port, target, b"")
    }

    /// Its last report and its exit code.
    fn end(mut self) -> (Option<Report>, i32) {
        let mut last = None;
        while let Some(frame) = self.frame() {
            if frame.kind == Kind::Event {
                last = Some(frame.message().expect("a report"));
            }
        }
        let status = self.child.wait().expect("ended");
        (last, status.code().expect("no signal"))
    }
}

fn ask(port: u16, target: &str, body: &[u8]) -> Answer {
    parse(&ask_raw(port, target, body))
}

/// All that comes until the connection ends.
fn ask_raw(port: u16, target: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut writing = stream.try_clone().expect("the same");
    let body = body.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = writing.write_all(head.as_bytes());
        let _ = writing.write_all(&body);
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    writer.join().expect("written");
    answer
}

/// Takes the last answer of a connection apart.
fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.expect("a head") + 4);
    let head = String::from_utf8(head.to_vec())
        .expect("text")
        .to_lowercase();
    let status = head[9..12].parse().expect("a status");
    let body = if head.contains("transfer-encoding: chunked") {
        dechunk(body)
    } else {
        body.to_vec()
    };
    Answer { status, body }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .expect("a length");
        let digits = std::str::from_utf8(&rest[..end]).expect("text");
        let length = usize::from_str_radix(digits, 16).expect("a number");
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

const FIRST: &[u8] = b"request 1 of handler";

#[test]
fn each_request_has_an_instance_of_its_own() {
    for runner in runners() {
        let server = Server::start(&runner);
        for _ in 0..200 {
            let answer = server.ask("/");
            assert_eq!((answer.status, &answer.body[..]), (200, FIRST));
        }
        // Many at once, more than there are connections.
        let port = server.port;
        let clients: Vec<_> = (0..100)
            .map(|_| std::thread::spawn(move || ask(port, "/", b"")))
            .collect();
        for client in clients {
            let answer = client.join().expect("a client");
            assert_eq!((answer.status, &answer.body[..]), (200, FIRST));
        }
    }
}

#[test]
fn bodies_come_back_whole_while_others_are_served() {
    for runner in runners() {
        let server = Server::start(&runner);
        let port = server.port;
        let long: Vec<u8> = (0..3_000_000_u32)
            .map(|number| (number / 7) as u8)
            .collect();
        let expected = long.clone();
        let client = std::thread::spawn(move || ask(port, "/echo", &long));
        assert_eq!(server.ask("/").body, FIRST);
        let answer = client.join().expect("a client");
        assert_eq!(answer.status, 200);
        assert!(answer.body == expected, "{} bytes", answer.body.len());
    }
}

#[test]
fn a_failed_instance_costs_its_client_alone() {
    for runner in runners() {
        let mut server = Server::start(&runner);
        for (target, words) in [
            ("/trap?x=1", "POST /trap?x=1: wasm trap: wasm `unreachable`"),
            ("/memory", "POST /memory: out of memory"),
            (
                "/nothing",
                "POST /nothing: the handler returned without an answer",
            ),
        ] {
            let answer = server.ask(target);
            assert_eq!(answer.status, 500, "{target}");
            let told = server.told();
            assert!(told.starts_with("uc: ") && told.contains(words), "{told}");
            assert_eq!(server.ask("/").body, FIRST);
        }
    }
}

#[test]
fn an_answer_that_is_not_whole_does_not_end_like_one() {
    const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
    for runner in runners() {
        let mut server = Server::start(&runner);
        for (target, is_whole) in [("/", true), ("/cut", false), ("/", true)] {
            let answer = ask_raw(server.port, target, b"");
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            assert!(text.contains("request 1 of "), "{text}");
            assert_eq!(answer.ends_with(LAST_CHUNK), is_whole, "{target}: {text}");
        }
        let told = server.told();
        assert!(told.contains("POST /cut: wasm trap"), "{told}");
    }
}

#[test]
fn a_loop_holds_up_nobody_and_ends_with_its_client() {
    for runner in runners() {
        let server = Server::start(&runner);
        let mut looping = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
            stream
                .write_all(b"GET /loop HTTP/1.1\r\nHost: here\r\n\r\n")
                .expect("sent");
            looping.push(stream);
        }
        for _ in 0..5 {
            assert_eq!(server.ask("/").body, FIRST);
        }
        drop(looping);
        // Nothing is left that takes time.
        std::thread::sleep(Duration::from_millis(200));
        let before = cpu_ticks(server.child.id());
        std::thread::sleep(Duration::from_millis(500));
        assert!(cpu_ticks(server.child.id()) - before < 10);
    }
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields[index].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

#[test]
fn what_is_no_request_is_refused_within_bounds() {
    for runner in runners() {
        let server = Server::start(&runner);
        let long = format!(
            "GET / HTTP/1.1\r\nHost: here\r\nX: {}\r\n\r\n",
            "x".repeat(1 << 20)
        );
        let many = format!(
            "GET / HTTP/1.1\r\nHost: here\r\n{}\r\n",
            "X: y\r\n".repeat(1_000)
        );
        for (request, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("nonsense\r\n\r\n", "400"),
            (&long, "431"),
            (&many, "431"),
        ] {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
            let _ = stream.write_all(request.as_bytes());
            let mut answer = [0; 12];
            // A connection with input that nobody read may be reset before its answer is read.
            if stream.read_exact(&mut answer).is_ok() {
                assert_eq!(&answer[9..], status.as_bytes());
            }
        }
        // More connections than it takes, none of which says anything.
        let silent: Vec<_> = (0..63)
            .map(|_| TcpStream::connect(("127.0.0.1", server.port)).expect("connected"))
            .collect();
        assert_eq!(server.ask("/").body, FIRST);
        drop(silent);
        assert_eq!(server.ask("/").body, FIRST);
    }
}

#[test]
fn it_ends_with_its_input_and_when_it_is_asked_to() {
    for runner in runners() {
        let done = Some(Report::Done(Exit::with_code(0)));
        let mut server = Server::start(&runner);
        assert_eq!(server.ask("/").body, FIRST);
        drop(server.input.take());
        assert_eq!(server.end(), (done.clone(), 0));

        let server = Server::start(&runner);
        let pid = i32::try_from(server.child.id()).expect("a process");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process");
        // A client that has had its answer and keeps its connection.
        let mut idle = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
        idle.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            .expect("sent");
        idle.read_exact(&mut [0; 12]).expect("answered");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
        let begin = Instant::now();
        assert_eq!(server.end(), (done, 0));
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn without_a_port_or_a_network_it_says_what_is_missing() {
    for runner in runners() {
        let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
        let taken = taken
            .local_addr()
            .map(|address| (taken, address.port()))
            .expect("an address");
        let mut alone = call(Some(free_port()));
        alone.sockets = false;
        for (call, words) in [
            (call(None), "name a containerPort"),
            (alone, "undercurrent.dev/network: user"),
            (call(Some(taken.1)), "choose a containerPort"),
        ] {
            let mut server = Server::loaded(&runner);
            server.say(&encode_json(Kind::Request, &call, Bounds::BY_AGENT).expect("short"));
            let (Some(Report::Failed(telling)), code) = server.end() else {
                panic!("it has not failed");
            };
            let problem = telling.into_problem();
            let remedy = problem.remedy_text().unwrap_or_default();
            assert!(remedy.contains(words), "{problem} {remedy}");
            assert_ne!(code, 0);
        }
    }
}
