//! Code as a run of instructions, whatever the processor.

use std::ops::{ControlFlow, Range};

use iced_x86::{Instruction as Decoded, InstructionInfoFactory, OpKind};
use uc_select::Architecture;

use super::{
    arm64,
    bytes::u32_at,
    elf::Elf,
    instruction::{Effect, Flow, Instruction, REGISTERS, Register, Target},
    x86,
};

/// Where a processor keeps what the analysis asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convention {
    /// The register that holds the number of a system call.
    pub(super) number: Register,
    /// The registers that hold its arguments.
    pub(super) arguments: [Register; 6],
    /// The stack pointer.
    pub(super) stack: Register,
    /// Where a call leaves its results, one bit for each register. Others that it may change are not asked for behind it,
    /// unless the compiler knows that this callee leaves them alone, or never returns: then they hold what they held.
    pub(super) lost_in_call: u32,
    /// What a system call changes.
    pub(super) lost_in_kernel: u32,
    /// Bytes that a call pushes.
    pub(super) pushed_by_call: i64,
}

/// The convention of a processor.
pub(super) fn convention(architecture: Architecture) -> Convention {
    match architecture {
        Architecture::X86_64 => Convention {
            number: 0,
            arguments: [7, 6, 2, 10, 8, 9],
            stack: x86::STACK,
            lost_in_call: 0b0101,
            lost_in_kernel: 0b0000_1000_0000_0011,
            pushed_by_call: 8,
        },
        Architecture::Aarch64 => Convention {
            number: 8,
            arguments: [0, 1, 2, 3, 4, 5],
            stack: arm64::STACK,
            lost_in_call: 0x4003_0003,
            lost_in_kernel: 1,
            pushed_by_call: 0,
        },
    }
}

/// Reads the instructions of a range of addresses, at most `limit`, with all that they do.
pub(super) fn instructions(elf: &Elf<'_>, range: &Range<u64>, limit: usize) -> Vec<Instruction> {
    let code = elf.slice(range);
    let mut found = Vec::new();
    match elf.architecture {
        Architecture::X86_64 => {
            let mut decoder = x86::decoder(code, range.start);
            let mut info = InstructionInfoFactory::new();
            let mut decoded = Decoded::default();
            while decoder.can_decode() && found.len() < limit {
                decoder.decode_out(&mut decoded);
                found.push(x86::lift(&decoded, &mut info));
            }
        }
        Architecture::Aarch64 => {
            let words = code.chunks_exact(4).take(limit);
            found.extend(
                words
                    .zip((range.start..).step_by(4))
                    .map(|(bytes, address)| {
                        arm64::lift(u32_at(bytes, 0).unwrap_or_default(), address)
                    }),
            );
        }
    }
    found
}

/// What code refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Link {
    /// It goes to this address.
    Go(u64),
    /// It goes to where the word at this address points.
    GoThrough(u64),
    /// It names this address.
    Name(u64),
}

/// What a run of code refers to and ends in.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) links: Vec<Link>,
    pub(super) makes_calls: bool,
    /// Whether control can run out at its end.
    pub(super) falls_through: bool,
}

/// Reads what a range of addresses refers to outside itself.
pub(super) fn summary(elf: &Elf<'_>, range: &Range<u64>) -> Summary {
    let mut summary = Summary::default();
    match elf.architecture {
        Architecture::X86_64 => summarize_x86(elf, range, &mut summary),
        Architecture::Aarch64 => summarize_arm64(elf, range, &mut summary),
    }
    let links = &mut summary.links;
    links.retain(|link| !matches!(link, Link::Go(to) | Link::Name(to) if range.contains(to)));
    links.sort_unstable();
    links.dedup();
    summary
}

impl Summary {
    fn follow(&mut self, flow: Flow) {
        self.falls_through = matches!(flow, Flow::Next | Flow::Kernel | Flow::Branch(_));
        match flow {
            Flow::Kernel => self.makes_calls = true,
            Flow::Call(Target::Direct(to)) | Flow::Jump(Target::Direct(to)) | Flow::Branch(to) => {
                self.links.push(Link::Go(to));
            }
            Flow::Call(Target::Slot(at)) | Flow::Jump(Target::Slot(at)) => {
                self.links.push(Link::GoThrough(at));
            }
            _ => {}
        }
    }
}

fn summarize_x86(elf: &Elf<'_>, range: &Range<u64>, summary: &mut Summary) {
    let mut decoder = x86::decoder(elf.slice(range), range.start);
    let mut decoded = Decoded::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut decoded);
        let flow = x86::flow(&decoded);
        if flow != Flow::Next || !is_padding(&decoded) {
            summary.follow(flow);
        }
        if matches!(
            flow,
            Flow::Call(Target::Slot(_)) | Flow::Jump(Target::Slot(_))
        ) {
            continue;
        }
        if decoded.is_ip_rel_memory_operand() {
            summary
                .links
                .push(Link::Name(decoded.ip_rel_memory_address()));
        } else if elf.is_fixed {
            let names = fixed_names(&decoded).into_iter().flatten();
            summary
                .links
                .extend(names.filter(|at| elf.is_mapped(*at)).map(Link::Name));
        }
    }
}

/// Whether an instruction only fills the room between functions.
fn is_padding(decoded: &Decoded) -> bool {
    use iced_x86::Mnemonic::{Int3, Nop};
    matches!(decoded.mnemonic(), Nop | Int3)
}

/// The numbers in an instruction that can be addresses of a program at a fixed place.
fn fixed_names(decoded: &Decoded) -> [Option<u64>; 2] {
    /// Programs start above the first page, so that no small number is taken for an address.
    const LOWEST: u64 = 0x1000;
    let displacement = x86::has_memory(decoded).then(|| decoded.memory_displacement64());
    let number = (0..decoded.op_count())
        .find(|operand| {
            matches!(
                decoded.op_kind(*operand),
                OpKind::Immediate32 | OpKind::Immediate64 | OpKind::Immediate32to64
            )
        })
        .map(|operand| decoded.immediate(operand));
    [displacement, number].map(|found| found.filter(|number| *number >= LOWEST))
}

fn summarize_arm64(elf: &Elf<'_>, range: &Range<u64>, summary: &mut Summary) {
    // Addresses are made in two steps, so the pages in registers are followed, without regard to jumps: a page that is
    // wrongly taken for known names something that is not used, which makes the result larger, never smaller.
    let mut pages = [None::<u64>; REGISTERS];
    for instruction in words(elf.slice(range), range.start) {
        let flow = instruction.flow;
        summary.follow(flow);
        if let Flow::Call(Target::Register(register)) | Flow::Jump(Target::Register(register)) =
            flow
            && let Some(at) = pages.get(usize::from(register)).copied().flatten()
        {
            summary.links.push(Link::Go(at));
        }
        for effect in instruction.effects() {
            let page = |register: Register| pages.get(usize::from(register)).copied().flatten();
            let (to, value) = match effect {
                Effect::Constant(to, address) => {
                    (to, Some(address).filter(|at| elf.is_mapped(*at)))
                }
                Effect::Add { to, from, plus, .. } => {
                    let sum = page(from).map(|at| at.wrapping_add_signed(plus));
                    (to, sum)
                }
                Effect::Load { to, place, .. } => {
                    let at = page(place.base).map(|at| at.wrapping_add_signed(place.offset));
                    summary.links.extend(at.map(Link::Name));
                    (to, None)
                }
                Effect::Store { place, .. } => {
                    let at = page(place.base).map(|at| at.wrapping_add_signed(place.offset));
                    summary.links.extend(at.map(Link::Name));
                    continue;
                }
                Effect::LoadFixed(to, at) => {
                    summary.links.push(Link::Name(at));
                    (to, None)
                }
                Effect::Either { to, .. } | Effect::Insert { to, .. } | Effect::Forget(to) => {
                    (to, None)
                }
            };
            if let Some(known) = pages.get_mut(usize::from(to)) {
                *known = value;
            }
            let is_page =
                value.is_some_and(|at| at & 0xfff == 0) && matches!(effect, Effect::Constant(..));
            if !is_page {
                summary.links.extend(value.map(Link::Name));
            }
        }
    }
}

fn words(code: &[u8], start: u64) -> impl Iterator<Item = Instruction> {
    code.chunks_exact(4)
        .zip((start..).step_by(4))
        .map(|(bytes, address)| arm64::lift(u32_at(bytes, 0).unwrap_or_default(), address))
}

/// The word through which a short piece of code jumps: the entries of the procedure linkage table are such pieces.
pub(super) fn stub(elf: &Elf<'_>, address: u64) -> Option<u64> {
    const MOST: usize = 5;
    let longest = MOST * x86::LONGEST;
    let range = address..address.saturating_add(longest as u64);
    let mut page = [None::<u64>; REGISTERS];
    let mut slot = None;
    let run = instructions(elf, &range, MOST);
    let found = run.iter().try_for_each(|instruction| {
        match instruction.flow {
            Flow::Jump(Target::Slot(at)) => return ControlFlow::Break(Some(at)),
            Flow::Jump(Target::Register(_)) => return ControlFlow::Break(slot),
            Flow::Next => {}
            _ => return ControlFlow::Break(None),
        }
        for effect in instruction.effects() {
            match effect {
                Effect::Constant(to, at) if elf.architecture == Architecture::Aarch64 => {
                    if let Some(known) = page.get_mut(usize::from(to)) {
                        *known = Some(at);
                    }
                }
                Effect::Load { place, .. } => {
                    let base = page.get(usize::from(place.base)).copied().flatten();
                    slot = base.map(|at| at.wrapping_add_signed(place.offset));
                }
                Effect::Add { .. } if slot.is_some() => {}
                _ => return ControlFlow::Break(None),
            }
        }
        ControlFlow::Continue(())
    });
    match found {
        ControlFlow::Break(slot) => slot,
        ControlFlow::Continue(()) => None,
    }
}
