//! The grammars of names: RFC 1123 labels, ConfigMap keys, environment variables.

use uc_model::{Problem, Result};

/// Checks an RFC 1123 label: a Pod's, container's or volume's name.
///
/// # Errors
/// [`uc_model::ProblemKind::Invalid`] with the grammar and what was found.
pub fn check_label(text: &str) -> Result<()> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edges = text.bytes().next().is_some_and(inner) && text.bytes().last().is_some_and(inner);
    if text.len() <= 63 && edges && text.bytes().all(|byte| inner(byte) || byte == b'-') {
        return Ok(());
    }
    Err(Problem::invalid("not an RFC 1123 label")
        .limit("1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends")
        .found(shortened(text)))
}

/// Checks the name of an object other than a Pod: labels joined by dots.
pub(crate) fn check_subdomain(text: &str) -> Result<()> {
    if text.len() <= 253 && text.split('.').all(|label| check_label(label).is_ok()) {
        return Ok(());
    }
    Err(Problem::invalid("not an RFC 1123 subdomain")
        .limit("at most 253 of a-z, 0-9, - and ., with a letter or digit at both ends of each part")
        .found(shortened(text)))
}

/// Checks a key of a ConfigMap or Secret, which is also a file name.
pub(crate) fn check_data_key(text: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = (1..=253).contains(&text.len()) && text.bytes().all(allowed);
    if fits && text != "." && !text.starts_with("..") {
        return Ok(());
    }
    Err(Problem::invalid("not a data key")
        .limit("1 to 253 of letters, digits, -, . and _, not beginning with ..")
        .found(shortened(text)))
}

/// Checks the name of an environment variable as Kubernetes 1.34 does: printable ASCII without `=`.
pub(crate) fn check_env_name(text: &str) -> Result<()> {
    let allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    if (1..=4096).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(Problem::invalid("not a name of an environment variable")
        .limit("1 to 4096 printable ASCII characters other than =")
        .found(shortened(text)))
}

/// A text as it is shown in messages.
pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= 80 {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(80).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars_hold_both_ways() {
        for good in ["a", "web-1", "0"] {
            check_label(good).expect(good);
            check_subdomain(&format!("{good}.x")).expect(good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
            assert!(check_label(bad).is_err(), "{bad}");
        }
        assert!(check_subdomain("a..b").is_err());
        for good in ["app.conf", "A_b-c", "..."] {
            assert_eq!(check_data_key(good).is_ok(), good != "...", "{good}");
        }
        for bad in ["", "..", "a/b", "."] {
            assert!(check_data_key(bad).is_err(), "{bad}");
        }
        assert!(check_env_name("PATH").is_ok() && check_env_name("A=B").is_err());
    }
}
