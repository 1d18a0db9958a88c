//! Instructions of x86-64, read with iced-x86.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction as Decoded, InstructionInfoFactory,
    InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register as Named,
};

use super::instruction::{Effect, Flow, Instruction, Place, Register, Source, Target};

/// The stack pointer and the frame pointer.
pub(super) const STACK: Register = 4;
const FRAME: Register = 5;

/// Bytes of the longest instruction.
pub(super) const LONGEST: usize = 15;

/// A decoder over code at an address.
pub(super) fn decoder(code: &[u8], address: u64) -> Decoder<'_> {
    Decoder::with_ip(64, code, address, DecoderOptions::NONE)
}

/// Where control goes after an instruction.
pub(super) fn flow(decoded: &Decoded) -> Flow {
    match decoded.flow_control() {
        FlowControl::Next | FlowControl::Interrupt | FlowControl::XbeginXabortXend => Flow::Next,
        FlowControl::Call if decoded.code() == Code::Syscall => Flow::Kernel,
        FlowControl::UnconditionalBranch => {
            Flow::Jump(Target::Direct(decoded.near_branch_target()))
        }
        FlowControl::ConditionalBranch => Flow::Branch(decoded.near_branch_target()),
        FlowControl::Call if decoded.op0_kind() == OpKind::NearBranch64 => {
            Flow::Call(Target::Direct(decoded.near_branch_target()))
        }
        FlowControl::Call if decoded.op_count() == 0 => Flow::Next,
        FlowControl::IndirectCall => Flow::Call(indirect(decoded)),
        FlowControl::IndirectBranch => Flow::Jump(indirect(decoded)),
        FlowControl::Call => Flow::Call(Target::Unknown),
        FlowControl::Return | FlowControl::Exception => Flow::Stop,
    }
}

fn indirect(decoded: &Decoded) -> Target {
    match decoded.op0_kind() {
        OpKind::Register => {
            register(decoded.op0_register()).map_or(Target::Unknown, Target::Register)
        }
        OpKind::Memory => fixed_address(decoded).map_or(Target::Unknown, Target::Slot),
        _ => Target::Unknown,
    }
}

/// The address of an operand in memory that no register moves.
pub(super) fn fixed_address(decoded: &Decoded) -> Option<u64> {
    if decoded.is_ip_rel_memory_operand() {
        return Some(decoded.ip_rel_memory_address());
    }
    let is_plain = decoded.memory_base() == Named::None && decoded.memory_index() == Named::None;
    let is_here = decoded.segment_prefix() == Named::None;
    (has_memory(decoded) && is_plain && is_here).then(|| decoded.memory_displacement64())
}

/// Whether an operand is in memory.
pub(super) fn has_memory(decoded: &Decoded) -> bool {
    decoded.op_kinds().any(|kind| kind == OpKind::Memory)
}

/// A general register of 32 or 64 bits.
fn register(named: Named) -> Option<Register> {
    (named.is_gpr32() || named.is_gpr64()).then_some(named.number() as Register)
}

/// A place in memory relative to one register alone.
fn place(decoded: &Decoded) -> Option<Place> {
    let is_simple =
        decoded.memory_index() == Named::None && decoded.segment_prefix() == Named::None;
    if !is_simple || !decoded.memory_base().is_gpr64() {
        return None;
    }
    Some(Place {
        base: register(decoded.memory_base())?,
        offset: decoded.memory_displacement64() as i64,
    })
}

/// A number that is part of the instruction.
fn constant(decoded: &Decoded, operand: u32) -> Option<u64> {
    matches!(
        decoded.op_kind(operand),
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
    .then(|| decoded.immediate(operand))
}

/// The number as a register of this width would hold it.
fn fit(named: Named, number: u64) -> u64 {
    if named.is_gpr32() {
        number & 0xffff_ffff
    } else {
        number
    }
}

/// What an instruction does.
pub(super) fn lift(decoded: &Decoded, info: &mut InstructionInfoFactory) -> Instruction {
    let mut lifted = Instruction::new(decoded.ip(), flow(decoded));
    if matches!(lifted.flow, Flow::Call(_)) || special(decoded, &mut lifted).is_some() {
        return lifted;
    }
    let used = info.info_options(decoded, InstructionInfoOptions::NONE);
    let writes = |access| {
        matches!(
            access,
            OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite | OpAccess::ReadCondWrite
        )
    };
    for change in used
        .used_registers()
        .iter()
        .filter(|used| writes(used.access()))
    {
        if let Some(register) = register(change.register().full_register()) {
            lifted.push(Effect::Forget(register));
        }
    }
    let writes_memory = used.used_memory().iter().any(|used| writes(used.access()));
    if let Some(place) = place(decoded).filter(|_| writes_memory) {
        let size = decoded.memory_size().size().min(64) as u8;
        lifted.push(Effect::Store {
            place,
            from: Source::Unknown,
            size,
        });
    }
    lifted
}

/// The register that an operand is, if it is one.
fn operand(decoded: &Decoded, at: u32) -> Option<Register> {
    (decoded.op_kind(at) == OpKind::Register)
        .then(|| register(decoded.op_register(at)))
        .flatten()
}

/// The instructions whose outcome can be followed; nothing for all others.
fn special(decoded: &Decoded, lifted: &mut Instruction) -> Option<()> {
    match decoded.mnemonic() {
        Mnemonic::Mov => movement(decoded, lifted),
        Mnemonic::Push | Mnemonic::Pop | Mnemonic::Leave => stack(decoded, lifted),
        _ => {
            let effect = arithmetic(decoded).or_else(|| choice(decoded))?;
            lifted.push(effect);
            Some(())
        }
    }
}

/// Sums, and what is a number whatever it is made of.
fn arithmetic(decoded: &Decoded) -> Option<Effect> {
    if decoded.mnemonic() == Mnemonic::Cdqe {
        let (to, from) = (0, 0);
        return Some(Effect::Add {
            to,
            from,
            plus: 0,
            narrow: false,
        });
    }
    let to = operand(decoded, 0)?;
    let named = decoded.op0_register();
    let add = |from, plus, narrow| Effect::Add {
        to,
        from,
        plus,
        narrow,
    };
    Some(match decoded.mnemonic() {
        Mnemonic::Movsxd => add(operand(decoded, 1)?, 0, false),
        Mnemonic::Xor | Mnemonic::Sub if operand(decoded, 1) == Some(to) => Effect::Constant(to, 0),
        Mnemonic::Lea => match fixed_address(decoded) {
            Some(address) => Effect::Constant(to, fit(named, address)),
            None => {
                let place = place(decoded)?;
                add(place.base, place.offset, named.is_gpr32())
            }
        },
        Mnemonic::Add => add(to, constant(decoded, 1)? as i64, named.is_gpr32()),
        Mnemonic::Sub => add(
            to,
            (constant(decoded, 1)? as i64).wrapping_neg(),
            named.is_gpr32(),
        ),
        Mnemonic::Or
            if constant(decoded, 1)
                .is_some_and(|number| fit(named, number) == fit(named, u64::MAX)) =>
        {
            Effect::Constant(to, fit(named, u64::MAX))
        }
        _ => return None,
    })
}

/// Moves on a condition.
fn choice(decoded: &Decoded) -> Option<Effect> {
    use Mnemonic::{
        Cmova, Cmovae, Cmovb, Cmovbe, Cmove, Cmovg, Cmovge, Cmovl, Cmovle, Cmovne, Cmovno, Cmovnp,
        Cmovns, Cmovo, Cmovp, Cmovs,
    };
    let is_choice = matches!(
        decoded.mnemonic(),
        Cmova
            | Cmovae
            | Cmovb
            | Cmovbe
            | Cmove
            | Cmovg
            | Cmovge
            | Cmovl
            | Cmovle
            | Cmovne
            | Cmovno
            | Cmovnp
            | Cmovns
            | Cmovo
            | Cmovp
            | Cmovs
    );
    let (to, other) = (operand(decoded, 0)?, operand(decoded, 1)?);
    is_choice.then_some(Effect::Either { to, one: to, other })
}

/// What moves the stack pointer by itself.
fn stack(decoded: &Decoded, lifted: &mut Instruction) -> Option<()> {
    let raise = |from| Effect::Add {
        to: STACK,
        from,
        plus: 8,
        narrow: false,
    };
    match decoded.mnemonic() {
        Mnemonic::Push => return push(decoded, lifted),
        Mnemonic::Pop => {
            let to = operand(decoded, 0).filter(|_| decoded.op0_register().is_gpr64())?;
            let place = Place {
                base: STACK,
                offset: 0,
            };
            lifted.push(Effect::Load {
                to,
                place,
                narrow: false,
            });
            if to != STACK {
                lifted.push(raise(STACK));
            }
        }
        _ => {
            let place = Place {
                base: FRAME,
                offset: 0,
            };
            lifted.push(raise(FRAME));
            lifted.push(Effect::Load {
                to: FRAME,
                place,
                narrow: false,
            });
        }
    }
    Some(())
}

fn push(decoded: &Decoded, lifted: &mut Instruction) -> Option<()> {
    let from = match decoded.op0_kind() {
        OpKind::Register => Source::Register(register(decoded.op0_register())?),
        OpKind::Memory => Source::Unknown,
        _ => Source::Constant(decoded.try_immediate(0).ok()?),
    };
    let place = Place {
        base: STACK,
        offset: -8,
    };
    lifted.push(Effect::Store {
        place,
        from,
        size: 8,
    });
    lifted.push(Effect::Add {
        to: STACK,
        from: STACK,
        plus: -8,
        narrow: false,
    });
    Some(())
}

fn movement(decoded: &Decoded, lifted: &mut Instruction) -> Option<()> {
    let (to, from) = (decoded.op0_register(), decoded.op1_register());
    match (decoded.op0_kind(), decoded.op1_kind()) {
        (OpKind::Register, OpKind::Register) => lifted.push(Effect::Add {
            to: register(to)?,
            from: register(from)?,
            plus: 0,
            narrow: to.is_gpr32(),
        }),
        (OpKind::Register, OpKind::Memory) => {
            let target = register(to)?;
            match fixed_address(decoded) {
                Some(address) => lifted.push(Effect::LoadFixed(target, address)),
                None => lifted.push(Effect::Load {
                    to: target,
                    place: place(decoded)?,
                    narrow: to.is_gpr32(),
                }),
            }
        }
        (OpKind::Register, _) => {
            lifted.push(Effect::Constant(
                register(to)?,
                fit(to, constant(decoded, 1)?),
            ));
        }
        (OpKind::Memory, kind) => {
            let from = match kind {
                OpKind::Register => register(from).map_or(Source::Unknown, Source::Register),
                _ => Source::Constant(constant(decoded, 1)?),
            };
            let size = decoded.memory_size().size() as u8;
            lifted.push(Effect::Store {
                place: place(decoded)?,
                from,
                size,
            });
        }
        _ => return None,
    }
    Some(())
}
