//! `$(NAME)` as Kubernetes expands it: `$$` stands for `$`, and what is not known stays as it is.

/// Longest string that Linux passes to a program (MAX_ARG_STRLEN), in bytes.
pub(crate) const MAX_STRING: usize = 128 << 10;

/// Expands `text`, or returns `None` when the result would be longer than [`MAX_STRING`].
pub(crate) fn expand<'v>(
    text: &str,
    mut lookup: impl FnMut(&str) -> Option<&'v str>,
) -> Option<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    // Without a bracket to come there is no reference, and no reason to look for its end again and again.
    let last_bracket = text.rfind(')').unwrap_or(0);
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if text.len() - rest.len() < last_bracket
            && let Some((name, after)) = reference(rest)
        {
            match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => {
                    expanded.push_str("$(");
                    expanded.push_str(name);
                    expanded.push(')');
                }
            }
            rest = after;
        } else {
            expanded.push('$');
        }
        if expanded.len() > MAX_STRING {
            return None;
        }
    }
    expanded.push_str(rest);
    (expanded.len() <= MAX_STRING).then_some(expanded)
}

/// The name in `(NAME)` at the start, and what comes after it.
fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_expand_as_in_kubernetes() {
        let lookup = |name: &str| match name {
            "A" => Some("1"),
            "EMPTY" => Some(""),
            _ => None,
        };
        for (text, expected) in [
            ("x$(A)y", "x1y"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(B)", "$(B)"),
            ("$(EMPTY)$(A", "$(A"),
            ("$", "$"),
            ("a$b$$", "a$b$"),
            ("é$(A)é", "é1é"),
        ] {
            assert_eq!(expand(text, lookup).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn growth_is_bounded() {
        let long = "x".repeat(MAX_STRING / 2 + 1);
        assert_eq!(expand("$(A)$(A)", |_| Some(long.as_str())), None);
        assert!(expand("$(A)", |_| Some(long.as_str())).is_some());
    }
}
