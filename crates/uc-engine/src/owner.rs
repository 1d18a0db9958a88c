//! The line to a workload's owner: a Unix socket in the workload's directory, one JSON request and answer a connection.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream as StdUnixStream,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};
use uc_model::{Problem, Result, Telling};
use uc_sandbox::{Stats, StatsRequest};

use crate::{home::cannot_write, lifecycle::Pod, record::Status, stopper::StopLevel};

/// Longest request and answer, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// How long an owner may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same for one whose runtime is asked in turn, once for each container.
const LONG_PATIENCE: Duration = Duration::from_secs(120);

/// What can be asked of an owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Request {
    /// End the workload, at once or with grace.
    Stop { now: bool },
    /// Hold it.
    Pause,
    /// Let it go on.
    Resume,
    /// What its containers use.
    Stats,
}

/// What became of a request to hold it or to let it go on.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    problem: Option<Telling>,
}

type Usage = BTreeMap<String, Stats>;

/// Opens a path that may be longer than a socket address allows, by way of its directory's descriptor.
fn with_short_path<T>(
    directory: &Path,
    open: impl FnOnce(&str) -> std::io::Result<T>,
) -> std::io::Result<T> {
    use std::os::fd::AsRawFd as _;
    let opened = std::fs::File::open(directory)?;
    open(&format!("/proc/self/fd/{}/control", opened.as_raw_fd()))
}

/// Opens the line to the owner of the workload in a directory.
pub(crate) fn listen(directory: &Path) -> Result<UnixListener> {
    with_short_path(directory, |path| UnixListener::bind(path))
        .map_err(|error| cannot_write(&directory.join("control"), error))
}

/// Answers requests about a workload for as long as it is there.
pub(crate) async fn answer_all(listener: &UnixListener, pod: &Weak<Pod>) {
    while let Ok((stream, _)) = listener.accept().await {
        let Some(pod) = pod.upgrade() else { break };
        // One at a time: an owner has one user, and no answer takes long.
        let _ = tokio::time::timeout(PATIENCE, answer(&pod, stream)).await;
    }
}

async fn answer(pod: &Arc<Pod>, stream: UnixStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(LONGEST_LINE))
        .read_line(&mut line)
        .await?;
    match serde_json::from_str(&line) {
        Ok(Request::Stop { now }) => {
            pod.stopper.ask(if now {
                StopLevel::Now
            } else {
                StopLevel::Graceful
            });
            writer.write_all(b"{}\n").await
        }
        Ok(request @ (Request::Pause | Request::Resume)) => {
            let pod = Arc::clone(pod);
            // It is done to its end, whoever waits for it, and others may ask meanwhile.
            tokio::spawn(async move {
                let done = match request {
                    Request::Pause => pod.pause().await,
                    _ => pod.resume().await,
                };
                let problem = done.err().map(|problem| Telling::of(&problem));
                let _ = reply(&mut writer, &Done { problem }).await;
            });
            Ok(())
        }
        Ok(Request::Stats) => reply(&mut writer, &usage(pod).await).await,
        Err(_) => Ok(()),
    }
}

async fn reply(
    writer: &mut (impl tokio::io::AsyncWrite + Unpin),
    answer: &impl Serialize,
) -> std::io::Result<()> {
    let text = serde_json::to_string(answer).unwrap_or_default();
    writer.write_all(format!("{text}\n").as_bytes()).await
}

async fn usage(pod: &Pod) -> Usage {
    let mut usage = Usage::new();
    for index in 0.. {
        let (Ok((container, _)), Ok(sandbox), Some(name)) = (
            pod.container(index),
            pod.sandbox(index),
            pod.name_inside(index),
        ) else {
            break;
        };
        // A container that has not been created yet, or is between two lives, uses nothing.
        if let Ok(stats) = sandbox.stats(StatsRequest { container: name }).await {
            usage.insert(container.name.clone(), stats);
        }
    }
    usage
}

/// Connects to an owner, which may have begun a moment ago and not listen yet.
fn connect(directory: &Path) -> std::io::Result<StdUnixStream> {
    let begun = Instant::now();
    loop {
        match with_short_path(directory, |path| StdUnixStream::connect(path)) {
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && directory.exists()
                    && begun.elapsed() < Duration::from_secs(1) =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

fn ask(status: &Status, request: &Request, patience: Duration) -> Result<String> {
    let lost = |error: std::io::Error| {
        Problem::unavailable("the workload's owner does not answer")
            .at(&status.record.id)
            .remedy("uc ps shows whether it lives")
            .caused_by(error)
    };
    let mut stream = connect(&status.directory).map_err(lost)?;
    stream.set_read_timeout(Some(patience)).map_err(lost)?;
    let text = serde_json::to_string(request)
        .map_err(|error| Problem::internal("cannot write a request").caused_by(error))?;
    stream
        .write_all(format!("{text}\n").as_bytes())
        .map_err(lost)?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut line)
        .map_err(lost)?;
    Ok(line)
}

/// Asks a workload's owner to end it. The owner is done when it has released its lock: see [`Status::alive`].
///
/// # Errors
/// Unavailable, where the owner does not answer.
pub fn stop(status: &Status, now: bool) -> Result<()> {
    ask(status, &Request::Stop { now }, PATIENCE).map(drop)
}

/// Asks a workload's owner to hold it, and waits until it does nothing more.
///
/// # Errors
/// Unavailable, where the owner does not answer; what it says is in the way.
pub fn pause(status: &Status) -> Result<()> {
    ask_and_hear(status, &Request::Pause)
}

/// Asks a workload's owner to let it go on.
///
/// # Errors
/// As [`pause`].
pub fn resume(status: &Status) -> Result<()> {
    ask_and_hear(status, &Request::Resume)
}

fn ask_and_hear(status: &Status, request: &Request) -> Result<()> {
    let line = ask(status, request, LONG_PATIENCE)?;
    let done: Done = serde_json::from_str(&line).map_err(|error| nonsense(status, error))?;
    match done.problem {
        None => Ok(()),
        Some(telling) => Err(telling.into_problem()),
    }
}

fn nonsense(status: &Status, error: serde_json::Error) -> Problem {
    Problem::unavailable("the workload's owner answered nonsense")
        .at(&status.record.id)
        .caused_by(error)
}

/// What the containers of a workload use, by name.
///
/// # Errors
/// Unavailable, where the owner does not answer.
pub fn stats(status: &Status) -> Result<BTreeMap<String, Stats>> {
    let line = ask(status, &Request::Stats, PATIENCE)?;
    serde_json::from_str(&line).map_err(|error| nonsense(status, error))
}
