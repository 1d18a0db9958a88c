//! The commands of a runtime.

use std::{
    fs::{self, File},
    io::Read as _,
    os::{
        fd::{AsRawFd as _, BorrowedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use uc_linux::seccomp_profile;
use uc_model::{Problem, ProblemKind, Result};

use super::{
    casualties,
    errands::Files,
    processes::{Processes, Status},
};
use crate::{
    flavour::Flavour,
    order::{Order, PLACE},
};

/// How often a command is looked at, in the time that it may take; it should be done in tens of milliseconds.
const LOOKS: u32 = 60;

/// How long it is waited for between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How much of a runtime's log is read for its last words, in bytes.
const MAX_LOG: u64 = 64 << 10;

/// Most characters of them that are passed on.
const MAX_WORDS: usize = 500;

/// A runtime with its options.
pub(super) struct Runtime {
    flavour: Flavour,
    /// The runtime's program, under the descriptor that was inherited.
    program: String,
    options: Vec<String>,
}

impl Runtime {
    pub(super) fn new(order: &Order) -> Self {
        let state = format!("{PLACE}/state");
        Self {
            flavour: order.flavour,
            program: format!("/proc/self/fd/{}", order.descriptors.runtime),
            options: order.flavour.global_options(
                &state,
                &log_file(),
                order.network,
                order.platform,
            ),
        }
    }

    /// A command of the runtime. Its streams lead nowhere, and it knows no environment but where to find programs.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg0(self.flavour.program())
            .args(&self.options)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("XDG_RUNTIME_DIR", PLACE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<i32> {
        let child = command.spawn().map_err(|error| {
            Problem::host(format!("{} cannot be executed", self.flavour))
                .found(error)
                .remedy("let everybody read and execute it, or install it anew")
        })?;
        Ok(child.id().cast_signed())
    }

    /// Runs a command to its end; its log tells what went wrong.
    fn complete(&self, what: &str, command: &mut Command, processes: &mut Processes) -> Result<()> {
        let pid = self.spawn(command)?;
        for _ in 0..LOOKS {
            match processes.wait_for(pid, BETWEEN_LOOKS)? {
                Some(status) if status.code() == 0 => return Ok(()),
                Some(status) => return Err(self.refused(what, &code(status), &log_file())),
                // It hangs then. The supervisor ends, and it with that.
                None if casualties::has_lost(pid, libc::SIGSYS) => {
                    return Err(seccomp_profile::forbids_start());
                }
                None => {}
            }
        }
        Err(Problem::host(format!("{} does not answer", self.flavour))
            .at(what)
            .limit(format!("{} s", (BETWEEN_LOOKS * LOOKS).as_secs()))
            .remedy("try it by hand; another version may work"))
    }

    fn refused(&self, what: &str, status: &str, log: &str) -> Problem {
        let words = last_words(log).unwrap_or_else(|| status.to_owned());
        let lower = words.to_lowercase();
        let kind = match () {
            () if lower.contains("no such file") && lower.contains("exec") => {
                ProblemKind::CommandNotFound
            }
            () if lower.contains("exec format error") || lower.contains("permission denied") => {
                ProblemKind::NotExecutable
            }
            () => ProblemKind::Host,
        };
        Problem::new(
            kind,
            format!("{} could not {what} the container", self.flavour),
        )
        .found(words)
        .remedy("`uc doctor` shows what this host lacks; --runtime chooses another sandbox")
    }

    /// Creates the container, whose program has this process's standard streams.
    pub(super) fn create(&self, id: &str, processes: &mut Processes) -> Result<()> {
        self.make("create", &[], id, processes)
    }

    /// Starts the program of the created container.
    pub(super) fn start(&self, id: &str, processes: &mut Processes) -> Result<()> {
        self.complete("start", &mut self.command(&["start", id]), processes)
    }

    /// Creates and starts at once.
    pub(super) fn run(&self, id: &str, processes: &mut Processes) -> Result<()> {
        self.make("run", &["--detach"], id, processes)
    }

    fn make(
        &self,
        what: &str,
        options: &[&str],
        id: &str,
        processes: &mut Processes,
    ) -> Result<()> {
        let bundle = format!("{PLACE}/bundle");
        let pid_file = pid_file();
        let common = ["--bundle", &bundle, "--pid-file", &pid_file, id];
        let mut command = self.command(&[&[what], options, &common].concat());
        command
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        self.complete(what, &mut command, processes)
    }

    /// Begins to create and start a container in a kernel that runs: the process that ends when its program runs.
    pub(super) fn run_joined(
        &self,
        id: &str,
        place: &str,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<i32> {
        let (bundle, log) = (format!("{place}/bundle"), log_of(place));
        let words = ["--log", &log, "run", "--detach", "--bundle", &bundle, id];
        self.spawn(with_streams(&mut self.command(&words), streams)?)
    }

    /// Why that failed.
    pub(super) fn did_not_run(&self, place: &str, status: Status) -> Problem {
        self.refused("run", &code(status), &log_of(place))
    }

    /// Begins to wait for a container: the process that ends when its program has ended.
    pub(super) fn wait(&self, id: &str, place: &str) -> Result<i32> {
        let answer = File::create(exit_file(place))
            .map_err(|error| Problem::host("cannot wait for a program").caused_by(error))?;
        self.spawn(self.command(&["wait", id]).stdout(answer))
    }

    /// The exit code that was waited for; `None` where the runtime could not tell.
    pub(super) fn exit_code(&self, place: &str) -> Option<u8> {
        let mut text = String::new();
        let file = File::open(exit_file(place)).ok()?;
        file.take(MAX_LOG).read_to_string(&mut text).ok()?;
        let answer: Value = serde_json::from_str(&text).ok()?;
        Some((answer["exitStatus"].as_u64()? & 0xff) as u8)
    }

    /// Begins to forget a container that has ended, or was not quite started.
    pub(super) fn delete(&self, id: &str) -> Result<i32> {
        self.spawn(&mut self.command(&["delete", "--force", id]))
    }

    /// Removes what was written about a container that had joined.
    pub(super) fn forget(&self, place: &str) {
        for file in [log_of(place), exit_file(place)] {
            // One that never ran has none.
            let _ = fs::remove_file(file);
        }
    }

    /// The process that is the container's program-to-be.
    pub(super) fn main_pid(&self) -> Result<i32> {
        let text = fs::read_to_string(pid_file()).unwrap_or_default();
        let text = text.trim();
        text.parse().ok().filter(|pid| *pid > 1).ok_or_else(|| {
            let problem = Problem::host(format!(
                "{} did not say which process it made",
                self.flavour
            ));
            match text {
                "" => problem,
                text => problem.found(text),
            }
        })
    }

    /// Sends a container's program a signal.
    pub(super) fn signal(&self, id: &str, signal: i32) -> Result<()> {
        if self.flavour.has_own_kernel() {
            return self
                .spawn(&mut self.command(&["kill", id, &signal.to_string()]))
                .map(drop);
        }
        let pid = self.main_pid()?;
        // SAFETY: kill takes integers. A program that has ended is none to signal.
        unsafe { libc::kill(pid, signal) };
        Ok(())
    }

    /// Holds the container's program, or all those of its kernel; or lets them go on.
    pub(super) fn pause(&self, id: &str, hold: bool, processes: &mut Processes) -> Result<()> {
        let what = if hold { "pause" } else { "resume" };
        self.complete(what, &mut self.command(&[what, id]), processes)
    }

    /// Starts one more program: the process that ends with it.
    pub(super) fn exec(
        &self,
        id: &str,
        files: &Files,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<i32> {
        let mut words = vec!["exec", "--process", &files.process];
        if self.flavour == Flavour::Runsc {
            words.extend(["--internal-pid-file", &files.pid]);
            // What it says of one errand of thousands is not kept.
            words.splice(0..0, ["--log", &files.log]);
        }
        words.push(id);
        self.spawn(with_streams(&mut self.command(&words), streams)?)
    }

    /// Ends such a program.
    pub(super) fn kill_inside(&self, id: &str, pid_file: &str) {
        let inside = fs::read_to_string(pid_file).unwrap_or_default();
        if let Ok(inside) = inside.trim().parse::<i32>() {
            let words = ["kill", "--pid", &inside.to_string(), id, "KILL"];
            let _ = self.spawn(&mut self.command(&words));
        }
    }

    /// As [`Self::exec`], with the program in an open file, and no streams.
    pub(super) fn exec_file(
        &self,
        id: &str,
        program: BorrowedFd<'_>,
        files: &Files,
    ) -> Result<i32> {
        let failed = |errno| {
            Problem::host("cannot hand a program over").caused_by(std::io::Error::from(errno))
        };
        // A copy that the command inherits; this process has one thread, so nothing else starts meanwhile.
        let inherited = rustix::io::dup(program).map_err(failed)?;
        let number = inherited.as_raw_fd().to_string();
        let mut words = vec!["--log", &files.log, "exec", "--process", &files.process];
        words.extend(["--exec-fd", &number, "--internal-pid-file", &files.pid, id]);
        self.spawn(&mut self.command(&words))
    }
}

fn with_streams<'a>(
    command: &'a mut Command,
    [stdin, stdout, stderr]: [BorrowedFd<'_>; 3],
) -> Result<&'a mut Command> {
    let stream = |fd: BorrowedFd<'_>| {
        fd.try_clone_to_owned()
            .map(Stdio::from)
            .map_err(|error| Problem::host("cannot prepare a program").caused_by(error))
    };
    Ok(command
        .stdin(stream(stdin)?)
        .stdout(stream(stdout)?)
        .stderr(stream(stderr)?))
}

fn code(status: Status) -> String {
    format!("exit code {}", status.code())
}

fn log_of(place: &str) -> String {
    format!("{place}.log")
}

fn exit_file(place: &str) -> String {
    format!("{place}.exit")
}

fn pid_file() -> String {
    format!("{PLACE}/pid")
}

fn log_file() -> String {
    format!("{PLACE}/log")
}

/// The last error in a log of the runtime.
pub(super) fn last_words(log: &str) -> Option<String> {
    let mut text = String::new();
    let file = File::open(log).ok()?;
    file.take(MAX_LOG).read_to_string(&mut text).ok()?;
    text.lines().rev().find_map(words)
}

/// How each of youki's complaints begins.
const YOUKI_SAYS: &str = "error in executing command: ";

/// The words of a line: runsc and youki write JSON, runsc several on one line, runc `… msg="words"`, crun a date, a level in
/// brackets and the words.
fn words(line: &str) -> Option<String> {
    let line = line.trim();
    let of_json = serde_json::Deserializer::from_str(line)
        .into_iter::<Value>()
        .map_while(std::result::Result::ok)
        .filter_map(|json| {
            let words = json["msg"].as_str().or(json["message"].as_str())?;
            // A trace of the stack follows on further lines.
            let first = words.lines().next().unwrap_or_default();
            Some(first.trim_start_matches(YOUKI_SAYS).to_owned())
        })
        .last();
    let words = of_json.unwrap_or_else(|| {
        let quoted = line
            .split_once("msg=")
            .map(|(_, rest)| rest.trim_matches('"'));
        let behind = line.split_once("]: ").map(|(_, rest)| rest);
        quoted.or(behind).unwrap_or(line).to_owned()
    });
    (!words.is_empty()).then(|| words.chars().take(MAX_WORDS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_found_in_each_runtimes_log() {
        for (line, expected) in [
            (
                r#"{"msg":"no such file","level":"error","time":"2026-11-25T22:14:46Z"}"#,
                "no such file",
            ),
            (
                r#"{"msg":"an earlier one","level":"error"}{"msg":"the last one","level":"error"}"#,
                "the last one",
            ),
            (
                r#"{"level":"ERROR","message":"error in executing command: it failed\n\nStack backtrace:","target":"youki"}"#,
                "it failed",
            ),
            (
                r#"time="2026-11-25T22:14:46Z" level=error msg="it failed""#,
                "it failed",
            ),
            ("2026-11-25T22:14:46.0Z [ERROR]: it failed", "it failed"),
            ("it failed", "it failed"),
        ] {
            assert_eq!(words(line).as_deref(), Some(expected));
        }
        assert_eq!(words("  "), None);
    }
}
