//! Identifiers within documents: unique, and the same for the same content.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::{file_hash::hex, package::Package};

/// Characters of a name within an identifier: enough for people, the hash makes it unique.
const NAME_CHARACTERS: usize = 80;

/// A UUID of version 8 (RFC 9562) out of content.
pub(super) fn uuid(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    let mut digits: Vec<char> = hex(&hash).chars().take(32).collect();
    // The version, and the variant: binary 10 in front.
    for (at, digit) in [(12, '8'), (16, 'a')] {
        if let Some(found) = digits.get_mut(at) {
            *found = digit;
        }
    }
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.into_iter().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// `kind-name-hash`, of the characters that SPDX allows.
pub(super) fn of_package(package: &Package) -> String {
    let mut hash = Sha256::new();
    let identity = package.identity();
    for part in [
        identity.0.purl_type(),
        identity.1,
        identity.2,
        identity.3.unwrap_or_default(),
        // What a foreign document lists twice differs here alone.
        package.purl.as_deref().unwrap_or_default(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hex(&hash.finalize());
    let short = digest.get(..16).unwrap_or(&digest);
    format!("{}-{}-{short}", package.kind, sanitised(&package.name))
}

/// An identifier for a path.
pub(super) fn of_path(path: &str) -> String {
    let digest = hex(&Sha256::digest(path.as_bytes()));
    digest.get(..32).unwrap_or(&digest).to_owned()
}

/// Letters, digits, dots and hyphens; everything else a hyphen.
pub(super) fn sanitised(text: &str) -> String {
    text.chars()
        .take(NAME_CHARACTERS)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect()
}

/// `LicenseRef-` for words that are no SPDX licence; a hash is added where two would look alike.
pub(super) fn licence_ref(words: &str, taken: &mut BTreeSet<String>) -> String {
    // Documents of others call what they cannot name so already.
    let words = words.strip_prefix("LicenseRef-").unwrap_or(words);
    let plain = format!("LicenseRef-{}", sanitised(words));
    if taken.insert(plain.clone()) {
        return plain;
    }
    let digest = hex(&Sha256::digest(words.as_bytes()));
    let unique = format!("{plain}-{}", digest.get(..12).unwrap_or(&digest));
    taken.insert(unique.clone());
    unique
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::PackageKind;

    #[test]
    fn identifiers_are_well_formed_and_depend_on_content() {
        let id = uuid(b"x");
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "8");
        assert_eq!(&id[19..20], "a");
        assert_ne!(id, uuid(b"y"));
        let one = of_package(&Package::new(PackageKind::Npm, "@a/b_c", "1"));
        assert!(one.starts_with("npm--a-b-c-"), "{one}");
        assert_ne!(
            one,
            of_package(&Package::new(PackageKind::Npm, "@a/b_c", "2"))
        );
        let mut taken = BTreeSet::new();
        assert_eq!(licence_ref("a b", &mut taken), "LicenseRef-a-b");
        assert!(licence_ref("a_b", &mut taken).starts_with("LicenseRef-a-b-"));
    }
}
