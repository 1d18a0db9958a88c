//! What becomes of each call when a program moves from one runtime to another: Hom(r1, r2) of M2.3.

use serde::Serialize;

use super::{Interface, Level, calls, support};
use crate::footprint::Architecture;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The other runtime has it.
    Maps,
    /// The other runtime does without, does it differently, or a library stands in.
    Emulated,
    /// Nothing stands for it.
    Lost,
}

impl Fate {
    /// Every fate, best first.
    pub const ALL: [Self; 3] = [Self::Maps, Self::Emulated, Self::Lost];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Emulated => "emulated",
            Self::Lost => "lost",
        }
    }
}

/// What becomes of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Morphism {
    /// The call.
    pub call: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// The functions that it becomes, where the other runtime has no system calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<&'static str>,
    /// What differs; empty where nothing need be said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What becomes of every call of a runtime on another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// Where the program runs now.
    pub from: Interface,
    /// Where it moves.
    pub to: Interface,
    /// One morphism for each call of `from`, by name.
    pub morphisms: Vec<Morphism>,
}

impl Mapping {
    /// Those of one fate.
    pub fn of(&self, fate: Fate) -> impl Iterator<Item = &Morphism> {
        self.morphisms.iter().filter(move |one| one.fate == fate)
    }
}

/// What becomes of every call of `from` on `to`.
pub fn mapping(from: Interface, to: Interface, architecture: Architecture) -> Mapping {
    let morphism = |call| {
        let there = support(to, architecture, call, None);
        let fate = match there.level {
            Level::Full | Level::Partial => Fate::Maps,
            Level::Unneeded | Level::Start | Level::Emulated | Level::Differs => Fate::Emulated,
            Level::Refused => Fate::Lost,
        };
        let note = match there.errno {
            Some(errno) if there.note.is_empty() => errno.to_owned(),
            Some(errno) => format!("{errno}: {}", there.note),
            None => there.note,
        };
        Morphism {
            call,
            fate,
            to: there.through,
            note,
        }
    };
    Mapping {
        from,
        to,
        morphisms: calls(from, architecture)
            .into_iter()
            .map(morphism)
            .collect(),
    }
}
