//! What has to be signed by whom.

use std::collections::{BTreeMap, BTreeSet};

use uc_model::{Problem, Result};

use crate::{calendar, keys::PublicKey, predicate::PredicateType};

/// The most signers that one decision weighs.
pub const MAX_SIGNERS: usize = 256;
/// The most keys that one decision weighs.
pub const MAX_KEYS: usize = 1024;

/// Someone who signs. The keys are one's own, old and new: together they count once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The name in the policy, or of the key's file.
    pub name: String,
    /// The keys, at least one.
    pub keys: Vec<TrustedKey>,
}

/// A key and whether it counts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// Whether it counts now.
    pub state: KeyState,
}

/// Whether a key counts at the time of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It counts.
    Valid,
    /// It counts from this time on, in Unix seconds.
    NotYetValid(i64),
    /// It counted before this time, in Unix seconds.
    Expired(i64),
}

impl KeyState {
    /// What is wrong with the key, if anything.
    pub(crate) fn fault(self) -> Option<String> {
        match self {
            Self::Valid => None,
            Self::NotYetValid(from) => Some(format!("counts from {}", calendar::rfc3339(from))),
            Self::Expired(end) => Some(format!("expired at {}", calendar::rfc3339(end))),
        }
    }
}

/// How many of the signers have to have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// One of them.
    Any,
    /// Each of them.
    All,
    /// So many different ones.
    AtLeast(usize),
}

/// What an artifact needs before it is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    signers: Vec<Signer>,
    threshold: Threshold,
    /// Annotations that a signature has to carry to count (`-a key=value`).
    pub annotations: BTreeMap<String, String>,
    /// Attestations that have to be there, each by at least one of the signers.
    pub attestations: Vec<PredicateType>,
    /// Whether an artifact is accepted although no signature suffices. Since anyone who can take a signature away makes
    /// a thing unsigned, a bad signature is then no worse than none.
    pub unsigned_allowed: bool,
}

impl Requirement {
    /// Signers and how many of them are needed.
    ///
    /// # Errors
    /// No signer or too many, a signer without keys, two signers of one name or key, and a threshold that can never be
    /// reached.
    pub fn new(signers: Vec<Signer>, threshold: Threshold) -> Result<Self> {
        if !(1..=MAX_SIGNERS).contains(&signers.len()) {
            return Err(Problem::invalid("no such number of signers can be weighed")
                .limit(format!("1 to {MAX_SIGNERS} signers"))
                .found(format!("{} signers", signers.len())));
        }
        let keys: usize = signers.iter().map(|signer| signer.keys.len()).sum();
        if keys > MAX_KEYS {
            return Err(Problem::invalid("too many trusted keys")
                .limit(format!("{MAX_KEYS} keys"))
                .found(format!("{keys} keys")));
        }
        check_distinct(&signers)?;
        if let Threshold::AtLeast(needed) = threshold
            && !(1..=signers.len()).contains(&needed)
        {
            return Err(Problem::invalid("the threshold cannot be reached")
                .limit(format!("1 to {} signers", signers.len()))
                .found(format!("{needed} signers")));
        }
        Ok(Self {
            signers,
            threshold,
            annotations: BTreeMap::new(),
            attestations: Vec::new(),
            unsigned_allowed: false,
        })
    }

    /// Any of these keys, each under a name, as `uc verify --key` has it. A key that is named twice counts once.
    ///
    /// # Errors
    /// No key, or too many.
    pub fn any_of(keys: impl IntoIterator<Item = (String, PublicKey)>) -> Result<Self> {
        let mut signers: Vec<Signer> = Vec::new();
        for (name, key) in keys {
            let is_known = |signer: &Signer| signer.keys.iter().any(|known| known.key == key);
            if signers.iter().any(is_known) {
                continue;
            }
            let trusted = TrustedKey {
                key,
                state: KeyState::Valid,
            };
            match signers.iter_mut().find(|signer| signer.name == name) {
                Some(signer) => signer.keys.push(trusted),
                None => signers.push(Signer {
                    name,
                    keys: vec![trusted],
                }),
            }
        }
        Self::new(signers, Threshold::Any)
    }

    /// Nothing: everything is accepted. What is attached is reported all the same.
    pub fn nothing() -> Self {
        Self {
            signers: Vec::new(),
            threshold: Threshold::Any,
            annotations: BTreeMap::new(),
            attestations: Vec::new(),
            unsigned_allowed: true,
        }
    }

    /// Who may sign.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// How many of them.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// How many different signers are needed; at least one.
    pub fn needed(&self) -> usize {
        match self.threshold {
            Threshold::Any => 1,
            Threshold::All => self.signers.len().max(1),
            Threshold::AtLeast(needed) => needed.max(1),
        }
    }
}

fn check_distinct(signers: &[Signer]) -> Result<()> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for signer in signers {
        if !names.insert(&signer.name) {
            return Err(Problem::invalid("two signers have one name").found(&signer.name));
        }
        if signer.keys.is_empty() {
            return Err(Problem::invalid("a signer has no key").found(&signer.name));
        }
        for trusted in &signer.keys {
            if !keys.insert(trusted.key.fingerprint()) {
                return Err(
                    Problem::invalid("one key stands twice, so it could count twice")
                        .at(&signer.name)
                        .found(trusted.key.fingerprint()),
                );
            }
        }
    }
    Ok(())
}
