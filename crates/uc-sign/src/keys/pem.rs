//! PEM blocks, read as leniently as cosign and OpenSSL write them: with text around them and any line length.

use uc_model::{Problem, Result};
use zeroize::Zeroizing;

use crate::encoding;

/// The largest key file that is read, in bytes. An encrypted RSA-8192 key has less than 20 KiB.
pub const MAX_KEY_FILE_BYTES: usize = 64 * 1024;

/// More blocks than any key file has: parameters, a key, perhaps a certificate.
const MAX_BLOCKS: usize = 16;

/// Columns of base64 in a line.
const LINE: usize = 64;

/// One `-----BEGIN LABEL-----` with its contents, wiped when dropped since they may be a secret.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) contents: Zeroizing<Vec<u8>>,
    /// Whether header lines stand before the contents, as in OpenSSL's old encryption.
    pub(super) has_headers: bool,
}

/// Every block of a file, in order; at least one.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Block>> {
    if bytes.len() > MAX_KEY_FILE_BYTES {
        return Err(Problem::invalid("not a key: the file is too large")
            .limit(format!("{MAX_KEY_FILE_BYTES} bytes"))
            .found(format!("{} bytes", bytes.len())));
    }
    let text = str::from_utf8(bytes).map_err(|_| not_pem("bytes that are no text"))?;
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(label) = label_of(line, "-----BEGIN ") else {
            continue;
        };
        if blocks.len() == MAX_BLOCKS {
            return Err(Problem::invalid("not a key: too many PEM blocks")
                .limit(format!("{MAX_BLOCKS} blocks")));
        }
        blocks.push(read_block(label, &mut lines, text.len())?);
    }
    if blocks.is_empty() {
        return Err(not_pem("no -----BEGIN line"));
    }
    Ok(blocks)
}

/// The capacity is that of the whole file, so that no copy of a secret is left behind when a buffer grows.
fn read_block<'a>(
    label: &str,
    lines: &mut impl Iterator<Item = &'a str>,
    capacity: usize,
) -> Result<Block> {
    let mut base64 = Zeroizing::new(String::with_capacity(capacity));
    let mut has_headers = false;
    for line in lines {
        if let Some(end) = label_of(line, "-----END ") {
            if end != label {
                return Err(not_pem("a block that ends under another name").at(label));
            }
            let mut contents = Zeroizing::new(Vec::with_capacity(base64.len()));
            return match encoding::decode_onto(&base64, &mut contents) {
                Some(()) => Ok(Block {
                    label: label.to_owned(),
                    contents,
                    has_headers,
                }),
                None => Err(not_pem("contents that are no base64").at(label)),
            };
        }
        if line.contains(':') {
            has_headers = true;
        } else if !has_headers {
            base64.extend(line.chars().filter(|c| !c.is_ascii_whitespace()));
        }
    }
    Err(not_pem("a block without its -----END line").at(label))
}

fn label_of<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.trim().strip_prefix(start)?.strip_suffix("-----")
}

fn not_pem(found: &str) -> Problem {
    Problem::invalid("not a key")
        .limit("a PEM file, as `uc key generate` or cosign writes it")
        .found(found)
}

/// One block, in lines of 64 columns.
pub(super) fn write(label: &str, contents: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(encoding::encode(contents));
    let mut text = Zeroizing::new(String::with_capacity(base64.len() * 66 / 64 + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
