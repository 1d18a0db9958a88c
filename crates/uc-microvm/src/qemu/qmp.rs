//! The protocol of QEMU's monitor: JSON lines over a socket. One command at a time.

use std::{
    collections::VecDeque,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use uc_guest_protocol::Descriptor;
use uc_model::{Problem, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest line of an answer, in bytes.
const MAX_LINE: usize = 1 << 20;

/// Most events that are kept until somebody asks.
const MAX_EVENTS: usize = 256;

/// Bytes that one read takes.
const READ_BYTES: usize = 8 << 10;

/// A connection to a monitor.
pub(crate) struct Qmp {
    socket: Descriptor,
    buffer: Vec<u8>,
    events: VecDeque<String>,
    greeted: bool,
}

impl Qmp {
    pub(crate) fn new(socket: Descriptor) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
            events: VecDeque::new(),
            greeted: false,
        }
    }

    /// Executes a command; its result.
    ///
    /// # Errors
    /// QEMU's own words, or that it is gone or does not answer.
    pub(crate) async fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        if !self.greeted {
            let greeting = self.answer().await?;
            if greeting.get("QMP").is_none() {
                return Err(broken("QEMU greets in another way").found(greeting));
            }
            self.greeted = true;
            self.run("qmp_capabilities", json!({}), None).await?;
        }
        self.run(command, arguments, None).await
    }

    /// Hands over a descriptor under a name.
    pub(crate) async fn give(&mut self, name: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
        let arguments = json!({ "fdname": name });
        self.run("getfd", arguments, Some(descriptor))
            .await
            .map(drop)
    }

    async fn run(
        &mut self,
        command: &str,
        arguments: Value,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        match descriptor {
            None => self.socket.write_all(line.as_bytes()).await,
            Some(descriptor) => send_with(&self.socket, line.as_bytes(), descriptor),
        }
        .map_err(|errno| broken("QEMU is gone").caused_by(std::io::Error::from(errno)))?;
        loop {
            let mut answer = self.answer().await?;
            if let Some(event) = answer.get("event").and_then(Value::as_str) {
                if self.events.len() >= MAX_EVENTS {
                    self.events.pop_front();
                }
                self.events.push_back(event.to_owned());
                continue;
            }
            if let Some(error) = answer.get("error") {
                let words = error.get("desc").and_then(Value::as_str);
                return Err(broken("QEMU refused a command")
                    .at(command)
                    .found(words.unwrap_or("no reason")));
            }
            return Ok(answer
                .get_mut("return")
                .map(Value::take)
                .unwrap_or_default());
        }
    }

    async fn answer(&mut self) -> Result<Value> {
        tokio::time::timeout(PATIENCE, self.line())
            .await
            .map_err(|_| {
                broken("QEMU does not answer").limit(format!("{} s", PATIENCE.as_secs()))
            })?
    }

    async fn line(&mut self) -> Result<Value> {
        let mut chunk = [0; READ_BYTES];
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map_err(|error| broken("QEMU answers in another way").caused_by(error));
            }
            if self.buffer.len() > MAX_LINE {
                return Err(broken("QEMU's answer is too long").limit(MAX_LINE));
            }
            match self.socket.read(&mut chunk).await {
                Ok(0) | Err(_) => return Err(broken("QEMU is gone")),
                Ok(count) => self.buffer.extend(chunk.iter().take(count)),
            }
        }
    }
}

fn send_with(
    socket: &Descriptor,
    line: &[u8],
    descriptor: BorrowedFd<'_>,
) -> std::result::Result<(), rustix::io::Errno> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let slice = [std::io::IoSlice::new(line)];
    // A command and a descriptor fit in any socket's buffer, which is empty: one command at a time.
    sendmsg(socket.as_fd(), &slice, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

fn broken(what: &str) -> Problem {
    Problem::host(what).remedy("is the host short of memory? another version of QEMU may work")
}
