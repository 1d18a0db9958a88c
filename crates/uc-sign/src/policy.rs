//! Trust policies: which signers for which repository.
//!
//! ```toml
//! version = 1
//!
//! # A signer is a person or a build system. Its keys are old and new ones of the same signer: whichever of them signed,
//! # the signer counts once. While two keys overlap, both count; that is how a key is changed without a gap.
//! [signers.release]
//! keys = [
//!   { file = "release-2025.pub", not_after = 2026-04-01T00:00:00Z },
//!   { file = "release-2026.pub", not_before = 2026-03-01T00:00:00Z },
//! ]
//!
//! [signers.security]
//! keys = [{ pem = """
//! -----BEGIN PUBLIC KEY-----
//! MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE9a5kzwaBGOKyTJitl7LcHf2I9o6X
//! Y1/bsOIDxrWljqh5CHuCDmSL+l/zUE3VNI5ogAzW/6Vo/O2fxgzL2CjiHw==
//! -----END PUBLIC KEY-----
//! """ }]
//!
//! # The first rule with a pattern that matches decides alone.
//! [[rules]]
//! repositories = ["registry.example.com/prod/**"]
//! signers = ["release", "security"]
//! require = "all"                # "any" (the default), "all", or how many different signers
//! attestations = ["spdxjson"]    # each by at least one of the signers
//!
//! [[rules]]
//! repositories = ["docker.io/library/*"]
//! unsigned = "allow"
//! ```
//!
//! A repository is host and path without a tag. In a pattern `*` stands for any text within a segment, `**` for any
//! number of segments, also none. A repository that no rule covers is refused; a last rule for `**` says otherwise.
//! Unknown fields are refused, and so are rules that can never decide.

use uc_model::{Digest, Problem, Result};

use crate::{
    keys::PublicKey,
    predicate::PredicateType,
    requirement::{KeyState, Requirement, Signer, Threshold, TrustedKey},
};

mod canonical;
mod document;
mod pattern;
mod resolve;

pub use document::{MAX_POLICY_BYTES, MAX_RULES};
pub use pattern::MAX_REPOSITORY_BYTES;
pub use resolve::PolicyFile;

use pattern::Pattern;

/// A trust policy whose keys have been read.
#[derive(Debug)]
pub struct Policy {
    name: String,
    signers: Vec<PolicySigner>,
    rules: Vec<Rule>,
    digest: Digest,
}

#[derive(Debug)]
struct PolicySigner {
    name: String,
    keys: Vec<PolicyKey>,
}

/// A key and when it counts: from `not_before` on, and before `not_after`, in Unix seconds.
#[derive(Debug)]
struct PolicyKey {
    key: PublicKey,
    not_before: Option<i64>,
    not_after: Option<i64>,
}

#[derive(Debug)]
struct Rule {
    patterns: Vec<Pattern>,
    /// Indices into the policy's signers.
    signers: Vec<usize>,
    threshold: Threshold,
    attestations: Vec<PredicateType>,
    unsigned_allowed: bool,
}

/// What a policy says of a repository at a time.
#[derive(Debug)]
pub struct Decision {
    /// The pattern that matched.
    pub pattern: String,
    /// What an artifact in the repository needs.
    pub requirement: Requirement,
    /// When the answer may change next, in Unix seconds: a key begins or ceases to count. A verdict that is kept must
    /// not be kept longer.
    pub valid_until: Option<i64>,
}

impl PolicyKey {
    fn state(&self, now: i64) -> KeyState {
        match (self.not_before, self.not_after) {
            (Some(from), _) if now < from => KeyState::NotYetValid(from),
            (_, Some(end)) if now >= end => KeyState::Expired(end),
            _ => KeyState::Valid,
        }
    }
}

impl Policy {
    /// The digest of what the policy means: signers, fingerprints, times and rules. Comments, layout and file names do not
    /// change it; another key behind the same file name does.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The rule for a repository (host and path, without a tag or digest; `docker.io/library/` spelt out) at a time in
    /// Unix seconds.
    ///
    /// # Errors
    /// What is no repository, a repository that no rule covers, and a rule too few of whose signers have a key that
    /// counts now.
    pub fn evaluate(&self, repository: &str, now: i64) -> Result<Decision> {
        pattern::check_repository(repository)?;
        let decisive = self.rules.iter().find_map(|rule| {
            let pattern = rule.patterns.iter().find(|one| one.matches(repository))?;
            Some((rule, pattern))
        });
        let Some((rule, pattern)) = decisive else {
            return Err(
                Problem::refused("the trust policy has no rule for this repository")
                    .at(repository)
                    .within(&self.name)
                    .remedy("add a rule, or a last rule for `**`"),
            );
        };
        let requirement = self.requirement(rule, now)?;
        if !rule.unsigned_allowed {
            self.check_reachable(&requirement, pattern)?;
        }
        Ok(Decision {
            pattern: pattern.as_str().to_owned(),
            requirement,
            valid_until: self.next_change(rule, now),
        })
    }

    fn requirement(&self, rule: &Rule, now: i64) -> Result<Requirement> {
        if rule.signers.is_empty() {
            return Ok(Requirement::nothing());
        }
        let signers = self.signers_of(rule).map(|signer| Signer {
            name: signer.name.clone(),
            keys: signer
                .keys
                .iter()
                .map(|key| TrustedKey {
                    key: key.key.clone(),
                    state: key.state(now),
                })
                .collect(),
        });
        let mut requirement = Requirement::new(signers.collect(), rule.threshold)?;
        requirement.attestations.clone_from(&rule.attestations);
        requirement.unsigned_allowed = rule.unsigned_allowed;
        Ok(requirement)
    }

    /// Says so where keys have run out, rather than that every artifact is badly signed.
    fn check_reachable(&self, requirement: &Requirement, pattern: &Pattern) -> Result<()> {
        let counts = |signer: &&Signer| signer.keys.iter().any(|key| key.state == KeyState::Valid);
        let able = requirement.signers().iter().filter(counts).count();
        if able >= requirement.needed() {
            return Ok(());
        }
        let faults: Vec<String> = requirement
            .signers()
            .iter()
            .filter(|signer| !counts(signer))
            .flat_map(|signer| signer.keys.iter().map(move |key| (signer, key)))
            .filter_map(|(signer, key)| Some(format!("{} {}", signer.name, key.state.fault()?)))
            .collect();
        Err(Problem::refused("too few keys of the rule count now")
            .at(format!("rule {}", pattern.as_str()))
            .within(&self.name)
            .limit(format!(
                "{} signers with a key that counts",
                requirement.needed()
            ))
            .found(faults.join("; "))
            .remedy("add the signer's new key to the policy"))
    }

    fn next_change(&self, rule: &Rule, now: i64) -> Option<i64> {
        self.signers_of(rule)
            .flat_map(|signer| &signer.keys)
            .flat_map(|key| [key.not_before, key.not_after])
            .flatten()
            .filter(|instant| *instant > now)
            .min()
    }

    fn signers_of(&self, rule: &Rule) -> impl Iterator<Item = &PolicySigner> {
        rule.signers
            .iter()
            .filter_map(|index| self.signers.get(*index))
    }
}

#[cfg(test)]
mod tests;
