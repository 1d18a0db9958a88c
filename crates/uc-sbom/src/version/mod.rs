//! Versions: each ecosystem's own order.
//!
//! A [`Version`] is parsed once and compared often, as the tools of its ecosystem do (`tests/version_oracles.rs`); what
//! does not parse is an error, never a guess.
//!
//! The orders are total, but for Maven's, which goes in circles: `1.0-rc1` comes before `1`, `1` before `1.x-rc1`, and
//! that before `1.0-rc1`. So a [`Version`] has no `Ord`, and nothing is sorted by it.

use std::cmp::Ordering;

use uc_model::{Problem, Result};

mod alpine;
mod debian;
mod gem;
mod maven;
mod natural;
mod pep440;
mod rpm;
mod semver;

/// The longest version that is parsed, in bytes.
const VERSION_BYTES: usize = 512;

/// Whose order applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VersionScheme {
    /// apk-tools.
    Alpine,
    /// dpkg.
    Debian,
    /// `Gem::Version`.
    Gem,
    /// Maven's `ComparableVersion`.
    Maven,
    /// PEP 440.
    Pep440,
    /// rpm's epoch, version and release.
    Rpm,
    /// Semantic Versioning 2.0, leniently read: npm, crates.io, Go.
    Semver,
}

/// A version that can be compared with others of its scheme.
#[derive(Debug, Clone)]
pub struct Version(Parsed);

#[derive(Debug, Clone)]
enum Parsed {
    Alpine(alpine::Alpine),
    Debian(debian::Debian),
    Gem(gem::Gem),
    Maven(maven::Maven),
    Pep440(pep440::Pep440),
    Rpm(rpm::Rpm),
    Semver(semver::Semver),
}

impl Version {
    /// Parses a version.
    ///
    /// # Errors
    /// Invalid if it is not one of the scheme, or too long.
    pub fn parse(scheme: VersionScheme, text: &str) -> Result<Self> {
        let bad = || {
            Problem::invalid("not a version of its ecosystem")
                .limit(scheme.name())
                .found(crate::text::shown(text))
        };
        let text = text.trim();
        if text.is_empty() || text.len() > VERSION_BYTES {
            return Err(bad());
        }
        let parsed = match scheme {
            VersionScheme::Alpine => alpine::parse(text).map(Parsed::Alpine),
            VersionScheme::Debian => debian::parse(text).map(Parsed::Debian),
            VersionScheme::Gem => gem::parse(text).map(Parsed::Gem),
            VersionScheme::Maven => maven::parse(text).map(Parsed::Maven),
            VersionScheme::Pep440 => pep440::parse(text).map(Parsed::Pep440),
            VersionScheme::Rpm => rpm::parse(text).map(Parsed::Rpm),
            VersionScheme::Semver => semver::parse(text).map(Parsed::Semver),
        };
        parsed.map(Self).ok_or_else(bad)
    }

    /// Compares with another version; `None` if that is of another scheme.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (&self.0, &other.0) {
            (Parsed::Alpine(a), Parsed::Alpine(b)) => a.cmp(b),
            (Parsed::Debian(a), Parsed::Debian(b)) => a.cmp(b),
            (Parsed::Gem(a), Parsed::Gem(b)) => a.cmp(b),
            (Parsed::Maven(a), Parsed::Maven(b)) => a.cmp(b),
            (Parsed::Pep440(a), Parsed::Pep440(b)) => a.cmp(b),
            (Parsed::Rpm(a), Parsed::Rpm(b)) => a.cmp(b),
            (Parsed::Semver(a), Parsed::Semver(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

impl VersionScheme {
    /// Every scheme.
    pub const ALL: [Self; 7] = [
        Self::Alpine,
        Self::Debian,
        Self::Gem,
        Self::Maven,
        Self::Pep440,
        Self::Rpm,
        Self::Semver,
    ];

    /// What the scheme's versions are called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpine => "an apk version",
            Self::Debian => "a dpkg version",
            Self::Gem => "a gem version",
            Self::Maven => "a Maven version",
            Self::Pep440 => "a version by PEP 440",
            Self::Rpm => "an rpm version",
            Self::Semver => "a semantic version",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that look like versions of some ecosystem, so that most of them parse.
    fn version_like() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[0-9]{1,3}",
            2 => prop::sample::select(vec![
                "alpha", "beta", "rc", "a", "b", "pre", "dev", "post", "p", "SNAPSHOT", "final", "ga", "sp", "x",
                "git", "el9", "0", "00", "001", "1a", "r1", "_p1", "_rc2", "~rc1", "-r0", "+b1", "^git1",
            ]).prop_map(str::to_owned),
        ];
        let joint = prop::sample::select(vec![".", ".", ".", "-", "_", "+", "~", ""]);
        ("[0-9]{1,2}", prop::collection::vec((joint, piece), 0..5)).prop_map(|(first, rest)| {
            rest.into_iter()
                .fold(first, |text, (joint, piece)| text + joint + &piece)
        })
    }

    fn compare(scheme: VersionScheme, a: &str, b: &str) -> Option<Ordering> {
        let (a, b) = (
            Version::parse(scheme, a).ok()?,
            Version::parse(scheme, b).ok()?,
        );
        a.compare(&b)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn orders_are_total(a in version_like(), b in version_like(), c in version_like()) {
            for scheme in VersionScheme::ALL {
                let one = |x: &str, y: &str| compare(scheme, x, y);
                if let Some(itself) = one(&a, &a) {
                    prop_assert_eq!(itself, Ordering::Equal, "{:?} {}", scheme, a);
                }
                let (ab, ba) = (one(&a, &b), one(&b, &a));
                prop_assert_eq!(ab, ba.map(Ordering::reverse), "{:?} {} {}", scheme, a, b);
                if scheme == VersionScheme::Maven {
                    continue;
                }
                if let (Some(ab), Some(bc), Some(ac)) = (ab, one(&b, &c), one(&a, &c)) {
                    let at_most = ab != Ordering::Greater && bc != Ordering::Greater;
                    prop_assert!(!at_most || ac != Ordering::Greater, "{:?} {} {} {}", scheme, a, b, c);
                    let equal = ab == Ordering::Equal && bc == Ordering::Equal;
                    prop_assert!(!equal || ac == Ordering::Equal, "{:?} {} {} {}", scheme, a, b, c);
                }
            }
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            for scheme in VersionScheme::ALL {
                if let Ok(version) = Version::parse(scheme, &text) {
                    prop_assert_eq!(version.compare(&version.clone()), Some(Ordering::Equal));
                }
            }
        }
    }

    #[test]
    fn schemes_do_not_mix() {
        let one = Version::parse(VersionScheme::Rpm, "1").expect("parses");
        let other = Version::parse(VersionScheme::Gem, "1").expect("parses");
        assert_eq!(one.compare(&other), None);
        assert!(Version::parse(VersionScheme::Rpm, &"1".repeat(VERSION_BYTES + 1)).is_err());
    }
}
