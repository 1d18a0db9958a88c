//! Patterns of repositories.

use uc_model::{Problem, Result};

/// The longest repository or pattern, in bytes.
pub const MAX_REPOSITORY_BYTES: usize = 1024;

/// A pattern: segments of text with `*` in them, or `**` for any number of segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |limit: &str| {
            Err(Problem::invalid("not a pattern of repositories")
                .limit(limit.to_owned())
                .found(format!("{text:?}")))
        };
        if text.len() > MAX_REPOSITORY_BYTES {
            return bad(&format!("at most {MAX_REPOSITORY_BYTES} bytes"));
        }
        for segment in text.split('/') {
            if segment.is_empty() {
                return bad("segments between slashes, as registry.example.com/team/**");
            }
            if segment.contains("**") && segment != "**" {
                return bad("** as a segment of its own");
            }
            if !segment
                .bytes()
                .all(|byte| byte == b'*' || is_repository_byte(byte))
            {
                return bad("letters, digits, . _ - : and *, without a tag or digest");
            }
        }
        if has_tag(text) {
            return bad("a repository without a tag or digest");
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every repository matches.
    pub(super) fn is_everything(&self) -> bool {
        self.0.split('/').all(|segment| segment == "**")
    }

    pub(super) fn matches(&self, repository: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let segments: Vec<&str> = repository.split('/').collect();
        matches_list(
            &pattern,
            &segments,
            |part| *part == "**",
            |part, segment| {
                matches_list(
                    part.as_bytes(),
                    segment.as_bytes(),
                    |byte| *byte == b'*',
                    |a, b| a == b,
                )
            },
        )
    }
}

/// Matches a list against a pattern with wildcards that stand for any number of elements. When a later part fails, only the
/// last wildcard has to be widened, so the time is the product of the two lengths at most.
fn matches_list<P, T>(
    pattern: &[P],
    list: &[T],
    is_wild: impl Fn(&P) -> bool,
    is_equal: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut last_wild: Option<(usize, usize)> = None;
    while next < list.len() {
        match pattern.get(at) {
            Some(part) if is_wild(part) => {
                last_wild = Some((at, next));
                at += 1;
            }
            Some(part) if is_equal(part, &list[next]) => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((wild, taken)) = last_wild else {
                    return false;
                };
                last_wild = Some((wild, taken + 1));
                (at, next) = (wild + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(is_wild)
}

/// Refuses what is no repository: it would match no rule, or worse, one that is not meant.
pub(super) fn check_repository(text: &str) -> Result<()> {
    let is_well_formed = text.len() <= MAX_REPOSITORY_BYTES
        && text.contains('/')
        && text
            .split('/')
            .all(|segment| !segment.is_empty() && segment.bytes().all(is_repository_byte))
        && !has_tag(text);
    if is_well_formed {
        return Ok(());
    }
    let found: String = text.chars().take(200).collect();
    Err(Problem::invalid("not a repository")
        .limit("host and path without a tag or digest, as docker.io/library/busybox")
        .found(format!("{found:?}")))
}

fn is_repository_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte)
}

/// A colon belongs to the host's port; anywhere else it would begin a tag.
fn has_tag(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(_, path)| path.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_repositories() {
        for (pattern, repository, expected) in [
            ("h/a/b", "h/a/b", true),
            ("h/a/b", "h/a/bc", false),
            ("h/a", "h/a/b", false),
            ("h/*", "h/a", true),
            ("h/*", "h/a/b", false),
            ("h/a*c", "h/abbc", true),
            ("h/a*c", "h/abb", false),
            ("h/*a*b*", "h/xaybz", true),
            ("h/**", "h/a", true),
            ("h/**", "h/a/b/c", true),
            ("h/**", "hh/a", false),
            ("h/**/z", "h/z", true),
            ("h/**/z", "h/a/b/z", true),
            ("h/**/z", "h/a/b/zz", false),
            ("**/b/**/d", "h/a/b/c/d", true),
            ("**/b/**/d", "h/a/b/c/e", false),
            ("**", "h:5000/a", true),
            ("*.example.com/**", "eu.example.com/a/b", true),
            ("*.example.com/**", "example.com/a/b", false),
            ("localhost:*/x", "localhost:5000/x", true),
            ("H/a", "h/a", false),
        ] {
            let parsed = Pattern::parse(pattern).expect("a pattern");
            assert_eq!(
                parsed.matches(repository),
                expected,
                "{pattern} {repository}"
            );
        }
    }

    #[test]
    fn a_pattern_of_many_wildcards_is_quick() {
        let pattern = Pattern::parse(&"*a".repeat(500)).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(499)));
        let pattern = Pattern::parse(&["**"; 300].join("/")).expect("a pattern");
        assert!(pattern.is_everything());
        assert!(pattern.matches(&["a"; 500].join("/")));
    }

    #[test]
    fn what_is_no_pattern_or_repository_is_refused() {
        for wrong in [
            "",
            "/",
            "h//a",
            "h/a**",
            "h/a b",
            "h/a@sha256:x",
            "h/a:tag",
            "h/é",
            "h/a\n",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [
            "",
            "busybox",
            "h/",
            "/a",
            "h/*",
            "h/a:1",
            "h/a@sha256:x",
            "h/a b",
        ] {
            assert!(check_repository(wrong).is_err(), "{wrong:?}");
        }
        for right in [
            "h/a",
            "h:5000/a/b",
            "[::1]:5000/a",
            "docker.io/library/busybox",
        ] {
            assert!(check_repository(right).is_ok(), "{right:?}");
        }
        assert!(Pattern::parse(&"a".repeat(2000)).is_err());
        assert!(check_repository(&"a/".repeat(2000)).is_err());
    }
}
