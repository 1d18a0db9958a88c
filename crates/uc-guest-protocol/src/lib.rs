//! What a host and the agent in its microVM say to each other, and the agent and its function runner.
//!
//! Frames, messages and flow control are bytes in, bytes out; [`Link`] carries them over a descriptor. The other side may be
//! hostile. Invariants: no length that it names is believed beyond a bound, nothing is allocated before the bytes are
//! there, a stream holds no more than its window, and what belongs to no known stream is dropped.

mod descriptor;
mod flow;
mod frame;
pub mod function;
mod link;
mod message;

pub use descriptor::Descriptor;
pub use flow::{Allowance, Intake, WINDOW_BYTES};
pub use frame::{Bounds, Decoder, Frame, HEADER_BYTES, Kind, MAX_DATA_BYTES, encode, encode_json};
pub use link::{Incoming, Link, StreamReader, StreamWriter};
pub use message::{
    Answer, Call, Content, Create, Disk, Event, Exec, Greeting, GuestMount, GuestProcess, Network,
    Renewal, Request, Response, Source, Streams, Welcome, read_all_for_fuzzing,
};

/// The version of this protocol. Both sides must speak the same: they are built together, and a snapshot of another
/// version is not restored.
pub const VERSION: u16 = 4;

/// The name of the virtio-serial port.
pub const PORT_NAME: &str = "undercurrent.agent";

/// The vsock port on which an agent listens, where there is no virtio-serial.
pub const VSOCK_PORT: u32 = 1024;
