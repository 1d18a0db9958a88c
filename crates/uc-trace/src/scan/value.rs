//! What is known of the registers and the stack at one place of a function.

use super::{
    code::Convention,
    instruction::{Effect, Instruction, Place, REGISTERS, Register, Source},
};

/// Most numbers that one register may hold before it counts as unknown.
const FEW: usize = 8;
/// Most words of the stack that are followed.
const MAX_WORDS: usize = 48;

/// Where a caller leaves a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Parameter {
    /// In a register.
    Register(Register),
    /// On the stack, so many bytes above where the stack pointer is at the function's first instruction.
    Stack(i64),
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// Anything.
    Unknown,
    /// This number.
    Number(u64),
    /// One of these small numbers, ascending.
    OneOf(Few),
    /// What the caller gave.
    Given(Parameter),
    /// An address on the stack, counted from where the stack pointer was at the function's first instruction.
    Stack(i64),
    /// What the word at this address holds.
    Word(u64),
}

/// A few small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Few {
    count: u8,
    numbers: [u16; FEW],
}

impl Value {
    /// The numbers that it can be, where these are all known.
    pub(super) fn numbers(&self) -> Option<Vec<u64>> {
        match self {
            Self::Number(number) => Some(vec![*number]),
            Self::OneOf(few) => Some(few.iter().map(u64::from).collect()),
            _ => None,
        }
    }

    /// What it is when it can be either.
    fn or(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        match (self.few(), other.few()) {
            (Some(mut few), Some(more)) => {
                if more.iter().all(|number| few.insert(number)) {
                    Self::OneOf(few)
                } else {
                    Self::Unknown
                }
            }
            _ => Self::Unknown,
        }
    }

    fn few(self) -> Option<Few> {
        match self {
            Self::OneOf(few) => Some(few),
            Self::Number(number) => {
                let mut few = Few {
                    count: 0,
                    numbers: [0; FEW],
                };
                few.insert(u16::try_from(number).ok()?);
                Some(few)
            }
            _ => None,
        }
    }

    fn plus(self, plus: i64, narrow: bool) -> Self {
        match self {
            Self::Number(number) if narrow => {
                Self::Number(number.wrapping_add_signed(plus) & 0xffff_ffff)
            }
            Self::Number(number) => Self::Number(number.wrapping_add_signed(plus)),
            Self::Stack(offset) if !narrow => Self::Stack(offset.wrapping_add(plus)),
            // Narrowing keeps what was given and words as they are: system call numbers are small.
            other if plus == 0 && !matches!(other, Self::Stack(_)) => other,
            _ => Self::Unknown,
        }
    }
}

impl Few {
    fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.numbers.into_iter().take(usize::from(self.count))
    }

    /// Adds a number in its place; false where there is no room.
    fn insert(&mut self, number: u16) -> bool {
        let count = usize::from(self.count);
        let (held, _) = self.numbers.split_at(count);
        let Err(at) = held.binary_search(&number) else {
            return true;
        };
        if count == FEW {
            return false;
        }
        self.numbers.copy_within(at..count, at + 1);
        if let Some(place) = self.numbers.get_mut(at) {
            *place = number;
        }
        self.count += 1;
        true
    }
}

/// What is known at one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    registers: [Value; REGISTERS],
    /// Words of the stack by their offsets, ascending.
    stack: Vec<(i64, Value)>,
    /// Whether the stack above the function's frame still holds what the caller left.
    knows_caller: bool,
}

impl State {
    /// At the first instruction of a function.
    pub(super) fn at_entry(convention: &Convention) -> Self {
        let mut registers = [Value::Unknown; REGISTERS];
        for (number, value) in registers.iter_mut().enumerate() {
            *value = Value::Given(Parameter::Register(number as Register));
        }
        let mut state = Self {
            registers,
            stack: Vec::new(),
            knows_caller: true,
        };
        state.set(convention.stack, Value::Stack(0));
        state
    }

    /// Where nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            registers: [Value::Unknown; REGISTERS],
            stack: Vec::new(),
            knows_caller: false,
        }
    }

    /// What a register holds.
    pub(super) fn register(&self, register: Register) -> Value {
        self.registers
            .get(usize::from(register))
            .copied()
            .unwrap_or(Value::Unknown)
    }

    fn set(&mut self, register: Register, value: Value) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }

    /// What a callee finds in a parameter when this is the state at the call; `pushed` are the bytes that the call pushes.
    pub(super) fn parameter(
        &self,
        parameter: Parameter,
        convention: &Convention,
        pushed: i64,
    ) -> Value {
        match parameter {
            Parameter::Register(register) => self.register(register),
            Parameter::Stack(offset) => match self.register(convention.stack) {
                Value::Stack(top) => self.word(top.wrapping_sub(pushed).wrapping_add(offset)),
                _ => Value::Unknown,
            },
        }
    }

    fn word(&self, offset: i64) -> Value {
        match self.stack.binary_search_by_key(&offset, |(at, _)| *at) {
            Ok(at) => self
                .stack
                .get(at)
                .map_or(Value::Unknown, |(_, value)| *value),
            Err(_) if self.knows_caller && offset >= 0 => Value::Given(Parameter::Stack(offset)),
            Err(_) => Value::Unknown,
        }
    }

    fn address(&self, place: Place) -> Option<i64> {
        match self.register(place.base) {
            Value::Stack(offset) => Some(offset.wrapping_add(place.offset)),
            _ => None,
        }
    }

    /// Writes to the stack; words that the write touches otherwise are forgotten.
    fn store(&mut self, offset: i64, value: Value, size: u8) {
        let size = i64::from(size.max(1));
        for (at, held) in &mut self.stack {
            if at.wrapping_add(8) > offset && *at < offset.wrapping_add(size) {
                *held = Value::Unknown;
            }
        }
        let value = if size >= 4 { value } else { Value::Unknown };
        match self.stack.binary_search_by_key(&offset, |(at, _)| *at) {
            Ok(at) => {
                if let Some((_, held)) = self.stack.get_mut(at) {
                    *held = value;
                }
            }
            Err(at) if self.stack.len() < MAX_WORDS => self.stack.insert(at, (offset, value)),
            Err(_) => self.knows_caller &= offset < 0,
        }
    }

    /// Whether the stack pointer is known here and there and differs, which the two ways to one place of a function never do.
    pub(super) fn is_elsewhere(&self, other: &Self, stack: Register) -> bool {
        match (self.register(stack), other.register(stack)) {
            (Value::Stack(here), Value::Stack(there)) => here != there,
            _ => false,
        }
    }

    /// What is known when control comes from either of two places; whether that is less than before.
    pub(super) fn join(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (mine, other) in self.registers.iter_mut().zip(&other.registers) {
            let both = mine.or(*other);
            changed |= both != *mine;
            *mine = both;
        }
        // A word that one side knows nothing of stays there as unknown where the caller could have left something.
        let offsets: Vec<i64> = self
            .stack
            .iter()
            .chain(&other.stack)
            .map(|(at, _)| *at)
            .collect();
        for at in offsets {
            let both = self.word(at).or(other.word(at));
            if both != self.word(at) {
                changed = true;
                self.store(at, both, 8);
            }
        }
        if self.knows_caller && !other.knows_caller {
            self.knows_caller = false;
            changed = true;
        }
        changed
    }

    /// Follows one instruction.
    pub(super) fn step(&mut self, instruction: &Instruction) {
        if instruction.forgets_all {
            *self = Self::unknown();
            return;
        }
        for effect in instruction.effects() {
            self.apply(effect);
        }
    }

    /// Forgets the registers of a mask.
    pub(super) fn forget(&mut self, mask: u32) {
        for (number, value) in self.registers.iter_mut().enumerate() {
            if mask >> number & 1 != 0 {
                *value = Value::Unknown;
            }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Constant(to, number) => self.set(to, Value::Number(number)),
            Effect::Add {
                to,
                from,
                plus,
                narrow,
            } => {
                self.set(to, self.register(from).plus(plus, narrow));
            }
            Effect::Either { to, one, other } => {
                self.set(to, self.register(one).or(self.register(other)));
            }
            Effect::LoadFixed(to, address) => self.set(to, Value::Word(address)),
            Effect::Load { to, place, narrow } => {
                let value = match (self.address(place), self.register(place.base)) {
                    (Some(offset), _) => self.word(offset).plus(0, narrow),
                    (None, Value::Number(page)) => {
                        Value::Word(page.wrapping_add_signed(place.offset))
                    }
                    _ => Value::Unknown,
                };
                self.set(to, value);
            }
            Effect::Store { place, from, size } => {
                let value = match from {
                    Source::Constant(number) => Value::Number(number),
                    Source::Register(register) => self.register(register),
                    Source::Unknown => Value::Unknown,
                };
                if let Some(offset) = self.address(place) {
                    self.store(offset, value, size);
                }
            }
            Effect::Insert { to, keep, bits } => {
                let value = match self.register(to) {
                    Value::Number(number) => Value::Number(number & keep | bits),
                    _ => Value::Unknown,
                };
                self.set(to, value);
            }
            Effect::Forget(register) => self.set(register, Value::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_can_be_either_stay_known_while_they_are_few() {
        let mut value = Value::Number(9);
        for number in [3, 9, 4] {
            value = value.or(Value::Number(number));
        }
        assert_eq!(value.numbers(), Some(vec![3, 4, 9]));
        for number in 10..20 {
            value = value.or(Value::Number(number));
        }
        assert_eq!(value, Value::Unknown);
        assert_eq!(Value::Number(1 << 40).or(Value::Number(1)), Value::Unknown);
    }
}
