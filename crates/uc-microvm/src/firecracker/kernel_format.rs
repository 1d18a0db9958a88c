//! Whether a file is a kernel that Firecracker boots on this host.
//!
//! It loads an ELF file whatever processor that is for, and the guest then runs into nothing without a word. This is a look at
//! the first bytes before every start, whoever prepared the file.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path};

use uc_model::{Problem, Result};

use super::elf::Header;

/// The processors that Firecracker knows, as ELF numbers and names them.
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
];

/// How packed files begin, which Firecracker does not unpack.
const PACKED: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "a file packed by gzip"),
    (b"\xfd7zXZ", "a file packed by xz"),
    (b"BZh", "a file packed by bzip2"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd"),
    (b"\x04\x22\x4d\x18", "a file packed by lz4"),
];

const REMEDY: &str = "take a kernel for this processor, uncompressed (vmlinux); Linux's scripts/extract-vmlinux unpacks one";

/// Checks the format of a kernel and the processor it is for.
///
/// # Errors
/// Invalid, with what was found; not found, where it cannot be read.
pub(crate) fn check(kernel: &Path) -> Result<()> {
    let file = File::open(kernel).map_err(|error| {
        Problem::not_found("the kernel cannot be opened")
            .at(kernel.display())
            .found(&error)
            .caused_by(error)
    })?;
    let refused = |what: &str, limit: &str, found: String| {
        Err(Problem::invalid(what)
            .at(kernel.display())
            .limit(limit)
            .found(found)
            .remedy(REMEDY))
    };
    let here = std::env::consts::ARCH;
    if let Some(header) = Header::read(&file) {
        let known = MACHINES.iter().find(|machine| machine.0 == header.machine);
        return match known {
            Some((_, name)) if *name == here => Ok(()),
            Some((_, name)) => refused("the kernel is for another processor", here, (*name).into()),
            None => refused(
                "the kernel is for another processor",
                here,
                format!("ELF machine {}", header.machine),
            ),
        };
    }
    let mut head = [0; 0x206];
    let count = file.read_at(&mut head, 0).unwrap_or(0);
    let head = &head[..count];
    let is_image = match here {
        // A packed kernel for x86 (bzImage), which Firecracker boots from 1.17 on, and says so if it does not.
        "x86_64" => head.get(0x202..0x206) == Some(b"HdrS"),
        // The image of 64-bit Arm, the only form that Firecracker boots there.
        _ => head.get(56..60) == Some(b"ARM\x64"),
    };
    if is_image {
        return Ok(());
    }
    let found = PACKED.iter().find(|(magic, _)| head.starts_with(magic));
    let found = found.map_or("another format", |(_, name)| name);
    refused(
        "this is no kernel that Firecracker boots",
        "an ELF file (vmlinux)",
        found.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        check(file.path()).map_or_else(|problem| problem.to_string(), |()| "good".to_owned())
    }

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    #[test]
    fn formats_and_processors_are_told_apart() {
        let own = MACHINES.iter().find(|one| one.1 == std::env::consts::ARCH);
        assert_eq!(checked(&elf(own.expect("known").0)), "good");
        assert!(checked(&elf(243)).contains("found: riscv64"));
        assert!(checked(&elf(9)).contains("found: ELF machine 9"));
        assert!(checked(b"\x1f\x8b\x08").contains("found: a file packed by gzip"));
        assert!(checked(b"").contains("found: another format"));
        let problem = check(Path::new("/nonexistent")).expect_err("absent");
        assert_eq!(problem.kind(), uc_model::ProblemKind::NotFound);
    }
}
