//! The TOML of a trust policy, with the places of what can be wrong later.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize,
    de::{self, Deserializer, Visitor},
};
use toml::{Spanned, value::Datetime};
use uc_model::{Problem, Result};

use crate::requirement::Threshold;

/// The largest policy that is read, in bytes.
pub const MAX_POLICY_BYTES: usize = 1024 * 1024;
/// The most rules of a policy.
pub const MAX_RULES: usize = 4096;

/// The only version there is.
const VERSION: i64 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    version: Spanned<i64>,
    #[serde(default)]
    pub(super) signers: BTreeMap<String, SignerTable>,
    #[serde(default)]
    pub(super) rules: Vec<Spanned<RuleTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignerTable {
    pub(super) keys: Vec<Spanned<KeyTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) file: Option<String>,
    pub(super) pem: Option<String>,
    pub(super) not_before: Option<Spanned<Datetime>>,
    pub(super) not_after: Option<Spanned<Datetime>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleTable {
    pub(super) repositories: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) signers: Vec<Spanned<String>>,
    pub(super) require: Option<Spanned<Require>>,
    #[serde(default)]
    pub(super) attestations: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) unsigned: Unsigned,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unsigned {
    #[default]
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Require(pub(super) Threshold);

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Words;

        impl Visitor<'_> for Words {
            type Value = Require;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"any\", \"all\", or how many signers")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Require, E> {
                match text {
                    "any" => Ok(Require(Threshold::Any)),
                    "all" => Ok(Require(Threshold::All)),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Require, E> {
                usize::try_from(number)
                    .map(|needed| Require(Threshold::AtLeast(needed)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
        }

        source.deserialize_any(Words)
    }
}

/// The text of a policy, for places in messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// `policy.toml:12: rules[2].signers`; the line alone where there is no field to name.
    pub(super) fn place(&self, offset: usize, field: &str) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        if field.is_empty() {
            format!("{}:{line}", self.name)
        } else {
            format!("{}:{line}: {field}", self.name)
        }
    }

    /// The field that the line at `offset` sets, or the table that it opens.
    fn field_at(&self, offset: usize) -> &str {
        let start = self
            .text
            .get(..offset)
            .and_then(|before| before.rfind('\n'));
        let rest = self.text.get(start.map_or(0, |newline| newline + 1)..);
        let line = rest
            .and_then(|rest| rest.lines().next())
            .unwrap_or("")
            .trim();
        let field = line.split_once('=').map_or(line, |(field, _)| field.trim());
        let is_field = |c: char| c.is_alphanumeric() || "_-.[]\"".contains(c);
        if field.len() <= 100 && field.chars().all(is_field) {
            field
        } else {
            ""
        }
    }
}

pub(super) fn parse(source: Source<'_>) -> Result<Document> {
    if source.text.len() > MAX_POLICY_BYTES {
        return Err(Problem::invalid("the trust policy is too large")
            .at(source.name)
            .limit(format!("{MAX_POLICY_BYTES} bytes"))
            .found(format!("{} bytes", source.text.len())));
    }
    let document: Document = toml::from_str(source.text).map_err(|error| {
        let place = match error.span() {
            Some(span) => source.place(span.start, source.field_at(span.start)),
            None => source.name.to_owned(),
        };
        let words: String = error.message().chars().take(500).collect();
        Problem::invalid("the trust policy is malformed")
            .at(place)
            .found(words.replace('\n', "; "))
    })?;
    if *document.version.get_ref() != VERSION {
        return Err(Problem::invalid("the trust policy's version is not known")
            .at(source.place(document.version.span().start, "version"))
            .limit(VERSION)
            .found(document.version.get_ref()));
    }
    if document.rules.len() > MAX_RULES {
        return Err(Problem::invalid("the trust policy has too many rules")
            .at(source.name)
            .limit(format!("{MAX_RULES} rules"))
            .found(format!("{} rules", document.rules.len())));
    }
    Ok(document)
}
