//! Debian's copyright files, machine-readable (DEP-5) or not.

use super::{Dialect, Licence};
use crate::stanza::Stanzas;

/// The most licences that are taken from one file.
const LICENCES: usize = 256;
const REFERENCE: &str = "/usr/share/common-licenses/";

/// The licences of a package, sorted and without duplicates.
pub(crate) fn licences(bytes: &[u8]) -> Vec<Licence> {
    let mut found = if is_machine_readable(bytes) {
        short_names(bytes)
    } else {
        references(bytes)
    };
    found.sort_unstable();
    found.dedup();
    found
}

fn is_machine_readable(bytes: &[u8]) -> bool {
    Stanzas::new(bytes)
        .next()
        .and_then(|header| header.get("Format").map(<[u8]>::to_vec))
        .is_some_and(|format| String::from_utf8_lossy(&format).contains("copyright-format"))
}

/// What the `License` fields name; the texts behind the names are not read.
fn short_names(bytes: &[u8]) -> Vec<Licence> {
    let mut found = Vec::new();
    for stanza in Stanzas::new(bytes) {
        for value in stanza.all("License") {
            let first = value
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            let licence = Licence::in_dialect(&String::from_utf8_lossy(first), Dialect::Debian);
            found.extend(licence);
            if found.len() >= LICENCES {
                return found;
            }
        }
    }
    found
}

/// Which of the common licences the prose points to. For the GNU licences that does not say whether later versions apply,
/// so those stay words.
fn references(bytes: &[u8]) -> Vec<Licence> {
    let text = String::from_utf8_lossy(bytes);
    text.split(REFERENCE)
        .skip(1)
        .take(LICENCES)
        .filter_map(|rest| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name = rest.get(..end)?.trim_end_matches(['.', '-']);
            let exact = match name {
                "Apache-2.0" | "CC0-1.0" | "MPL-1.1" | "MPL-2.0" => true,
                "" => return None,
                _ => false,
            };
            Some(if exact {
                Licence::Spdx(name.to_owned())
            } else {
                Licence::Named(name.to_owned())
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_references() {
        let dep5 = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
            Files: *\nCopyright: x\nLicense: GPL-2+\n text\n\nFiles: b\nLicense: Expat\n\nLicense: Zope weird\n";
        let found = licences(dep5);
        assert_eq!(
            found,
            [
                Licence::Spdx("GPL-2.0-or-later".into()),
                Licence::Spdx("MIT".into()),
                Licence::Named("Zope weird".into()),
            ]
        );
        let prose = b"See `/usr/share/common-licenses/GPL-2'.\nAnd /usr/share/common-licenses/Apache-2.0.\n";
        assert_eq!(
            licences(prose),
            [
                Licence::Spdx("Apache-2.0".into()),
                Licence::Named("GPL-2".into()),
            ]
        );
    }
}
