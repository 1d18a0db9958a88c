//! What went wrong, for a person: what, where, which limit, what was found, what to do about it.

use std::{error::Error as StdError, fmt};

use serde::Serialize;

/// The result of everything that can fail with a [`Problem`].
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// The class of a problem. It decides the exit code of `uc`, so it is part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The input (file, argument, image, module) is malformed.
    Invalid,
    /// The named input does not exist.
    NotFound,
    /// Nothing that is attached signs the artifact as it must be signed.
    Unsigned,
    /// The artifact is signed, but not by those who must have signed it.
    Untrusted,
    /// A registry or another service cannot be reached or answers wrongly.
    Unavailable,
    /// A defect of ours.
    Internal,
    /// A file or directory of ours cannot be written (full disk, read-only home).
    Storage,
    /// A red line or policy forbids it, or no sandbox is both able and safe.
    Refused,
    /// This host lacks something that is needed.
    Host,
    /// The workload's program is there but cannot be executed.
    NotExecutable,
    /// The workload's program is not in its image.
    CommandNotFound,
}

impl ProblemKind {
    /// Every class.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::NotFound,
        Self::Unsigned,
        Self::Untrusted,
        Self::Unavailable,
        Self::Internal,
        Self::Storage,
        Self::Refused,
        Self::Host,
        Self::NotExecutable,
        Self::CommandNotFound,
    ];

    /// The class of an exit code.
    pub fn from_exit_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.exit_code() == code)
    }

    /// The exit code of `uc` for this class: sysexits(3) values where one fits, 126 and 127 as shells have them, 10 and 12
    /// as cosign has them.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unsigned => 10,
            Self::Untrusted => 12,
            Self::Invalid => 65,
            Self::NotFound => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Storage => 73,
            Self::Refused => 77,
            Self::Host => 78,
            Self::NotExecutable => 126,
            Self::CommandNotFound => 127,
        }
    }
}

/// A failure that says what happened, where, against which limit, what was found, and how to mend it.
///
/// It is boxed inside so that `Result<T, Problem>` stays one word wide.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: ProblemKind,
    what: String,
    place: Option<String>,
    limit: Option<String>,
    found: Option<String>,
    remedy: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(what: impl Into<String>) -> Self { Self::new(ProblemKind::$kind, what) })*
    };
}

impl Problem {
    /// A problem of a class, with one sentence that says what went wrong (no full stop).
    pub fn new(kind: ProblemKind, what: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            what: what.into(),
            place: None,
            limit: None,
            found: None,
            remedy: None,
            source: None,
        }))
    }

    constructors! {
        /// Malformed input.
        invalid => Invalid,
        /// A missing input.
        not_found => NotFound,
        /// An artifact without the signatures it needs.
        unsigned => Unsigned,
        /// An artifact that others have signed.
        untrusted => Untrusted,
        /// An unreachable or misbehaving service.
        unavailable => Unavailable,
        /// A defect of ours.
        internal => Internal,
        /// A file or directory of ours that cannot be written.
        storage => Storage,
        /// Forbidden by a red line, a policy, or for want of a safe sandbox.
        refused => Refused,
        /// Something this host lacks.
        host => Host,
    }

    /// Names the place: a file with line and column, a field path, a digest, an address.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(place.to_string());
        self
    }

    /// Puts `outer` before the place, as the file name before a field path.
    #[must_use]
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        self.0.place = Some(match self.0.place.take() {
            Some(inner) => format!("{outer}: {inner}"),
            None => outer.to_string(),
        });
        self
    }

    /// States the limit or the expected form.
    #[must_use]
    pub fn limit(mut self, limit: impl fmt::Display) -> Self {
        self.0.limit = Some(limit.to_string());
        self
    }

    /// States what was found instead.
    #[must_use]
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(found.to_string());
        self
    }

    /// Says what the user can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl fmt::Display) -> Self {
        self.0.remedy = Some(remedy.to_string());
        self
    }

    /// Keeps the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same words in another class: what is an answer to one question can be a refusal of another wish.
    #[must_use]
    pub fn with_kind(mut self, kind: ProblemKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The class.
    pub fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// What went wrong, in one sentence.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// Where, if it is known.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What to do about it, if it is known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The JSON form: `kind`, `exit_code`, `what`, `where`, `limit`, `found`, `remedy`, `causes`.
    pub fn to_view(&self) -> ProblemView<'_> {
        let mut causes = Vec::new();
        let mut next = self.source();
        while let Some(error) = next {
            causes.push(error.to_string());
            next = error.source();
        }
        ProblemView {
            kind: self.0.kind,
            exit_code: self.0.kind.exit_code(),
            what: &self.0.what,
            place: self.0.place.as_deref(),
            limit: self.0.limit.as_deref(),
            found: self.0.found.as_deref(),
            remedy: self.0.remedy.as_deref(),
            causes,
        }
    }
}

/// A [`Problem`] as it is printed with `--format json`.
#[derive(Debug, Serialize)]
pub struct ProblemView<'a> {
    /// The class.
    pub kind: ProblemKind,
    /// The exit code that goes with the class.
    pub exit_code: u8,
    /// What went wrong.
    pub what: &'a str,
    /// Where.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<&'a str>,
    /// The limit or the expected form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'a str>,
    /// What was found instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<&'a str>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'a str>,
    /// The underlying errors, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
}

/// One line: `where: what (limit: …; found: …)`. The remedy and the causes are the caller's to print.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.what)?;
        match (&self.0.limit, &self.0.found) {
            (Some(limit), Some(found)) => write!(f, " (expected: {limit}; found: {found})"),
            (Some(limit), None) => write!(f, " (expected: {limit})"),
            (None, Some(found)) => write!(f, " (found: {found})"),
            (None, None) => Ok(()),
        }
    }
}

impl StdError for Problem {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|error| error as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_place_limit_and_found() {
        let problem = Problem::refused("the module needs more memory than wasm32 has")
            .at("memory 0")
            .limit("4 GiB")
            .found("5 GiB")
            .within("big.wat");
        assert_eq!(
            problem.to_string(),
            "big.wat: memory 0: the module needs more memory than wasm32 has (expected: 4 GiB; found: 5 GiB)"
        );
        assert_eq!(problem.kind().exit_code(), 77);
    }

    #[test]
    fn the_view_lists_causes_outermost_first() {
        let inner = Problem::storage("no space left");
        let problem = Problem::storage("cannot unpack the layer").caused_by(inner);
        let view = problem.to_view();
        assert_eq!(view.causes, ["no space left"]);
        assert_eq!(view.exit_code, 73);
    }
}
