//! The host's end of the link to an agent: requests with their answers, and what the agent tells.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};
use uc_guest_protocol::{
    Answer, Bounds, Call, Descriptor, Event, Frame, Incoming, Kind, Link, Request, Response,
    StreamReader, StreamWriter, VERSION,
};
use uc_model::{Problem, Result};
use uc_sandbox::Exit;

use crate::strangers;

/// How long an answer may take beyond what the request itself allows.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most containers whose ends are kept.
const MAX_CONTAINERS: usize = 256;

/// An agent.
pub(crate) struct Guest {
    pub(crate) link: Link,
    shared: Arc<Mutex<Shared>>,
    next_request: AtomicU32,
    next_stream: AtomicU16,
    booted: watch::Receiver<bool>,
    alive: watch::Receiver<bool>,
}

/// A request whose answer has not been waited for.
pub(crate) struct Posted(oneshot::Receiver<Result<Answer>>);

#[derive(Default)]
struct Shared {
    pending: BTreeMap<u32, oneshot::Sender<Result<Answer>>>,
    expected: BTreeMap<String, Expected>,
    /// Why there is no agent any more.
    gone: Option<Problem>,
}

/// A container whose end somebody waits for.
struct Expected {
    tell: watch::Sender<Option<Exit>>,
    /// The streams of its output.
    outputs: [u16; 2],
}

impl Expected {
    /// How it ended first stays.
    fn ended(&self, exit: Exit) {
        self.tell.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(exit);
            first
        });
    }
}

fn silent(patience: Duration) -> Problem {
    Problem::host("the microVM does not answer")
        .limit(format!("{} s", patience.as_secs()))
        .remedy("its program may take all of its time: raise limits.cpu")
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    /// An agent at the other end of a descriptor; what is read is read on `handle`.
    pub(crate) fn over(descriptor: Descriptor, handle: &Handle) -> Self {
        let _inside = handle.enter();
        let (link, incoming) = Link::over(descriptor, Bounds::BY_HOST, Bounds::BY_AGENT);
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (tell_booted, booted) = watch::channel(false);
        let (tell_alive, alive) = watch::channel(true);
        let listener = Listener {
            link: link.clone(),
            incoming,
            shared: Arc::clone(&shared),
            tell_booted,
            tell_alive,
        };
        handle.spawn(listener.listen());
        Self {
            link,
            shared,
            next_request: AtomicU32::new(1),
            next_stream: AtomicU16::new(1),
            booted,
            alive,
        }
    }

    /// Waits until the agent has said that it is there.
    ///
    /// # Errors
    /// It is gone before.
    pub(crate) async fn booted(&self) -> Result<()> {
        let mut booted = self.booted.clone();
        let waited = booted.wait_for(|booted| *booted).await.is_ok();
        if waited { Ok(()) } else { Err(self.gone()) }
    }

    /// Whether the agent is there.
    pub(crate) fn is_alive(&self) -> bool {
        *self.alive.borrow()
    }

    /// Waits until the agent is gone.
    pub(crate) async fn ended(&self) {
        let mut alive = self.alive.clone();
        let _ = alive.wait_for(|alive| !alive).await;
    }

    fn gone(&self) -> Problem {
        match &locked(&self.shared).gone {
            Some(problem) => uc_model::Telling::of(problem).into_problem(),
            None => Problem::host("the microVM is gone"),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The agent's; that it is gone, or does not answer.
    pub(crate) async fn ask(&self, call: Call) -> Result<Answer> {
        self.ask_within(call, Duration::ZERO).await
    }

    /// The same for what may take a time of its own.
    pub(crate) async fn ask_within(&self, call: Call, own: Duration) -> Result<Answer> {
        self.ask_for(call, PATIENCE.saturating_add(own)).await
    }

    /// The same with another patience. It holds for the request as well: an agent that reads nothing takes none.
    pub(crate) async fn ask_for(&self, call: Call, patience: Duration) -> Result<Answer> {
        let answer = self.answer_within(call, patience).await;
        answer.unwrap_or_else(|| Err(silent(patience)))
    }

    /// Asks for what must not happen once this has failed: where no answer comes in time, asks for `undo` behind it. An agent
    /// begins in turn with what it is asked, however late.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub(crate) async fn ask_or_undo(
        &self,
        call: Call,
        undo: Call,
        patience: Duration,
    ) -> Result<Answer> {
        if let Some(answer) = self.answer_within(call, patience).await {
            return answer;
        }
        let id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let link = self.link.clone();
        // An agent that reads nothing takes nothing yet; this has until it is gone. What it answers is dropped.
        tokio::spawn(async move {
            let _ = link.send(Kind::Request, &Request { id, call: undo }).await;
        });
        Err(silent(patience))
    }

    /// The answer, if it comes in time.
    async fn answer_within(&self, call: Call, patience: Duration) -> Option<Result<Answer>> {
        let id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        {
            let mut shared = locked(&self.shared);
            if shared.gone.is_none() {
                shared.pending.insert(id, sender);
            }
        }
        let _forgotten = Forgotten { guest: self, id };
        let asked = async {
            self.link.send(Kind::Request, &Request { id, call }).await?;
            answer.await.unwrap_or_else(|_| Err(self.gone()))
        };
        tokio::time::timeout(patience, asked).await.ok()
    }

    /// Asks without waiting for the answer, which [`Self::answer_to`] does.
    pub(crate) async fn post(&self, call: Call) -> Result<Posted> {
        let id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        {
            let mut shared = locked(&self.shared);
            if shared.gone.is_none() {
                shared.pending.insert(id, sender);
            }
        }
        self.link.send(Kind::Request, &Request { id, call }).await?;
        Ok(Posted(answer))
    }

    /// Waits for the answer to what was asked.
    pub(crate) async fn answer_to(&self, posted: Posted) -> Result<Answer> {
        match tokio::time::timeout(PATIENCE, posted.0).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(self.gone()),
            Err(_) => Err(Problem::host("the microVM does not answer")
                .limit(format!("{} s", PATIENCE.as_secs()))),
        }
    }

    /// Hears of a container's end from now on. `outputs` are the streams of its output.
    pub(crate) fn expect(
        &self,
        container: &str,
        outputs: [u16; 2],
    ) -> Result<watch::Receiver<Option<Exit>>> {
        let mut shared = locked(&self.shared);
        if shared.gone.is_some() {
            drop(shared);
            return Err(self.gone());
        }
        if shared.expected.len() >= MAX_CONTAINERS {
            return Err(Problem::refused("too many containers in a microVM").limit(MAX_CONTAINERS));
        }
        let (tell, receiver) = watch::channel(None);
        let expected = Expected { tell, outputs };
        shared.expected.insert(container.to_owned(), expected);
        Ok(receiver)
    }

    /// Notes an end that an answer told, or stops to listen for it.
    pub(crate) fn settle(&self, container: &str, exit: Option<Exit>) {
        let mut shared = locked(&self.shared);
        match exit {
            Some(exit) => {
                if let Some(expected) = shared.expected.get(container) {
                    expected.ended(exit);
                }
            }
            None => {
                shared.expected.remove(container);
            }
        }
    }

    /// A stream to the agent.
    pub(crate) fn writer(&self) -> Result<(u16, StreamWriter)> {
        self.free_stream(|link, number| link.writer(number))
    }

    /// A stream from the agent.
    pub(crate) fn reader(&self) -> Result<(u16, StreamReader)> {
        self.free_stream(|link, number| link.reader(number))
    }

    /// Numbers go round; one whose stream is still open is passed over.
    fn free_stream<T>(&self, open: impl Fn(&Link, u16) -> Result<T>) -> Result<(u16, T)> {
        let mut last = Problem::internal("no number for a stream");
        for _ in 0..MAX_CONTAINERS {
            let number = self.next_stream.fetch_add(1, Ordering::Relaxed);
            match open(&self.link, number) {
                Ok(stream) => return Ok((number, stream)),
                Err(problem) => last = problem,
            }
        }
        Err(last)
    }
}

/// A request nobody waits for any more.
struct Forgotten<'a> {
    guest: &'a Guest,
    id: u32,
}

impl Drop for Forgotten<'_> {
    fn drop(&mut self) {
        locked(&self.guest.shared).pending.remove(&self.id);
    }
}

struct Listener {
    link: Link,
    incoming: Incoming,
    shared: Arc<Mutex<Shared>>,
    tell_booted: watch::Sender<bool>,
    tell_alive: watch::Sender<bool>,
}

impl Listener {
    async fn listen(mut self) {
        let problem = loop {
            let Some(frame) = self.incoming.next().await else {
                break self.incoming.gone();
            };
            if let Err(problem) = self.hear(&frame) {
                break problem;
            }
        };
        let mut shared = locked(&self.shared);
        shared.gone.get_or_insert(problem);
        // Whoever waits sees its sender dropped.
        shared.pending.clear();
        shared.expected.clear();
        drop(shared);
        let _ = self.tell_alive.send(false);
    }

    fn hear(&self, frame: &Frame) -> Result<()> {
        match frame.kind {
            Kind::Response => {
                let response: Response = frame.message()?;
                // An answer that nobody waits for is dropped.
                if let Some(sender) = locked(&self.shared).pending.remove(&response.id) {
                    let answer = response.answer.map_err(strangers::problem);
                    let answer = answer.map(strangers::answer);
                    let _ = sender.send(answer);
                }
            }
            Kind::Event => match frame.message()? {
                Event::Booted { version: VERSION } => {
                    let _ = self.tell_booted.send(true);
                }
                Event::Booted { version } => {
                    return Err(
                        Problem::host("the microVM's agent is of another version of uc")
                            .limit(VERSION)
                            .found(version)
                            .remedy("build both from one source: cargo xtask guest"),
                    );
                }
                Event::Exited { container, exit } => {
                    self.hear_end(&container, exit);
                }
            },
            _ => return Err(Problem::host("the microVM's agent sent a request")),
        }
        Ok(())
    }

    fn hear_end(&self, container: &str, exit: Exit) {
        let shared = locked(&self.shared);
        let Some(expected) = shared.expected.get(container) else {
            return;
        };
        // An honest agent has ended them before; another one could keep whoever waits for the rest waiting.
        for stream in expected.outputs {
            self.link.end_reading(stream);
        }
        expected.ended(strangers::exit(exit));
    }
}

#[cfg(test)]
#[path = "guest/tests.rs"]
mod tests;
