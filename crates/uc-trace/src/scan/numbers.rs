//! The numbers of system calls: read where the instruction is, or, where a function gets them as a parameter, where it is
//! called.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Range,
};

use super::{
    code,
    flow::Body,
    instruction::{Flow, Instruction, Target},
    reach::{Function, Reach},
    search,
    unit::Unit,
    value::{Parameter, State, Value},
};

/// Most runs of code that are followed for their numbers.
const MAX_BODIES: usize = 20_000;
/// Most functions that pass a number on.
const MAX_WRAPPERS: usize = 2_000;

/// A place in the code that makes a system call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file.
    pub(super) unit: usize,
    /// The instruction, or the call of the function that has it.
    pub(super) address: u64,
    pub(super) number: u64,
    /// The arguments that are known there.
    pub(super) arguments: [Option<u64>; 6],
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: BTreeSet<Place>,
    /// For each file the places whose number is computed.
    pub(super) computed: BTreeMap<usize, BTreeSet<u64>>,
    /// Whether bounds ended the search.
    pub(super) is_cut: bool,
}

/// A function that makes the system call whose number it is given.
type Wrapper = (Function, Parameter);

/// The search over all that can run.
pub(super) struct Numbers<'r, 'u, 'a> {
    units: &'u [Unit<'a>],
    reach: &'r Reach<'u, 'a>,
    found: Found,
    seen: HashSet<Wrapper>,
    wrappers: VecDeque<Wrapper>,
    bodies_left: usize,
    stubs: BTreeMap<usize, Vec<(u64, u64)>>,
}

impl<'r, 'u, 'a> Numbers<'r, 'u, 'a> {
    /// Finds the numbers.
    pub(super) fn of(units: &'u [Unit<'a>], reach: &'r Reach<'u, 'a>) -> Found {
        let mut numbers = Self {
            units,
            reach,
            found: Found::default(),
            seen: HashSet::new(),
            wrappers: VecDeque::new(),
            bodies_left: MAX_BODIES,
            stubs: BTreeMap::new(),
        };
        for index in 0..units.len() {
            numbers.instructions(index);
        }
        while let Some(wrapper) = numbers.wrappers.pop_front() {
            numbers.calls_of(wrapper);
        }
        numbers.found
    }

    /// The system-call instructions of a file.
    fn instructions(&mut self, index: usize) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        let mut bodies = BTreeMap::<(u64, u64), usize>::new();
        if let Some(summaries) = &unit.summaries {
            for (at, range) in unit.functions.ranges().iter().enumerate() {
                let makes = summaries.get(at).is_some_and(|summary| summary.makes_calls);
                if makes && self.reach.is_reached((index, at)) {
                    bodies.insert((range.start, range.end), at);
                }
            }
        } else {
            bodies = self.around(index, &search::kernel_places(&unit.elf));
        }
        for ((start, end), at) in bodies {
            self.instructions_of((index, at), &(start..end));
        }
    }

    /// The runs of code that hold these places.
    fn around(&mut self, index: usize, places: &[u64]) -> BTreeMap<(u64, u64), usize> {
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
            let range = search::window(&unit.elf, function, *place);
            bodies.insert((range.start, range.end), at);
            if bodies.len() >= MAX_BODIES {
                self.found.is_cut = true;
                break;
            }
        }
        bodies
    }

    fn body(&mut self, (index, at): Function, range: &Range<u64>) -> Option<(Body, bool)> {
        let Some(left) = self.bodies_left.checked_sub(1) else {
            self.found.is_cut = true;
            return None;
        };
        self.bodies_left = left;
        let unit = self.units.get(index)?;
        let is_whole = unit
            .functions
            .range(at)
            .is_some_and(|whole| whole.start == range.start);
        Some((
            Body::read(&unit.elf, range, unit.functions.are_go),
            is_whole,
        ))
    }

    fn instructions_of(&mut self, function: Function, range: &Range<u64>) {
        let Some((body, is_whole)) = self.body(function, range) else {
            return;
        };
        let Some(unit) = self.units.get(function.0) else {
            return;
        };
        let convention = code::convention(unit.elf.architecture);
        let states = body.states(|instruction| instruction.flow == Flow::Kernel);
        for (address, state) in states {
            let value = state.register(convention.number);
            self.place(function, is_whole, address, value, &state);
        }
    }

    /// Takes down what is known of the number at a place.
    fn place(
        &mut self,
        function: Function,
        is_whole: bool,
        address: u64,
        value: Value,
        state: &State,
    ) {
        let Some(unit) = self.units.get(function.0) else {
            return;
        };
        let convention = code::convention(unit.elf.architecture);
        match value {
            Value::Given(parameter) if is_whole => self.wrap((function, parameter), address),
            value => match value.numbers() {
                Some(numbers) => {
                    let arguments =
                        convention
                            .arguments
                            .map(|register| match state.register(register) {
                                Value::Number(number) => Some(number),
                                _ => None,
                            });
                    self.found
                        .places
                        .extend(numbers.into_iter().map(|number| Place {
                            unit: function.0,
                            address,
                            // The kernel looks at the lower half.
                            number: number & 0xffff_ffff,
                            arguments,
                        }));
                }
                None => self.computed(function.0, address),
            },
        }
    }

    fn computed(&mut self, unit: usize, address: u64) {
        self.found.computed.entry(unit).or_default().insert(address);
    }

    fn wrap(&mut self, wrapper: Wrapper, address: u64) {
        if self.seen.contains(&wrapper) {
            return;
        }
        if self.seen.len() >= MAX_WRAPPERS {
            self.found.is_cut = true;
            return;
        }
        let is_named = self.reach.is_named(wrapper.0) && !self.is_exported(wrapper.0);
        if is_named {
            self.computed(wrapper.0.0, address);
        }
        self.seen.insert(wrapper);
        self.wrappers.push_back(wrapper);
    }

    /// Whether others call a function by its name: that it is imported is then no sign of its address being passed on.
    fn is_exported(&self, (index, at): Function) -> bool {
        let unit = self.units.get(index);
        let start = unit
            .and_then(|unit| unit.functions.range(at))
            .map(|range| range.start);
        unit.zip(start)
            .is_some_and(|(unit, start)| unit.exports().any(|export| export == start))
    }

    /// The calls of a function that is given the number.
    fn calls_of(&mut self, (wrapper, parameter): Wrapper) {
        let units = self.units;
        for (index, unit) in units.iter().enumerate() {
            if unit.summaries.is_none() {
                let places = self.search_callers(index, wrapper);
                for ((start, end), at) in self.around(index, &places) {
                    self.calls_in((index, at), &(start..end), wrapper, parameter);
                }
            }
        }
        for caller in self.reach.callers(wrapper) {
            let range = units
                .get(caller.0)
                .and_then(|unit| unit.functions.range(caller.1));
            if let Some(range) = range {
                self.calls_in(caller, range, wrapper, parameter);
            }
        }
    }

    /// Where a file that is not followed seems to call a function.
    fn search_callers(&mut self, index: usize, wrapper: Function) -> Vec<u64> {
        let Some(unit) = self.units.get(index) else {
            return Vec::new();
        };
        let reach = self.reach;
        let leads = |slot: u64| reach.function_through(index, slot).contains(&wrapper);
        let mut slots: Vec<u64> = unit
            .pointers()
            .iter()
            .map(|pointer| pointer.at)
            .filter(|at| leads(*at))
            .collect();
        slots.sort_unstable();
        let stubs = self.stubs.entry(index).or_insert_with(|| unit.stubs());
        let mut targets: Vec<u64> = stubs
            .iter()
            .filter(|(_, slot)| slots.binary_search(slot).is_ok())
            .map(|(at, _)| *at)
            .collect();
        if wrapper.0 == index {
            targets.extend(unit.functions.range(wrapper.1).map(|range| range.start));
        }
        targets.sort_unstable();
        search::callers(&unit.elf, &targets, &slots)
    }

    fn calls_in(
        &mut self,
        caller: Function,
        range: &Range<u64>,
        wrapper: Function,
        parameter: Parameter,
    ) {
        let Some((body, is_whole)) = self.body(caller, range) else {
            return;
        };
        let Some(unit) = self.units.get(caller.0) else {
            return;
        };
        let convention = code::convention(unit.elf.architecture);
        let mut sites = BTreeMap::new();
        for (address, state) in body.states(|instruction| Unit::leaves(instruction.flow)) {
            sites.insert(address, state);
        }
        for instruction in body.instructions() {
            let Some(state) = sites.get(&instruction.address) else {
                continue;
            };
            if !self.leads_to(caller.0, instruction, state, wrapper) {
                continue;
            }
            let pushed = match instruction.flow {
                Flow::Call(_) => convention.pushed_by_call,
                _ => 0,
            };
            let value = state.parameter(parameter, &convention, pushed);
            // Its arguments are not where the kernel takes them.
            self.place(
                caller,
                is_whole,
                instruction.address,
                value,
                &State::unknown(),
            );
        }
    }

    fn leads_to(
        &self,
        index: usize,
        instruction: &Instruction,
        state: &State,
        wrapper: Function,
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
        let inside = self
            .units
            .get(index)
            .and_then(|unit| unit.functions.at(instruction.address));
        let is_inside = inside == Some(wrapper.1) && index == wrapper.0;
        functions.contains(&wrapper) && !(is_inside && !matches!(instruction.flow, Flow::Call(_)))
    }
}
