//! A webhook: each event is posted as JSON by a thread of its own, so that watching never waits for it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use uc_metrics::http::{Client, Options, Peer};
use uc_model::{Problem, Result};

use super::config::Secret;

/// Events that wait at most; then the oldest is left out.
const MOST_WAITING: usize = 256;
/// How often one event is tried.
const TRIES: u32 = 4;
/// Problems kept until they are told.
const MOST_PROBLEMS: usize = 16;
/// The largest answer, in bytes: nobody reads it.
const LARGEST_ANSWER: u64 = 1 << 20;

const WEBHOOK: Peer = Peer {
    name: "the webhook",
    example: "https://chat.example/hooks/1, or http:// on this machine",
    lighten: "look at what it does before it answers",
    is_secret: true,
};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// One request.
    timeout: Duration,
    /// The wait before the second try; it doubles before each further one.
    first_wait: Duration,
    /// The wait for the rest at the end.
    at_end: Duration,
}

const PACE: Pace = Pace {
    timeout: Duration::from_secs(10),
    first_wait: Duration::from_secs(1),
    at_end: Duration::from_secs(10),
};

/// A client of a webhook.
///
/// # Errors
/// Where the address is none, or not encrypted and on another machine.
pub(super) fn client(address: &Secret, token_file: Option<PathBuf>) -> Result<Client> {
    client_at_pace(address, token_file, PACE)
}

fn client_at_pace(address: &Secret, token_file: Option<PathBuf>, pace: Pace) -> Result<Client> {
    let options = Options {
        timeout: pace.timeout,
        bearer_token_file: token_file,
        ca_file: None,
        max_body_bytes: LARGEST_ANSWER,
    };
    Client::new(WEBHOOK, &address.0, options)
}

/// A webhook with what it is still to be told.
pub(super) struct Webhook {
    pub(super) address: Secret,
    pub(super) token_file: Option<PathBuf>,
    pace: Pace,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<String>,
    is_posting: bool,
    is_closed: bool,
    left_out: u64,
    problems: Vec<Problem>,
}

impl Webhook {
    /// Begins a thread that posts.
    pub(super) fn open(address: &Secret, token_file: Option<PathBuf>) -> Result<Self> {
        Self::open_at_pace(address, token_file, PACE)
    }

    fn open_at_pace(address: &Secret, token_file: Option<PathBuf>, pace: Pace) -> Result<Self> {
        let client = client_at_pace(address, token_file.clone(), pace)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || theirs.post_all(&client, pace))
            .map_err(|error| {
                Problem::host("cannot begin a thread for the webhook").caused_by(error)
            })?;
        Ok(Self {
            address: address.clone(),
            token_file,
            pace,
            shared,
        })
    }

    /// Lets an event be posted. Returns at once.
    pub(super) fn send(&self, json: &str) {
        let mut queue = self.shared.queue();
        queue.waiting.push_back(json.to_owned());
        if queue.waiting.len() > MOST_WAITING {
            queue.waiting.pop_front();
            queue.left_out += 1;
        }
        self.shared.changed.notify_all();
    }

    /// What went wrong since the last time.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut queue = self.shared.queue();
        let mut problems = std::mem::take(&mut queue.problems);
        let left_out = std::mem::take(&mut queue.left_out);
        if left_out > 0 {
            problems.push(
                Problem::unavailable("the oldest events are not posted: the webhook is too slow")
                    .limit(format!("{MOST_WAITING} events that wait"))
                    .found(format!("{left_out} left out")),
            );
        }
        problems
    }

    /// Waits until everything is posted, but not long.
    pub(super) fn finish(&self) {
        let end = Instant::now() + self.pace.at_end;
        let mut queue = self.shared.queue();
        while !queue.waiting.is_empty() || queue.is_posting {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let unposted = queue.waiting.len() + usize::from(queue.is_posting);
                queue.note(
                    Problem::unavailable("the webhook is not told everything before the end")
                        .limit(format!("{} s", self.pace.at_end.as_secs_f64()))
                        .found(format!("{unposted} events left")),
                );
                return;
            }
            queue = self
                .shared
                .changed
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // What waits is still tried, once.
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Queue {
    fn note(&mut self, problem: Problem) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed
            .wait(queue)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next event, as soon as there is one; nothing at the end.
    fn next(&self) -> Option<String> {
        let mut queue = self.queue();
        loop {
            if let Some(json) = queue.waiting.pop_front() {
                queue.is_posting = true;
                return Some(json);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.wait(queue);
        }
    }

    fn post_all(&self, client: &Client, pace: Pace) {
        while let Some(json) = self.next() {
            let outcome = self.post(client, pace, &json);
            let mut queue = self.queue();
            queue.is_posting = false;
            if let Err(problem) = outcome {
                queue.note(problem);
            }
            self.changed.notify_all();
        }
    }

    /// Posts one event, more than once if there is hope.
    fn post(&self, client: &Client, pace: Pace, json: &str) -> Result<()> {
        let mut wait = pace.first_wait;
        let mut tries = 1;
        loop {
            let (problem, is_hopeful) = match attempt(client, json) {
                Attempt::Taken => return Ok(()),
                Attempt::Refused(problem) => (problem, false),
                Attempt::Failed(problem) => (problem, true),
            };
            if !is_hopeful || tries == TRIES || self.queue().is_closed {
                return Err(problem);
            }
            thread::sleep(wait);
            wait *= 2;
            tries += 1;
        }
    }
}

/// What came of one request.
enum Attempt {
    Taken,
    /// Another try would end alike.
    Refused(Problem),
    /// Another try may do.
    Failed(Problem),
}

fn attempt(client: &Client, json: &str) -> Attempt {
    let reply = match client.post("", "application/json", json.as_bytes()) {
        Ok(reply) => reply,
        Err(problem) => return Attempt::Failed(problem),
    };
    let problem = |what: &str| {
        Problem::unavailable(what)
            .at(client.shown())
            .found(format!("status {}", reply.status))
    };
    match reply.status {
        200..=299 => Attempt::Taken,
        408 | 429 | 500.. => Attempt::Failed(problem("the webhook does not take an event")),
        300..=399 => Attempt::Refused(
            problem("the webhook is elsewhere, and redirects are not followed")
                .remedy("name the address it leads to"),
        ),
        401 | 403 => Attempt::Refused(
            problem("the webhook wants other credentials")
                .remedy("name the file with its token as webhook_token_file"),
        ),
        _ => Attempt::Refused(
            problem("the webhook refuses an event")
                .remedy("look into its own log for what it expects"),
        ),
    }
}

#[cfg(test)]
mod tests;
