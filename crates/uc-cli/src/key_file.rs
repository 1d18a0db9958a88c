//! The files of keys, as they are read and written.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use uc_model::{Problem, Result};
use uc_sign::PrivateKey;

use crate::password::PasswordArgs;

/// The largest key file that is read, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// A private key with what it takes to open it, before that is done: it takes a fifth of a second, and other things can be
/// done meanwhile.
pub(crate) struct Sealed {
    name: String,
    bytes: Vec<u8>,
    password: Option<uc_sign::Password>,
}

impl Sealed {
    /// Reads a key file, and asks for the password if it needs one.
    ///
    /// # Errors
    /// Not found, or no password.
    pub(crate) fn read(file: &Path, password: &PasswordArgs) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            let problem = match error.kind() {
                std::io::ErrorKind::NotFound => Problem::not_found("the key is not there")
                    .remedy("make one with: uc key generate"),
                _ => Problem::invalid("the key cannot be read").found(&error),
            };
            problem.at(file.display()).caused_by(error)
        };
        let mut bytes = Vec::new();
        fs::File::open(file)
            .map_err(unreadable)?
            .take(MAX_KEY)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        let password = uc_sign::keys::is_encrypted(&bytes)
            .then(|| password.ask(file))
            .transpose()?;
        Ok(Self {
            name: file.display().to_string(),
            bytes,
            password,
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// Invalid: no key, a wrong password, an algorithm that is not supported.
    pub(crate) fn open(self) -> Result<PrivateKey> {
        let missing = || Problem::internal("an encrypted key was read without its password");
        PrivateKey::from_pem(&self.bytes, || self.password.ok_or_else(missing))
            .map_err(|problem| problem.within(&self.name))
    }
}

/// Writes a file that must not be there yet, readable by its owner only where it is secret.
///
/// # Errors
/// Storage, and refused where it is there.
pub(crate) fn write_new(file: &Path, text: &[u8], secret: bool) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if secret { 0o600 } else { 0o644 })
        .open(file)
        .and_then(|mut opened| opened.write_all(text))
        .map_err(|error| {
            let problem = match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    Problem::refused("the file is there already, and a key is never overwritten")
                        .remedy("choose another name with --output")
                }
                _ => Problem::storage("cannot write").found(&error),
            };
            problem.at(file.display()).caused_by(error)
        })
}
