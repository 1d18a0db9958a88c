//! What is done beside a container's program: further programs, among them attempts to connect to a port.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::fs::PermissionsExt as _,
    },
};

use serde_json::Value;
use uc_model::{Problem, Result, Telling};
use uc_sandbox::{Process, User};

use super::{
    processes::Status,
    runtime::{self, Runtime},
};
use crate::{bundle, inside, order::PLACE};

/// Most that are done at a time.
const MAX_ERRANDS: usize = 64;

/// What is being done, by number.
#[derive(Default)]
pub(super) struct Errands(BTreeMap<u32, Errand>);

struct Errand {
    /// The runtime's process that ends with it.
    pid: i32,
    /// The container that it is in.
    id: String,
    /// The port that it tries, if that is what it is.
    port: Option<u16>,
    files: Files,
}

/// What it needs for as long as it lasts.
pub(super) struct Files {
    /// The process, as the runtime wants it described.
    pub(super) process: String,
    /// Where the runtime writes the process id that it has inside.
    pub(super) pid: String,
    /// What the runtime says of it.
    pub(super) log: String,
    /// A program that is in no image.
    program: String,
}

impl Errands {
    /// Runs one more program in a container.
    pub(super) fn exec(
        &mut self,
        runtime: &Runtime,
        number: u32,
        id: String,
        process: &Value,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<()> {
        self.check_count()?;
        let files = Files::new(number, process)?;
        let pid = runtime.exec(&id, &files, streams);
        self.add(number, pid, id, None, files)
    }

    /// Connects to a port of the loopback that gVisor's kernel has, by a program of ours in one of its containers:
    /// `runsc port-forward` would keep all other commands waiting for as long as nobody answers.
    pub(super) fn connect(
        &mut self,
        runtime: &Runtime,
        number: u32,
        id: String,
        port: u16,
    ) -> Result<()> {
        self.check_count()?;
        let program = inside::connect(port).ok_or_else(|| {
            Problem::host("no program is known to try ports with on this processor")
                .found(std::env::consts::ARCH)
                .remedy("use exec probes")
        })?;
        let process = bundle::process(&Process {
            argv: vec!["connect".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: User::default(),
        });
        let files = Files::new(number, &process)?;
        let begun = write_program(&files.program, &program)
            .and_then(|program| runtime.exec_file(&id, program.as_fd(), &files));
        self.add(number, begun, id, Some(port), files)
    }

    fn check_count(&self) -> Result<()> {
        if self.0.len() < MAX_ERRANDS {
            return Ok(());
        }
        Err(
            Problem::refused("too many programs and probes run at a time")
                .limit(MAX_ERRANDS)
                .remedy("probe less often"),
        )
    }

    fn add(
        &mut self,
        number: u32,
        begun: Result<i32>,
        id: String,
        port: Option<u16>,
        files: Files,
    ) -> Result<()> {
        let pid = begun?;
        let errand = Errand {
            pid,
            id,
            port,
            files,
        };
        self.0.insert(number, errand);
        Ok(())
    }

    /// Ends one before its time.
    pub(super) fn end(&self, runtime: &Runtime, number: u32) {
        let Some(errand) = self.0.get(&number) else {
            return;
        };
        runtime.kill_inside(&errand.id, &errand.files.pid);
        // SAFETY: kill takes integers; the process is a child that has not been reaped.
        unsafe { libc::kill(errand.pid, libc::SIGKILL) };
    }

    /// Takes note of a process's end: which errand it was, and how that went.
    pub(super) fn ended(
        &mut self,
        pid: i32,
        status: Status,
    ) -> Option<(u32, std::result::Result<u8, Telling>)> {
        let (&number, _) = self.0.iter().find(|(_, errand)| errand.pid == pid)?;
        let errand = self.0.remove(&number)?;
        let result = match (errand.port, status.code()) {
            // It says nothing of the port: the driver tries again.
            (Some(_), inside::INTERRUPTED) => Ok(inside::INTERRUPTED),
            (Some(port), 1..) => Err(Telling::of(&not_connected(port, status, &errand.files))),
            (_, code) => Ok(code),
        };
        Some((number, result))
    }
}

/// Why there is no connection, in the words that other sandboxes have for it.
fn not_connected(port: u16, status: Status, files: &Files) -> Problem {
    let problem = Problem::unavailable(format!("cannot connect to port {port}"));
    match (status.code(), runtime::last_words(&files.log)) {
        (_, Some(words)) => problem.found(words),
        (errno, None) => problem.found(io::Error::from_raw_os_error(errno.into())),
    }
}

/// Writes a program, and opens it as the runtime wants it: for reading only.
fn write_program(path: &str, bytes: &[u8]) -> Result<File> {
    fs::write(path, bytes)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .and_then(|()| File::open(path))
        .map_err(unprepared)
}

fn unprepared(error: io::Error) -> Problem {
    Problem::host("cannot prepare a program").caused_by(error)
}

impl Files {
    fn new(number: u32, process: &Value) -> Result<Self> {
        let name = |end: &str| format!("{PLACE}/errand-{number}{end}");
        let files = Self {
            process: name(".json"),
            pid: name(".pid"),
            log: name(".log"),
            program: name(""),
        };
        fs::write(&files.process, process.to_string()).map_err(unprepared)?;
        Ok(files)
    }
}

impl Drop for Files {
    /// Probes come by the thousand, and the file system in memory is small.
    fn drop(&mut self) {
        for file in [&self.process, &self.pid, &self.log, &self.program] {
            // Not every errand comes to have all of them.
            let _ = fs::remove_file(file);
        }
    }
}
