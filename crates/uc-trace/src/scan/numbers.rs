//! The numbers of system calls: read where the instruction is, or, where a function gets them as a parameter, where it is
//! called.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Range,
};

use super::{
    code,
    instruction::Flow,
    reach::{Function, Reach},
    search,
    sites::Sites,
    unit::Unit,
    value::{Parameter, State, Value},
};

/// Most functions that pass a number on.
const MAX_WRAPPERS: usize = 2_000;
/// Most places that are told.
const MAX_FOUND: usize = 500_000;

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
    sites: Sites<'r, 'u, 'a>,
    found: Found,
    seen: HashSet<Wrapper>,
    wrappers: VecDeque<Wrapper>,
}

impl<'r, 'u, 'a> Numbers<'r, 'u, 'a> {
    /// Finds the numbers.
    pub(super) fn of(units: &'u [Unit<'a>], reach: &'r Reach<'u, 'a>) -> Found {
        let mut numbers = Self {
            units,
            reach,
            sites: Sites::new(units, reach),
            found: Found::default(),
            seen: HashSet::new(),
            wrappers: VecDeque::new(),
        };
        for index in 0..units.len() {
            numbers.instructions(index);
        }
        while let Some((function, parameter)) = numbers.wrappers.pop_front() {
            for site in numbers.sites.of(function, parameter) {
                // The arguments are not yet where the kernel takes them.
                let state = State::unknown();
                numbers.place(site.caller, site.is_whole, site.address, site.value, &state);
            }
        }
        numbers.found.is_cut |= numbers.sites.is_cut();
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
            bodies = self.sites.around(index, &search::kernel_places(&unit.elf));
        }
        for ((start, end), at) in bodies {
            self.instructions_of((index, at), &(start..end));
        }
    }

    fn instructions_of(&mut self, function: Function, range: &Range<u64>) {
        let Some((body, is_whole, core)) = self.sites.body(function, range) else {
            return;
        };
        let Some(unit) = self.units.get(function.0) else {
            return;
        };
        if !body.makes_calls() {
            return;
        }
        let convention = code::convention(unit.elf.architecture);
        body.visit(|instruction, state| {
            if instruction.flow == Flow::Kernel && core.contains(&instruction.address) {
                let value = state.register(convention.number);
                self.place(function, is_whole, instruction.address, value, state);
            }
        });
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
        if self.found.places.len() >= MAX_FOUND {
            self.found.is_cut = true;
            return;
        }
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
}
