//! A program with its loader and all libraries that it names, as the loader would find them.

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};
use uc_select::Architecture;

use super::{
    elf::Elf,
    files::{self, Root},
    refusal,
};

/// Most files of one program, and most bytes of them together.
const MAX_FILES: usize = 512;
const MAX_BYTES: usize = 4 << 30;
/// Interpreters of interpreters that are followed, as the kernel does.
const MAX_SCRIPTS: usize = 4;

/// A file of the program.
pub(super) struct Loaded {
    /// Its path in the root, links followed.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// The program and what belongs to it, the program first.
#[derive(Default)]
pub(super) struct Load {
    pub(super) files: Vec<Loaded>,
    /// Which of the files is the loader.
    pub(super) loader: Option<usize>,
    /// Why some of it may be missing.
    pub(super) gaps: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// What the loader needs to know of a file to find the libraries that it names.
struct Wish {
    name: String,
    by: PathBuf,
    rpath: Vec<PathBuf>,
    runpath: Option<Vec<PathBuf>>,
}

impl Load {
    /// Reads a program and all that it names.
    ///
    /// # Errors
    /// Where the program itself cannot be read; a library that cannot is a gap.
    pub(super) fn of(file: &Path, root: &Root, inside: Option<&Path>) -> Result<Self> {
        let mut load = Self::default();
        let (mut path, mut bytes) = match inside {
            Some(inside) => {
                let found = root.resolve(inside).ok_or_else(|| {
                    Problem::not_found("there is no such file").at(file.display())
                })?;
                let bytes = files::read(&root.outside(&found))?;
                (found, bytes)
            }
            None => {
                let bytes = files::read(file)?;
                (
                    file.canonicalize().unwrap_or_else(|_| file.to_owned()),
                    bytes,
                )
            }
        };
        for _ in 0..MAX_SCRIPTS {
            let Some(found) = script(&bytes, root) else {
                break;
            };
            let (found, line) = found.map_err(|problem| problem.at(file.display()))?;
            load.gaps.push(format!(
                "{} is a script: what is listed is what its interpreter can do, {line}; programs that it starts are not in it",
                path.display()
            ));
            bytes = files::read(&root.outside(&found))?;
            path = found;
        }
        load.add_all(Loaded { path, bytes }, root)
            .map_err(|problem| problem.at(file.display()))?;
        Ok(load)
    }

    fn add_all(&mut self, program: Loaded, root: &Root) -> Result<()> {
        refusal::check(&program.bytes)?;
        let elf = Elf::parse(&program.bytes)?;
        let architecture = elf.architecture;
        let mut wishes = VecDeque::from(wishes(&elf, &program.path, &[]));
        let interpreter = elf.interpreter.map(PathBuf::from);
        let mut total = program.bytes.len();
        self.files.push(program);
        let directories = root.directories();
        let mut asked = BTreeSet::new();
        if let Some(interpreter) = interpreter {
            match root
                .resolve(&interpreter)
                .map(|path| self.add(path, root, architecture, &mut total))
            {
                Some(Some(more)) => {
                    wishes.extend(more);
                    self.loader = Some(1);
                }
                _ => self.gaps.push(format!(
                    "the loader {} is not there: what it does at the start is missing",
                    interpreter.display()
                )),
            }
        }
        while let Some(wish) = wishes.pop_front() {
            if !asked.insert(wish.name.clone()) {
                continue;
            }
            if self.files.len() >= MAX_FILES {
                self.gaps
                    .push(format!("only the first {MAX_FILES} libraries were read"));
                break;
            }
            let found = wish
                .candidates(&directories)
                .into_iter()
                .filter_map(|path| root.resolve(&path))
                .find_map(|path| self.add(path, root, architecture, &mut total));
            match found {
                Some(more) => wishes.extend(more),
                None => self.gaps.push(format!(
                    "the library {}, which {} needs, was not found: what it does is missing",
                    wish.name,
                    wish.by.display()
                )),
            }
        }
        Ok(())
    }

    /// Adds a library, unless it is there already; nothing where it is none for this processor.
    fn add(
        &mut self,
        path: PathBuf,
        root: &Root,
        architecture: Architecture,
        total: &mut usize,
    ) -> Option<Vec<Wish>> {
        if self.files.iter().any(|file| file.path == path) {
            return Some(Vec::new());
        }
        let bytes = files::read(&root.outside(&path)).ok()?;
        if total.saturating_add(bytes.len()) > MAX_BYTES {
            return None;
        }
        let elf = Elf::parse(&bytes)
            .ok()
            .filter(|elf| elf.architecture == architecture)?;
        refusal::check(&bytes).ok()?;
        // Paths that the program gives count for the libraries of its libraries.
        let inherited = self.files.first().and_then(|program| {
            let elf = Elf::parse(&program.bytes).ok()?;
            elf.dynamic
                .runpath
                .is_none()
                .then(|| paths(elf.dynamic.rpath, &program.path))
        });
        let more = wishes(&elf, &path, &inherited.unwrap_or_default());
        *total += bytes.len();
        self.files.push(Loaded { path, bytes });
        Some(more)
    }
}

impl Wish {
    fn candidates(&self, directories: &[PathBuf]) -> Vec<PathBuf> {
        if self.name.contains('/') {
            return vec![PathBuf::from(&self.name)];
        }
        let own = match &self.runpath {
            Some(runpath) => runpath,
            None => &self.rpath,
        };
        own.iter()
            .chain(directories)
            .map(|directory| directory.join(&self.name))
            .collect()
    }
}

fn wishes(elf: &Elf<'_>, path: &Path, inherited: &[PathBuf]) -> Vec<Wish> {
    let mut rpath = paths(elf.dynamic.rpath, path);
    rpath.extend_from_slice(inherited);
    let runpath = elf.dynamic.runpath.map(|text| paths(Some(text), path));
    let needed = elf.dynamic.needed.iter();
    needed
        .map(|name| Wish {
            name: (*name).to_owned(),
            by: path.to_owned(),
            rpath: rpath.clone(),
            runpath: runpath.clone(),
        })
        .collect()
}

/// The directories of a search path; `$ORIGIN` is where the file is that names them.
fn paths(text: Option<&str>, file: &Path) -> Vec<PathBuf> {
    /// Most directories of one path.
    const MAX_PATHS: usize = 64;
    let origin = file
        .parent()
        .unwrap_or(Path::new("/"))
        .display()
        .to_string();
    text.unwrap_or_default()
        .split(':')
        .filter(|path| !path.is_empty())
        .map(|path| {
            path.replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin)
        })
        .filter(|path| path.starts_with('/') && path.len() < 4096)
        .map(PathBuf::from)
        .take(MAX_PATHS)
        .collect()
}

/// The interpreter of a script, and how it was named; nothing where this is no script.
fn script(bytes: &[u8], root: &Root) -> Option<Result<(PathBuf, String)>> {
    let (interpreter, argument) = refusal::interpreter(bytes)?;
    let mut path = PathBuf::from(interpreter);
    if path.file_name().is_some_and(|name| name == "env")
        && let Some(name) = argument
            .filter(|name| !name.contains(['/', '=', '-']) || name.contains(char::is_numeric))
    {
        let directories = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
        let found = directories
            .iter()
            .map(|directory| Path::new(directory).join(name))
            .find(|path| root.resolve(path).is_some());
        path = found.unwrap_or(path);
    }
    Some(match root.resolve(&path) {
        Some(found) => Ok((found, path.display().to_string())),
        None => Err(
            Problem::not_found("the interpreter of the script is not there")
                .found(path.display())
                .remedy("install it, or name the root directory that has it"),
        ),
    })
}
