//! Base64 as signing formats use it: either alphabet, canonical padding, no stray bits.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE},
};

/// Appends the decoded `text` to `out`; leaves `out` as it was and answers `None` where it is no base64.
///
/// DSSE allows the standard and the URL-safe alphabet. Stray bits at the end are refused, so that one signature has one
/// spelling.
pub(crate) fn decode_onto(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    if STANDARD.decode_vec(text, out).is_ok() {
        return Some(());
    }
    out.truncate(start);
    if text.contains(['-', '_']) && URL_SAFE.decode_vec(text, out).is_ok() {
        return Some(());
    }
    out.truncate(start);
    None
}

/// The decoded `text`.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(decoded_length(text));
    decode_onto(text, &mut out)?;
    Some(out)
}

/// How many bytes `text` decodes to, if it is base64 with its padding.
pub(crate) fn decoded_length(text: &str) -> usize {
    let padding = text.bytes().rev().take(2).filter(|byte| *byte == b'=');
    (text.len() / 4 * 3).saturating_sub(padding.count())
}

/// The standard alphabet, with padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends the encoded `bytes` to a document.
pub(crate) fn encode_onto(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(start + length, 0);
    // The slice has the exact length, so this cannot fail.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written.ok(), Some(length));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_decode_and_lengths_are_foretold() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", &[0xff, 0xef, 0xbe, 0xfb]] {
            let text = encode(bytes);
            assert_eq!(decode(&text).as_deref(), Some(bytes));
            assert_eq!(decoded_length(&text), bytes.len());
            assert_eq!(decode(&URL_SAFE.encode(bytes)).as_deref(), Some(bytes));
            let mut document = b"x".to_vec();
            encode_onto(bytes, &mut document);
            assert_eq!(document, format!("x{text}").into_bytes());
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for wrong in ["YQ", "YQ=", "YR==", "Y Q=", "YQ==\n", "+_8=", "====", "é"] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
            decoded_length(wrong);
        }
    }
}
