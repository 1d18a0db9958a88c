//! What of a program and its libraries can run: followed from where it starts, over calls, and over the addresses of
//! functions that code and data hold.

use std::collections::{BTreeSet, HashMap, HashSet};

use uc_select::Architecture;

use super::{code::Link, dynamic::To, unit::Unit};

/// A function: the file's place in the list, and its own among the functions of that file.
pub(super) type Function = (usize, usize);

/// Functions that the loader of the GNU C library looks up by their names.
const ASKED_BY_LOADER: [&str; 5] = ["__libc_early_init", "malloc", "calloc", "realloc", "free"];

/// What can run.
pub(super) struct Reach<'u, 'a> {
    units: &'u [Unit<'a>],
    functions: Vec<Vec<bool>>,
    objects: Vec<Vec<bool>>,
    imports: HashSet<&'a str>,
    /// Imports that no file defines and that are needed.
    pub(super) missing: BTreeSet<&'a str>,
    callers: HashMap<Function, Vec<Function>>,
    /// Functions whose addresses are taken.
    named: HashSet<Function>,
    pending: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Function(Function),
    Object(usize, usize),
}

/// How a function was come upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// A call, a jump, or a load of a word that may lead to one.
    Caller(Function),
    /// Its address alone.
    Address,
}

impl<'u, 'a> Reach<'u, 'a> {
    /// Follows a program: the first of the files, with the others as its libraries and its loader.
    pub(super) fn of(units: &'u [Unit<'a>]) -> Self {
        let mut reach = Self {
            units,
            functions: units
                .iter()
                .map(|unit| vec![false; unit.functions.len()])
                .collect(),
            objects: units
                .iter()
                .map(|unit| vec![false; unit.object_count()])
                .collect(),
            imports: HashSet::new(),
            missing: BTreeSet::new(),
            callers: HashMap::new(),
            named: HashSet::new(),
            pending: Vec::new(),
        };
        for unit in 0..units.len() {
            reach.start(unit);
        }
        for name in ASKED_BY_LOADER {
            if units.len() > 1 {
                reach.import(name, From::Address);
            }
        }
        reach.follow();
        reach
    }

    fn follow(&mut self) {
        while let Some(item) = self.pending.pop() {
            match item {
                Item::Function(function) => self.follow_function(function),
                Item::Object(unit, object) => self.follow_object(unit, object),
            }
        }
    }

    /// Adds functions that the program looks up by name, as far as there are such; whether this was news.
    pub(super) fn ask(&mut self, names: &BTreeSet<&'a str>) -> bool {
        let before = self.imports.len();
        for name in names {
            if !definitions(self.units, name).is_empty() {
                self.import(name, From::Address);
            }
        }
        self.follow();
        self.imports.len() > before
    }

    /// The functions of a name that others can see.
    pub(super) fn functions_named(&self, name: &str) -> Vec<Function> {
        let function =
            |(index, at): (usize, u64)| Some((index, self.units.get(index)?.functions.at(at)?));
        definitions(self.units, name)
            .into_iter()
            .filter_map(function)
            .collect()
    }

    /// The places where the loader or the kernel enters a file.
    fn start(&mut self, index: usize) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        if unit.summaries.is_none() {
            if let Some(all) = self.functions.get_mut(index) {
                all.fill(true);
            }
            for symbol in unit
                .elf
                .dynamic_symbols()
                .filter(|symbol| !symbol.is_defined())
            {
                self.import(symbol.name, From::Address);
            }
            for pointer in unit.pointers() {
                if let To::Import(name) = pointer.to {
                    self.import(name, From::Address);
                }
            }
            return;
        }
        let is_program = index == 0;
        let is_loader = unit.is_loader;
        if (is_program || is_loader) && unit.elf.entry != 0 {
            self.go(index, unit.elf.entry, From::Address);
        }
        let is_library = is_program && unit.elf.dynamic.name.is_some();
        if is_library || unit.elf.entry == 0 && is_program {
            for address in unit.exports() {
                self.name(index, address, From::Address);
            }
        }
        for address in &unit.elf.dynamic.init {
            self.go(index, *address, From::Address);
        }
        let sections = unit
            .elf
            .loaded_sections()
            .filter(|section| matches!(section.kind, 14..=16));
        let arrays = unit.elf.dynamic.arrays.iter().copied();
        for (at, size) in arrays.chain(sections.map(|section| (section.address, section.size))) {
            for pointer in unit.pointers_between(at, at.saturating_add(size)) {
                self.point(index, pointer.to, From::Address);
            }
        }
    }

    fn follow_function(&mut self, function: Function) {
        let (index, at) = function;
        let Some(unit) = self.units.get(index) else {
            return;
        };
        let from = From::Caller(function);
        if let Some(summary) = unit.summaries.as_ref().and_then(|all| all.get(at)) {
            for link in &summary.links {
                match *link {
                    Link::Go(to) => self.go(index, to, from),
                    Link::GoThrough(slot) => self.through(index, slot, from),
                    Link::Name(to) => self.name(index, to, from),
                }
            }
        }
        if unit.falls_through(at) {
            self.mark((index, at + 1), from);
        }
    }

    fn follow_object(&mut self, index: usize, object: usize) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        for pointer in unit.pointers_in(object) {
            self.point(index, pointer.to, From::Address);
        }
    }

    fn point(&mut self, index: usize, to: To<'a>, from: From) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        match to {
            To::Import(name) => self.import(name, from),
            To::Resolver(at) => self.go(index, at, From::Address),
            // An address within a function is one of its own labels.
            To::Local(at) if unit.elf.is_code(at) => {
                if unit.functions.begins_at(at) || unit.stub(at).is_some() {
                    self.go(index, at, from);
                }
            }
            To::Local(at) => self.mark_object(index, at),
        }
    }

    fn go(&mut self, index: usize, to: u64, from: From) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        if let Some(slot) = unit.stub(to) {
            self.through(index, slot, from);
        } else if let Some(function) = unit.functions.at(to) {
            self.mark((index, function), from);
        }
    }

    fn through(&mut self, index: usize, slot: u64, from: From) {
        match self.units.get(index).and_then(|unit| unit.pointer(slot)) {
            Some(to) => self.point(index, to, from),
            None => self.mark_object(index, slot),
        }
    }

    fn name(&mut self, index: usize, address: u64, from: From) {
        let Some(unit) = self.units.get(index) else {
            return;
        };
        if unit.elf.is_code(address) {
            self.go(index, address, From::Address);
        } else if let Some(to) = unit.pointer(address) {
            self.point(index, to, from);
            self.mark_object(index, address);
        } else if unit.elf.architecture == Architecture::Aarch64 {
            self.mark_around(index, address);
        } else {
            self.mark_object(index, address);
        }
    }

    fn mark(&mut self, function: Function, from: From) {
        match from {
            From::Caller(caller) => self.callers.entry(function).or_default().push(caller),
            From::Address => {
                self.named.insert(function);
            }
        }
        let is_reached = self
            .functions
            .get_mut(function.0)
            .and_then(|all| all.get_mut(function.1));
        if let Some(reached) = is_reached.filter(|reached| !**reached) {
            *reached = true;
            self.pending.push(Item::Function(function));
        }
    }

    /// Compilers for Arm reach several objects from one address, over offsets that fit into an instruction.
    fn mark_around(&mut self, index: usize, address: u64) {
        const BEFORE: u64 = 256;
        const BEHIND: u64 = 4096;
        let Some(unit) = self.units.get(index) else {
            return;
        };
        let first = unit
            .object(address.saturating_sub(BEFORE))
            .unwrap_or_default();
        let last = unit
            .object(address.saturating_add(BEHIND))
            .unwrap_or_default();
        for object in first..=last {
            self.mark_one(index, object);
        }
    }

    fn mark_object(&mut self, index: usize, address: u64) {
        if let Some(object) = self.units.get(index).and_then(|unit| unit.object(address)) {
            self.mark_one(index, object);
        }
    }

    fn mark_one(&mut self, index: usize, object: usize) {
        let is_reached = self
            .objects
            .get_mut(index)
            .and_then(|all| all.get_mut(object));
        if let Some(reached) = is_reached.filter(|reached| !**reached) {
            *reached = true;
            self.pending.push(Item::Object(index, object));
        }
    }

    fn import(&mut self, name: &'a str, from: From) {
        if name.is_empty() {
            return;
        }
        let is_new = self.imports.insert(name);
        if !is_new && from == From::Address {
            return;
        }
        let definitions = definitions(self.units, name);
        if definitions.is_empty() {
            self.missing.insert(name);
        }
        for (index, address) in definitions {
            match self.units.get(index) {
                Some(unit) if unit.elf.is_code(address) => self.go(index, address, from),
                _ => self.mark_object(index, address),
            }
        }
    }

    /// Whether a function can run.
    pub(super) fn is_reached(&self, (unit, function): Function) -> bool {
        let all = self.functions.get(unit);
        all.and_then(|all| all.get(function))
            .is_some_and(|reached| *reached)
    }

    /// How many functions of a file can run.
    pub(super) fn count(&self, unit: usize) -> usize {
        let all = self.functions.get(unit).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|reached| **reached).count()
    }

    /// The functions that call one, of files that are followed.
    pub(super) fn callers(&self, function: Function) -> BTreeSet<Function> {
        self.callers
            .get(&function)
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// Whether the address of a function is taken, so that it can be called from anywhere.
    pub(super) fn is_named(&self, function: Function) -> bool {
        self.named.contains(&function)
    }

    /// Whether a symbol of another file is used.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.imports.contains(name)
    }

    /// The function at an address, over the linkage table where it is an entry of that.
    pub(super) fn function_at(&self, index: usize, address: u64) -> Vec<Function> {
        let Some(unit) = self.units.get(index) else {
            return Vec::new();
        };
        match unit.stub(address) {
            Some(slot) => self.function_through(index, slot),
            None => unit
                .functions
                .at(address)
                .map(|at| (index, at))
                .into_iter()
                .collect(),
        }
    }

    /// The functions that the word at an address can point at.
    pub(super) fn function_through(&self, index: usize, slot: u64) -> Vec<Function> {
        let Some(unit) = self.units.get(index) else {
            return Vec::new();
        };
        match unit.pointer(slot) {
            Some(To::Local(at)) => unit
                .functions
                .at(at)
                .map(|at| (index, at))
                .into_iter()
                .collect(),
            Some(To::Import(name)) => self.functions_named(name),
            _ => Vec::new(),
        }
    }
}

/// Where a symbol is defined: code in the first file that has it, as the loader binds it; data in all, since programs copy it.
fn definitions(units: &[Unit<'_>], name: &str) -> Vec<(usize, u64)> {
    let mut found = Vec::new();
    for (index, unit) in units.iter().enumerate() {
        let here = unit.export(name);
        found.extend(here.iter().map(|address| (index, *address)));
        if here.iter().any(|address| unit.elf.is_code(*address)) {
            break;
        }
    }
    found
}
