//! Following a filter with the call known and its arguments open.

use std::collections::BTreeSet;

/// One instruction of classic BPF, as the kernel lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to leap over where a condition holds.
    pub jump_true: u8,
    /// The same where it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

const CLASS: u16 = 0x07;
const LD: u16 = 0x00;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;

const LOAD_ABSOLUTE: u16 = 0x20;
const LOAD_IMMEDIATE: u16 = 0x00;
const RETURN_CONSTANT: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const ACTION: u32 = 0xffff_0000;

/// The accumulator: known, or anything.
type Value = Option<u32>;

/// Whether a filter has a way to let a call through, for some arguments.
///
/// A filter has forward jumps only, so each pair of place and accumulator is looked at once. Instructions that are not
/// understood count as letting through: what is unknown must not look safer than it is.
pub fn lets_through(filter: &[Instruction], architecture: u32, number: u32) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<(usize, Value)> = vec![(0, Some(0))];
    while let Some((place, accumulator)) = waiting.pop() {
        if !seen.insert((place, accumulator)) {
            continue;
        }
        let Some(instruction) = filter.get(place) else {
            return true;
        };
        match instruction.code & CLASS {
            RET => match instruction.code {
                RETURN_CONSTANT if !is_passing(instruction.operand) => {}
                _ => return true,
            },
            LD => waiting.push((place + 1, load(instruction, architecture, number))),
            ALU => waiting.push((place + 1, calculate(instruction, accumulator))),
            JMP => waiting
                .extend(targets(instruction, place, accumulator).map(|place| (place, accumulator))),
            MISC => waiting.push((place + 1, None)),
            // The index register and the store instructions leave the accumulator alone.
            _ => waiting.push((place + 1, accumulator)),
        }
    }
    false
}

fn is_passing(action: u32) -> bool {
    matches!(action & ACTION, ALLOW | LOG)
}

fn load(instruction: &Instruction, architecture: u32, number: u32) -> Value {
    match (instruction.code & 0xe0, instruction.operand) {
        (LOAD_ABSOLUTE, NUMBER) => Some(number),
        (LOAD_ABSOLUTE, ARCHITECTURE) => Some(architecture),
        (LOAD_IMMEDIATE, value) => Some(value),
        _ => None,
    }
}

fn calculate(instruction: &Instruction, accumulator: Value) -> Value {
    const FROM_INDEX: u16 = 0x08;
    if instruction.code & FROM_INDEX != 0 {
        return None;
    }
    let (value, operand) = (accumulator?, instruction.operand);
    match instruction.code & 0xf0 {
        0x00 => Some(value.wrapping_add(operand)),
        0x10 => Some(value.wrapping_sub(operand)),
        0x40 => Some(value | operand),
        0x50 => Some(value & operand),
        0x60 => Some(value.checked_shl(operand).unwrap_or(0)),
        0x70 => Some(value.checked_shr(operand).unwrap_or(0)),
        0xa0 => Some(value ^ operand),
        _ => None,
    }
}

/// Where a jump may lead.
fn targets(
    instruction: &Instruction,
    place: usize,
    accumulator: Value,
) -> impl Iterator<Item = usize> {
    const ALWAYS: u16 = 0x00;
    const FROM_INDEX: u16 = 0x08;
    let next = place + 1;
    let if_true = next + usize::from(instruction.jump_true);
    let if_false = next + usize::from(instruction.jump_false);
    let operand = instruction.operand;
    let holds = match (instruction.code & 0xf0, accumulator) {
        (ALWAYS, _) => {
            let target = next.saturating_add(operand as usize);
            return [Some(target), None].into_iter().flatten();
        }
        (_, _) if instruction.code & FROM_INDEX != 0 => None,
        (0x10, Some(value)) => Some(value == operand),
        (0x20, Some(value)) => Some(value > operand),
        (0x30, Some(value)) => Some(value >= operand),
        (0x40, Some(value)) => Some(value & operand != 0),
        _ => None,
    };
    match holds {
        Some(true) => [Some(if_true), None],
        Some(false) => [Some(if_false), None],
        None => [Some(if_true), Some(if_false)],
    }
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xc000_003e;

    fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Instruction {
        Instruction {
            code,
            jump_true,
            jump_false,
            operand,
        }
    }

    #[test]
    fn the_call_decides_and_arguments_are_open() {
        let filter = [
            // Another architecture: kill.
            instruction(0x20, 0, 0, ARCHITECTURE),
            instruction(0x15, 1, 0, X86_64),
            instruction(0x06, 0, 0, 0),
            // read passes; write passes to descriptor 1 alone; close is logged.
            instruction(0x20, 0, 0, NUMBER),
            instruction(0x15, 4, 0, 0),
            instruction(0x15, 0, 2, 1),
            instruction(0x20, 0, 0, 16),
            instruction(0x15, 1, 2, 1),
            instruction(0x15, 2, 1, 3),
            instruction(0x06, 0, 0, ALLOW),
            instruction(0x06, 0, 0, 0x0005_0001),
            instruction(0x06, 0, 0, LOG),
        ];
        for (number, expected) in [(0, true), (1, true), (2, false), (3, true), (59, false)] {
            assert_eq!(lets_through(&filter, X86_64, number), expected, "{number}");
        }
        assert!(!lets_through(&filter, 0x4000_0003, 0));
    }

    #[test]
    fn no_filter_and_nonsense_let_everything_through() {
        assert!(lets_through(&[], X86_64, 0));
        let beyond = [instruction(0x05, 0, 0, u32::MAX)];
        assert!(lets_through(&beyond, X86_64, 0));
        let returns_accumulator = [instruction(0x16, 0, 0, 0)];
        assert!(lets_through(&returns_accumulator, X86_64, 0));
    }
}
