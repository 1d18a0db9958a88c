//! Instructions of 64-bit Arm: four bytes each, so those that matter are read by their bit patterns and all others cost the
//! registers that they name.

use super::instruction::{Effect, Flow, Instruction, Place, Register, Source, Target};

/// The stack pointer, where an instruction can name it; the zero register is told apart here.
pub(super) const STACK: Register = 31;
/// `svc #0`.
pub(super) const KERNEL: u32 = 0xd400_0001;

/// `bits` bits of a word from bit `low`.
fn field(word: u32, low: u32, bits: u32) -> u32 {
    word >> low & ((1 << bits) - 1)
}

/// A field with a sign, times `scale`.
fn signed(word: u32, low: u32, bits: u32, scale: i64) -> i64 {
    let value = i64::from(field(word, low, bits));
    let sign = 1_i64 << (bits - 1);
    ((value ^ sign) - sign) * scale
}

fn register(word: u32, low: u32) -> Register {
    field(word, low, 5) as Register
}

/// Where control goes after an instruction.
pub(super) fn flow(word: u32, address: u64) -> Flow {
    let relative = |low, bits| address.wrapping_add_signed(signed(word, low, bits, 4));
    match word {
        KERNEL => Flow::Kernel,
        _ if word >> 26 == 0b10_0101 => Flow::Call(Target::Direct(relative(0, 26))),
        _ if word >> 26 == 0b00_0101 => Flow::Jump(Target::Direct(relative(0, 26))),
        // Conditions, comparisons with zero, tests of one bit.
        _ if word >> 24 == 0x54 => Flow::Branch(relative(5, 19)),
        _ if word >> 25 & 0x3f == 0b01_1010 => Flow::Branch(relative(5, 19)),
        _ if word >> 25 & 0x3f == 0b01_1011 => Flow::Branch(relative(5, 14)),
        // Through a register, with and without authentication of the pointer.
        _ if word & 0xfeff_f000 == 0xd63f_0000 => Flow::Call(Target::Register(register(word, 5))),
        _ if word & 0xfeff_f000 == 0xd61f_0000 => Flow::Jump(Target::Register(register(word, 5))),
        // Returns, breakpoints, what is never defined.
        _ if word >> 25 == 0b110_1011 => Flow::Stop,
        _ if word & 0xffe0_001f == 0xd420_0000 || word >> 16 == 0 => Flow::Stop,
        _ => Flow::Next,
    }
}

/// What an instruction does.
pub(super) fn lift(word: u32, address: u64) -> Instruction {
    let mut lifted = Instruction::new(address, flow(word, address));
    if lifted.flow != Flow::Next {
        return lifted;
    }
    let known = immediate(word, address, &mut lifted)
        || registers(word, &mut lifted)
        || single(word, address, &mut lifted)
        || pair(word, &mut lifted);
    if !known {
        // Loads, stores and atomics name up to three registers that they may change.
        let is_memory = field(word, 27, 1) == 1 && field(word, 25, 1) == 0;
        let places: &[u32] = if is_memory { &[0, 10, 16] } else { &[0] };
        for low in places {
            forget(&mut lifted, register(word, *low));
        }
        if is_memory && register(word, 5) == STACK {
            lifted.push(Effect::Forget(STACK));
        }
    }
    lifted
}

fn forget(lifted: &mut Instruction, register: Register) {
    if register != STACK {
        lifted.push(Effect::Forget(register));
    }
}

/// Numbers, addresses, and sums with a number.
fn immediate(word: u32, address: u64, lifted: &mut Instruction) -> bool {
    let to = register(word, 0);
    let is_wide = word >> 31 == 1;
    let fit = |number: u64| {
        if is_wide {
            number
        } else {
            number & 0xffff_ffff
        }
    };
    if word >> 23 & 0x3f == 0b10_0101 {
        let shift = 16 * field(word, 21, 2);
        let bits = u64::from(field(word, 5, 16)) << shift;
        match field(word, 29, 2) {
            0 => lifted.push(Effect::Constant(to, fit(!bits))),
            2 => lifted.push(Effect::Constant(to, fit(bits))),
            _ => lifted.push(Effect::Insert {
                to,
                keep: !(0xffff << shift),
                bits,
            }),
        }
        return true;
    }
    if word >> 24 & 0x1f == 0b1_0000 {
        let offset = signed(word, 5, 19, 4) | i64::from(field(word, 29, 2));
        let value = if is_wide {
            (address & !0xfff).wrapping_add_signed(offset << 12)
        } else {
            address.wrapping_add_signed(offset)
        };
        lifted.push(Effect::Constant(to, value));
        return true;
    }
    // Without those that set flags: these may name the zero register where others name the stack pointer.
    if word >> 23 & 0x7f == 0b010_0010 || word >> 23 & 0x7f == 0b110_0010 {
        let sign = if field(word, 30, 1) == 1 { -1 } else { 1 };
        if field(word, 29, 1) == 1 {
            forget(lifted, to);
            return true;
        }
        let plus = sign * (i64::from(field(word, 10, 12)) << (12 * field(word, 22, 1)));
        lifted.push(Effect::Add {
            to,
            from: register(word, 5),
            plus,
            narrow: !is_wide,
        });
        return true;
    }
    // A pattern of bits or'ed with nothing is how some numbers are loaded.
    if word >> 23 & 0xff == 0b0110_0100 && register(word, 5) == 31 {
        match pattern(word) {
            Some(number) => lifted.push(Effect::Constant(to, fit(number))),
            None => forget(lifted, to),
        }
        return true;
    }
    false
}

/// The number that a logical instruction encodes as a run of ones, turned and repeated.
fn pattern(word: u32) -> Option<u64> {
    let (n, turn, ones) = (field(word, 22, 1), field(word, 16, 6), field(word, 10, 6));
    let joined = n << 6 | (!ones & 0x3f);
    let length = 31_u32
        .checked_sub(joined.leading_zeros())
        .filter(|length| *length > 0)?;
    let size = 1_u32 << length;
    let count = (ones & (size - 1)) + 1;
    if count >= size {
        return None;
    }
    let turn = turn & (size - 1);
    let run = (1_u64 << count) - 1;
    let mask = if size == 64 {
        u64::MAX
    } else {
        (1_u64 << size) - 1
    };
    let element = if turn == 0 {
        run
    } else {
        (run >> turn | run << (size - turn)) & mask
    };
    let mut number = element;
    let mut filled = size;
    while filled < 64 {
        number |= number << filled;
        filled *= 2;
    }
    Some(number)
}

/// Copies, and the choice between two registers.
fn registers(word: u32, lifted: &mut Instruction) -> bool {
    let to = register(word, 0);
    let narrow = word >> 31 == 0;
    if word & 0x7fe0_ffe0 == 0x2a00_03e0 {
        match register(word, 16) {
            31 => lifted.push(Effect::Constant(to, 0)),
            from if to != 31 => lifted.push(Effect::Add {
                to,
                from,
                plus: 0,
                narrow,
            }),
            _ => {}
        }
        return true;
    }
    if word & 0x7fe0_0c00 == 0x1a80_0000 {
        let (one, other) = (register(word, 5), register(word, 16));
        if one == 31 || other == 31 {
            forget(lifted, to);
        } else {
            lifted.push(Effect::Either { to, one, other });
        }
        return true;
    }
    // `sxtw`: system call numbers are small and never negative.
    if word & 0xffff_fc00 == 0x9340_7c00 {
        lifted.push(Effect::Add {
            to,
            from: register(word, 5),
            plus: 0,
            narrow: false,
        });
        return true;
    }
    false
}

/// Loads and stores of one register.
fn single(word: u32, address: u64, lifted: &mut Instruction) -> bool {
    let data = register(word, 0);
    let is_vector = field(word, 26, 1) == 1;
    if word >> 24 & 0xbf == 0b0001_1000 && !is_vector {
        lifted.push(Effect::LoadFixed(
            data,
            address.wrapping_add_signed(signed(word, 5, 19, 4)),
        ));
        return true;
    }
    if field(word, 27, 3) != 0b111 {
        return false;
    }
    let size = field(word, 30, 2);
    let base = register(word, 5);
    let kind = field(word, 24, 2);
    let (offset, change) = match (kind, field(word, 10, 2)) {
        (1, _) => (i64::from(field(word, 10, 12)) << size, None),
        (0, how) if field(word, 21, 1) == 0 => {
            let offset = signed(word, 12, 9, 1);
            match how {
                0b00 => (offset, None),
                0b01 => (0, Some(offset)),
                0b11 => (0, Some(offset)),
                _ => return false,
            }
        }
        _ => return false,
    };
    let is_before = kind == 0 && field(word, 10, 2) == 0b11;
    let step = change.map(|plus| Effect::Add {
        to: base,
        from: base,
        plus,
        narrow: false,
    });
    if is_before && let Some(step) = step {
        lifted.push(step);
    }
    let place = Place { base, offset };
    match (field(word, 22, 2), is_vector) {
        (0, false) => {
            let from = if data == 31 {
                Source::Constant(0)
            } else {
                Source::Register(data)
            };
            lifted.push(Effect::Store {
                place,
                from,
                size: 1 << size,
            });
        }
        (0 | 2, true) => lifted.push(Effect::Store {
            place,
            from: Source::Unknown,
            size: 16,
        }),
        (1, false) if size >= 2 && data != 31 => {
            lifted.push(Effect::Load {
                to: data,
                place,
                narrow: size == 2,
            });
        }
        (_, false) => forget(lifted, data),
        _ => {}
    }
    if !is_before && let Some(step) = step {
        lifted.push(step);
    }
    true
}

/// Loads and stores of two registers.
fn pair(word: u32, lifted: &mut Instruction) -> bool {
    if field(word, 27, 3) != 0b101 || field(word, 23, 2) == 0 && field(word, 25, 2) != 0 {
        return false;
    }
    if field(word, 25, 1) != 0 {
        return false;
    }
    let is_vector = field(word, 26, 1) == 1;
    let wide: i64 = if is_vector {
        4 << field(word, 30, 2)
    } else {
        4 << field(word, 31, 1)
    };
    let base = register(word, 5);
    let offset = signed(word, 15, 7, wide);
    let (at, step) = match field(word, 23, 2) {
        0b01 => (0, Some((false, offset))),
        0b11 => (0, Some((true, offset))),
        _ => (offset, None),
    };
    let step = step.map(|(before, plus)| {
        (
            before,
            Effect::Add {
                to: base,
                from: base,
                plus,
                narrow: false,
            },
        )
    });
    if let Some((true, step)) = step {
        lifted.push(step);
    }
    for (low, more) in [(0, 0), (10, wide)] {
        let data = register(word, low);
        let place = Place {
            base,
            offset: at + more,
        };
        match (field(word, 22, 1), is_vector) {
            (0, false) if data != 31 => lifted.push(Effect::Store {
                place,
                from: Source::Register(data),
                size: wide as u8,
            }),
            (0, _) => lifted.push(Effect::Store {
                place,
                from: Source::Unknown,
                size: wide as u8,
            }),
            (_, false) if data != 31 => lifted.push(Effect::Load {
                to: data,
                place,
                narrow: wide == 4,
            }),
            _ => {}
        }
    }
    if let Some((false, step)) = step {
        lifted.push(step);
    }
    true
}
