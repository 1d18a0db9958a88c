//! The commands of a runtime.

use std::{
    fs::{self, File},
    io::Read as _,
    os::{fd::BorrowedFd, unix::process::CommandExt as _},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use uc_model::{Problem, ProblemKind, Result};

use super::processes::Processes;
use crate::{
    flavour::Flavour,
    order::{Order, PLACE},
};

/// How long a command may take that should be done in tens of milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

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
    id: String,
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
            id: order.id.clone(),
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
        match processes.wait_for(pid, PATIENCE)? {
            Some(status) if status.code() == 0 => Ok(()),
            Some(status) => Err(self.refused(what, &format!("exit code {}", status.code()))),
            None => Err(Problem::host(format!("{} does not answer", self.flavour))
                .at(what)
                .limit(format!("{} s", PATIENCE.as_secs()))
                .remedy("try it by hand; another version may work")),
        }
    }

    fn refused(&self, what: &str, status: &str) -> Problem {
        let words = last_words().unwrap_or_else(|| status.to_owned());
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
    pub(super) fn create(&self, processes: &mut Processes) -> Result<()> {
        self.make("create", &[], processes)
    }

    /// Starts the program of the created container.
    pub(super) fn start(&self, processes: &mut Processes) -> Result<()> {
        self.complete("start", &mut self.command(&["start", &self.id]), processes)
    }

    /// Creates and starts at once.
    pub(super) fn run(&self, processes: &mut Processes) -> Result<()> {
        self.make("run", &["--detach"], processes)
    }

    fn make(&self, what: &str, options: &[&str], processes: &mut Processes) -> Result<()> {
        let bundle = format!("{PLACE}/bundle");
        let pid_file = pid_file();
        let common = ["--bundle", &bundle, "--pid-file", &pid_file, &self.id];
        let mut command = self.command(&[&[what], options, &common].concat());
        command
            .stdin(Stdio::inherit())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        self.complete(what, &mut command, processes)
    }

    /// The process that is the container's program-to-be.
    pub(super) fn main_pid(&self) -> Result<i32> {
        let text = fs::read_to_string(pid_file()).unwrap_or_default();
        text.trim()
            .parse()
            .ok()
            .filter(|pid| *pid > 1)
            .ok_or_else(|| {
                Problem::host(format!(
                    "{} did not say which process it made",
                    self.flavour
                ))
                .found(text)
            })
    }

    /// Sends the container's program a signal.
    pub(super) fn signal(&self, signal: i32) -> Result<()> {
        if self.flavour.has_own_kernel() {
            return self
                .spawn(&mut self.command(&["kill", &self.id, &signal.to_string()]))
                .map(drop);
        }
        let pid = self.main_pid()?;
        // SAFETY: kill takes integers. A program that has ended is none to signal.
        unsafe { libc::kill(pid, signal) };
        Ok(())
    }

    /// Holds the container's program, or lets it go on.
    pub(super) fn pause(&self, hold: bool, processes: &mut Processes) -> Result<()> {
        let what = if hold { "pause" } else { "resume" };
        self.complete(what, &mut self.command(&[what, &self.id]), processes)
    }

    /// Starts one more program: the process that ends with it, and the file that will hold its process id inside.
    pub(super) fn exec(
        &self,
        number: u32,
        process: &Value,
        streams: [BorrowedFd<'_>; 3],
    ) -> Result<(i32, String)> {
        let failed =
            |error: std::io::Error| Problem::host("cannot prepare a program").caused_by(error);
        let file = format!("{PLACE}/exec-{number}.json");
        fs::write(&file, process.to_string()).map_err(failed)?;
        let pid_file = format!("{PLACE}/exec-{number}.pid");
        let mut words = vec!["exec", "--process", &file];
        if self.flavour == Flavour::Runsc {
            words.extend(["--internal-pid-file", &pid_file]);
        }
        words.push(&self.id);
        let mut command = self.command(&words);
        let [stdin, stdout, stderr] = streams;
        let stream = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(Stdio::from);
        command
            .stdin(stream(stdin).map_err(failed)?)
            .stdout(stream(stdout).map_err(failed)?)
            .stderr(stream(stderr).map_err(failed)?);
        Ok((self.spawn(&mut command)?, pid_file))
    }

    /// Ends such a program.
    pub(super) fn end_exec(&self, pid: i32, pid_file: &str) {
        let inside = fs::read_to_string(pid_file).unwrap_or_default();
        if let Ok(inside) = inside.trim().parse::<i32>() {
            let words = ["kill", "--pid", &inside.to_string(), &self.id, "KILL"];
            let _ = self.spawn(&mut self.command(&words));
        }
        // SAFETY: kill takes integers; the process is a child that has not been reaped.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

fn pid_file() -> String {
    format!("{PLACE}/pid")
}

fn log_file() -> String {
    format!("{PLACE}/log")
}

/// The last error in the runtime's log.
fn last_words() -> Option<String> {
    let mut text = String::new();
    let file = File::open(log_file()).ok()?;
    file.take(MAX_LOG).read_to_string(&mut text).ok()?;
    text.lines().rev().find_map(words)
}

/// How each of youki's complaints begins.
const YOUKI_SAYS: &str = "error in executing command: ";

/// The words of a line: runsc and youki write JSON, runc `… msg="words"`, crun a date, a level in brackets and the words.
fn words(line: &str) -> Option<String> {
    let line = line.trim();
    let of_json = serde_json::from_str::<Value>(line).ok().and_then(|json| {
        let words = json["msg"].as_str().or(json["message"].as_str())?;
        // A trace of the stack follows on further lines.
        let first = words.lines().next().unwrap_or_default();
        Some(first.trim_start_matches(YOUKI_SAYS).to_owned())
    });
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
