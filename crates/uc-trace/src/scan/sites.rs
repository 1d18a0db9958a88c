//! The places that call one function, with what is known of a parameter there.

use std::{collections::BTreeMap, ops::Range};

use super::{
    code,
    dynamic::To,
    flow::Body,
    instruction::{Flow, Instruction, Target},
    reach::{Function, Reach},
    search,
    unit::Unit,
    value::{Parameter, State, Value},
};

/// Most runs of code that are followed.
const MAX_BODIES: usize = 20_000;
/// Most places that are returned in all.
const MAX_SITES: usize = 500_000;
/// Most bytes of code that are searched for calls, all searches together.
const MAX_SEARCHED: u64 = 8 << 30;

/// A place that calls a function.
pub(super) struct Site {
    pub(super) caller: Function,
    pub(super) address: u64,
    /// Whether the caller was read from its first instruction, so that its own parameters are known as such.
    pub(super) is_whole: bool,
    pub(super) value: Value,
}

/// The search, with what is left of its bounds.
pub(super) struct Sites<'r, 'u, 'a> {
    units: &'u [Unit<'a>],
    reach: &'r Reach<'u, 'a>,
    bodies: usize,
    sites: usize,
    searched: u64,
    /// For each file that is searched: its words by the functions they lead to, and the linkage table.
    indexes: BTreeMap<usize, Index>,
}

#[derive(Default)]
struct Index {
    slots: BTreeMap<Function, Vec<u64>>,
    stubs: Vec<(u64, u64)>,
}

impl<'r, 'u, 'a> Sites<'r, 'u, 'a> {
    /// A search over what can run.
    pub(super) fn new(units: &'u [Unit<'a>], reach: &'r Reach<'u, 'a>) -> Self {
        Self {
            units,
            reach,
            bodies: 0,
            sites: 0,
            searched: 0,
            indexes: BTreeMap::new(),
        }
    }

    /// Whether a bound ended the search before its end.
    pub(super) fn is_cut(&self) -> bool {
        self.bodies >= MAX_BODIES || self.sites >= MAX_SITES || self.searched >= MAX_SEARCHED
    }

    /// Reads a run of code; also whether it begins where its function does, and where the places are that count.
    pub(super) fn body(
        &mut self,
        (index, at): Function,
        range: &Range<u64>,
    ) -> Option<(Body, bool, Range<u64>)> {
        if self.is_cut() {
            return None;
        }
        self.bodies += 1;
        let unit = self.units.get(index)?;
        let function = unit.functions.range(at)?;
        let body = Body::read(&unit.elf, range, unit.functions.are_go);
        Some((
            body,
            function.start == range.start,
            search::core(function, range),
        ))
    }

    /// The runs of code that hold these places of a file.
    pub(super) fn around(&self, index: usize, places: &[u64]) -> BTreeMap<(u64, u64), usize> {
        let mut bodies = BTreeMap::new();
        let Some(unit) = self.units.get(index) else {
            return bodies;
        };
        for place in places {
            let Some(at) = unit.functions.at(*place) else {
                continue;
            };
            let Some(function) = unit.functions.range(at) else {
                continue;
            };
            let range = search::window(function, *place);
            bodies.insert((range.start, range.end), at);
            if bodies.len() >= MAX_BODIES {
                break;
            }
        }
        bodies
    }

    /// The places that call a function.
    pub(super) fn of(&mut self, callee: Function, parameter: Parameter) -> Vec<Site> {
        let units = self.units;
        let mut found = Vec::new();
        for (index, unit) in units.iter().enumerate() {
            if unit.summaries.is_none() {
                let places = self.search(index, callee);
                for ((start, end), at) in self.around(index, &places) {
                    self.inside((index, at), &(start..end), callee, parameter, &mut found);
                }
            }
        }
        for caller in self.reach.callers(callee) {
            let range = units
                .get(caller.0)
                .and_then(|unit| unit.functions.range(caller.1));
            if let Some(range) = range {
                self.inside(caller, range, callee, parameter, &mut found);
            }
        }
        found
    }

    /// Where a file that is not followed seems to call a function.
    fn search(&mut self, index: usize, callee: Function) -> Vec<u64> {
        let Some(unit) = self.units.get(index) else {
            return Vec::new();
        };
        if self.is_cut() {
            return Vec::new();
        }
        let reach = self.reach;
        let known = self.indexes.entry(index).or_insert_with(|| {
            let mut known = Index {
                stubs: unit.stubs(),
                ..Index::default()
            };
            let imports = unit
                .pointers()
                .iter()
                .filter(|pointer| matches!(pointer.to, To::Import(_)));
            for pointer in imports {
                for function in reach.function_through(index, pointer.at) {
                    known.slots.entry(function).or_default().push(pointer.at);
                }
            }
            known
        });
        let slots = known.slots.get(&callee).map_or(&[][..], Vec::as_slice);
        let stubs = known
            .stubs
            .iter()
            .filter(|(_, slot)| slots.binary_search(slot).is_ok());
        let mut targets: Vec<u64> = stubs.map(|(at, _)| *at).collect();
        if callee.0 == index {
            targets.extend(unit.functions.range(callee.1).map(|range| range.start));
        }
        targets.sort_unstable();
        if targets.is_empty() && slots.is_empty() {
            return Vec::new();
        }
        self.searched = self.searched.saturating_add(unit.elf.code_size());
        search::callers(&unit.elf, &targets, slots)
    }

    fn inside(
        &mut self,
        caller: Function,
        range: &Range<u64>,
        callee: Function,
        parameter: Parameter,
        found: &mut Vec<Site>,
    ) {
        let Some((body, is_whole, core)) = self.body(caller, range) else {
            return;
        };
        let Some(unit) = self.units.get(caller.0) else {
            return;
        };
        let convention = code::convention(unit.elf.architecture);
        let before = found.len();
        let mut add = |address, value| {
            found.push(Site {
                caller,
                address,
                is_whole,
                value,
            });
        };
        if (caller.0, caller.1 + 1) == callee && unit.falls_through(caller.1) {
            add(
                range.end,
                body.last_state().parameter(parameter, &convention, 0),
            );
        }
        body.visit(|instruction, state| {
            if core.contains(&instruction.address)
                && self.leads_to(caller.0, instruction, state, callee)
            {
                let pushed = match instruction.flow {
                    Flow::Call(_) => convention.pushed_by_call,
                    _ => 0,
                };
                add(
                    instruction.address,
                    state.parameter(parameter, &convention, pushed),
                );
            }
        });
        self.sites += found.len() - before;
    }

    fn leads_to(
        &self,
        index: usize,
        instruction: &Instruction,
        state: &State,
        callee: Function,
    ) -> bool {
        let target = match instruction.flow {
            Flow::Call(target) | Flow::Jump(target) => target,
            Flow::Branch(to) => Target::Direct(to),
            _ => return false,
        };
        let functions = match target {
            Target::Direct(to) => self.reach.function_at(index, to),
            Target::Slot(slot) => self.reach.function_through(index, slot),
            Target::Register(register) => match state.register(register) {
                Value::Word(slot) => self.reach.function_through(index, slot),
                Value::Number(to) => self.reach.function_at(index, to),
                _ => Vec::new(),
            },
            Target::Unknown => Vec::new(),
        };
        // Jumps within a function are no calls of it.
        let inside = self
            .units
            .get(index)
            .and_then(|unit| unit.functions.at(instruction.address));
        let is_inside = inside == Some(callee.1) && index == callee.0;
        let is_call = matches!(instruction.flow, Flow::Call(_));
        functions.contains(&callee) && (is_call || !is_inside)
    }
}
