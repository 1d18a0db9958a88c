//! The inventory of a directory: all below it, never through a symbolic link, names in order.
//!
//! What cannot be read is a warning, since no directory of a busy host is wholly readable.

use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat, statat},
    io::Errno,
};
use uc_model::{Problem, Result};
use uc_sbom::{
    Collector, Entry, EntryKind, Inventory, Options, Subject, SubjectKind, Want, Warning,
};

use super::{Bill, Observer, name_of, spool::Spool};
use crate::regular_file;

/// The most entries of a tree.
const ENTRIES: u64 = 5_000_000;
/// Directories nested deeper than this are left out: each takes an open file.
const DEPTH: usize = 256;
/// The most warnings about what cannot be read; more say nothing new.
const WARNINGS: usize = 1000;
/// How often progress is told, in entries.
const PROGRESS_ENTRIES: u64 = 256;

/// File systems that the kernel makes up, by their magic numbers (`linux/magic.h`): they hold no packages, and reading
/// some of their files has effects.
const PSEUDO: [u64; 14] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x1cd1,      // devpts
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6573_5543, // fusectl
    0x6265_6570, // configfs
    0x1980_0202, // mqueue
];

pub(super) fn bill(path: &Path, options: Options, observer: &dyn Observer) -> Result<Bill> {
    let root: OwnedFd = File::open(path)
        .map_err(|error| regular_file::cannot_open(path, error))?
        .into();
    let mut collector = Collector::new(options);
    collector.begin_layer(None);
    let mut walk = Walk {
        collector: &mut collector,
        spool: Spool::new(),
        observer,
        entries: 0,
        warnings: Vec::new(),
    };
    walk.directory(&root, &[], 0)
        .map_err(|problem| problem.within(path.display()))?;
    let warnings = walk.warnings;
    let found = collector.finish(Subject {
        kind: SubjectKind::Directory,
        name: name_of(path),
        digest: None,
    });
    Ok(Bill {
        inventory: with_warnings(found, warnings),
        created_s: 0,
    })
}

fn with_warnings(mut inventory: Inventory, warnings: Vec<Warning>) -> Inventory {
    inventory.warnings.extend(warnings);
    inventory.warnings.sort_unstable();
    inventory
}

struct Walk<'a> {
    collector: &'a mut Collector,
    spool: Spool,
    observer: &'a dyn Observer,
    entries: u64,
    warnings: Vec<Warning>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> Result<()> {
        let names = match self.names(directory) {
            Ok(names) => names?,
            Err(error) => {
                self.warn(path, "the directory cannot be read", error);
                return Ok(());
            }
        };
        for name in names {
            let mut inside = path.to_vec();
            if !inside.is_empty() {
                inside.push(b'/');
            }
            inside.extend_from_slice(&name);
            self.entry(directory, &name, &inside, depth)?;
        }
        Ok(())
    }

    /// The names in a directory, sorted; the inner error is that there are too many.
    fn names(&mut self, directory: &OwnedFd) -> Result<Result<Vec<Vec<u8>>>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > ENTRIES {
                return Ok(Err(Problem::refused("the directory holds too many files")
                    .limit(ENTRIES)
                    .remedy("name a directory further down")));
            }
            if self.entries.is_multiple_of(PROGRESS_ENTRIES) {
                self.observer.counted(self.entries);
            }
            names.push(name.to_vec());
        }
        names.sort_unstable();
        Ok(Ok(names))
    }

    fn entry(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8], depth: usize) -> Result<()> {
        let os_name = OsStr::from_bytes(name);
        // What is gone by now was never there.
        let Ok(stat) = statat(directory, os_name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(());
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            _ => EntryKind::Other,
        };
        let link = match kind {
            EntryKind::Symlink => readlinkat(directory, os_name, Vec::new())
                .map(std::ffi::CString::into_bytes)
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let want = self.collector.entry(&Entry {
            path,
            kind,
            size: size_of(&stat),
            link: &link,
        });
        match kind {
            EntryKind::Directory => self.below(directory, os_name, path, &stat, depth),
            EntryKind::File if want != Want::Nothing || self.collector.wants_hashes() => {
                self.file(directory, os_name, path, want)
            }
            _ => Ok(()),
        }
    }

    fn below(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &[u8],
        stat: &Stat,
        depth: usize,
    ) -> Result<()> {
        if depth >= DEPTH {
            self.note(
                path,
                format!("directories deeper than {DEPTH} are left out"),
            );
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(parent, name, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => {
                self.warn(path, "the directory cannot be read", error);
                return Ok(());
            }
        };
        let is_mount = fstat(parent.as_fd()).is_ok_and(|parent| parent.st_dev != stat.st_dev);
        if is_mount && is_pseudo(&directory) {
            return Ok(());
        }
        self.directory(&directory, path, depth + 1)
    }

    fn file(&mut self, directory: &OwnedFd, name: &OsStr, path: &[u8], want: Want) -> Result<()> {
        // Not blocking: the file may have become a pipe since it was looked at.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(directory, name, flags, Mode::empty())
            .and_then(|file| fstat(&file).map(|stat| (file, stat)));
        let (file, stat) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => {
                self.warn(path, "the file cannot be read", error);
                return Ok(());
            }
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let supplied =
            self.spool
                .supply_file(self.collector, want, &mut File::from(file), size_of(&stat));
        if let Err(problem) = supplied {
            self.note(path, problem.to_string());
        }
        Ok(())
    }

    fn warn(&mut self, path: &[u8], what: &str, error: Errno) {
        self.note(path, format!("{what}: {error}"));
    }

    fn note(&mut self, path: &[u8], what: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(Warning {
                path: String::from_utf8_lossy(path).into_owned(),
                layer: None,
                what,
            });
        }
    }
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the field's type differs between architectures"
)]
fn is_pseudo(directory: &OwnedFd) -> bool {
    // Magic numbers have 32 bits; where the field is signed and narrow, they would be extended.
    fstatfs(directory).is_ok_and(|stat| PSEUDO.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use uc_image::NoProgress;

    use super::*;

    const PACKAGE: &str = r#"{"name":"left-pad","version":"1.0.0"}"#;

    fn names(path: &Path) -> Vec<String> {
        let bill = bill(path, Options::default(), &NoProgress).expect("reads");
        let packages = bill.inventory.packages.iter();
        packages.map(|package| package.name.clone()).collect()
    }

    #[test]
    fn links_are_not_followed_and_pipes_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        for path in [&inside, &outside] {
            fs::create_dir(path).expect("made");
        }
        fs::write(outside.join("package.json"), PACKAGE).expect("written");
        symlink(&outside, inside.join("directory")).expect("linked");
        symlink(outside.join("package.json"), inside.join("package.json")).expect("linked");
        symlink(".", inside.join("loop")).expect("linked");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            inside.join("METADATA"),
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .expect("made");
        assert_eq!(names(&inside), [""; 0]);
        assert_eq!(names(&outside), ["left-pad"]);
    }

    #[test]
    fn a_deep_tree_ends_with_a_warning() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d/".repeat(DEPTH + 1));
        fs::create_dir_all(&deep).expect("made");
        fs::write(deep.join("package.json"), PACKAGE).expect("written");
        fs::write(folder.path().join("d/package.json"), PACKAGE).expect("written");
        let found = bill(folder.path(), Options::default(), &NoProgress).expect("reads");
        assert_eq!(found.inventory.packages[0].locations.len(), 1);
        let what = &found.inventory.warnings[0].what;
        assert!(what.contains("deeper than 256"), "{what}");
    }

    #[test]
    fn the_kernels_own_file_systems_are_left_out() {
        let proc: OwnedFd = File::open("/proc").expect("opens").into();
        let here: OwnedFd = File::open(".").expect("opens").into();
        assert!(is_pseudo(&proc));
        assert!(!is_pseudo(&here));
    }
}
