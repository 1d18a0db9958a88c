//! Looking for a program before a runtime is asked to run it: then what is wrong is said the same way for all of them.

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};
use serde_json::Value;
use uc_model::{Problem, ProblemKind, Result};

use crate::flavour::Flavour;

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most links followed on the way to a program, as the kernel's own bound.
const MAX_LINKS: usize = 40;

/// Finds the program of an OCI process in the root file system. Where the environment has no PATH, which runtimes take for
/// an empty one, the program's own path becomes its argument 0; where a runtime insists on one, it is added.
///
/// # Errors
/// Command not found, or not executable.
pub(super) fn find(
    process: &mut Value,
    root: &Path,
    covers: &[String],
    flavour: Flavour,
) -> Result<()> {
    let name = process["args"][0].as_str().unwrap_or_default().to_owned();
    let cwd = process["cwd"].as_str().unwrap_or("/").to_owned();
    let path = process["env"]
        .as_array()
        .into_iter()
        .flatten()
        .rev()
        .find_map(|variable| variable.as_str()?.strip_prefix("PATH="))
        .map(str::to_owned);
    if path.is_none()
        && flavour.needs_path()
        && let Some(variables) = process["env"].as_array_mut()
    {
        variables.push(format!("PATH={DEFAULT_PATH}").into());
    }
    let candidates = if name.contains('/') {
        vec![name.clone()]
    } else {
        path.as_deref()
            .unwrap_or(DEFAULT_PATH)
            .split(':')
            .filter(|directory| !directory.is_empty())
            .map(|directory| format!("{directory}/{name}"))
            .collect()
    };
    // What a volume covers is not in the image: there the runtime itself must look.
    let found = first_executable(root, &name, &candidates, &cwd);
    let found = match found {
        Err(_)
            if candidates
                .iter()
                .any(|candidate| is_covered(root, candidate, &cwd, covers)) =>
        {
            return Ok(());
        }
        found => found?,
    };
    if path.is_none() && !name.contains('/') {
        process["args"][0] = Value::String(found);
    }
    Ok(())
}

fn first_executable(root: &Path, name: &str, candidates: &[String], cwd: &str) -> Result<String> {
    let path = OFlags::PATH | OFlags::CLOEXEC;
    let root =
        rustix::fs::open(root, path | OFlags::DIRECTORY, Mode::empty()).map_err(|errno| {
            Problem::internal("cannot open the root file system")
                .caused_by(std::io::Error::from(errno))
        })?;
    let mut worst = Errno::NOENT;
    for candidate in candidates {
        let absolute = match candidate.starts_with('/') {
            true => candidate.clone(),
            false => format!("{cwd}/{candidate}"),
        };
        let found = rustix::fs::openat2(
            &root,
            absolute.trim_start_matches('/'),
            path,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        match found.and_then(|file| rustix::fs::fstat(&file)) {
            Ok(stat) if is_executable(&stat) => return Ok(candidate.clone()),
            Ok(_) => worst = Errno::ACCESS,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => worst = errno,
        }
    }
    Err(not_found(name, worst))
}

/// Whether a path lies on a volume, once links of the image on the way to it are followed.
fn is_covered(root: &Path, candidate: &str, cwd: &str, covers: &[String]) -> bool {
    let path = follow_links(root, &Path::new(cwd).join(candidate));
    covers.iter().any(|cover| path.starts_with(cover))
}

/// A path with the links of its directories followed below a root, such as `/usr/bin/env` for `/bin/env`.
fn follow_links(root: &Path, path: &Path) -> PathBuf {
    let mut followed = PathBuf::from("/");
    let mut links = 0;
    let mut waiting: Vec<OsString> = components(path);
    while let Some(name) = waiting.pop() {
        if name == ".." {
            followed.pop();
            continue;
        }
        let next = followed.join(&name);
        let inside = root.join(next.strip_prefix("/").unwrap_or(&next));
        match std::fs::read_link(inside) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    followed = PathBuf::from("/");
                }
                waiting.extend(components(&target));
            }
            _ => followed = next,
        }
    }
    followed
}

/// The names of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

fn not_found(name: &str, worst: Errno) -> Problem {
    match worst {
        Errno::NOENT => Problem::new(
            ProblemKind::CommandNotFound,
            "the program is not in the image",
        )
        .found(name)
        .remedy(
            "check command and args, and PATH in env; a script's interpreter must be there too",
        ),
        errno => Problem::new(ProblemKind::NotExecutable, "the program cannot be executed")
            .found(format!("{name}: {}", std::io::Error::from(errno)))
            .remedy("check its permission bits, its architecture and the user it runs as"),
    }
}

/// Whether it is a file that somebody may execute; who exactly is for the runtime to say.
fn is_executable(stat: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_mode & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_below_the_root_and_not_for_ever() {
        let root = tempfile::tempdir().expect("a directory");
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.path().join(name)).expect("linked");
        };
        link("usr/bin", "bin");
        link("/opt/tools", "tools");
        link("loop", "loop");
        link("../../etc", "up");
        for (path, expected) in [
            ("/bin/env", "/usr/bin/env"),
            ("/tools/x", "/opt/tools/x"),
            ("/up/passwd", "/etc/passwd"),
            ("/a/./b/../c", "/a/c"),
        ] {
            assert_eq!(
                follow_links(root.path(), Path::new(path)),
                Path::new(expected)
            );
        }
        assert!(follow_links(root.path(), Path::new("/loop/x")).starts_with("/loop"));
    }
}
