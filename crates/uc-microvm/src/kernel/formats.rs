//! A kernel's bytes, whatever form they have, as an uncompressed ELF.

use std::{borrow::Cow, path::Path};

use uc_model::{Problem, Result};

use super::{
    bzimage,
    elf::{Elf, Kind, LOAD, wrong_processor},
    features::{Feature, Inside},
    krunfw::{self, Bundle},
};
use crate::host_file;

/// Most bytes of a kernel, compressed or not.
pub(super) const KERNEL_BYTES: u64 = 512 << 20;

/// Bytes that tell a kernel's form and processor.
const HEAD_BYTES: u64 = 4 << 10;

/// A kernel that can be booted.
#[derive(Debug)]
pub(super) struct Bootable<'a> {
    /// The ELF; borrowed where the file was one already.
    pub(super) elf: Cow<'a, [u8]>,
    pub(super) pvh: bool,
    pub(super) inside: Inside,
    /// Whether it came out of libkrunfw, whose kernel has no modules.
    pub(super) is_krunfw: bool,
}

/// What a kernel's file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// As `uname -r` says it; empty where the file does not say.
    pub version: String,
    /// Whether it can be entered by the PVH protocol.
    pub pvh: bool,
    /// What is built in, as far as names in its bytes tell.
    pub features: Vec<Feature>,
    /// Bytes of the ELF that it is booted as.
    pub bytes: u64,
}

/// Says what a kernel's file holds: a `vmlinux`, a `bzImage` or libkrunfw.
///
/// # Errors
/// Invalid where it is none of them, malformed or truncated; of the host where it is for another processor or compressed
/// in a way that we cannot undo; refused beyond 512 MiB.
pub fn describe(bytes: &[u8]) -> Result<Description> {
    let bootable = read(bytes)?;
    Ok(Description {
        version: bootable.inside.version,
        pvh: bootable.pvh,
        features: bootable.inside.features,
        bytes: bootable.elf.len() as u64,
    })
}

/// Checks by the first bytes of a file that it may be a kernel for this processor: quick enough for every start.
///
/// # Errors
/// As for [`describe`]; not found where it cannot be read.
pub(crate) fn check_head(kernel: &Path) -> Result<()> {
    let head = host_file::head(kernel, HEAD_BYTES)?;
    let checked = match Elf::is(&head) {
        true => Elf::parse(&head).map(drop),
        false if bzimage::is(&head) => Ok(()),
        false => Err(not_a_kernel(&head)),
    };
    checked.map_err(|problem| problem.within(kernel.display()))
}

/// Reads a `vmlinux`, a `bzImage` or libkrunfw.
///
/// # Errors
/// As for [`describe`].
pub(super) fn read(bytes: &[u8]) -> Result<Bootable<'_>> {
    let mut version = String::new();
    let mut is_krunfw = false;
    let elf = if Elf::is(bytes) {
        let elf = Elf::parse(bytes)?;
        is_krunfw = krunfw::is(&elf);
        match elf.kind {
            Kind::Shared if is_krunfw => Cow::Owned(Bundle::find(&elf)?.to_elf()),
            Kind::Program => Cow::Borrowed(bytes),
            Kind::Object | Kind::Shared => return Err(unknown("an ELF file that is no program")),
        }
    } else if bzimage::is(bytes) {
        let unpacked = bzimage::unpack(bytes, KERNEL_BYTES)?;
        version = unpacked.version;
        Cow::Owned(unpacked.vmlinux)
    } else {
        return Err(not_a_kernel(bytes));
    };
    let pvh = check(&elf)?;
    let mut inside = Inside::of(&elf);
    if !version.is_empty() {
        inside.version = version;
    }
    Ok(Bootable {
        elf,
        pvh,
        inside,
        is_krunfw,
    })
}

/// Checks that an ELF can be loaded and entered; says whether by the PVH protocol.
fn check(bytes: &[u8]) -> Result<bool> {
    let elf = Elf::parse(bytes)?;
    let segments = elf.segments()?;
    let mut loaded = segments.iter().filter(|segment| segment.kind == LOAD);
    let entered = loaded.any(|segment| {
        let end = segment.address.saturating_add(segment.memory);
        segment.bytes.len() as u64 <= segment.memory && (segment.address..end).contains(&elf.entry)
    });
    if elf.kind != Kind::Program || !entered {
        return Err(unknown("an ELF file that cannot be entered"));
    }
    Ok(elf.pvh_entry()?.is_some())
}

fn not_a_kernel(bytes: &[u8]) -> Problem {
    // Documentation/arch/arm64/booting.rst.
    if bytes.get(56..60) == Some(b"ARM\x64") {
        return wrong_processor("an Image for 64-bit Arm");
    }
    unknown(match bytes {
        [] => "an empty file",
        [b'M', b'Z', ..] => "a program for UEFI or Windows",
        [0x1f, 0x8b, ..] => "a file compressed by gzip",
        _ => "something else",
    })
}

fn unknown(found: &str) -> Problem {
    Problem::invalid("not a kernel that can be booted")
        .limit("a vmlinux or bzImage for x86-64, or the shared object of libkrunfw")
        .found(found)
}
