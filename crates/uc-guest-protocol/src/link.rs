//! A link: frames over one descriptor, with many streams at once.
//!
//! One task reads and one writes; both end when the descriptor does, or with the first frame that no honest peer sends.
//! The reader waits for nobody but whoever takes the messages, and that must not wait for a stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};
use uc_model::{Problem, Result};

use crate::{
    descriptor::Descriptor,
    flow::{Allowance, Intake},
    frame::{Bounds, Decoder, Frame, Kind, MAX_DATA_BYTES, encode, encode_json},
};

/// Frames that wait to be written.
const OUTGOING_FRAMES: usize = 16;

/// Messages that wait to be taken.
const INCOMING_MESSAGES: usize = 64;

/// Streams that may be open at a time, in each direction.
const MAX_STREAMS: usize = 512;

/// Bytes that one read takes.
const READ_BYTES: usize = 64 << 10;

/// The sending side of a link; clones share it.
#[derive(Clone)]
pub struct Link {
    outgoing: mpsc::Sender<Vec<u8>>,
    state: Arc<Mutex<State>>,
    /// What the other side takes.
    bounds: Bounds,
}

/// What comes in besides streams: requests, responses, events.
pub struct Incoming {
    messages: mpsc::Receiver<Frame>,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    writers: BTreeMap<u16, Arc<Writing>>,
    readers: BTreeMap<u16, Reading>,
    /// Why it ended.
    ended: Option<Arc<Problem>>,
}

struct Writing {
    allowance: Mutex<Allowance>,
    renewed: Notify,
}

struct Reading {
    intake: Intake,
    inbox: Arc<Inbox>,
}

/// What has come in a stream and has not been taken.
#[derive(Default)]
struct Inbox {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Default)]
struct Held {
    /// Bounded by the window, which the stream's intake watches.
    chunks: VecDeque<Vec<u8>>,
    ended: bool,
}

impl Inbox {
    /// Small pieces are put together: the window bounds their bytes, and their number would cost more than these.
    fn put(&self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let mut held = locked(&self.held);
        match held.chunks.back_mut() {
            Some(last) if last.len() + bytes.len() <= MAX_DATA_BYTES => last.extend(bytes),
            _ => held.chunks.push_back(bytes),
        }
        drop(held);
        self.changed.notify_one();
    }

    fn end(&self) {
        locked(&self.held).ended = true;
        self.changed.notify_one();
    }

    async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut held = locked(&self.held);
                let chunk = held.chunks.pop_front();
                if chunk.is_some() || held.ended {
                    return chunk;
                }
            }
            self.changed.notified().await;
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.inbox.end();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// A link over a descriptor. `ours` is what this side takes, `theirs` what the other does.
    pub fn over(descriptor: Descriptor, ours: Bounds, theirs: Bounds) -> (Self, Incoming) {
        Self::over_two(descriptor.clone(), descriptor, ours, theirs)
    }

    /// The same over two descriptors, one to read and one to write.
    pub fn over_two(
        read: Descriptor,
        write: Descriptor,
        ours: Bounds,
        theirs: Bounds,
    ) -> (Self, Incoming) {
        let (outgoing, mut to_write) = mpsc::channel::<Vec<u8>>(OUTGOING_FRAMES);
        let (to_take, messages) = mpsc::channel(INCOMING_MESSAGES);
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        let writing = tasks.spawn(async move {
            while let Some(frame) = to_write.recv().await {
                if write.write_all(&frame).await.is_err() {
                    return;
                }
            }
        });
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let problem = match read_all(&read, ours, &shared, &to_take).await {
                Ok(()) => Problem::host("the other side of a microVM's link is gone"),
                Err(problem) => problem,
            };
            end(&shared, problem);
            // It may wait for a peer that takes nothing, and others for it.
            writing.abort();
        });
        let link = Self {
            outgoing,
            state: Arc::clone(&state),
            bounds: theirs,
        };
        let incoming = Incoming {
            messages,
            state,
            _tasks: tasks,
        };
        (link, incoming)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// It is too long for the other side, or that is gone.
    pub async fn send(&self, kind: Kind, message: &impl Serialize) -> Result<()> {
        self.put(encode_json(kind, message, self.bounds)?).await
    }

    async fn put(&self, frame: Vec<u8>) -> Result<()> {
        self.outgoing.send(frame).await.map_err(|_| self.gone())
    }

    /// Why the link has ended, if it has.
    pub fn gone(&self) -> Problem {
        gone(&self.state)
    }

    /// Opens a stream for sending.
    ///
    /// # Errors
    /// Its number is in use, or too many are.
    pub fn writer(&self, stream: u16) -> Result<StreamWriter> {
        let writing = Arc::new(Writing {
            allowance: Mutex::default(),
            renewed: Notify::new(),
        });
        let mut state = locked(&self.state);
        require_free(state.writers.len(), state.writers.contains_key(&stream))?;
        state.writers.insert(stream, Arc::clone(&writing));
        drop(state);
        Ok(StreamWriter {
            link: self.clone(),
            stream,
            writing,
        })
    }

    /// Opens a stream for receiving.
    ///
    /// # Errors
    /// Its number is in use, or too many are.
    pub fn reader(&self, stream: u16) -> Result<StreamReader> {
        let inbox = Arc::new(Inbox::default());
        let reading = Reading {
            intake: Intake::default(),
            inbox: Arc::clone(&inbox),
        };
        let mut state = locked(&self.state);
        require_free(state.readers.len(), state.readers.contains_key(&stream))?;
        if state.ended.is_some() {
            inbox.end();
        } else {
            state.readers.insert(stream, reading);
        }
        drop(state);
        Ok(StreamReader {
            link: self.clone(),
            stream,
            inbox,
        })
    }

    /// Takes nothing more of a stream: what the other side should have ended, and may not have.
    pub fn end_reading(&self, stream: u16) {
        locked(&self.state).readers.remove(&stream);
    }
}

impl Incoming {
    /// The next message; `None` when the link has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        self.messages.recv().await
    }

    /// Why the link has ended.
    pub fn gone(&self) -> Problem {
        gone(&self.state)
    }
}

impl Drop for Incoming {
    /// Nobody takes messages any more, and the tasks end: whoever waits for a stream is to know.
    fn drop(&mut self) {
        let problem = Problem::host("a microVM's link has been closed");
        end(&self.state, problem);
    }
}

fn gone(state: &Mutex<State>) -> Problem {
    match &locked(state).ended {
        Some(problem) => uc_model::Telling::of(problem).into_problem(),
        None => Problem::host("the other side of a microVM's link is gone"),
    }
}

fn require_free(open: usize, taken: bool) -> Result<()> {
    if taken {
        return Err(Problem::internal("a stream's number is given twice"));
    }
    if open >= MAX_STREAMS {
        return Err(
            Problem::refused("too many programs run in this microVM").limit(MAX_STREAMS / 2)
        );
    }
    Ok(())
}

/// Wakes everybody who waits for the other side.
fn end(state: &Mutex<State>, problem: Problem) {
    let mut state = locked(state);
    state.ended.get_or_insert(Arc::new(problem));
    state.readers.clear();
    for writing in std::mem::take(&mut state.writers).into_values() {
        writing.renewed.notify_one();
    }
}

async fn read_all(
    read: &Descriptor,
    bounds: Bounds,
    state: &Mutex<State>,
    messages: &mpsc::Sender<Frame>,
) -> Result<()> {
    let mut decoder = Decoder::new(bounds);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match read.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => count,
        };
        decoder.push(buffer.get(..count).unwrap_or_default());
        while let Some(frame) = decoder.next_frame()? {
            match frame.kind {
                Kind::Request | Kind::Response | Kind::Event => {
                    if messages.send(frame).await.is_err() {
                        return Ok(());
                    }
                }
                Kind::Data | Kind::End | Kind::Credit => locked(state).take(frame)?,
            }
        }
    }
}

impl State {
    /// Takes in a frame of a stream. One that is not open (any more) is dropped.
    fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.kind {
            Kind::Data => {
                if let Some(reading) = self.readers.get_mut(&frame.stream) {
                    reading.intake.receive(frame.payload.len())?;
                    reading.inbox.put(frame.payload);
                }
            }
            Kind::End => {
                self.readers.remove(&frame.stream);
            }
            _ => {
                if let Some(writing) = self.writers.get(&frame.stream) {
                    locked(&writing.allowance).renew(frame.credit())?;
                    writing.renewed.notify_one();
                }
            }
        }
        Ok(())
    }
}

/// A stream that this side sends. The other side sees no end of one that is dropped without [`Self::finish`].
pub struct StreamWriter {
    link: Link,
    stream: u16,
    writing: Arc<Writing>,
}

impl StreamWriter {
    /// Sends all bytes, as fast as the other side takes them.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let count = self.allowed(bytes.len()).await?;
            let (now, later) = bytes.split_at(count);
            self.link.put(encode(Kind::Data, self.stream, now)).await?;
            bytes = later;
        }
        Ok(())
    }

    /// Waits until something may be sent, and takes what is needed of it.
    async fn allowed(&self, wanted: usize) -> Result<usize> {
        loop {
            {
                let mut allowance = locked(&self.writing.allowance);
                let count = allowance.available().min(wanted).min(MAX_DATA_BYTES);
                if count > 0 {
                    allowance.spend(count);
                    return Ok(count);
                }
            }
            if locked(&self.link.state).ended.is_some() {
                return Err(self.link.gone());
            }
            self.writing.renewed.notified().await;
        }
    }

    /// Sends what a descriptor yields up to its end.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn copy_from(&self, source: &Descriptor) -> Result<()> {
        let mut buffer = vec![0; MAX_DATA_BYTES];
        loop {
            match source.read(&mut buffer).await {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => {
                    self.write_all(buffer.get(..count).unwrap_or_default())
                        .await?;
                }
            }
        }
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn finish(self) -> Result<()> {
        self.link.put(encode(Kind::End, self.stream, b"")).await
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        locked(&self.link.state).writers.remove(&self.stream);
    }
}

/// A stream that this side receives. What comes after it was dropped is lost.
pub struct StreamReader {
    link: Link,
    stream: u16,
    inbox: Arc<Inbox>,
}

impl StreamReader {
    /// The next bytes, at most [`MAX_DATA_BYTES`]; `None` at the end. They must be reported by [`Self::pass_on`].
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.inbox.next().await
    }

    /// Lets the other side send as many bytes as have been passed on.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn pass_on(&self, bytes: usize) -> Result<()> {
        let credit = match locked(&self.link.state).readers.get_mut(&self.stream) {
            Some(reading) if Arc::ptr_eq(&reading.inbox, &self.inbox) => {
                reading.intake.pass_on(bytes)
            }
            // Its end has come, and its number may have been given again: there is nothing more to send.
            _ => 0,
        };
        if credit == 0 {
            return Ok(());
        }
        let frame = encode(Kind::Credit, self.stream, &credit.to_le_bytes());
        self.link.put(frame).await
    }

    /// Writes all that comes to a descriptor. Where that takes no more, the rest is read and dropped, so that its sender
    /// ends as it would with nobody at the other end of a pipe.
    pub async fn copy_to(mut self, sink: &Descriptor) {
        let mut takes = true;
        while let Some(chunk) = self.next().await {
            takes = takes && sink.write_all(&chunk).await.is_ok();
            if self.pass_on(chunk.len()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        let mut state = locked(&self.link.state);
        let reading = state.readers.get(&self.stream);
        if reading.is_some_and(|reading| Arc::ptr_eq(&reading.inbox, &self.inbox)) {
            state.readers.remove(&self.stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> ((Link, Incoming), (Link, Incoming)) {
        let (one, other) = UnixStream::pair().expect("a pair");
        let link = |end: UnixStream, ours, theirs| {
            Link::over(
                Descriptor::exclusive(end.into()).expect("ours"),
                ours,
                theirs,
            )
        };
        (
            link(one, Bounds::BY_HOST, Bounds::BY_AGENT),
            link(other, Bounds::BY_AGENT, Bounds::BY_HOST),
        )
    }

    #[tokio::test]
    async fn streams_pass_while_one_is_not_read() {
        let ((host, _a), (agent, _b)) = pair();
        let stalled = host.reader(1).expect("opened");
        let mut read = host.reader(2).expect("opened");
        let blocked = agent.writer(1).expect("opened");
        let sender = tokio::spawn(async move { blocked.write_all(&vec![1; 1 << 20]).await });
        let writer = agent.writer(2).expect("opened");
        let sending = tokio::spawn(async move {
            writer.write_all(&vec![2; 1 << 20]).await.expect("sent");
            writer.finish().await.expect("ended");
        });
        let mut count = 0;
        while let Some(chunk) = read.next().await {
            count += chunk.len();
            read.pass_on(chunk.len()).await.expect("credited");
        }
        assert_eq!(count, 1 << 20);
        sending.await.expect("done");
        assert!(!sender.is_finished(), "it may not send beyond the window");
        drop(stalled);
        sender.abort();
    }

    #[tokio::test]
    async fn nonsense_ends_the_link_and_wakes_everybody() {
        let (one, mut other) = UnixStream::pair().expect("a pair");
        let end = Descriptor::exclusive(one.into()).expect("ours");
        let (link, mut incoming) = Link::over(end, Bounds::BY_HOST, Bounds::BY_AGENT);
        let mut reader = link.reader(1).expect("opened");
        std::io::Write::write_all(&mut other, &[0xff; 64]).expect("sent");
        assert!(incoming.next().await.is_none());
        assert!(reader.next().await.is_none());
        let said = incoming.gone().to_string();
        assert!(said.contains("unknown kind"), "{said}");
    }

    #[tokio::test]
    async fn more_than_the_window_ends_the_link() {
        let (one, mut other) = UnixStream::pair().expect("a pair");
        let end = Descriptor::exclusive(one.into()).expect("ours");
        let (link, mut incoming) = Link::over(end, Bounds::BY_HOST, Bounds::BY_AGENT);
        let _reader = link.reader(1).expect("opened");
        let flood = std::thread::spawn(move || {
            let frame = encode(Kind::Data, 1, &vec![0; MAX_DATA_BYTES]);
            while std::io::Write::write_all(&mut other, &frame).is_ok() {}
        });
        assert!(incoming.next().await.is_none());
        let said = incoming.gone().to_string();
        assert!(said.contains("more than it may"), "{said}");
        drop((link, incoming));
        while !flood.is_finished() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
