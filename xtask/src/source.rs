//! A Rust source file, seen three ways: its text, its code alone, and which of its lines are tests.

use std::ops::Range;

/// One `.rs` file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path from the repository's root, with `/`.
    pub path: String,
    /// The text as written.
    pub text: String,
    /// The text with comments and the insides of literals replaced by spaces: as long as `text`, with the same lines.
    pub code: String,
    test_ranges: Vec<Range<usize>>,
}

impl Source {
    /// Reads a file that is already in memory.
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank_comments_and_literals(text);
        let test_ranges = test_ranges(&code);
        Self {
            path: path.into(),
            text: text.into(),
            code,
            test_ranges,
        }
    }

    /// Whether the whole file is a test, a benchmark, an example or a fuzz target.
    pub fn is_test_file(&self) -> bool {
        let (folders, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        file == "tests.rs"
            || folders
                .split('/')
                .any(|folder| ["tests", "benches", "examples", "fuzz_targets"].contains(&folder))
    }

    /// Whether the byte at `offset` belongs to a test.
    pub fn is_test(&self, offset: usize) -> bool {
        self.is_test_file() || self.test_ranges.iter().any(|range| range.contains(&offset))
    }

    /// The line of a byte, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        1 + count_lines(&self.text.as_bytes()[..offset.min(self.text.len())])
    }

    /// Lines that are not in a test module.
    pub fn lines_outside_tests(&self) -> usize {
        let in_tests: usize = self
            .test_ranges
            .iter()
            .map(|range| 1 + count_lines(&self.text.as_bytes()[range.clone()]))
            .sum();
        self.text.lines().count().saturating_sub(in_tests)
    }

    /// Where `word` stands in the code as a whole word.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code
            .match_indices(word)
            .map(|(offset, _)| offset)
            .filter(move |offset| is_whole_word(&self.code, *offset, word.len()))
    }
}

fn is_whole_word(code: &str, offset: usize, length: usize) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    !code[..offset].ends_with(is_part) && !code[offset + length..].starts_with(is_part)
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The offset just behind the bracket that closes the one at `open`; the end of the code when none does.
pub fn end_of_group(code: &str, open: usize) -> usize {
    let bytes = code.as_bytes();
    let (opening, closing) = match bytes.get(open) {
        Some(b'(') => (b'(', b')'),
        Some(b'[') => (b'[', b']'),
        _ => (b'{', b'}'),
    };
    let mut depth = 0_usize;
    for (offset, byte) in bytes.iter().enumerate().skip(open) {
        if *byte == opening {
            depth += 1;
        } else if *byte == closing {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return offset + 1;
            }
        }
    }
    code.len()
}

/// Each item behind `#[cfg(test)]`, attribute included.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        if ranges.last().is_some_and(|range| range.contains(&start)) {
            continue;
        }
        let end = match code[start..].find(['{', ';']) {
            Some(length) if code.as_bytes()[start + length] == b'{' => {
                end_of_group(code, start + length)
            }
            Some(length) => start + length + 1,
            None => code.len(),
        };
        ranges.push(start..end);
    }
    ranges
}

fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => end_of_line(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_block_comment(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'r' if !follows_identifier(bytes, at) => end_of_raw_string(bytes, at),
            b'\'' => end_of_character(bytes, at),
            _ => at,
        };
        for byte in &mut code[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().position(|byte| *byte == b'\n');
    length.map_or(bytes.len(), |length| start + length)
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `b"…"` and `c"…"` are plain strings behind a letter; their raw forms `br"…"`, `cr"…"` are not.
fn follows_identifier(bytes: &[u8], at: usize) -> bool {
    let before = |distance: usize| at.checked_sub(distance).and_then(|index| bytes.get(index));
    let is_part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    match before(1) {
        Some(b'b' | b'c') => is_part(before(2)),
        byte => is_part(byte),
    }
}

/// `start` itself when no raw string begins there (`r` is then a letter, or a raw identifier's mark).
fn end_of_raw_string(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let quote = start + 1 + hashes;
    if bytes.get(quote) != Some(&b'"') {
        return start;
    }
    let mut closing = vec![b'"'];
    closing.resize(hashes + 1, b'#');
    let body = &bytes[quote + 1..];
    let length = body
        .windows(closing.len())
        .position(|window| window == closing);
    length.map_or(bytes.len(), |length| quote + 1 + length + closing.len())
}

/// `start` itself when the quote begins a lifetime.
fn end_of_character(bytes: &[u8], start: usize) -> usize {
    let Some(rest) = bytes.get(start + 1..) else {
        return start;
    };
    let longest = "'\\u{10ffff}'".len();
    match rest.first() {
        Some(b'\\') => rest
            .iter()
            .enumerate()
            .skip(2)
            .take(longest)
            .find(|(_, byte)| **byte == b'\'')
            .map_or(start, |(index, _)| start + index + 2),
        Some(first) => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            if rest.get(width) == Some(&b'\'') {
                start + width + 2
            } else {
                start
            }
        }
        None => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("src/lib.rs", text).code
    }

    #[test]
    fn comments_and_literals_vanish_and_offsets_stay() {
        for text in [
            "let a = 1; // fs",
            "/* fs /* fs */ fs */ let a = 1;",
            "let a = \"fs \\\" fs\";",
            "let a = r#\"fs \" fs\"#;",
            "let a = br\"fs\";",
            "let a = ('f', '\\'', '\\u{1f}', 'é'); // fs",
        ] {
            let code = code(text);
            assert_eq!(code.len(), text.len(), "{text}");
            assert!(!code.contains("fs"), "{text} left {code}");
            assert!(code.contains("let a ="), "{text} lost its code: {code}");
        }
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        let text = "fn f<'a>(x: &'a str, r#type: u8) -> &'a str { x }";
        assert_eq!(code(text), text);
    }

    #[test]
    fn an_unterminated_literal_ends_with_the_file() {
        for text in ["\"abc", "r#\"abc", "/* abc", "'", "'\\", "r"] {
            assert_eq!(code(text).len(), text.len());
        }
    }

    #[test]
    fn test_modules_are_told_from_the_rest() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("src/lib.rs", text);
        let offset = |name: &str| text.find(name).expect("is there");
        assert!(!source.is_test(offset("fn a")));
        assert!(source.is_test(offset("fn b")));
        assert!(!source.is_test(offset("fn c")));
        assert_eq!(source.lines_outside_tests(), 2);
        assert_eq!(source.line_of(offset("fn c")), 6);
        assert!(Source::new("crates/a/tests/run.rs", text).is_test(0));
    }
}
