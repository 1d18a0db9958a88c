//! What an agent and a function runner say to each other, over the runner's standard streams.
//!
//! The runner loads its program and says [`Report::Ready`]. Then, for each call: the agent sends a frame with a [`Call`]
//! and frames of [`STDIN`] up to its end; the runner sends frames of [`STDOUT`] and [`STDERR`] and, when the function has
//! ended, [`Report::Done`]. A function that handles HTTP requests is called once, with a port, and ends when the runner is asked
//! to (SIGTERM) or its input ends; it has no standard input. Pipes hold up who sends too fast.

use serde::{Deserialize, Serialize};
use uc_model::Telling;
use uc_sandbox::Exit;

/// The stream of a function's standard input.
pub const STDIN: u16 = 0;

/// The stream of its standard output.
pub const STDOUT: u16 = 1;

/// The stream of its standard error.
pub const STDERR: u16 = 2;

/// Calls the function: in a frame of [`crate::Kind::Request`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Call {
    /// Its name and arguments.
    pub argv: Vec<String>,
    /// Its environment. It may hold secrets: not for logs.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: String,
    /// The directories it may reach.
    pub directories: Vec<Directory>,
    /// Most bytes of its memories.
    pub memory_limit_bytes: Option<u64>,
    /// Whether it may use the network of its container.
    pub sockets: bool,
    /// The port at which it answers, where it handles HTTP requests.
    pub port: Option<u16>,
    /// Whether all is done up to its first instruction, and undone. The runner then says [`Report::Ready`] again. What that
    /// takes has been done once by then, which makes a call quicker.
    #[serde(default)]
    pub rehearsal: bool,
}

/// A directory that a function may reach, under the path that it has in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The absolute path.
    pub path: String,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// What a runner says: in a frame of [`crate::Kind::Event`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The program is loaded.
    Ready,
    /// It cannot be loaded or called; the runner is about to end.
    Failed(Telling),
    /// The function has ended.
    Done(Exit),
}
