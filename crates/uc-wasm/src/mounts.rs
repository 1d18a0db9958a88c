//! Mounts as preopened directories: the only files a program can reach. They are opened once, and granted to each instance.

use std::{
    fs::DirBuilder,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::DirBuilderExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use uc_model::{Problem, ProblemKind, Result};
use uc_sandbox::{HostMount, Mount, MountSource};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// The most mounts of one container.
const MOUNTS_MAX: usize = 1_000;

/// Mounts that have been opened.
#[derive(Debug, Default)]
pub(crate) struct Directories {
    opened: Vec<Directory>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

#[derive(Debug)]
struct Directory {
    fd: OwnedFd,
    target: String,
    read_only: bool,
}

/// Where fresh directories of a container are made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    /// The sandbox's own directory.
    pub(crate) directory: PathBuf,
    /// Skip size limits, which plain directories do not have.
    pub(crate) ignore_size_limits: bool,
    /// Who they belong to, if not the caller.
    pub(crate) owner: Option<u32>,
}

/// Opens the mounts, and the working directory where one of them holds it.
///
/// # Errors
/// A source that is missing, is not a directory or leaves its mount, and a size limit.
pub(crate) fn open(mounts: &[Mount], cwd: &str, scratch: &Scratch) -> Result<Directories> {
    if mounts.len() > MOUNTS_MAX {
        return Err(Problem::refused("too many mounts")
            .limit(MOUNTS_MAX)
            .found(mounts.len()));
    }
    let mut directories = Directories::default();
    let mut cwd_is_granted = cwd == "/";
    for (index, mount) in mounts.iter().enumerate() {
        let fd = open_source(mount, index, scratch, &mut directories.warnings)
            .map_err(|problem| problem.within(format!("mount {}", mount.target)))?;
        // WASI has no working directory of its own: C libraries take relative paths as below the directory ".".
        let working = below(cwd, &mount.target)
            .filter(|_| cwd != "/")
            .and_then(|below| resolve(&fd, &below).ok());
        cwd_is_granted |= working.is_some();
        let mut add = |fd, target: &str| {
            directories.opened.push(Directory {
                fd,
                target: target.to_owned(),
                read_only: mount.read_only,
            });
        };
        add(fd, &mount.target);
        if let Some(working) = working {
            add(working, ".");
        }
    }
    if !cwd_is_granted {
        directories.warnings.push(format!(
            "the working directory {cwd} is in no mount; a WebAssembly program has no files of its own"
        ));
    }
    Ok(directories)
}

impl Directories {
    /// Grants them to one more instance.
    ///
    /// # Errors
    /// The host has no descriptor left, or gives no access.
    pub(crate) fn grant(&self, builder: &mut WasiCtxBuilder) -> Result<()> {
        self.opened
            .iter()
            .try_for_each(|directory| directory.grant(builder))
    }
}

fn open_source(
    mount: &Mount,
    index: usize,
    scratch: &Scratch,
    warnings: &mut Vec<String>,
) -> Result<OwnedFd> {
    match &mount.source {
        MountSource::Host(source) => open_host(source),
        MountSource::Memory { size_limit } => {
            if let Some(limit) = size_limit {
                if !scratch.ignore_size_limits {
                    return Err(Problem::refused(
                        "a WebAssembly sandbox cannot limit the size of a memory volume",
                    )
                    .found(format!("sizeLimit {limit}"))
                    .remedy(
                        "leave sizeLimit out, run it as a container, or set the annotation \
                         undercurrent.dev/unenforceable-limits: ignore",
                    ));
                }
                warnings.push(format!(
                    "mount {}: sizeLimit {limit} is not enforced",
                    mount.target
                ));
            }
            warnings.push(format!(
                "mount {}: kept in the sandbox's directory on disk, not in memory",
                mount.target
            ));
            make_scratch(
                &scratch.directory.join(format!("memory-{index}")),
                scratch.owner,
            )
        }
    }
}

fn make_scratch(path: &Path, owner: Option<u32>) -> Result<OwnedFd> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .and_then(|()| {
            owner.map_or(Ok(()), |owner| {
                std::os::unix::fs::lchown(path, Some(owner), None)
            })
        })
        .map_err(|error| {
            Problem::storage("cannot make a directory of the sandbox")
                .at(path.display())
                .found(error.to_string())
                .remedy("free disk space, or make the state directory writable")
                .caused_by(error)
        })?;
    open_directory(path).map_err(|errno| unopenable(path, errno))
}

fn open_host(source: &HostMount) -> Result<OwnedFd> {
    let directory =
        open_directory(&source.path).map_err(|errno| unopenable(&source.path, errno))?;
    match &source.sub_path {
        None => Ok(directory),
        Some(sub_path) => resolve(&directory, sub_path).map_err(|errno| match errno {
            Errno::XDEV | Errno::LOOP => {
                Problem::refused("the sub-path leaves its volume through a symbolic link or `..`")
                    .at(source.path.join(sub_path).display())
                    .remedy("name a directory inside the volume")
            }
            errno => unopenable(&source.path.join(sub_path), errno),
        }),
    }
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    directory_only(fd)
}

/// Opens a path below `directory` without ever leaving it.
fn resolve(directory: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let fd = rustix::fs::openat2(
        directory,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )?;
    directory_only(fd)
}

fn directory_only(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        Ok(fd)
    } else {
        Err(Errno::NOTDIR)
    }
}

fn unopenable(path: &Path, errno: Errno) -> Problem {
    let problem = match errno {
        Errno::NOTDIR => Problem::refused(
            "a WebAssembly program can be given directories only, not single files",
        )
        .remedy("mount the directory that holds the file, or run it as a container"),
        Errno::NOENT => Problem::not_found("the source of a mount does not exist")
            .remedy("make it, or correct the path"),
        errno => Problem::new(ProblemKind::Host, "the source of a mount cannot be opened")
            .found(errno.to_string())
            .remedy("give yourself access to it"),
    };
    problem.at(path.display())
}

impl Directory {
    fn grant(&self, builder: &mut WasiCtxBuilder) -> Result<()> {
        let permissions = if self.read_only {
            FsPerms::ReadOnly
        } else {
            FsPerms::ReadWrite
        };
        // Through the open descriptor, so that what was checked is what is granted.
        let path = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
        builder
            .preopened_dir(path, &self.target, permissions)
            .map(|_| ())
            .map_err(|error| {
                Problem::new(ProblemKind::Host, "a mounted directory cannot be read")
                    .at(format!("mount {}", self.target))
                    .found(format!("{error:#}"))
                    .remedy("give yourself read and search permission on it")
            })
    }
}

/// The part of `path` below `ancestor`, if it is there; both absolute and normalised.
fn below(path: &str, ancestor: &str) -> Option<PathBuf> {
    Path::new(path)
        .strip_prefix(ancestor)
        .ok()
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use uc_model::Bytes;

    use super::*;

    fn host(path: &Path, sub_path: Option<&str>) -> Mount {
        Mount {
            source: MountSource::Host(HostMount {
                path: path.to_owned(),
                sub_path: sub_path.map(PathBuf::from),
                owned: false,
                group: 0,
            }),
            target: "/data".into(),
            read_only: true,
        }
    }

    fn try_mounts(mounts: &[Mount], ignore_size_limits: bool) -> Result<Directories> {
        let own = tempfile::tempdir().expect("temporary directory");
        let scratch = Scratch {
            directory: own.path().join("container"),
            ignore_size_limits,
            owner: None,
        };
        let directories = open(mounts, "/", &scratch)?;
        directories.grant(&mut WasiCtxBuilder::new())?;
        Ok(directories)
    }

    #[test]
    fn what_is_not_a_directory_is_refused() {
        let volume = tempfile::tempdir().expect("temporary directory");
        let file = volume.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let problem = try_mounts(&[host(&file, None)], false).expect_err("a file");
        assert!(problem.what().contains("directories only"), "{problem}");
        let problem =
            try_mounts(&[host(&volume.path().join("none"), None)], false).expect_err("missing");
        assert_eq!(problem.kind(), ProblemKind::NotFound);
    }

    #[test]
    fn a_thousand_mounts_are_the_most() {
        let volume = tempfile::tempdir().expect("temporary directory");
        let mounts = vec![host(volume.path(), None); MOUNTS_MAX + 1];
        let problem = try_mounts(&mounts, false).expect_err("one too many");
        assert_eq!(problem.kind(), ProblemKind::Refused);
        assert!(problem.to_string().contains("1000"), "{problem}");
    }

    #[test]
    fn a_sub_path_cannot_leave_its_volume() {
        let volume = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(volume.path().join("inside")).expect("made");
        std::os::unix::fs::symlink("/etc", volume.path().join("out")).expect("linked");
        std::os::unix::fs::symlink("inside", volume.path().join("in")).expect("linked");
        for good in ["inside", "in"] {
            try_mounts(&[host(volume.path(), Some(good))], false).expect(good);
        }
        for bad in ["out", "..", "inside/../../x", "out/ssh"] {
            let problem = try_mounts(&[host(volume.path(), Some(bad))], false).expect_err(bad);
            assert!(
                problem.place().is_some_and(|place| place.contains("/data")),
                "{problem}"
            );
        }
    }

    #[test]
    fn a_size_limit_is_refused_unless_told_to_ignore_it() {
        let memory = Mount {
            source: MountSource::Memory {
                size_limit: Some(Bytes::mib(1)),
            },
            target: "/tmp".into(),
            read_only: false,
        };
        try_mounts(std::slice::from_ref(&memory), false).expect_err("cannot be enforced");
        let directories = try_mounts(&[memory], true).expect("ignored");
        assert_eq!(directories.warnings.len(), 2);
    }
}
