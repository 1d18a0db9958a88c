//! What is trusted: keys that are named, or a policy file.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use uc_model::{Digest, Problem, Result};
use uc_sign::{Policy, PolicyFile, PublicKey, Requirement, policy::MAX_POLICY_BYTES};

/// The largest key file that is read, in bytes.
const MAX_KEY_BYTES: u64 = 64 << 10;

/// What an artifact is judged by.
#[derive(Debug)]
pub enum Trust {
    /// Any of these keys.
    Keys(Requirement),
    /// Whatever a policy says of its repository.
    Policy(Policy),
}

impl Trust {
    /// Any of the keys in these files.
    ///
    /// # Errors
    /// Not found and invalid, naming the file.
    pub fn in_keys(files: &[PathBuf]) -> Result<Self> {
        let keys = files
            .iter()
            .map(|file| Ok((file.display().to_string(), read_key(file)?)))
            .collect::<Result<Vec<_>>>()?;
        Requirement::any_of(keys).map(Self::Keys)
    }

    /// What a repository's artifacts need at a time in Unix seconds, and until when that answer holds.
    ///
    /// # Errors
    /// Refused where a policy has no rule for the repository.
    pub fn requirement(&self, repository: &str, now: i64) -> Result<(Requirement, Option<i64>)> {
        match self {
            Self::Keys(requirement) => Ok((requirement.clone(), None)),
            Self::Policy(policy) => {
                let decision = policy.evaluate(repository, now)?;
                Ok((decision.requirement, decision.valid_until))
            }
        }
    }

    /// Changes whenever another answer could come out.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Policy(policy) => policy.digest().clone(),
            Self::Keys(requirement) => {
                let keys = requirement.signers().iter().flat_map(|signer| &signer.keys);
                let mut prints: Vec<String> = keys
                    .map(|trusted| trusted.key.fingerprint().to_string())
                    .collect();
                prints.sort();
                uc_image::verify::digest_of(prints.join("\n").as_bytes())
            }
        }
    }
}

/// Reads a policy file and the keys that it names, which are relative to its own folder.
///
/// # Errors
/// With file, line and field where there is one.
pub fn read_policy(path: &Path) -> Result<Policy> {
    let name = path.display().to_string();
    let bytes = read_bounded(path, MAX_POLICY_BYTES as u64, "the trust policy")?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::invalid("the trust policy is no UTF-8 text").at(&name))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    PolicyFile::parse(&text, &name)?
        .resolve(|file| read_bounded(&folder.join(file), MAX_KEY_BYTES, "the key"))
}

fn read_key(file: &Path) -> Result<PublicKey> {
    let bytes = read_bounded(file, MAX_KEY_BYTES, "the key")?;
    PublicKey::from_pem(&bytes).map_err(|problem| problem.within(file.display()))
}

fn read_bounded(path: &Path, limit: u64, what: &str) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound => Problem::not_found(format!("{what} is not there")),
            _ => Problem::invalid(format!("{what} cannot be read")).found(&error),
        };
        problem.at(path.display()).caused_by(error)
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(unreadable)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Problem::refused(format!("{what} is too large"))
            .at(path.display())
            .limit(format!("{limit} bytes")));
    }
    Ok(bytes)
}
