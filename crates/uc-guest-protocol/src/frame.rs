//! Frames: a header of eight bytes and a payload.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0-3 | length of the payload, little-endian |
//! | 4 | kind |
//! | 5 | zero |
//! | 6-7 | stream, little-endian; zero where the kind has none |

use serde::Serialize;
use uc_model::{Problem, Result};

/// Length of a header, in bytes.
pub const HEADER_BYTES: usize = 8;

/// Most bytes of a stream in one frame.
pub const MAX_DATA_BYTES: usize = 32 << 10;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// JSON: a request.
    Request = 1,
    /// JSON: the answer to one.
    Response = 2,
    /// JSON: something that happened.
    Event = 3,
    /// Bytes of a stream.
    Data = 4,
    /// The end of a stream; no payload.
    End = 5,
    /// Four bytes, little-endian: so many more bytes of a stream may be sent.
    Credit = 6,
}

impl Kind {
    fn of(number: u8) -> Option<Self> {
        [
            Self::Request,
            Self::Response,
            Self::Event,
            Self::Data,
            Self::End,
            Self::Credit,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: Kind,
    /// Which stream it belongs to.
    pub stream: u16,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Most bytes that a reader takes in one frame of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// In bytes.
    pub message: usize,
}

impl Bounds {
    /// What an agent takes from its host: arguments, environment and a seccomp profile are the largest.
    pub const BY_AGENT: Self = Self { message: 8 << 20 };
    /// What a host takes from an agent.
    pub const BY_HOST: Self = Self { message: 256 << 10 };

    fn of(self, kind: Kind) -> usize {
        match kind {
            Kind::Request | Kind::Response | Kind::Event => self.message,
            Kind::Data => MAX_DATA_BYTES,
            Kind::End => 0,
            Kind::Credit => 4,
        }
    }
}

/// Cuts a stream of bytes into frames.
///
/// It holds the bytes of one frame and of one read at most, if its caller takes out all frames before it pushes more.
#[derive(Debug)]
pub struct Decoder {
    bounds: Bounds,
    buffer: Vec<u8>,
    /// How many bytes of the buffer have been given out.
    taken: usize,
}

impl Decoder {
    /// A decoder.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// Takes in what has been read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// A header that no honest peer sends. Nothing of the peer is to be read any more then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((header, body)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [l0, l1, l2, l3, number, zero, s0, s1] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let kind = Kind::of(number).filter(|_| zero == 0).ok_or_else(|| {
            broken("a frame of an unknown kind")
                .limit("kinds 1 to 6")
                .found(format!("kind {number}, reserved byte {zero}"))
        })?;
        let most = self.bounds.of(kind);
        if length > most || (kind == Kind::Credit && length != most) {
            return Err(broken("a frame of a length that is not allowed")
                .limit(format!("{most} bytes for {kind:?}"))
                .found(format!("{length} bytes")));
        }
        let Some(payload) = body.get(..length) else {
            return Ok(None);
        };
        let frame = Frame {
            kind,
            stream: u16::from_le_bytes([s0, s1]),
            payload: payload.to_vec(),
        };
        self.taken += HEADER_BYTES + length;
        Ok(Some(frame))
    }
}

impl Frame {
    /// The JSON message in it.
    ///
    /// # Errors
    /// It is not of this form.
    pub fn message<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| broken("a message of another form").found(error.to_string()))
    }

    /// The number of bytes in a frame of credit.
    pub fn credit(&self) -> u32 {
        self.payload
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }
}

/// A frame's bytes. The payload must be within the bound of its kind; it is cut to it in release builds otherwise.
pub fn encode(kind: Kind, stream: u16, payload: &[u8]) -> Vec<u8> {
    let most = Bounds::BY_AGENT.of(kind);
    debug_assert!(payload.len() <= most, "{kind:?} of {}", payload.len());
    let payload = payload.get(..most).unwrap_or(payload);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    // Bounds are far below 4 GiB.
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&stream.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame with a message.
///
/// # Errors
/// It is longer than `bounds` of its reader.
pub fn encode_json(kind: Kind, message: &impl Serialize, bounds: Bounds) -> Result<Vec<u8>> {
    let payload = serde_json::to_vec(message)
        .map_err(|error| Problem::internal("a message has no JSON").caused_by(error))?;
    if payload.len() > bounds.message {
        return Err(Problem::refused(
            "arguments, environment and profile are too large for a microVM",
        )
        .limit(format!("{} bytes", bounds.message))
        .found(format!("{} bytes", payload.len())));
    }
    Ok(encode(kind, 0, &payload))
}

fn broken(what: &str) -> Problem {
    Problem::host(format!("the other side of a microVM's link sent {what}"))
        .remedy("the sandbox is ended; if the program in it is not hostile, please report this")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], step: usize) -> Result<Vec<Frame>> {
        let mut decoder = Decoder::new(Bounds::BY_HOST);
        let mut frames = Vec::new();
        for chunk in bytes.chunks(step) {
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_arrive_however_they_are_cut() {
        let bytes = [
            encode(Kind::Data, 7, b"hello"),
            encode(Kind::End, 7, b""),
            encode(Kind::Credit, 9, &5u32.to_le_bytes()),
        ]
        .concat();
        for step in [1, 3, 8, 1000] {
            let frames = decode(&bytes, step).expect("honest");
            assert_eq!(frames.len(), 3);
            assert_eq!(frames[0].payload, b"hello");
            assert_eq!((frames[1].kind, frames[1].stream), (Kind::End, 7));
            assert_eq!(frames[2].credit(), 5);
        }
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_held() {
        for header in [
            [0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 7, 0, 0, 0],
            [0, 0, 0, 0, 4, 1, 0, 0],
            [1, 0, 0, 0, 5, 0, 0, 0],
            [3, 0, 0, 0, 6, 0, 0, 0],
            [1, 0, 4, 0, 3, 0, 0, 0],
        ] {
            decode(&header, 8).expect_err("nonsense");
        }
    }
}
