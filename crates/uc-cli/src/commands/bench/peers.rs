//! Other programs that are measured, and the registry that ours and theirs talk to.

use std::{
    fs,
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use super::fixture::Fixture;

const REGISTRY_PATIENCE: Duration = Duration::from_secs(10);

/// Whether a program is on PATH.
pub(super) fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    })
}

/// A measurement that cannot be made.
pub(super) fn failed(what: &str) -> Problem {
    Problem::host(what).at("uc bench")
}

/// The time from a program's start until it is reaped, in milliseconds, and its peak resident memory in MB.
#[allow(clippy::zombie_processes, reason = "wait4 reaps it")]
pub(super) fn timed(command: &mut Command) -> Result<(f64, f64)> {
    let before = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed("a program cannot be started").caused_by(error))?;
    let (status, peak_kib) = reap(&child);
    let elapsed_ms = before.elapsed().as_secs_f64() * 1e3;
    if status == 0 {
        return Ok((elapsed_ms, peak_kib as f64 * 1024.0 / 1e6));
    }
    Err(failed("a program fails").found(format!("wait status {status:#x}")))
}

#[allow(unsafe_code, reason = "no safe crate tells the memory of one child")]
fn reap(child: &Child) -> (i32, i64) {
    let mut status = -1;
    // SAFETY: all zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for writing; the child is ours and nobody else waits for it.
    unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    (status, usage.ru_maxrss)
}

/// docker-registry on a free port of this machine, ended when dropped.
pub(super) struct Registry {
    child: Child,
    pub(super) port: u16,
}

impl Registry {
    pub(super) fn start(fixture: &Fixture) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| failed("no free port").caused_by(error))?
            .port();
        let config = fixture.file("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            fixture.file("registry")
        );
        fs::File::create(&config)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed("cannot configure a registry").caused_by(error))?;
        let child = Command::new("docker-registry")
            .args(["serve", &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed("cannot start a registry").caused_by(error))?;
        let registry = Self { child, port };
        let deadline = Instant::now() + REGISTRY_PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > deadline {
                return Err(failed("the registry does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
