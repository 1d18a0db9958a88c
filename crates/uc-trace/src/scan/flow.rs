//! What registers hold at the places of a function that matter: numbers followed through its jumps until nothing changes.

use std::{collections::BTreeSet, ops::Range};

use super::{
    code::{self, Convention},
    elf::Elf,
    instruction::{Flow, Instruction, Target},
    value::State,
};

/// Most instructions of a function that are followed.
const MAX_INSTRUCTIONS: usize = 65_536;
/// Most times that a block is followed, on average; beyond it nothing is known.
const MAX_ROUNDS: usize = 12;
/// Most pairs of a computed jump and a run that it may reach.
const MAX_COMPUTED: usize = 20_000;

/// A function with its straight runs of instructions.
pub(super) struct Body {
    instructions: Vec<Instruction>,
    /// The first instruction of each run, ascending.
    starts: Vec<usize>,
    convention: Convention,
    /// What is lost in a call: all registers in Go, whose results can be in any of them.
    lost_in_call: u32,
}

impl Body {
    /// Reads a function.
    pub(super) fn read(elf: &Elf<'_>, range: &Range<u64>, is_go: bool) -> Self {
        let convention = code::convention(elf.architecture);
        let instructions = code::instructions(elf, range, MAX_INSTRUCTIONS);
        let mut body = Self {
            lost_in_call: if is_go {
                !(1 << convention.stack)
            } else {
                convention.lost_in_call
            },
            convention,
            starts: vec![0],
            instructions,
        };
        let mut starts = vec![0];
        for (index, instruction) in body.instructions.iter().enumerate() {
            match instruction.flow {
                Flow::Jump(Target::Direct(to)) | Flow::Branch(to) => {
                    starts.extend(body.index(to));
                    starts.push(index + 1);
                }
                Flow::Jump(_) | Flow::Stop => starts.push(index + 1),
                Flow::Call(Target::Direct(to)) => starts.extend(body.index(to)),
                Flow::Next | Flow::Kernel | Flow::Call(_) => {}
            }
        }
        starts.retain(|start| *start < body.instructions.len());
        starts.sort_unstable();
        starts.dedup();
        body.starts = starts;
        body
    }

    fn index(&self, address: u64) -> Option<usize> {
        self.instructions
            .binary_search_by_key(&address, |instruction| instruction.address)
            .ok()
    }

    /// Whether it has an instruction that goes to the kernel: in bytes that look like one there often is none.
    pub(super) fn makes_calls(&self) -> bool {
        let mut all = self.instructions.iter();
        all.any(|instruction| instruction.flow == Flow::Kernel)
    }

    /// Shows each instruction with what is known before it.
    pub(super) fn visit(&self, mut show: impl FnMut(&Instruction, &State)) {
        for (block, entry) in self.entries().into_iter().enumerate() {
            let mut state = entry.unwrap_or_else(State::unknown);
            for instruction in self.block(block) {
                show(instruction, &state);
                self.step(&mut state, instruction);
            }
        }
    }

    /// What is known where control runs out at the end.
    pub(super) fn last_state(&self) -> State {
        let last = self.starts.len().saturating_sub(1);
        let entry = self.entries().pop().flatten();
        let mut state = entry.unwrap_or_else(State::unknown);
        for instruction in self.block(last) {
            self.step(&mut state, instruction);
        }
        state
    }

    fn block(&self, block: usize) -> &[Instruction] {
        let start = self.starts.get(block).copied().unwrap_or(usize::MAX);
        let end = self
            .starts
            .get(block + 1)
            .copied()
            .unwrap_or(self.instructions.len());
        self.instructions.get(start..end).unwrap_or_default()
    }

    fn step(&self, state: &mut State, instruction: &Instruction) {
        state.step(instruction);
        match instruction.flow {
            Flow::Call(_) => state.forget(self.lost_in_call),
            Flow::Kernel => state.forget(self.convention.lost_in_kernel),
            _ => {}
        }
    }

    /// What is known where each run begins; nothing for those that no jump was seen to reach.
    fn entries(&self) -> Vec<Option<State>> {
        let mut entries: Vec<Option<State>> = vec![None; self.starts.len()];
        let Some(first) = entries.first_mut() else {
            return entries;
        };
        *first = Some(State::at_entry(&self.convention));
        // In the order of addresses, so that most runs are followed when all before them have been.
        let mut pending = BTreeSet::from([0_usize]);
        // What is called here is entered with more than one stack.
        for block in self.called().into_iter().filter(|block| *block != 0) {
            if let Some(entry) = entries.get_mut(block) {
                *entry = Some(State::unknown());
                pending.insert(block);
            }
        }
        let orphans = self.orphans();
        // Whether what is known there comes from behind a call alone.
        let mut doubtful = vec![false; self.starts.len()];
        let mut left = MAX_ROUNDS.saturating_mul(self.starts.len());
        while let Some(block) = pending.pop_first() {
            if left == 0 {
                return vec![Some(State::unknown()); self.starts.len()];
            }
            left -= 1;
            let Some(mut state) = entries.get(block).cloned().flatten() else {
                continue;
            };
            for instruction in self.block(block) {
                self.step(&mut state, instruction);
            }
            let may_end = self.may_end(block);
            for next in self.successors(block, &orphans) {
                let (Some(entry), Some(is_doubtful)) =
                    (entries.get_mut(next), doubtful.get_mut(next))
                else {
                    continue;
                };
                let changed = match entry {
                    Some(known) if known.is_elsewhere(&state, self.convention.stack) && may_end => {
                        false
                    }
                    Some(known)
                        if !known.is_elsewhere(&state, self.convention.stack) || !*is_doubtful =>
                    {
                        *is_doubtful &= may_end;
                        known.join(&state)
                    }
                    _ => {
                        *entry = Some(state.clone());
                        *is_doubtful = may_end;
                        true
                    }
                };
                if changed {
                    pending.insert(next);
                }
            }
        }
        entries
    }

    /// Runs that are called from within.
    fn called(&self) -> Vec<usize> {
        let mut called: Vec<usize> = self
            .instructions
            .iter()
            .filter_map(|instruction| match instruction.flow {
                Flow::Call(Target::Direct(to)) => self.starts.binary_search(&self.index(to)?).ok(),
                _ => None,
            })
            .collect();
        called.sort_unstable();
        called.dedup();
        called
    }

    /// Whether a run ends with a call: what it calls may never return, and what follows then belongs to something else.
    fn may_end(&self, block: usize) -> bool {
        let mut run = self.block(block).iter().rev();
        let last = run.find(|instruction| {
            instruction.flow != Flow::Next || instruction.effects().next().is_some()
        });
        last.is_some_and(|last| matches!(last.flow, Flow::Call(_)))
    }

    /// Runs that are reached by computed jumps alone, or by an exception.
    fn orphans(&self) -> Vec<usize> {
        let mut is_reached = vec![false; self.starts.len()];
        for block in 0..self.starts.len() {
            for next in self.successors(block, &[]) {
                if let Some(reached) = is_reached.get_mut(next) {
                    *reached = true;
                }
            }
        }
        let orphans: Vec<usize> = is_reached
            .iter()
            .enumerate()
            .skip(1)
            .filter(|(_, reached)| !**reached)
            .map(|(block, _)| block)
            .collect();
        let jumps = self
            .instructions
            .iter()
            .filter(|instruction| is_computed(instruction.flow))
            .count();
        if orphans.len().saturating_mul(jumps) > MAX_COMPUTED {
            return Vec::new();
        }
        orphans
    }

    fn successors(&self, block: usize, orphans: &[usize]) -> Vec<usize> {
        let target = |address| self.starts.binary_search(&self.index(address)?).ok();
        let Some(last) = self.block(block).last() else {
            return Vec::new();
        };
        let next = Some(block + 1).filter(|next| *next < self.starts.len());
        match last.flow {
            Flow::Jump(Target::Direct(to)) => target(to).into_iter().collect(),
            Flow::Branch(to) => target(to).into_iter().chain(next).collect(),
            flow if is_computed(flow) => orphans.to_vec(),
            Flow::Jump(_) | Flow::Stop => Vec::new(),
            Flow::Next | Flow::Kernel | Flow::Call(_) => next.into_iter().collect(),
        }
    }
}

fn is_computed(flow: Flow) -> bool {
    matches!(flow, Flow::Jump(Target::Register(_) | Target::Unknown))
}
