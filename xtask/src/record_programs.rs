//! `cargo xtask record-programs [--minutes 60] [--step 5] [DIR]`: runs the programs of `recordings/programs` side by side and
//! records the anonymous resident memory of each, in the format that `uc foresight replay` reads.

mod process;
mod programs;
mod series;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use programs::LANGUAGES;
use series::Series;

/// Where the sources lie, seen from the repository's root.
const SOURCES: &str = "recordings/programs";
/// A day: the programs that leak would take all memory of the host in a longer one.
const MOST_MINUTES: u64 = 24 * 60;

#[derive(Debug, PartialEq, Eq)]
struct Options {
    minutes: u64,
    step_s: u64,
    folder: PathBuf,
}

/// The names of the files that a complete run writes.
pub fn files() -> Vec<String> {
    LANGUAGES
        .iter()
        .flat_map(|language| language.scenarios.iter().map(|name| language.file(name)))
        .collect()
}

/// Builds and runs what this machine has the compilers and servers for.
///
/// # Errors
/// Invalid, for arguments; host, where a program does not build or ends early; storage, where nothing can be written. The
/// recordings that lay there are whole then, and no program is left running.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    let sources = Path::new(SOURCES).canonicalize().map_err(|error| {
        Problem::host("the programs to record are missing")
            .at(SOURCES)
            .remedy("run it in the root of the repository")
            .caused_by(error)
    })?;
    fs::create_dir_all(&options.folder).map_err(|error| {
        Problem::storage("cannot make the folder of the recordings")
            .at(options.folder.display())
            .remedy("name a folder that you may write to")
            .caused_by(error)
    })?;
    // Dropped last, so that nothing runs in it any more.
    let scratch = tempfile::tempdir().map_err(|error| {
        Problem::storage("cannot make a temporary folder")
            .remedy("set TMPDIR to a folder that you may write to")
            .caused_by(error)
    })?;
    let mut ready = Vec::new();
    for language in LANGUAGES {
        match language.absent() {
            Some(why) => println!("skipped: {}: {why}", language.name),
            None => ready.push((language, (language.build)(&sources, scratch.path())?)),
        }
    }
    // Only when all are built: a compiler at work would take the processor from programs that already run.
    let mut all = Vec::new();
    for (language, launcher) in &ready {
        for scenario in language.scenarios {
            let running = launcher.start(scenario, scratch.path())?;
            let file = options.folder.join(language.file(scenario));
            all.push(Series::begin(file, running)?);
        }
    }
    record(&mut all, &options)?;
    let count = all.len();
    // All of them are written before the first replaces its predecessor.
    for series in &mut all {
        series.flush()?;
    }
    for series in all {
        series.publish()?;
    }
    println!("{count} recordings in {}", options.folder.display());
    Ok(())
}

#[allow(
    clippy::print_stderr,
    reason = "progress goes to standard error, like that of every chore"
)]
fn record(all: &mut [Series], options: &Options) -> Result<()> {
    let end_s = options.minutes * 60;
    let start = Instant::now();
    let mut minute = 0;
    let mut due_s = 0;
    while !all.is_empty() && due_s <= end_s {
        if let Some(wait) = Duration::from_secs(due_s).checked_sub(start.elapsed()) {
            thread::sleep(wait);
        }
        // The time that it is, not the time that was due: a host that stalls must not bend the slopes.
        let now_s = start.elapsed().as_secs();
        for series in &mut *all {
            series.sample(now_s)?;
        }
        if now_s / 60 > minute {
            minute = now_s / 60;
            eprintln!(
                "record-programs: {minute} of {} minutes, {} programs",
                options.minutes,
                all.len()
            );
        }
        due_s = (now_s / options.step_s + 1) * options.step_s;
    }
    Ok(())
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options {
        minutes: 60,
        step_s: 5,
        folder: "recordings".into(),
    };
    let mut has_folder = false;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--minutes" => options.minutes = number(argument, rest.next(), MOST_MINUTES)?,
            "--step" => options.step_s = number(argument, rest.next(), MOST_MINUTES * 60)?,
            folder if !folder.starts_with('-') && !has_folder => {
                options.folder = folder.into();
                has_folder = true;
            }
            other => {
                return Err(Problem::invalid("unknown argument of `record-programs`")
                    .limit("[--minutes 60] [--step 5] [DIR]")
                    .found(other)
                    .remedy("leave it out"));
            }
        }
    }
    if options.step_s > options.minutes * 60 {
        return Err(
            Problem::invalid("the step is longer than the whole recording")
                .limit(format!("{} s", options.minutes * 60))
                .found(format!("{} s", options.step_s))
                .remedy("give a smaller --step or more --minutes"),
        );
    }
    Ok(options)
}

fn number(option: &str, value: Option<&&str>, most: u64) -> Result<u64> {
    let value = value.copied().unwrap_or_default();
    let parsed = value.parse().ok();
    parsed
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| {
            Problem::invalid("not a number that can be used")
                .at(option)
                .limit(format!("1 to {most}"))
                .found(if value.is_empty() { "nothing" } else { value })
                .remedy(format!("give a whole number behind {option}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let options = parse(&["--minutes", "3", "elsewhere", "--step", "2"]).expect("known");
        let expected = Options {
            minutes: 3,
            step_s: 2,
            folder: "elsewhere".into(),
        };
        assert_eq!(options, expected);
        let default = parse(&[]).expect("nothing is needed");
        assert_eq!((default.minutes, default.step_s), (60, 5));
    }

    #[test]
    fn bad_arguments_are_refused_with_a_remedy() {
        for bad in [
            &["--minutes"][..],
            &["--minutes", "0"],
            &["--minutes", "1441"],
            &["--step", "-1"],
            &["--minutes", "1", "--step", "61"],
            &["one", "two"],
            &["--hours", "1"],
        ] {
            let problem = parse(bad).expect_err("refused");
            assert!(problem.remedy_text().is_some(), "{problem}");
        }
    }
}
