//! The kernel inside libkrunfw: bytes of memory in a shared object, which its functions describe. Nothing of it is run.

use uc_model::{Problem, Result};

use super::elf::{self, Elf, Kind};

/// The symbol of the kernel's bytes, and the function that says what they are.
const BUNDLE: &[u8] = b"KERNEL_BUNDLE";
const DESCRIPTION: &[u8] = b"krunfw_get_kernel";
/// Where the kernel is loaded, unless the function says otherwise: CONFIG_PHYSICAL_START.
const LOAD_ADDRESS: u64 = 0x100_0000;
const PAGE: u64 = 4096;
/// Most bytes of the function's code that are looked at.
const CODE_BYTES: usize = 256;

/// A kernel as it lies in memory.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    bytes: &'a [u8],
    load: u64,
    /// Where to enter at 64 bits, as Firecracker does.
    entry: u64,
    /// Where to enter by the PVH protocol, as QEMU does: not the same place.
    pvh_entry: u64,
}

/// Whether an ELF file is libkrunfw.
pub(super) fn is(elf: &Elf<'_>) -> bool {
    elf.kind == Kind::Shared && elf.symbol(DESCRIPTION).is_some()
}

impl<'a> Bundle<'a> {
    /// # Errors
    /// Invalid where the kernel is not found or says nowhere how to be entered.
    pub(super) fn find(elf: &Elf<'a>) -> Result<Self> {
        let missing = |what: &str| {
            Problem::invalid(format!("this libkrunfw has no {what}"))
                .remedy("use libkrunfw 5 or newer for x86-64")
        };
        let symbol = elf.symbol(BUNDLE).ok_or_else(|| missing("kernel"))?;
        let described = elf
            .symbol(DESCRIPTION)
            .and_then(|function| Described::read(function.bytes, symbol.bytes.len()));
        // The compiler ends the array with a zero that is none of the kernel's.
        let whole_pages = symbol.bytes.len() as u64 / PAGE * PAGE;
        let (load, size) = match &described {
            Some(described) => (described.load, described.size),
            None => (LOAD_ADDRESS, whole_pages),
        };
        let bytes = &symbol.bytes[..usize::try_from(size).unwrap_or_default()];
        let within = |address: &u64| (load..load + size).contains(address);
        let pvh_entry = elf::pvh_notes(bytes)
            .find(within)
            .ok_or_else(|| missing("kernel with a PVH entry"))?;
        Ok(Self {
            bytes,
            load,
            entry: described.map_or(pvh_entry, |described| described.entry),
            pvh_entry,
        })
    }

    /// An ELF of one segment, with a note for QEMU.
    pub(super) fn to_elf(&self) -> Vec<u8> {
        const HEADERS: u64 = 64 + 2 * 56;
        const READ_WRITE_EXECUTE: u32 = 7;
        const READ: u32 = 4;
        const NOTE: u32 = 4;
        let note = self.note();
        let mut out = Vec::with_capacity(PAGE as usize + self.bytes.len());
        out.extend_from_slice(b"\x7fELF\x02\x01\x01");
        out.resize(16, 0);
        // A program for x86-64.
        for value in [2u16, 62] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&1u32.to_le_bytes());
        for word in [self.entry, 64, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&0u32.to_le_bytes());
        // Sizes of the header and of the two segments' entries; no sections.
        for value in [64u16, 56, 2, 0, 0, 0] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        let size = self.bytes.len() as u64;
        let segments = [
            (elf::LOAD, READ_WRITE_EXECUTE, PAGE, self.load, size, PAGE),
            (NOTE, READ, HEADERS, 0, note.len() as u64, 4),
        ];
        for (kind, flags, offset, address, length, alignment) in segments {
            out.extend_from_slice(&kind.to_le_bytes());
            out.extend_from_slice(&flags.to_le_bytes());
            for word in [offset, address, address, length, length, alignment] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out.extend_from_slice(&note);
        out.resize(PAGE as usize, 0);
        out.extend_from_slice(self.bytes);
        out
    }

    fn note(&self) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [4, 8, elf::PVH_NOTE] {
            note.extend_from_slice(&word.to_le_bytes());
        }
        note.extend_from_slice(b"Xen\0");
        note.extend_from_slice(&self.pvh_entry.to_le_bytes());
        note
    }
}

/// What `krunfw_get_kernel` would say.
struct Described {
    load: u64,
    entry: u64,
    size: u64,
}

impl Described {
    /// Read from the function's code: it stores three constants through its arguments, in their order, each by
    /// `mov qword [register], imm32` (REX.W C7 /0). None where the code is not like that.
    fn read(code: &[u8], available: usize) -> Option<Self> {
        let code = &code[..code.len().min(CODE_BYTES)];
        let constants: Vec<u64> = code
            .windows(7)
            .filter(|at| at[..2] == [0x48, 0xc7] && at[2] < 8 && !matches!(at[2], 4 | 5))
            .filter_map(|at| elf::u32_at(at, 3).map(u64::from))
            .collect();
        let [load, entry, size] = constants[..] else {
            return None;
        };
        let sound = size > 0
            && size <= available as u64
            && (load..load + size).contains(&entry)
            && load % PAGE == 0;
        sound.then_some(Self { load, entry, size })
    }
}
