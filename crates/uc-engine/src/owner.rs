//! The line to a workload's owner: a Unix socket in the workload's directory, one JSON request and answer a connection.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream as StdUnixStream,
    path::Path,
    sync::Weak,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};
use uc_model::{Problem, Result};
use uc_sandbox::{Stats, StatsRequest};

use crate::{home::cannot_write, lifecycle::Pod, record::Status, stopper::StopLevel};

/// Longest request and answer, in bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// How long an owner may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be asked of an owner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Request {
    /// End the workload, at once or with grace.
    Stop { now: bool },
    /// What its containers use.
    Stats,
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

async fn answer(pod: &Pod, stream: UnixStream) -> std::io::Result<()> {
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
        Ok(Request::Stats) => {
            let text = serde_json::to_string(&usage(pod).await).unwrap_or_default();
            writer.write_all(format!("{text}\n").as_bytes()).await
        }
        Err(_) => Ok(()),
    }
}

async fn usage(pod: &Pod) -> Usage {
    let mut usage = Usage::new();
    for index in 0.. {
        let (Ok((container, _)), Ok(sandbox)) = (pod.container(index), pod.sandbox(index)) else {
            break;
        };
        let restarts = pod
            .owned
            .record()
            .containers
            .get(&container.name)
            .map_or(0, |record| record.restarts);
        let name = if restarts == 0 {
            container.name.clone()
        } else {
            format!("{}-r{restarts}", container.name)
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

fn ask(status: &Status, request: &Request) -> Result<String> {
    let lost = |error: std::io::Error| {
        Problem::unavailable("the workload's owner does not answer")
            .at(&status.record.id)
            .remedy("uc ps shows whether it lives")
            .caused_by(error)
    };
    let mut stream = connect(&status.directory).map_err(lost)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
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
    ask(status, &Request::Stop { now }).map(drop)
}

/// What the containers of a workload use, by name.
///
/// # Errors
/// Unavailable, where the owner does not answer.
pub fn stats(status: &Status) -> Result<BTreeMap<String, Stats>> {
    let line = ask(status, &Request::Stats)?;
    serde_json::from_str(&line).map_err(|error| {
        Problem::unavailable("the workload's owner answered nonsense")
            .at(&status.record.id)
            .caused_by(error)
    })
}
