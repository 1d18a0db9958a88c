//! How long a function runner takes to be ready, for its first call and for later ones.
//!
//! `runner_times RUNNER PROGRAM.wasm [ARGUMENT...]` prints medians in milliseconds; the calls have no input.
//! With `PREFAULT` in the environment it is started as for a snapshot.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that fails has nothing to say"
)]

use std::{
    env, fs,
    io::{Read as _, Write as _},
    process::{ChildStdout, Command, Stdio},
    time::Instant,
};

use uc_guest_protocol::{
    Bounds, Decoder, Kind, encode, encode_json,
    function::{Call, Report, STDIN},
};

/// Runners started; each is called twice.
const ROUNDS: usize = 41;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [runner, program, rest @ ..] = arguments.as_slice() else {
        println!("runner_times RUNNER PROGRAM.wasm [ARGUMENT...]");
        return;
    };
    let prefault = env::var_os("PREFAULT").map(|_| "--prefault");
    let bytes = fs::read(program).expect("a program");
    let start = Instant::now();
    let compiled = uc_wasm::precompile_for_guest(&bytes).expect("compiles");
    let compile_ms = start.elapsed().as_secs_f64() * 1e3;
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = folder.path().join("program");
    fs::write(&file, &compiled).expect("written");
    let argv: Vec<String> = ["function".to_owned()]
        .into_iter()
        .chain(rest.iter().cloned())
        .collect();
    let call = Call {
        argv,
        env: Vec::new(),
        cwd: "/".into(),
        directories: Vec::new(),
        memory_limit_bytes: None,
        sockets: false,
        port: None,
        rehearsal: false,
    };
    let request = encode_json(Kind::Request, &call, Bounds::BY_AGENT).expect("short");
    let request = [request, encode(Kind::End, STDIN, b"")].concat();
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut child = Command::new(runner)
            .args(prefault)
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut input = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let mut decoder = Decoder::new(Bounds::BY_HOST);
        wait(&mut output, &mut decoder);
        times[0].push(start.elapsed().as_secs_f64() * 1e3);
        for kind in &mut times[1..] {
            let start = Instant::now();
            input.write_all(&request).expect("heard");
            wait(&mut output, &mut decoder);
            kind.push(start.elapsed().as_secs_f64() * 1e3);
        }
        drop(input);
        child.wait().expect("ended");
    }
    println!(
        "{} KiB, compiled in {compile_ms:.0} ms to {} KiB",
        bytes.len() / 1024,
        compiled.len() / 1024
    );
    for (name, mut times) in ["ready", "first call", "second call"]
        .into_iter()
        .zip(times)
    {
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.2} ms", times[ROUNDS / 2]);
    }
}

/// Waits for a report.
fn wait(output: &mut ChildStdout, decoder: &mut Decoder) {
    loop {
        while let Some(frame) = decoder.next_frame().expect("frames") {
            if frame.kind == Kind::Event {
                assert!(!matches!(
                    frame.message().expect("a report"),
                    Report::Failed(_)
                ));
                return;
            }
        }
        let mut buffer = [0; 65_536];
        let count = output.read(&mut buffer).expect("read");
        assert_ne!(count, 0, "the runner ended");
        decoder.push(&buffer[..count]);
    }
}
