//! Trying trusted keys on a signature, within a limit of work.

use crate::{
    keys::{KeyAlgorithm, PublicKey, Scheme},
    message::Message,
    requirement::{KeyState, Requirement},
    verdict::{Reason, Refusal, SignedBy},
};

/// The most attempts to verify a signature by a key and scheme in one decision: about half a second of P-256.
pub const MAX_ATTEMPTS: usize = 4096;
/// The most bytes that are decoded and hashed in one decision.
pub const MAX_WORK_BYTES: usize = 1024 * 1024 * 1024;

/// What may still be done in one decision.
#[derive(Debug)]
pub(crate) struct Budget {
    attempts: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            attempts: MAX_ATTEMPTS,
            bytes: MAX_WORK_BYTES,
        }
    }

    /// Takes bytes to decode or hash.
    pub(crate) fn take_bytes(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(exhausted)?;
        Ok(())
    }

    /// Takes an attempt for each scheme of the key; those that cannot share a hash pay for their own.
    fn take_attempt(&mut self, key: &PublicKey, message: &Message<'_>) -> Result<(), Refusal> {
        let schemes = Scheme::of_key(key.algorithm()).len();
        self.attempts = self.attempts.checked_sub(schemes).ok_or_else(exhausted)?;
        match key.algorithm() {
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa => {
                self.take_bytes(message.bytes().len().saturating_mul(schemes))
            }
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => Ok(()),
        }
    }
}

fn exhausted() -> Refusal {
    Refusal::new(
        Reason::NotExamined,
        format!(
            "more is attached than is examined: {MAX_ATTEMPTS} attempts and {} MiB",
            MAX_WORK_BYTES >> 20
        ),
    )
}

/// The trusted keys of a decision.
pub(crate) struct Trust<'a> {
    keys: Vec<Candidate<'a>>,
}

struct Candidate<'a> {
    signer: &'a str,
    key: &'a PublicKey,
    state: KeyState,
    hint: String,
}

impl<'a> Trust<'a> {
    pub(crate) fn of(requirement: &'a Requirement) -> Self {
        let mut keys: Vec<Candidate<'a>> = Vec::new();
        for signer in requirement.signers() {
            for trusted in &signer.keys {
                keys.push(Candidate {
                    signer: &signer.name,
                    key: &trusted.key,
                    state: trusted.state,
                    hint: trusted.key.hint(),
                });
            }
        }
        // What counts now is tried first; the others only tell why a signature does not count.
        keys.sort_by_key(|candidate| candidate.state != KeyState::Valid);
        Self { keys }
    }

    /// Who made a signature over the message. The hint decides nothing but which key is tried first.
    pub(crate) fn find(
        &self,
        message: &Message<'_>,
        signature: &[u8],
        hint: Option<&str>,
        budget: &mut Budget,
    ) -> Result<SignedBy, Refusal> {
        if signature.is_empty() {
            return Err(Refusal::new(
                Reason::Malformed,
                "the signature is no base64",
            ));
        }
        let is_hinted = |candidate: &&Candidate<'_>| Some(candidate.hint.as_str()) == hint;
        let hinted = self.keys.iter().filter(is_hinted);
        let others = self.keys.iter().filter(|candidate| !is_hinted(candidate));
        for candidate in hinted.chain(others) {
            budget.take_attempt(candidate.key, message)?;
            let Some(scheme) = candidate.key.verify(message, signature) else {
                continue;
            };
            if let Some(fault) = candidate.state.fault() {
                let detail = format!("signed by a key of {} that {fault}", candidate.signer);
                return Err(Refusal::new(Reason::KeyNotValidNow, detail));
            }
            return Ok(SignedBy {
                signer: candidate.signer.to_owned(),
                key: candidate.key.fingerprint().clone(),
                algorithm: candidate.key.algorithm(),
                scheme,
            });
        }
        let detail = match hint {
            Some(hint) if !self.keys.iter().any(|candidate| candidate.hint == hint) => {
                format!("no trusted key made this signature; it names the key {hint}")
            }
            _ => "no trusted key made this signature".to_owned(),
        };
        Err(Refusal::new(Reason::NoTrustedKey, detail))
    }
}
