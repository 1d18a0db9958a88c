//! Files of stanzas: `Name: value` lines, continuation lines that begin with a blank, an empty line between stanzas.
//!
//! dpkg, apk (whose names are one letter), Python's metadata, Java manifests and copyright files are all written so.

/// Fields of a stanza beyond this many are not looked at.
const FIELDS: usize = 512;

/// The fields of one stanza, in order; names may repeat.
pub(crate) struct Stanza<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Stanza<'a> {
    /// The raw value of the first field of a name, continuation lines included. Case does not matter.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The values of all fields of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// The value of a field whose name is one exact letter, as in apk's files, where `p` is not `P`.
    pub(crate) fn letter(&self, name: u8) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find(|(found, _)| *found == [name])
            .map(|(_, value)| *value)
    }
}

/// Walks the stanzas of a file.
pub(crate) struct Stanzas<'a> {
    rest: &'a [u8],
}

impl<'a> Stanzas<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next line with its end, or `None` at the end of the file.
    fn line(&self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self
            .rest
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(self.rest.len(), |at| at + 1);
        self.rest.get(..end)
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Stanza<'a>;

    fn next(&mut self) -> Option<Stanza<'a>> {
        let mut fields = Vec::new();
        while let Some(line) = self.line() {
            let start = self.rest;
            self.advance(line.len());
            if is_blank(line) {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            let mut length = line.len();
            while let Some(more) = self.line().filter(|more| is_continuation(more)) {
                length += more.len();
                self.advance(more.len());
            }
            let field = start.get(..length).unwrap_or(line);
            if let Some(colon) = field.iter().position(|byte| *byte == b':')
                && fields.len() < FIELDS
            {
                let (name, value) = field.split_at(colon);
                fields.push((name, value.get(1..).unwrap_or_default().trim_ascii()));
            }
        }
        (!fields.is_empty()).then_some(Stanza { fields })
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n" | b"\r")
}

fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_continuations_and_ends() {
        let text = b"\n\nPackage: a\nDescription: one\n more\n .\n last\nVersion: 1\n\r\npackage: b\nno colon\nP: x";
        let all: Vec<_> = Stanzas::new(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("package"), Some(&b"a"[..]));
        assert_eq!(
            all[0].get("Description"),
            Some(&b"one\n more\n .\n last"[..])
        );
        assert_eq!(all[0].get("Version"), Some(&b"1"[..]));
        assert_eq!(all[1].get("Package"), Some(&b"b"[..]));
        assert_eq!(all[1].letter(b'P'), Some(&b"x"[..]));
        assert_eq!(all[1].letter(b'p'), None);
    }

    #[test]
    fn a_million_lines_without_end_are_one_stanza() {
        let text = b"A: b\n".repeat(1_000_000);
        let all: Vec<_> = Stanzas::new(&text).collect();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].fields.len(), FIELDS);
    }
}
