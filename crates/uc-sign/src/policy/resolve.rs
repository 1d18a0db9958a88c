//! From the policy's text to a policy: keys are read, names are looked up, rules that cannot work are refused.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Spanned, value::Datetime};
use uc_model::{Date, Problem, Result};

use super::{
    Policy, PolicyKey, PolicySigner, Rule, canonical,
    document::{self, Document, KeyTable, RuleTable, SignerTable, Source, Unsigned},
    pattern::Pattern,
};
use crate::{
    keys::PublicKey,
    predicate::PredicateType,
    requirement::{KeyState, Requirement, Signer, Threshold, TrustedKey},
};

/// A policy as read, before the files of its keys are.
#[derive(Debug)]
pub struct PolicyFile {
    name: String,
    text: String,
    document: Document,
}

impl PolicyFile {
    /// Reads the text of a policy. `name` is the file's, for messages.
    ///
    /// # Errors
    /// What is no policy: with file, line and field.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let document = document::parse(Source { name, text })?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            document,
        })
    }

    /// The files that hold keys, as they are written in the policy: relative to its own folder.
    pub fn key_files(&self) -> BTreeSet<&str> {
        let keys = self
            .document
            .signers
            .values()
            .flat_map(|signer| &signer.keys);
        keys.filter_map(|key| key.get_ref().file.as_deref())
            .collect()
    }

    /// Reads the keys and checks the rules. `read` gets each name of [`PolicyFile::key_files`] and answers with the file.
    ///
    /// # Errors
    /// What `read` fails with, bad keys, and rules that cannot work: with file, line and field.
    pub fn resolve(&self, mut read: impl FnMut(&str) -> Result<Vec<u8>>) -> Result<Policy> {
        let source = Source {
            name: &self.name,
            text: &self.text,
        };
        let mut signers = Vec::new();
        for (name, table) in &self.document.signers {
            signers.push(resolve_signer(source, name, table, &mut read)?);
        }
        let names: BTreeMap<&str, usize> = signers
            .iter()
            .enumerate()
            .map(|(index, signer)| (signer.name.as_str(), index))
            .collect();
        let mut rules: Vec<Rule> = Vec::new();
        for (index, table) in self.document.rules.iter().enumerate() {
            let context = RuleContext {
                source,
                path: format!("rules[{index}]"),
                start: table.span().start,
                names: &names,
            };
            rules.push(context.resolve(table.get_ref(), &rules, &signers)?);
        }
        let digest = canonical::digest(&signers, &rules)?;
        Ok(Policy {
            name: self.name.clone(),
            signers,
            rules,
            digest,
        })
    }
}

fn resolve_signer(
    source: Source<'_>,
    name: &str,
    table: &SignerTable,
    read: &mut impl FnMut(&str) -> Result<Vec<u8>>,
) -> Result<PolicySigner> {
    if table.keys.is_empty() {
        return Err(Problem::invalid("a signer has no key")
            .at(format!("{}: signers.{name}.keys", source.name)));
    }
    let mut keys = Vec::new();
    for (index, key) in table.keys.iter().enumerate() {
        let path = format!("signers.{name}.keys[{index}]");
        let place = KeyPlace {
            source,
            key: source.place(key.span().start, &path),
            path,
        };
        keys.push(place.resolve(key.get_ref(), read)?);
    }
    Ok(PolicySigner {
        name: name.to_owned(),
        keys,
    })
}

/// Where a key stands.
struct KeyPlace<'a> {
    source: Source<'a>,
    path: String,
    key: String,
}

impl KeyPlace<'_> {
    fn resolve(
        &self,
        table: &KeyTable,
        read: &mut impl FnMut(&str) -> Result<Vec<u8>>,
    ) -> Result<PolicyKey> {
        let key = match (&table.file, &table.pem) {
            (Some(file), None) => read(file).and_then(|bytes| {
                PublicKey::from_pem(&bytes).map_err(|problem| problem.within(file))
            }),
            (None, Some(pem)) => PublicKey::from_pem(pem.as_bytes()),
            _ => Err(Problem::invalid("a key needs either `file` or `pem`")),
        };
        let key = key.map_err(|problem| problem.within(&self.key))?;
        let not_before = self.instant("not_before", table.not_before.as_ref())?;
        let not_after = self.instant("not_after", table.not_after.as_ref())?;
        if let (Some(from), Some(end)) = (not_before, not_after)
            && from >= end
        {
            return Err(Problem::invalid("the key never counts")
                .at(&self.key)
                .limit("not_before earlier than not_after"));
        }
        Ok(PolicyKey {
            key,
            not_before,
            not_after,
        })
    }

    fn instant(&self, field: &str, value: Option<&Spanned<Datetime>>) -> Result<Option<i64>> {
        let Some(date) = value else {
            return Ok(None);
        };
        unix_seconds(date.get_ref()).map(Some).ok_or_else(|| {
            let path = format!("{}.{field}", self.path);
            Problem::invalid("not a point in time")
                .at(self.source.place(date.span().start, &path))
                .limit("date, time and offset, as 2026-03-01T00:00:00Z")
                .found(date.get_ref())
        })
    }
}

/// A date without time and offset is nobody's point in time.
fn unix_seconds(value: &Datetime) -> Option<i64> {
    let (date, time) = (value.date?, value.time?);
    let days = Date::new(date.year.into(), date.month.into(), date.day.into())?.days();
    let offset_minutes: i64 = match value.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => minutes.into(),
    };
    let second = time.second.unwrap_or(0);
    let of_day = i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(second);
    Some(days * 86_400 + of_day - offset_minutes * 60)
}

/// Where a rule stands.
struct RuleContext<'a> {
    source: Source<'a>,
    path: String,
    start: usize,
    names: &'a BTreeMap<&'a str, usize>,
}

impl RuleContext<'_> {
    fn resolve(
        &self,
        table: &RuleTable,
        earlier: &[Rule],
        signers: &[PolicySigner],
    ) -> Result<Rule> {
        let patterns = self.patterns(table, earlier)?;
        let chosen = self.signers(table)?;
        let attestations = self.attestations(table)?;
        let unsigned_allowed = table.unsigned == Unsigned::Allow;
        if chosen.is_empty() && !unsigned_allowed {
            return Err(self
                .problem("signers", "a rule needs signers")
                .remedy("name signers, or say `unsigned = \"allow\"`"));
        }
        if unsigned_allowed && !attestations.is_empty() {
            return Err(self.problem(
                "attestations",
                "a rule that allows unsigned artifacts cannot require attestations",
            ));
        }
        if chosen.is_empty() && table.require.is_some() {
            return Err(self.problem("require", "a rule without signers cannot require any"));
        }
        let threshold = table.require.as_ref().map(Spanned::get_ref);
        let threshold = threshold.map_or(Threshold::Any, |require| require.0);
        if !chosen.is_empty() {
            check_requirement(&chosen, signers, threshold)
                .map_err(|problem| problem.within(self.place("signers", self.start)))?;
        }
        Ok(Rule {
            patterns,
            signers: chosen,
            threshold,
            attestations,
            unsigned_allowed,
        })
    }

    fn patterns(&self, table: &RuleTable, earlier: &[Rule]) -> Result<Vec<Pattern>> {
        if table.repositories.is_empty() {
            return Err(self.problem("repositories", "a rule needs repositories"));
        }
        let mut patterns: Vec<Pattern> = Vec::new();
        for text in &table.repositories {
            let place = self.place("repositories", text.span().start);
            let pattern =
                Pattern::parse(text.get_ref()).map_err(|problem| problem.at(place.clone()))?;
            let before = earlier
                .iter()
                .flat_map(|rule| &rule.patterns)
                .chain(&patterns);
            let mut before = before.filter(|known| **known == pattern || known.is_everything());
            if let Some(known) = before.next() {
                return Err(
                    Problem::invalid("this pattern never decides: the first match does")
                        .at(place)
                        .found(format!("{} after {}", pattern.as_str(), known.as_str())),
                );
            }
            patterns.push(pattern);
        }
        Ok(patterns)
    }

    fn signers(&self, table: &RuleTable) -> Result<Vec<usize>> {
        let mut chosen = Vec::new();
        for name in &table.signers {
            let place = self.place("signers", name.span().start);
            let Some(index) = self.names.get(name.get_ref().as_str()) else {
                let known: Vec<&str> = self.names.keys().copied().collect();
                return Err(Problem::invalid("no such signer")
                    .at(place)
                    .limit(format!("one of {}", known.join(", ")))
                    .found(name.get_ref()));
            };
            if chosen.contains(index) {
                return Err(Problem::invalid("a signer stands twice in a rule")
                    .at(place)
                    .found(name.get_ref()));
            }
            chosen.push(*index);
        }
        Ok(chosen)
    }

    fn attestations(&self, table: &RuleTable) -> Result<Vec<PredicateType>> {
        let mut kinds: Vec<PredicateType> = Vec::new();
        for name in &table.attestations {
            let place = self.place("attestations", name.span().start);
            let kind: PredicateType = name
                .get_ref()
                .parse()
                .map_err(|problem: Problem| problem.at(place.clone()))?;
            if kind.is_signature() {
                return Err(Problem::invalid("a signature is not an attestation").at(place));
            }
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    fn place(&self, field: &str, offset: usize) -> String {
        self.source.place(offset, &format!("{}.{field}", self.path))
    }

    fn problem(&self, field: &str, what: &str) -> Problem {
        Problem::invalid(what).at(self.place(field, self.start))
    }
}

/// Whatever would make every decision by the rule fail is found now.
fn check_requirement(
    chosen: &[usize],
    signers: &[PolicySigner],
    threshold: Threshold,
) -> Result<()> {
    let trusted = |key: &PolicyKey| TrustedKey {
        key: key.key.clone(),
        state: KeyState::Valid,
    };
    let list = chosen.iter().filter_map(|index| signers.get(*index));
    let list = list.map(|signer| Signer {
        name: signer.name.clone(),
        keys: signer.keys.iter().map(trusted).collect(),
    });
    Requirement::new(list.collect(), threshold).map(|_| ())
}
