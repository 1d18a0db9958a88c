//! Patterns of names, as the configuration has them: `*` stands for anything, nothing included.

/// Whether any of the patterns fits the whole name.
pub(super) fn any_fits(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

/// Whether a pattern fits the whole name. Each part between two stars takes the first place it fits, so this is linear in the
/// product of both lengths at worst.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else {
        return name == pattern;
    };
    let Some(mut left) = name.strip_prefix(begin) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_the_rest_for_itself() {
        for (pattern, name) in [
            ("web", "web"),
            ("web*", "web"),
            ("web-*", "web-1/main"),
            ("*/main", "web-1/main"),
            ("cgroup/*/web/*", "cgroup/pods/a/web/1"),
            ("*", ""),
            ("**", "x"),
            ("a*b*c", "aXbYbZc"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("web", "web-1"),
            ("", "web"),
            ("web-*", "web"),
            ("*/main", "web/side"),
            ("ab*ba", "aba"),
            ("a*b*c", "acb"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
