//! Names of entries: bytes that become paths below the layer.

use uc_model::{Problem, Result};

/// Linux: `PATH_MAX` with its NUL byte.
const PATH_BYTES: usize = 4095;
/// Linux: `NAME_MAX`.
const PART_BYTES: usize = 255;
/// What a message shows of a name.
const SHOWN_CHARACTERS: usize = 256;

/// The relative, normalised form of an entry's name; empty for the layer's root itself.
///
/// # Errors
/// Refused for `..`, which no layer needs, and for what no file system takes.
pub(crate) fn normalise(name: &[u8]) -> Result<Vec<u8>> {
    let refuse = |what: &str| {
        Problem::refused(what)
            .at(shown(name))
            .remedy("use an image you trust")
    };
    if name.contains(&0) {
        return Err(refuse("the entry's name contains a NUL byte"));
    }
    let mut path = Vec::with_capacity(name.len().min(PATH_BYTES));
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(refuse("the entry's name leads out of its directory").found("..")),
            _ => {}
        }
        if part.len() > PART_BYTES {
            return Err(refuse("a part of the entry's name is too long")
                .limit(format!("{PART_BYTES} bytes"))
                .found(format!("{} bytes", part.len())));
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        if path.len() > PATH_BYTES {
            return Err(refuse("the entry's name is too long").limit(format!("{PATH_BYTES} bytes")));
        }
    }
    Ok(path)
}

/// Checks the target of a symbolic link; where it points is of no concern before somebody follows it.
pub(super) fn check_symlink_target(target: &[u8]) -> Result<()> {
    if target.is_empty() || target.len() > PATH_BYTES || target.contains(&0) {
        return Err(
            Problem::refused("the symbolic link has an impossible target")
                .limit(format!("1 to {PATH_BYTES} bytes without NUL"))
                .found(format!("{} bytes", target.len())),
        );
    }
    Ok(())
}

/// The directory part (empty for the root) and the last part of a normalised name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A name for messages: control characters escaped, so that no image writes to somebody's terminal.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_and_stay_below() {
        for (name, path) in [
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("./", ""),
            ("", ""),
            ("a/.../b", "a/.../b"),
        ] {
            assert_eq!(normalise(name.as_bytes()).expect(name), path.as_bytes());
        }
        for name in ["..", "../a", "a/../b", "a/..", "/..", "a\0b"] {
            assert!(
                normalise(name.as_bytes()).is_err(),
                "{name:?} must be refused"
            );
        }
        assert!(normalise(&[b'a'; 256]).is_err());
        assert!(normalise("a/".repeat(3000).as_bytes()).is_err());
    }

    #[test]
    fn messages_hold_no_control_characters() {
        assert_eq!(shown(b"a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
    }
}
