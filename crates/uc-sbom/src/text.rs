//! Text from foreign files: decoded, trimmed and cut to a bounded length.

use uc_model::{Problem, Result};

/// The longest name or version, in bytes. A longer one is no package of any ecosystem.
pub(crate) const NAME_BYTES: usize = 1024;
/// The longest description, address or maintainer that is kept, in bytes.
const PROSE_BYTES: usize = 512;
/// What a message shows of a foreign text, in characters.
const SHOWN_CHARACTERS: usize = 64;

/// A name or version: one word without control characters.
///
/// # Errors
/// Invalid if it is empty, too long, or holds control characters or blanks.
pub(crate) fn word(bytes: &[u8], what: &str) -> Result<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let fault = if text.is_empty() {
        "empty"
    } else if text.len() > NAME_BYTES {
        "too long"
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "not one word"
    } else {
        return Ok(text.to_owned());
    };
    Err(Problem::invalid(format!("{what} is {fault}"))
        .limit(format!("one word of at most {NAME_BYTES} bytes"))
        .found(shown(text)))
}

/// One line of prose; `None` if nothing is left.
pub(crate) fn line(bytes: &[u8]) -> Option<String> {
    let first = bytes.split(|byte| *byte == b'\n').next()?;
    // Decoding can triple the length; the rest would be cut off anyway.
    let first = first.get(..4 * PROSE_BYTES).unwrap_or(first);
    let decoded = String::from_utf8_lossy(first);
    let mut text: String = decoded.chars().filter(|c| !c.is_control()).collect();
    let end = floor_boundary(&text, PROSE_BYTES);
    text.truncate(end);
    let text = text.trim();
    (!text.is_empty() && text != "UNKNOWN").then(|| text.to_owned())
}

/// A foreign text as a message shows it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// The largest character boundary that is not beyond `limit`.
fn floor_boundary(text: &str, limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    (0..=limit)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_trimmed_and_refused_when_they_are_not_words() {
        assert_eq!(word(b" zlib1g\r\n", "the name").expect("a word"), "zlib1g");
        for wrong in [
            &b""[..],
            b"  ",
            b"a b",
            b"a\x1b[0m",
            &[b'a'; NAME_BYTES + 1],
        ] {
            assert!(word(wrong, "the name").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn prose_is_cut_at_a_character() {
        let long = "é".repeat(PROSE_BYTES);
        let cut = line(long.as_bytes()).expect("text");
        assert_eq!(cut.len(), PROSE_BYTES);
        assert_eq!(line(b"one\ntwo").as_deref(), Some("one"));
        assert_eq!(line(b"UNKNOWN\n"), None);
    }
}
