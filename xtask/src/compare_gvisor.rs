//! `cargo xtask compare-gvisor`: what `uc-select` expects of programs under gVisor, beside what happens to them there.
//!
//! Each program of `xtask/programs/gvisor` runs twice as the same user without capabilities: here, where its calls are
//! recorded, and in gVisor by `target/debug/uc`, with this machine's /usr and /etc. What fails here is no evidence.

mod programs;
mod stage;
pub(crate) mod table;

use std::{
    env,
    path::{Path, PathBuf},
    time::Instant,
};

use uc_model::{Problem, ProblemKind, Result, RuntimeKind};

pub use programs::{Part, Program, programs};
use stage::Stage;
pub use table::{Happened, Row};

/// Compares and reports.
///
/// # Errors
/// Invalid, for arguments; host, where `uc`, runsc or busybox is missing; storage, where nothing can be written.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore reports on its standard streams"
)]
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    let comparison = Comparison::new(
        existing("target/debug/uc", "cargo build --package uc-cli")?,
        runsc()?,
        Path::new("target/compare-gvisor"),
    )?;
    let mut rows = Vec::new();
    for program in programs()?.iter().filter(|one| options.takes(one)) {
        let start = Instant::now();
        let row = match options.native {
            true => comparison.rehearse(program)?,
            false => comparison.compare(program)?,
        };
        eprintln!("{:5.1} s  {}", start.elapsed().as_secs_f64(), row.summary());
        rows.push(row);
    }
    if options.json {
        let json = serde_json::to_string_pretty(&rows)
            .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?;
        println!("{json}");
    } else {
        print!("{}", table::text(&rows));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Options {
    json: bool,
    native: bool,
    part: Option<Part>,
    names: Vec<String>,
}

impl Options {
    fn takes(&self, program: &Program) -> bool {
        self.part.is_none_or(|part| program.part == part)
            && (self.names.is_empty() || self.names.contains(&program.name))
    }
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        match argument {
            "--format" if rest.next() == Some(&"json") => options.json = true,
            "--native" => options.native = true,
            "--tuned" => options.part = Some(Part::Tuned),
            "--held-out" => options.part = Some(Part::HeldOut),
            name if !name.starts_with('-') => options.names.push(name.to_owned()),
            _ => {
                return Err(Problem::invalid("unknown option of compare-gvisor")
                    .limit("--format json, --tuned, --held-out, --native and names of programs")
                    .found(argument));
            }
        }
    }
    Ok(options)
}

fn existing(path: &str, remedy: &str) -> Result<PathBuf> {
    Path::new(path).canonicalize().map_err(|error| {
        Problem::host("a program is missing")
            .at(path)
            .remedy(remedy)
            .caused_by(error)
    })
}

fn runsc() -> Result<PathBuf> {
    let named = env::var("UC_RUNSC").unwrap_or_else(|_| "target/peers/runsc".into());
    existing(&named, "cargo xtask setup --for-tests, or set UC_RUNSC")
}

/// Runs programs twice.
pub struct Comparison {
    stage: Stage,
}

impl Comparison {
    /// Prepares `folder` for programs that `uc` runs by `runsc`.
    ///
    /// # Errors
    /// Host, where busybox is missing; storage, where nothing can be written.
    pub fn new(uc: PathBuf, runsc: PathBuf, folder: &Path) -> Result<Self> {
        stage::open_to_all(folder)?;
        let stage = Stage::prepare(uc, runsc, folder)?;
        Ok(Self { stage })
    }

    /// Runs a program here alone: what is expected of it, by its calls and by a run in which gVisor's refusals are played.
    ///
    /// # Errors
    /// Host, where this kernel's calls cannot be recorded.
    pub fn rehearse(&self, program: &Program) -> Result<Row> {
        let (row, _) = self.expect(program)?;
        Ok(row)
    }

    /// Runs a program here and under gVisor.
    ///
    /// # Errors
    /// Host, where this kernel's calls cannot be recorded or `uc` cannot be started.
    pub fn compare(&self, program: &Program) -> Result<Row> {
        let (mut row, output) = self.expect(program)?;
        let Some(output) = output else {
            return Ok(row);
        };
        let ended = self.stage.gvisor(program)?;
        row.happened = if ended.code != Some(0) {
            Happened::Failed(ended.last_words())
        } else if !program.output_varies && ended.output != output {
            Happened::Failed(difference(&output, &ended.output))
        } else {
            Happened::Ran
        };
        Ok(row)
    }

    /// What is expected of a program, and what it wrote here; nothing where it does not run here.
    fn expect(&self, program: &Program) -> Result<(Row, Option<String>)> {
        let mut row = Row::new(program.name.clone(), program.part, program.is_probe);
        if let Some(missing) = program.missing() {
            row.happened = Happened::Skipped(format!("{missing} is missing"));
            return Ok((row, None));
        }
        if let Err(error) = self.stage.compile(program) {
            row.happened = Happened::Skipped(error);
            return Ok((row, None));
        }
        let native = match self.stage.native(program) {
            // The recorder's own fault is no program's.
            Err(problem) if problem.kind() == ProblemKind::Internal => {
                row.happened = Happened::NotComparable(problem.to_string());
                return Ok((row, None));
            }
            ended => ended?,
        };
        if native.ended.code != Some(0) {
            row.happened = Happened::NotComparable(native.ended.last_words());
            return Ok((row, None));
        }
        row.coverage = Some(uc_select::coverage(&native.footprint, RuntimeKind::Gvisor));
        let rehearsed = self.stage.rehearse(program, &native)?;
        row.rehearsed = Some(rehearsed.alike);
        let mut settled = native.footprint;
        settled
            .rehearsals
            .insert(RuntimeKind::Gvisor.into(), rehearsed);
        let settled = uc_select::coverage(&settled, RuntimeKind::Gvisor);
        row.settled = Some(settled.prediction);
        Ok((row, Some(native.ended.output)))
    }
}

/// The first lines that differ.
fn difference(here: &str, there: &str) -> String {
    let (mut ours, mut theirs) = (here.lines(), there.lines());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return "other line ends".into(),
            (one, other) if one == other => {}
            (one, other) => {
                let show = |line: Option<&str>| line.unwrap_or("nothing").to_owned();
                return format!("writes \"{}\" instead of \"{}\"", show(other), show(one));
            }
        }
    }
}
