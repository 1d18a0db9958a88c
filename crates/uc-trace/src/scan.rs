//! The system calls that a program's code can make, read without running it.
//!
//! The files of a program are its executable, the loader that it names and all libraries that these name. What can run is
//! followed from where the loader and the kernel enter them, over calls, jumps and the addresses of functions that code and
//! data hold (`reach`). In what can run, the numbers of system calls are constants in a register, followed through each
//! function (`flow`, `value`); a function that is given the number is followed to its callers (`numbers`).
//!
//! What stays open is a gap of the [`Footprint`]: numbers that are computed, libraries that are opened while the program
//! runs, programs that it starts. Nothing here runs any code of the program, and everything that its files drive is bounded.

mod arm64;
mod asked;
mod bytes;
mod code;
mod dynamic;
mod elf;
mod files;
mod flow;
mod functions;
mod gaps;
mod instruction;
mod load;
mod numbers;
mod reach;
mod refusal;
mod search;
mod sites;
mod unit;
mod unwind;
mod value;
mod x86;

use std::path::{Path, PathBuf};

use uc_model::Result;
use uc_select::{Architecture, Footprint, Method};

use self::{elf::Elf, files::Root, load::Load, numbers::Numbers, reach::Reach, unit::Unit};

/// How a program is scanned.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that stands for `/` when interpreters and libraries are looked for. Links lead to places in it, never
    /// out of it. A program in this directory is found the same way; one outside is read where it is.
    pub root: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
        }
    }
}

/// A file whose code was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// Its path in the root, links followed; empty where bytes without a name were read.
    pub path: PathBuf,
    /// Functions that were found in it.
    pub functions: usize,
    /// Those among them that the program can reach.
    pub reached: usize,
    /// Places in it that make a system call and can be reached, as far as their numbers are known.
    pub places: usize,
}

/// What a scan found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The system calls, with the number of places that make each, and why some may be missing.
    pub footprint: Footprint,
    /// The program, its loader and its libraries, in the order of their loading.
    pub libraries: Vec<Library>,
    /// How the result came about where that matters, in words: what made it larger than it had to be.
    pub notes: Vec<String>,
}

/// Reads which system calls a program can make.
///
/// # Errors
/// Not found or invalid, where the file is no program for Linux on x86_64 or aarch64 that can be read. A library that is
/// missing is a gap, not an error.
pub fn scan(file: &Path, options: &Options) -> Result<Report> {
    let root = Root::new(&options.root);
    let inside = file
        .strip_prefix(&options.root)
        .ok()
        .map(|path| Path::new("/").join(path));
    let load = Load::of(file, &root, inside.as_deref())?;
    let mut files = Vec::new();
    for file in &load.files {
        let elf = Elf::parse(&file.bytes)?;
        files.push((file.path.clone(), elf));
    }
    let mut report = analyse(files, load.loader);
    report.footprint.gaps.splice(0..0, load.gaps);
    report.notes.splice(0..0, load.notes);
    Ok(report)
}

/// Reads which system calls the code in `bytes` can make, without the libraries that it names.
///
/// # Errors
/// Invalid, where the bytes are no program for Linux on x86_64 or aarch64.
pub fn from_bytes(bytes: &[u8]) -> Result<Report> {
    refusal::check(bytes)?;
    let elf = Elf::parse(bytes)?;
    Ok(analyse(vec![(PathBuf::new(), elf)], None))
}

fn analyse(files: Vec<(PathBuf, Elf<'_>)>, loader: Option<usize>) -> Report {
    let architecture = files
        .first()
        .map_or(Architecture::X86_64, |(_, elf)| elf.architecture);
    let (paths, elves): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let units: Vec<Unit<'_>> = paths
        .iter()
        .zip(elves)
        .enumerate()
        .map(|(index, (path, elf))| {
            Unit::new(path.display().to_string(), elf, loader == Some(index))
        })
        .collect();
    let mut reach = Reach::of(&units);
    let looked_up = asked::follow(&units, &mut reach);
    let found = Numbers::of(&units, &reach);
    let mut footprint = Footprint::new(architecture, Method::Static);
    for place in &found.places {
        let name = call_name(architecture, place.number);
        // The loader starts a program only where it is itself run as a command.
        let unit = units.get(place.unit);
        if name == "execve"
            && unit.is_some_and(|unit| unit.is_loader && unit.export("execve").is_empty())
        {
            continue;
        }
        footprint.add(&name, variant(architecture, &name, &place.arguments));
    }
    footprint.gaps = gaps::of(&units, &reach, &found, &footprint, looked_up);
    let libraries = paths
        .into_iter()
        .enumerate()
        .map(|(index, path)| Library {
            path,
            functions: units.get(index).map_or(0, |unit| unit.functions.len()),
            reached: reach.count(index),
            places: found
                .places
                .iter()
                .filter(|place| place.unit == index)
                .count(),
        })
        .collect();
    Report {
        footprint,
        libraries,
        notes: gaps::notes(&units),
    }
}

/// The kernel's name of a call.
fn call_name(architecture: Architecture, number: u64) -> String {
    uc_select::syscall_name(architecture, number)
        .map_or_else(|| format!("syscall_{number}"), str::to_owned)
}

/// The variant of a call, where the arguments that decide it are known: it is the same then whatever the others are.
fn variant(architecture: Architecture, call: &str, known: &[Option<u64>; 6]) -> Option<String> {
    /// Two numbers without a bit in common.
    const FILLS: [u64; 2] = [0, u64::MAX];
    let [one, other] = FILLS.map(|fill| {
        uc_select::variant(
            architecture,
            call,
            &known.map(|known| known.unwrap_or(fill)),
        )
    });
    if one == other { one } else { None }
}
