//! How a runtime answers a call.

use serde::Serialize;

use super::{Interface, answers};
use crate::footprint::Architecture;

/// How far a runtime answers a call, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As Linux does.
    Full,
    /// Less than Linux does, which makes no difference in practice.
    Partial,
    /// Not there, and not needed: the engine does what the call did.
    Unneeded,
    /// Not there save for the start of the program itself.
    Start,
    /// Not there; the C library gives an equivalent.
    Emulated,
    /// Accepted, and the effect may be missed.
    Differs,
    /// It fails.
    Refused,
}

impl Level {
    /// Whether the runtime itself has the call.
    pub fn is_offered(self) -> bool {
        matches!(self, Self::Full | Self::Partial | Self::Differs)
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Unneeded => "unneeded",
            Self::Start => "at the start",
            Self::Emulated => "emulated",
            Self::Differs => "differs",
            Self::Refused => "refused",
        }
    }
}

/// The answer to a call, or to a call with an argument that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Support {
    /// How far.
    pub level: Level,
    /// The error that programs see, where it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<&'static str>,
    /// What is missing or what happens instead; empty where nothing need be said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The functions of WASI that stand for the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<&'static str>,
}

impl Support {
    pub(super) fn new(level: Level, note: &str) -> Self {
        Self {
            level,
            errno: None,
            note: note.to_owned(),
            through: Vec::new(),
        }
    }

    pub(super) fn refused(errno: &'static str, note: &str) -> Self {
        Self {
            errno: Some(errno),
            ..Self::new(Level::Refused, note)
        }
    }
}

/// How a runtime answers a call, and one of its variants (see [`crate::variant`]); flags that are joined with `|` are each
/// looked at, and the worst answer counts. A call that the processor lacks is refused by all.
pub fn support(
    interface: Interface,
    architecture: Architecture,
    call: &str,
    variant: Option<&str>,
) -> Support {
    let answers = answers(interface);
    let whole = answers.call(architecture, call);
    let Some(variant) = variant.filter(|_| whole.level.is_offered()) else {
        return whole;
    };
    variant
        .split('|')
        .map(|flag| answers.variant(call, flag).unwrap_or_else(|| whole.clone()))
        .max_by_key(|support| support.level)
        .unwrap_or(whole)
}

/// Arguments of a call that a runtime answers in their own way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgumentRule {
    /// The call.
    pub call: &'static str,
    /// Forms of variants; `*` stands for anything.
    pub patterns: Vec<&'static str>,
    /// Whether the answer is to every variant *but* these.
    pub all_but: bool,
    /// The answer.
    #[serde(flatten)]
    pub support: Support,
}

/// The rules of a runtime about arguments.
pub fn argument_rules(interface: Interface) -> &'static [ArgumentRule] {
    &answers(interface).rules
}

/// How many functions an interface has that is not made of system calls: those of WASI.
pub fn function_count(interface: Interface) -> Option<usize> {
    match answers(interface).functions {
        0 => None,
        count => Some(count),
    }
}
