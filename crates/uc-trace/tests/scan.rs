//! Static scans of real programs beside what strace sees of them, of programs built on the spot, and of hostile files.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

#[path = "scan/build.rs"]
mod build;
#[path = "scan/hostile.rs"]
mod hostile;
#[path = "scan/refusals.rs"]
mod refusals;
#[path = "scan/roots.rs"]
mod roots;
#[path = "scan/small.rs"]
mod small;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use uc_select::{Method, syscall_names};
use uc_trace::scan::{Options, Report, scan};

/// The program of a name on the search path, links followed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .filter_map(|path| path.canonicalize().ok())
        .find(|path| path.is_file())
}

/// The calls that strace sees, without the first: that one starts the program.
fn traced(command: &[&str], seconds: u32) -> Option<BTreeSet<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("trace");
    let status = Command::new("timeout")
        .args([
            "--signal=INT",
            &seconds.to_string(),
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=all",
            "-o",
        ])
        .arg(&output)
        .args(command)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.ok()?;
    let text = std::fs::read(&output).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let calls: BTreeSet<String> = text
        .lines()
        .skip(1)
        .filter_map(call)
        .map(str::to_owned)
        .collect();
    (!calls.is_empty()).then_some(calls)
}

/// The call that a line of strace tells of: `PID name(...)` or `PID <... name resumed>...`.
fn call(line: &str) -> Option<&str> {
    let line = line.split_once(' ')?.1.trim_start();
    let line = line.strip_prefix("<... ").unwrap_or(line);
    let end = line.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
    let is_call = line[end..].starts_with(['(', ' ']);
    Some(&line[..end]).filter(|name| {
        is_call && name.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_')
    })
}

fn scanned(path: &Path) -> Report {
    scan(path, &Options::default())
        .unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// Scans and traces one program, tells the figures, and checks that nothing was missed that no gap explains.
fn compare(label: &str, path: &Path, command: &[&str], seconds: u32) {
    let report = scanned(path);
    assert_eq!(report.footprint.method, Method::Static);
    let found: BTreeSet<String> = report.footprint.calls.keys().cloned().collect();
    let known = syscall_names(report.footprint.architecture);
    let nameless: Vec<_> = found
        .iter()
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(
        nameless.is_empty(),
        "{label}: numbers that no call has: {nameless:?}"
    );
    let Some(seen) = traced(command, seconds) else {
        println!(
            "skipped: strace is not installed or may not trace; {label} can make {} calls",
            found.len()
        );
        return;
    };
    let missed: Vec<_> = seen.difference(&found).collect();
    println!(
        "{label}: static {}, traced {}, missed {missed:?}",
        found.len(),
        seen.len()
    );
    let opens = ["dlopen", "dlsym", "execve"];
    let is_explained = report
        .footprint
        .gaps
        .iter()
        .any(|gap| opens.iter().any(|word| gap.contains(word)));
    let is_plain = !is_explained || label == "true" || label == "ls" || label == "sqlite3";
    assert!(
        missed.is_empty() || !is_plain,
        "{label}: missed {missed:?}; {:?}",
        report.footprint.gaps
    );
}

#[test]
fn a_small_program_is_told_apart_from_its_whole_library() {
    let Some(path) = program("true") else {
        println!("skipped: there is no `true`");
        return;
    };
    let report = scanned(&path);
    let Some(libc) = report
        .libraries
        .iter()
        .find(|library| library.path.ends_with("libc.so.6"))
    else {
        println!("skipped: `true` does not use the GNU C library");
        return;
    };
    let all = scanned(&libc.path).footprint.calls.len();
    let here = report.footprint.calls.len();
    println!("true: {here} calls; its whole C library: {all}");
    assert!(all > 200, "{all}");
    assert!(2 * here < all, "{here} of {all}");
    assert!(
        !report.footprint.calls.contains_key("execve"),
        "{:?}",
        report.footprint.calls.keys()
    );
}

#[test]
fn what_real_programs_do_was_found_in_their_code() {
    let programs: [(&str, &[&str], u32); 9] = [
        ("true", &["true"], 20),
        ("ls", &["ls", "-la", "/"], 20),
        (
            "sqlite3",
            &[
                "sqlite3",
                "x.db",
                "create table t(a); insert into t values(1); select * from t",
            ],
            20,
        ),
        ("git", &["git", "init", "--quiet", "here"], 20),
        (
            "redis-server",
            &["redis-server", "--port", "0", "--unixsocket", "socket"],
            4,
        ),
        ("bash", &["bash", "-c", "echo $((1 + 1)) > file"], 20),
        ("perl", &["perl", "-e", "print 1"], 20),
        ("python3", &["python3", "-c", "print(1)"], 30),
        ("node", &["node", "-e", "console.log(1)"], 30),
    ];
    for (name, command, seconds) in programs {
        // What stands on the path can be a script that looks for the program of a version.
        let real = Path::new("/usr/bin").join(name);
        let Some(path) = real.canonicalize().ok().or_else(|| program(name)) else {
            println!("skipped: {name} is not installed");
            continue;
        };
        let mut command = command.to_vec();
        let started = path.display().to_string();
        // A program that looks at its own name is started by that.
        if name != "redis-server" {
            command[0] = &started;
        }
        compare(name, &path, &command, seconds);
    }
}
