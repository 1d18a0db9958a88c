//! The solver, a program of its own beside this one or within it.
//!
//! HiGHS would cost every start of `uc` a millisecond if it were linked in, used or not; and a defect of it cannot take `uc`
//! along.

use std::{
    cell::RefCell,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use uc_model::{Problem, Result};
use uc_plan::portfolio::{Limits, Program, Request, Response, Solved, Solver};

/// The name of the program.
const NAME: &str = "uc-solve";

/// A running solver.
pub(super) struct SolverProgram {
    running: RefCell<Running>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl SolverProgram {
    /// Starts it.
    ///
    /// # Errors
    /// Host, where the program is missing.
    pub(super) fn start() -> Result<Self> {
        let (file, _kept) = program()?;
        let missing = |error: std::io::Error| {
            Problem::host("the solver of portfolios cannot be started")
                .at(file.display())
                .caused_by(error)
                .remedy("keep uc-solve beside uc, or build it: cargo build --package uc-solver")
        };
        let mut child = Command::new(&file)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(missing)?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                running: RefCell::new(Running {
                    child,
                    input,
                    output: BufReader::new(output),
                }),
            }),
            _ => Err(Problem::internal("the solver has no pipes")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whatever it is doing, nobody waits for it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Solver for SolverProgram {
    fn maximise(&self, program: &Program, limits: &Limits) -> Result<Solved> {
        let request = Request {
            program: program.clone(),
            limits: *limits,
        };
        let ended = |error: std::io::Error| {
            Problem::internal("the solver of portfolios ended").caused_by(error)
        };
        let malformed = |error: serde_json::Error| {
            Problem::internal("the solver of portfolios is not understood").caused_by(error)
        };
        let mut running = self.running.borrow_mut();
        let mut line = serde_json::to_vec(&request).map_err(malformed)?;
        line.push(b'\n');
        running.input.write_all(&line).map_err(ended)?;
        running.input.flush().map_err(ended)?;
        let mut answer = String::new();
        running.output.read_line(&mut answer).map_err(ended)?;
        match serde_json::from_str(&answer).map_err(malformed)? {
            Response::Solved(solved) => Ok(solved),
            Response::Failed(why) => Err(Problem::internal("the solver fails").found(why)),
        }
    }
}

/// The program that is built in, as a file without a name that exists while the descriptor is open.
#[cfg(feature = "embedded-solver")]
fn program() -> Result<(PathBuf, rustix::fd::OwnedFd)> {
    use rustix::fd::AsRawFd as _;
    static SOLVER: &[u8] = include_bytes!(env!("UC_SOLVE"));
    let failed = |error: rustix::io::Errno| {
        Problem::host("no memory file can be made for the solver").caused_by(error)
    };
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    // Kernels before 6.3 do not know EXEC; later ones may be set to make memory files not executable without it.
    let file = rustix::fs::memfd_create(NAME, flags | rustix::fs::MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create(NAME, flags))
        .map_err(failed)?;
    let mut rest = SOLVER;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).map_err(failed)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    let path = PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ));
    Ok((path, file))
}

/// The program beside this one, as a build leaves both.
#[cfg(not(feature = "embedded-solver"))]
fn program() -> Result<(PathBuf, ())> {
    let own = env::current_exe().map_err(|error| {
        Problem::host("this program does not know where it is").caused_by(error)
    })?;
    Ok((own.with_file_name(NAME), ()))
}
