//! The password of a key: from a file, the environment or the terminal, never from an argument.

use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use uc_model::{Problem, Result};
use uc_sign::Password;

/// The longest password, in bytes.
const MAX_PASSWORD: u64 = 4096;
/// Where a password may stand, ours first; the other is cosign's.
const VARIABLES: [&str; 2] = ["UC_KEY_PASSWORD", "COSIGN_PASSWORD"];

/// Where the password of a key comes from.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// The file that holds the key's password in its first line; else UC_KEY_PASSWORD or COSIGN_PASSWORD, else the
    /// terminal asks
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// The password of a key that exists.
    ///
    /// # Errors
    /// Invalid where there is no password and nobody to ask.
    pub(crate) fn ask(&self, key: &Path) -> Result<Password> {
        match self.given()? {
            Some(password) => Ok(password),
            None => prompt(&format!("Password of {}: ", key.display())),
        }
    }

    /// The password of a new key, typed twice where it is typed.
    ///
    /// # Errors
    /// As for [`Self::ask`]; invalid where the two differ.
    pub(crate) fn choose(&self) -> Result<Password> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        let first = prompt("Password of the new key: ")?;
        let second = prompt("Once more: ")?;
        if first == second {
            Ok(first)
        } else {
            Err(Problem::invalid("the two passwords differ"))
        }
    }

    fn given(&self) -> Result<Option<Password>> {
        if let Some(file) = &self.password_file {
            return from_file(file).map(Some);
        }
        let mut set = VARIABLES.iter().filter_map(std::env::var_os);
        Ok(set.next().map(|value| {
            use std::os::unix::ffi::OsStringExt as _;
            Password::new(value.into_vec())
        }))
    }
}

fn from_file(file: &Path) -> Result<Password> {
    let unreadable = |error: io::Error| {
        Problem::not_found("the password file cannot be read")
            .at(file.display())
            .caused_by(error)
    };
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    io::BufReader::new(opened.take(MAX_PASSWORD))
        .read_until(b'\n', &mut bytes)
        .map_err(unreadable)?;
    Ok(without_newline(bytes))
}

fn without_newline(mut bytes: Vec<u8>) -> Password {
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Password::new(bytes)
}

/// Asks on the terminal, without showing what is typed.
fn prompt(question: &str) -> Result<Password> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Problem::invalid(
            "the key needs a password, and there is no terminal to ask at",
        )
        .remedy("set UC_KEY_PASSWORD or COSIGN_PASSWORD, or name a file with --password-file"));
    }
    let failed = |error: io::Error| Problem::host("cannot read a password").caused_by(error);
    let shown = rustix::termios::tcgetattr(&stdin).map_err(|errno| failed(errno.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
    let set = |state: &rustix::termios::Termios| {
        rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, state)
    };
    // If nobody sees the question, it is answered blindly.
    let _ = write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush());
    set(&hidden).map_err(|errno| failed(errno.into()))?;
    let mut bytes = Vec::new();
    let read = stdin
        .lock()
        .take(MAX_PASSWORD)
        .read_until(b'\n', &mut bytes);
    let restored = set(&shown);
    let _ = writeln!(io::stderr());
    read.map_err(failed)?;
    restored.map_err(|errno| failed(errno.into()))?;
    Ok(without_newline(bytes))
}
