//! The digest of what a policy means.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use uc_model::{Digest, Problem, Result};

use super::{PolicySigner, Rule};
use crate::requirement::Threshold;

/// Changes when the meaning of policies does, so that verdicts of an older version are not reused.
const VERSION: &str = "uc trust policy 1";

#[derive(Serialize)]
struct Meaning<'a> {
    version: &'a str,
    signers: BTreeMap<&'a str, Vec<Key<'a>>>,
    rules: Vec<Deciding<'a>>,
}

#[derive(Serialize)]
struct Key<'a> {
    fingerprint: &'a Digest,
    not_before: Option<i64>,
    not_after: Option<i64>,
}

#[derive(Serialize)]
struct Deciding<'a> {
    repositories: Vec<&'a str>,
    signers: Vec<&'a str>,
    require: String,
    attestations: Vec<&'a str>,
    unsigned_allowed: bool,
}

pub(super) fn digest(signers: &[PolicySigner], rules: &[Rule]) -> Result<Digest> {
    let meaning = Meaning {
        version: VERSION,
        signers: signers
            .iter()
            .map(|signer| (signer.name.as_str(), keys_of(signer)))
            .collect(),
        rules: rules.iter().map(|rule| deciding(rule, signers)).collect(),
    };
    let bytes = serde_json::to_vec(&meaning)
        .map_err(|error| Problem::internal("the policy has no digest").caused_by(error))?;
    Ok(Digest::from_sha256(&Sha256::digest(bytes).into()))
}

fn keys_of(signer: &PolicySigner) -> Vec<Key<'_>> {
    let keys = signer.keys.iter();
    keys.map(|key| Key {
        fingerprint: key.key.fingerprint(),
        not_before: key.not_before,
        not_after: key.not_after,
    })
    .collect()
}

fn deciding<'a>(rule: &'a Rule, signers: &'a [PolicySigner]) -> Deciding<'a> {
    let name = |index: &usize| signers.get(*index).map(|signer| signer.name.as_str());
    Deciding {
        repositories: rule
            .patterns
            .iter()
            .map(|pattern| pattern.as_str())
            .collect(),
        signers: rule.signers.iter().filter_map(name).collect(),
        require: match rule.threshold {
            Threshold::Any => "any".to_owned(),
            Threshold::All => "all".to_owned(),
            Threshold::AtLeast(needed) => needed.to_string(),
        },
        attestations: rule.attestations.iter().map(|kind| kind.uri()).collect(),
        unsigned_allowed: rule.unsigned_allowed,
    }
}
