//! Which distribution a root file system is of: the os-release file.

use serde::Serialize;

use crate::text;

/// Lines beyond this many are not looked at.
const LINES: usize = 512;

/// A distribution and its release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// `debian`, `alpine`, `fedora`: lower case.
    pub id: String,
    /// Those it is derived from, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_like: Vec<String>,
    /// `12`, `3.20.3`; rolling releases have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// `bookworm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretty_name: Option<String>,
}

impl Distribution {
    /// Reads an os-release file; `None` where it names no distribution.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').take(LINES) {
            let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let (name, value) = line.split_at(equals);
            let Some(value) = text::line(&unquote(value.get(1..).unwrap_or_default())) else {
                continue;
            };
            match name.trim_ascii() {
                b"ID" => found.id = value.to_ascii_lowercase(),
                b"ID_LIKE" => found.id_like = value.split_whitespace().map(str::to_owned).collect(),
                b"VERSION_ID" => found.version_id = Some(value),
                b"VERSION_CODENAME" => found.codename = Some(value),
                b"PRETTY_NAME" => found.pretty_name = Some(value),
                _ => {}
            }
        }
        (!found.id.is_empty()).then_some(found)
    }

    /// As package URLs name it: `debian-12`, or the name alone.
    pub fn qualifier(&self) -> String {
        match self.version_id.as_ref().or(self.codename.as_ref()) {
            Some(version) => format!("{}-{version}", self.id),
            None => self.id.clone(),
        }
    }
}

/// Takes shell quotes off, and the backslashes within double ones.
fn unquote(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let inner = |quote: u8| value.strip_prefix(&[quote])?.strip_suffix(&[quote]);
    if let Some(plain) = inner(b'\'') {
        return plain.to_vec();
    }
    let value = inner(b'"').unwrap_or(value);
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' {
            out.extend(bytes.next());
        } else {
            out.push(*byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_missing_fields() {
        let text = b"PRETTY_NAME=\"A \\\"quoted\\\" name\"\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.3'\n# x\n";
        let found = Distribution::parse(text).expect("a distribution");
        assert_eq!(found.id_like, ["rhel", "centos", "fedora"]);
        assert_eq!(found.pretty_name.as_deref(), Some("A \"quoted\" name"));
        assert_eq!(found.qualifier(), "rocky-9.3");
        assert_eq!(Distribution::parse(b"NAME=x\n"), None);
        assert_eq!(
            Distribution::parse(b"ID=\"\n"),
            Distribution::parse(b"ID=\"\n")
        );
    }
}
