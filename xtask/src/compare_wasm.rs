//! `cargo xtask compare-wasm`: what `uc-select` expects of C programs as WebAssembly, beside what becomes of them.
//!
//! Each program of `xtask/programs/wasm` is compiled and recorded here, and compiled for WASI and run by `target/debug/uc`.
//! One that the compiler for WASI refuses has failed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use uc_model::{Problem, Result, RuntimeKind};
use uc_trace::{Options, Wish};

use crate::{
    compare_gvisor::{Happened, Part, Row, table},
    measure,
};

/// Words that start a compiler for WASI, each of which is tried.
const COMPILERS: [&[&str]; 2] = [&["zig", "cc"], &["python3", "-m", "ziglang", "cc"]];

/// Compares and prints.
///
/// # Errors
/// Host, where a compiler or `uc` is missing, or calls cannot be recorded; storage, where nothing can be written.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run() -> Result<()> {
    let folder = Path::new("target/compare-wasm");
    let failed = |error: std::io::Error| {
        Problem::storage("cannot write for the comparison")
            .at(folder.display())
            .caused_by(error)
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    let compiler = COMPILERS.into_iter().find(|words| {
        let (program, rest) = words.split_first().unwrap_or((&"zig", &[]));
        measure::text(Path::new(program), &[rest, &["--version"]].concat()).is_some()
    });
    let compiler = compiler.ok_or_else(|| {
        Problem::host("no compiler for WASI").remedy("python3 -m pip install ziglang")
    })?;
    let uc = Path::new("target/debug/uc")
        .canonicalize()
        .map_err(|error| {
            Problem::host("uc is missing")
                .remedy("cargo build --package uc-cli")
                .caused_by(error)
        })?;
    let mut rows = Vec::new();
    for source in sources()? {
        rows.push(compare(&source, compiler, &uc, &folder)?);
    }
    print!("{}", table::text(&rows));
    Ok(())
}

fn sources() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/wasm");
    let entries = fs::read_dir(&folder).map_err(|error| {
        Problem::host("the programs to compare are missing")
            .at(folder.display())
            .caused_by(error)
    })?;
    let mut sources: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    sources.sort();
    Ok(sources)
}

fn compare(source: &Path, compiler: &[&str], uc: &Path, folder: &Path) -> Result<Row> {
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let mut row = Row::new(name.clone().into_owned(), Part::Tuned, true);
    let (native, wasm) = (folder.join(&*name), folder.join(format!("{name}.wasm")));
    if let Err(words) = compile(&["cc", "-O1", "-w", "-pthread"], source, &native, &["-lm"]) {
        row.happened = Happened::Skipped(words);
        return Ok(row);
    }
    let work = tempfile::tempdir()
        .map_err(|error| Problem::storage("cannot make a folder").caused_by(error))?;
    let log = folder.join("output");
    let output = fs::File::create(&log).map_err(|error| {
        Problem::storage("cannot write the output")
            .at(log.display())
            .caused_by(error)
    })?;
    let mut command = Command::new(&native);
    command
        .current_dir(work.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output);
    let trace = uc_trace::trace(command, &Options::default(), &|| Wish::GoOn)?;
    if !trace.status.success() {
        row.happened = Happened::NotComparable(trace.status.to_string());
        return Ok(row);
    }
    row.coverage = Some(uc_select::coverage(&trace.footprint, RuntimeKind::Wasm));
    let wasi = [compiler, &["-target", "wasm32-wasi", "-O1", "-w"]].concat();
    row.happened = match compile(&wasi, source, &wasm, &[]) {
        Err(words) => Happened::Failed(words),
        Ok(()) => guest(uc, &name, folder, &fs::read(&log).unwrap_or_default()),
    };
    Ok(row)
}

/// What becomes of the compiled program.
fn guest(uc: &Path, name: &str, folder: &Path, expected: &[u8]) -> Happened {
    let manifest = folder.join("pod.yaml");
    let pod = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: compared}}
spec:
  restartPolicy: Never
  containers:
    - name: compared
      image: ./{name}.wasm
      workingDir: /data
      volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, emptyDir: {{}}}}]
"
    );
    if let Err(error) = fs::write(&manifest, pod) {
        return Happened::Skipped(error.to_string());
    }
    let ended = Command::new(uc)
        .args(["run", "--runtime", "wasm", "pod.yaml"])
        .current_dir(folder)
        .env("UC_HOME", folder.join("home"))
        .stdin(Stdio::null())
        .output();
    match ended {
        Err(error) => Happened::Skipped(error.to_string()),
        Ok(ended) if ended.status.success() && ended.stdout == expected => Happened::Ran,
        Ok(ended) => {
            let words = [ended.stdout, ended.stderr].concat();
            Happened::Failed(first_line(&words, &ended.status.to_string()))
        }
    }
}

fn compile(words: &[&str], source: &Path, target: &Path, more: &[&str]) -> Result<(), String> {
    let (program, arguments) = words.split_first().ok_or("no compiler")?;
    let ended = Command::new(program)
        .args(arguments)
        .arg(source)
        .arg("-o")
        .arg(target)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(first_line(&ended.stderr, "it does not compile")),
    }
}

/// The first line that tells an error, or else the first.
fn first_line(bytes: &[u8], otherwise: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .find(|line| line.contains("error"))
        .or_else(|| text.lines().next())
        .unwrap_or(otherwise);
    let line = line.split_once("error: ").map_or(line, |(_, rest)| rest);
    line.chars().take(120).collect()
}
