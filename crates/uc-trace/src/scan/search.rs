//! Fast searches over code that is too large, or too little described, to follow call by call.

use std::ops::Range;

use memchr::{memchr_iter, memmem};
use uc_select::Architecture;

use super::{
    arm64::{self, KERNEL},
    bytes::u32_at,
    elf::Elf,
    instruction::{Flow, Target},
    unwind::MAX_FUNCTIONS,
};

/// Most places that one search returns.
const MAX_PLACES: usize = 1_000_000;

/// The two bytes of `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// Addresses that can be system-call instructions: on x86 some are in the middle of another.
pub(super) fn kernel_places(elf: &Elf<'_>) -> Vec<u64> {
    let mut places = Vec::new();
    for range in elf.code() {
        let code = elf.slice(range);
        let room = MAX_PLACES - places.len();
        match elf.architecture {
            Architecture::X86_64 => {
                let found = memmem::find_iter(code, &SYSCALL);
                places.extend(found.map(|at| range.start + at as u64).take(room));
            }
            Architecture::Aarch64 => {
                let found = words(code, range.start).filter(|(word, _)| *word == KERNEL);
                places.extend(found.map(|(_, address)| address).take(room));
            }
        }
    }
    places
}

/// Targets of calls that are as aligned as compilers align functions: where nothing else says where functions begin.
pub(super) fn call_targets(elf: &Elf<'_>) -> Vec<u64> {
    // Compilers align functions to 16 bytes on x86 and at least to 4 on Arm.
    let mask = match elf.architecture {
        Architecture::X86_64 => 15,
        Architecture::Aarch64 => 3,
    };
    let mut targets = Vec::new();
    each_direct(elf, |_, target, is_call| {
        if is_call && target & mask == 0 && elf.is_code(target) {
            targets.push(target);
        }
        if targets.len() >= MAX_FUNCTIONS {
            targets.sort_unstable();
            targets.dedup();
        }
        targets.len() < MAX_FUNCTIONS
    });
    targets
}

/// Where code calls or jumps to one of `targets` directly, or on x86 through one of the words at `slots`; both ascending.
pub(super) fn callers(elf: &Elf<'_>, targets: &[u64], slots: &[u64]) -> Vec<u64> {
    let mut places = Vec::new();
    if let (Some(first), Some(last)) = (targets.first(), targets.last()) {
        each_direct(elf, |place, target, _| {
            if (*first..=*last).contains(&target) && targets.binary_search(&target).is_ok() {
                places.push(place);
            }
            places.len() < MAX_PLACES
        });
    }
    if elf.architecture == Architecture::X86_64 && !slots.is_empty() {
        each_indirect(elf, |place, slot| {
            if slots.binary_search(&slot).is_ok() {
                places.push(place);
            }
            places.len() < MAX_PLACES
        });
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// Tells of everything that looks like a direct call or jump: place, target, whether it is a call. Ends when told to.
fn each_direct(elf: &Elf<'_>, mut tell: impl FnMut(u64, u64, bool) -> bool) {
    for range in elf.code() {
        let code = elf.slice(range);
        match elf.architecture {
            Architecture::X86_64 => {
                for at in memchr::memchr2_iter(0xe8, 0xe9, code) {
                    let Some(offset) = u32_at(code, at + 1) else {
                        break;
                    };
                    let place = range.start + at as u64;
                    let target = place
                        .wrapping_add(5)
                        .wrapping_add_signed(i64::from(offset as i32));
                    if !tell(place, target, code.get(at) == Some(&0xe8)) {
                        return;
                    }
                }
            }
            Architecture::Aarch64 => {
                for (word, place) in words(code, range.start) {
                    let (target, is_call) = match arm64::flow(word, place) {
                        Flow::Call(Target::Direct(target)) => (target, true),
                        Flow::Jump(Target::Direct(target)) => (target, false),
                        _ => continue,
                    };
                    if !tell(place, target, is_call) {
                        return;
                    }
                }
            }
        }
    }
}

/// Tells of everything that uses a word at a fixed place in a call, a jump or a load; x86 alone.
fn each_indirect(elf: &Elf<'_>, mut tell: impl FnMut(u64, u64) -> bool) {
    // The byte after the opcode that says "relative to the next instruction", for a call and for a jump.
    const CALL: u8 = 0x15;
    const JUMP: u8 = 0x25;
    for range in elf.code() {
        let code = elf.slice(range);
        for at in memchr_iter(0xff, code) {
            let form = code.get(at + 1);
            if form != Some(&CALL) && form != Some(&JUMP) {
                continue;
            }
            let Some(offset) = u32_at(code, at + 2) else {
                break;
            };
            let place = range.start + at as u64;
            let slot = place
                .wrapping_add(6)
                .wrapping_add_signed(i64::from(offset as i32));
            if !tell(place, slot) {
                return;
            }
        }
    }
}

fn words(code: &[u8], start: u64) -> impl Iterator<Item = (u32, u64)> {
    code.chunks_exact(4)
        .zip((start..).step_by(4))
        .map(|(bytes, address)| (u32_at(bytes, 0).unwrap_or_default(), address))
}

/// Longer functions are read in parts.
const MAX_WHOLE: u64 = 128 << 10;
/// Bytes of a part, and of what is read before it to know what registers hold.
const PART: u64 = 16 << 10;
/// What is read behind a part, so that its last instruction is whole.
const BEHIND: u64 = 16;

/// The part of a function that holds a place, with what is read before it. Reading from the middle of an instruction falls
/// in step again within a few.
pub(super) fn window(function: &Range<u64>, place: u64) -> Range<u64> {
    if function.end - function.start <= MAX_WHOLE {
        return function.clone();
    }
    let part = place.saturating_sub(function.start) / PART;
    let start = function.start + part.saturating_sub(1) * PART;
    let end = function.start.saturating_add((part + 1) * PART + BEHIND);
    start..end.min(function.end)
}

/// Where in a window the places are that count: others are in the windows beside it.
pub(super) fn core(function: &Range<u64>, window: &Range<u64>) -> Range<u64> {
    if window == function {
        return window.clone();
    }
    let is_first = window.end - window.start <= PART + BEHIND && window.start == function.start;
    let start = if is_first {
        window.start
    } else {
        window.start.saturating_add(PART)
    };
    start..start.saturating_add(PART)
}
