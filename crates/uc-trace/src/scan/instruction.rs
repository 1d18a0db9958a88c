//! What an instruction does to the numbers that this analysis follows, the same for every processor.

/// A register by its number in the processor's own encoding.
pub(super) type Register = u8;

/// Registers that are told apart; x86 has 16, Arm 31 and its stack pointer.
pub(super) const REGISTERS: usize = 32;

/// Where control goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// On.
    Next,
    /// Into the kernel and back.
    Kernel,
    /// To a function and back.
    Call(Target),
    /// Away.
    Jump(Target),
    /// Away or on.
    Branch(u64),
    /// Nowhere that can be read: a return, a trap.
    Stop,
}

/// Where a call or a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To an address.
    Direct(u64),
    /// To the address in a word at a fixed place.
    Slot(u64),
    /// To the address in a register.
    Register(Register),
    /// To somewhere else.
    Unknown,
}

/// A place in memory relative to a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: Register,
    pub(super) offset: i64,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A number.
    Constant(u64),
    /// The value of a register.
    Register(Register),
    /// Anything.
    Unknown,
}

/// What an instruction does to registers and to the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A number into a register.
    Constant(Register, u64),
    /// One register, plus a number, into another; `narrow` where the upper half becomes zero.
    Add {
        to: Register,
        from: Register,
        plus: i64,
        narrow: bool,
    },
    /// One of two registers into a third.
    Either {
        to: Register,
        one: Register,
        other: Register,
    },
    /// A word at a fixed address into a register.
    LoadFixed(Register, u64),
    /// A word of memory into a register.
    Load {
        to: Register,
        place: Place,
        narrow: bool,
    },
    /// Something into memory, `size` bytes of it.
    Store {
        place: Place,
        from: Source,
        size: u8,
    },
    /// Part of a number, `keep` marking the bits that stay.
    Insert { to: Register, keep: u64, bits: u64 },
    /// Something unknown into a register.
    Forget(Register),
}

/// Most effects of one instruction; what has more loses all that it could change.
const MAX_EFFECTS: usize = 4;

/// An instruction, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instruction {
    pub(super) address: u64,
    pub(super) flow: Flow,
    effects: [Option<Effect>; MAX_EFFECTS],
    /// Whether it changes more than `effects` could hold.
    pub(super) forgets_all: bool,
}

impl Instruction {
    /// One without effects.
    pub(super) fn new(address: u64, flow: Flow) -> Self {
        Self {
            address,
            flow,
            effects: [None; MAX_EFFECTS],
            forgets_all: false,
        }
    }

    /// Adds an effect; they happen in this order.
    pub(super) fn push(&mut self, effect: Effect) {
        match self.effects.iter_mut().find(|free| free.is_none()) {
            Some(free) => *free = Some(effect),
            None => self.forgets_all = true,
        }
    }

    /// What it does, in order.
    pub(super) fn effects(&self) -> impl Iterator<Item = Effect> {
        self.effects.into_iter().flatten()
    }
}
