//! The form in which distributions ship kernels for x86: a program for real mode, then a compressed ELF
//! (Documentation/arch/x86/boot.rst).

use uc_model::{Problem, Result};

use super::{
    elf::{u16_at, u32_at, wrong_processor},
    payload,
};

/// The first version of the boot protocol that says where the compressed kernel is.
const PROTOCOL: u16 = 0x208;
/// Longest text of a version.
const VERSION_BYTES: usize = 256;

/// What was inside.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The kernel: an ELF, perhaps with relocations behind it.
    pub(super) vmlinux: Vec<u8>,
    /// As `uname -r` says it; empty where it is not said.
    pub(super) version: String,
}

/// Whether bytes look like a bzImage.
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS")
}

/// The kernel in a bzImage.
///
/// # Errors
/// Invalid where it is malformed or truncated, refused beyond `limit` bytes, of the host where it is compressed in a way
/// that we cannot undo or is for processors of 32 bits.
pub(super) fn unpack(bytes: &[u8], limit: u64) -> Result<Unpacked> {
    let truncated = || Problem::invalid("the kernel is truncated");
    let protocol = u16_at(bytes, 0x206).ok_or_else(truncated)?;
    if protocol < PROTOCOL {
        return Err(Problem::invalid("the kernel is too old")
            .limit("boot protocol 2.08 (Linux 2.6.24)")
            .found(format!("{}.{:02}", protocol >> 8, protocol & 0xff))
            .remedy("name a newer kernel with --kernel"));
    }
    // From 2.12 on a flag says that there is a way to enter at 64 bits.
    let has_64_bits = u16_at(bytes, 0x236).ok_or_else(truncated)? & 1 == 1;
    if protocol >= 0x20c && !has_64_bits {
        return Err(wrong_processor("a kernel of 32 bits"));
    }
    let sectors = match bytes.get(0x1f1).ok_or_else(truncated)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let offset = u32_at(bytes, 0x248).ok_or_else(truncated)? as usize;
    let length = u32_at(bytes, 0x24c).ok_or_else(truncated)? as usize;
    let start = (sectors + 1) * 512 + offset;
    let payload = bytes.get(start..start + length).ok_or_else(|| {
        truncated()
            .limit(format!("{} bytes", start + length))
            .found(format!("{} bytes", bytes.len()))
    })?;
    Ok(Unpacked {
        vmlinux: payload::decompress(payload, limit)?,
        version: version(bytes).unwrap_or_default(),
    })
}

/// The first word of the text that the header points to.
pub(super) fn version(bytes: &[u8]) -> Option<String> {
    let pointer = usize::from(u16_at(bytes, 0x20e)?);
    if pointer == 0 {
        return None;
    }
    let text = bytes.get(0x200 + pointer..)?;
    let text = &text[..text.len().min(VERSION_BYTES)];
    let end = text.iter().position(|byte| matches!(byte, 0 | b' '))?;
    let word = std::str::from_utf8(&text[..end]).ok()?;
    super::features::is_version(word).then(|| word.to_owned())
}
