//! `uc logs`: what a detached workload has written.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use uc_engine::record;
use uc_model::{Problem, Result};

use super::engine;
use crate::{cli::Format, printing};

/// How often a followed log is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// Print the output of a detached workload, each stream to its own
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc logs web
  uc logs web --container db --tail 20
  uc logs web --follow --timestamps")]
pub(crate) struct LogsArgs {
    /// The workload's name or id
    workload: String,
    /// Only this container's output
    #[arg(long, short)]
    container: Option<String>,
    /// Go on until the workload ends
    #[arg(long, short)]
    follow: bool,
    /// Put the time of writing before each line
    #[arg(long, short)]
    timestamps: bool,
    /// Only the last N lines of each container
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
}

/// Runs the command.
pub(crate) fn logs(args: &LogsArgs, format: Format) -> Result<ExitCode> {
    let home = engine()?.home().clone();
    let status = record::find(&home, &args.workload)?;
    let directory = status.directory.join("logs");
    let names: Vec<&String> = status.record.containers.keys().collect();
    if let Some(container) = &args.container
        && !names.contains(&container)
    {
        let known: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        return Err(Problem::not_found("no such container")
            .at(&args.workload)
            .found(container)
            .limit(known.join(", ")));
    }
    let chosen = names
        .into_iter()
        .filter(|name| args.container.as_ref().is_none_or(|wanted| wanted == *name));
    let mut readers: BTreeMap<String, LogReader> = chosen
        .map(|name| (name.clone(), LogReader::new(&directory, name)))
        .collect();
    let many = readers.len() > 1;
    let mut first = true;
    loop {
        // Asked before reading: what is written before the end is then read, too.
        let alive =
            args.follow && record::find(&home, &status.record.id).is_ok_and(|status| status.alive);
        for (name, reader) in &mut readers {
            let mut entries = reader.read_new()?;
            if let (true, Some(tail)) = (first, args.tail) {
                entries.drain(..entries.len().saturating_sub(tail));
            }
            for entry in &entries {
                let text = render(
                    entry,
                    many.then_some(name.as_str()),
                    args.timestamps,
                    format,
                );
                if entry.stream == "stderr" && format == Format::Text {
                    printing::pass_on(&text);
                } else {
                    printing::result(&text)?;
                }
            }
        }
        first = false;
        if !alive {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

/// One line of a log file: time, stream, text; whether a newline belongs to its end.
struct Entry {
    time: String,
    stream: String,
    text: String,
    whole: bool,
}

fn render(entry: &Entry, container: Option<&str>, timestamps: bool, format: Format) -> String {
    if format == Format::Json {
        let value = serde_json::json!({ "time": entry.time, "stream": entry.stream, "container": container, "text": entry.text });
        return format!("{value}\n");
    }
    let name = container.map_or(String::new(), |name| format!("{name} | "));
    let time = if timestamps {
        format!("{} ", entry.time)
    } else {
        String::new()
    };
    format!(
        "{time}{name}{}{}",
        entry.text,
        if entry.whole { "\n" } else { "" }
    )
}

/// Reads a log and the one set aside before it.
struct LogReader {
    path: PathBuf,
    /// The file being read, its inode and how far.
    open: Option<(BufReader<File>, u64)>,
    begun: bool,
}

impl LogReader {
    fn new(directory: &Path, container: &str) -> Self {
        Self {
            path: directory.join(format!("{container}.log")),
            open: None,
            begun: false,
        }
    }

    fn read_new(&mut self) -> Result<Vec<Entry>> {
        use std::os::unix::fs::MetadataExt as _;
        let mut entries = Vec::new();
        if !self.begun {
            self.begun = true;
            if let Ok(old) = File::open(self.path.with_extension("log.1")) {
                read_entries(&mut BufReader::new(old), &mut entries);
            }
        }
        if let Some((reader, _)) = &mut self.open {
            read_entries(reader, &mut entries);
        }
        let current = fs::metadata(&self.path).ok().map(|metadata| metadata.ino());
        if let Some(current) = current
            && self
                .open
                .as_ref()
                .is_none_or(|(_, inode)| *inode != current)
        {
            let file = File::open(&self.path).map_err(|error| {
                Problem::storage("cannot read a log")
                    .at(self.path.display())
                    .caused_by(error)
            })?;
            let mut reader = BufReader::new(file);
            read_entries(&mut reader, &mut entries);
            self.open = Some((reader, current));
        }
        Ok(entries)
    }
}

/// Reads whole lines; a line that is still being written is read the next time.
fn read_entries(reader: &mut BufReader<File>, entries: &mut Vec<Entry>) {
    let mut line = Vec::new();
    while let Ok(length) = reader.read_until(b'\n', &mut line) {
        if length == 0 {
            return;
        }
        if line.last() != Some(&b'\n') {
            let _ = reader.seek(SeekFrom::Current(-i64::try_from(length).unwrap_or(0)));
            return;
        }
        let text = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
        let mut fields = text.splitn(4, ' ').map(str::to_owned);
        if let (Some(time), Some(stream), Some(tag), Some(text)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        {
            entries.push(Entry {
                time,
                stream,
                text,
                whole: tag == "F",
            });
        }
        line.clear();
    }
}
