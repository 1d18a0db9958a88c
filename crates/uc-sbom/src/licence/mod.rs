//! Licences as packages state them: an SPDX expression where the statement is exact, its own words where it is not.

use serde::Serialize;

mod alias;
pub(crate) mod copyright;
mod expression;

pub(crate) use alias::Dialect;

use crate::text;

/// The longest statement that is read as an expression, in bytes.
const STATEMENT_BYTES: usize = 512;

/// A statement about a licence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Licence {
    /// A valid SPDX licence expression.
    Spdx(String),
    /// Words that name no exact licence, such as `BSD` or `GPL`.
    Named(String),
}

impl Licence {
    /// Reads a statement; `None` where it states nothing.
    pub fn parse(statement: &str) -> Option<Self> {
        Self::in_dialect(statement, Dialect::Spdx)
    }

    /// Reads a statement that uses the short names of a distribution.
    pub(crate) fn in_dialect(statement: &str, dialect: Dialect) -> Option<Self> {
        let statement = statement.trim();
        if matches!(
            statement.to_ascii_lowercase().as_str(),
            "" | "unknown" | "none" | "noassertion" | "see license in license" | "unlicensed"
        ) {
            return None;
        }
        if statement.len() <= STATEMENT_BYTES
            && let Some(expression) = expression::normalise(statement, dialect)
        {
            return Some(Self::Spdx(expression));
        }
        text::line(statement.as_bytes()).map(Self::Named)
    }

    /// The expression or the words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Spdx(text) | Self::Named(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_statements_become_expressions_and_vague_ones_stay_words() {
        let spdx = |text: &str| Some(Licence::Spdx(text.into()));
        let named = |text: &str| Some(Licence::Named(text.into()));
        assert_eq!(Licence::parse("MIT"), spdx("MIT"));
        assert_eq!(Licence::parse("mit"), spdx("MIT"));
        assert_eq!(
            Licence::parse("(MIT or Apache-2.0)"),
            spdx("(MIT OR Apache-2.0)")
        );
        assert_eq!(
            Licence::parse("MIT/Apache-2.0"),
            spdx("MIT OR Apache-2.0"),
            "crates of the early days"
        );
        assert_eq!(
            Licence::parse("Apache License, Version 2.0"),
            spdx("Apache-2.0")
        );
        assert_eq!(
            Licence::parse("GPL-2.0-only WITH Classpath-exception-2.0"),
            spdx("GPL-2.0-only WITH Classpath-exception-2.0")
        );
        assert_eq!(Licence::parse("BSD"), named("BSD"));
        assert_eq!(Licence::parse("MIT AND"), named("MIT AND"));
        assert_eq!(Licence::parse("((MIT)"), named("((MIT)"));
        assert_eq!(Licence::parse(" UNKNOWN "), None);
        assert_eq!(
            Licence::in_dialect("GPLv2+ and MIT", Dialect::Fedora),
            spdx("GPL-2.0-or-later AND MIT")
        );
        assert_eq!(
            Licence::in_dialect("GPL-2+ or Expat, and BSD-3-clause", Dialect::Debian),
            spdx("(GPL-2.0-or-later OR MIT) AND BSD-3-Clause")
        );
        assert_eq!(Licence::parse("GPL-2+"), named("GPL-2+"));
    }
}
