//! Files of a program, found as its loader finds them, within a directory that stands for the root.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

use uc_model::{Problem, Result};

/// Largest file that is read.
pub(super) const MAX_FILE: u64 = 2 << 30;
/// Most symbolic links on one path, as the kernel has it.
const MAX_LINKS: usize = 40;
/// Most files of the loader's configuration, and most of their bytes.
const MAX_CONFIGURATIONS: usize = 256;
const MAX_CONFIGURATION: u64 = 1 << 20;
/// Most directories that are searched.
const MAX_DIRECTORIES: usize = 1024;

/// A directory as the root of all paths.
#[derive(Debug, Clone)]
pub(super) struct Root(PathBuf);

impl Root {
    /// A directory as the root.
    pub(super) fn new(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    /// The file that a path in the root means, links followed within it: as a path in the root, without links.
    pub(super) fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let mut left: VecDeque<OsString> = names(path).collect();
        let mut found = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                found.pop();
                continue;
            }
            let next = found.join(&name);
            let outside = self.outside(&next);
            let kind = fs::symlink_metadata(&outside).ok()?;
            if !kind.is_symlink() {
                found = next;
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            let to = fs::read_link(&outside).ok()?;
            if to.is_absolute() {
                found = PathBuf::from("/");
            }
            for name in names(&to).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(name);
            }
        }
        Some(found)
    }

    /// Where a path in the root is on this host.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The directories in which the loader looks last: those of its configuration, then those it is built with.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.configured(&mut found);
        found.extend(self.musl());
        let defaults = [
            "/lib/x86_64-linux-gnu",
            "/usr/lib/x86_64-linux-gnu",
            "/lib/aarch64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/lib64",
            "/usr/lib64",
            "/lib",
            "/usr/lib",
            "/usr/local/lib",
        ];
        found.extend(defaults.map(PathBuf::from));
        let mut seen = BTreeSet::new();
        found.retain(|directory| seen.insert(directory.clone()));
        found.truncate(MAX_DIRECTORIES);
        found
    }

    /// The lines of `/etc/ld.so.conf` and of the files that it includes.
    fn configured(&self, found: &mut Vec<PathBuf>) {
        let mut pending = VecDeque::from([PathBuf::from("/etc/ld.so.conf")]);
        for _ in 0..MAX_CONFIGURATIONS {
            let Some(path) = pending.pop_front() else {
                break;
            };
            for line in self.text(&path).lines() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if let Some(pattern) = line.strip_prefix("include ") {
                    for pattern in pattern.split_whitespace() {
                        pending.extend(self.matching(Path::new(pattern)));
                    }
                } else if line.starts_with('/') && found.len() < MAX_DIRECTORIES {
                    found.push(PathBuf::from(line));
                }
            }
        }
    }

    /// The search path of musl's loader.
    fn musl(&self) -> Vec<PathBuf> {
        let files = ["/etc/ld-musl-x86_64.path", "/etc/ld-musl-aarch64.path"];
        let text: String = files
            .iter()
            .map(|file| self.text(Path::new(file)) + "\n")
            .collect();
        text.split([':', '\n'])
            .map(str::trim)
            .filter(|line| line.starts_with('/'))
            .map(PathBuf::from)
            .take(MAX_DIRECTORIES)
            .collect()
    }

    fn text(&self, path: &Path) -> String {
        let read = || {
            let path = self.outside(&self.resolve(path)?);
            fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
            let mut text = String::new();
            File::open(path)
                .ok()?
                .take(MAX_CONFIGURATION)
                .read_to_string(&mut text)
                .ok()?;
            Some(text)
        };
        read().unwrap_or_default()
    }

    /// The files that `DIRECTORY/*.SUFFIX` means, in the order of their names.
    fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else {
            return Vec::new();
        };
        let name = name.to_string_lossy();
        let Some((front, back)) = name.split_once('*') else {
            return vec![pattern.to_owned()];
        };
        let Some(inside) = self.resolve(directory) else {
            return Vec::new();
        };
        let entries = fs::read_dir(self.outside(&inside))
            .into_iter()
            .flatten()
            .flatten();
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.file_name())
            .filter(|entry| {
                let entry = entry.to_string_lossy();
                entry.len() >= front.len() + back.len()
                    && entry.starts_with(front)
                    && entry.ends_with(back)
            })
            .map(|entry| directory.join(entry))
            .take(MAX_CONFIGURATIONS)
            .collect();
        found.sort();
        found
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Reads a file whole.
///
/// # Errors
/// Not found or invalid, where it is no file, is too large, or cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |cause: std::io::Error| {
        let problem = match cause.kind() {
            std::io::ErrorKind::NotFound => Problem::not_found("there is no such file"),
            _ => Problem::invalid("the file cannot be read"),
        };
        problem.at(path.display()).caused_by(cause)
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Problem::invalid("a directory is no program")
            .at(path.display())
            .found("a directory")
            .remedy("name the program in it"));
    }
    if !metadata.is_file() {
        return Err(Problem::invalid("only a file can be read as a program")
            .at(path.display())
            .found("a device, a pipe or a socket"));
    }
    if metadata.len() > MAX_FILE {
        return Err(
            Problem::invalid("the file is too large to be read as a program")
                .at(path.display())
                .limit(format!("{MAX_FILE} bytes"))
                .found(format!("{} bytes", metadata.len())),
        );
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}
