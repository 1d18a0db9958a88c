//! The program that a command names, looked for as a shell does.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use uc_model::{Problem, ProblemKind, Result};

/// A command by the path of its program, which sees the name that it was called by.
pub(super) fn command(words: &[OsString]) -> Result<Command> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(Problem::invalid("no command is given").remedy("write it after --"));
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new(find(name, &path)?);
    command.arg0(name).args(arguments);
    Ok(command)
}

fn find(name: &OsStr, path: &OsStr) -> Result<PathBuf> {
    let absent = || {
        Problem::new(ProblemKind::CommandNotFound, "there is no such program").at(name.display())
    };
    if name.as_encoded_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return match file.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(absent()),
            _ if is_program(&file) => Ok(file),
            _ => Err(not_executable(&file)),
        };
    }
    let candidates: Vec<PathBuf> = std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .collect();
    if let Some(found) = candidates.iter().find(|file| is_program(file)) {
        return Ok(found.clone());
    }
    match candidates.iter().find(|file| file.is_file()) {
        Some(file) => Err(not_executable(file)),
        None => Err(absent().remedy("write its path, or set PATH")),
    }
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn not_executable(file: &Path) -> Problem {
    Problem::new(ProblemKind::NotExecutable, "this is not an executable file")
        .at(file.display())
        .remedy("chmod +x it, or name the interpreter that reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let kind = |name: &str, path: &str| match find(name.as_ref(), path.as_ref()) {
            Ok(file) => Ok(file),
            Err(problem) => Err(problem.kind()),
        };
        assert_eq!(kind("sh", "/nowhere:/bin"), Ok("/bin/sh".into()));
        assert_eq!(kind("/bin/sh", ""), Ok("/bin/sh".into()));
        assert_eq!(kind("sh", "/nowhere"), Err(ProblemKind::CommandNotFound));
        assert_eq!(kind("/no/such", ""), Err(ProblemKind::CommandNotFound));
        assert_eq!(kind("/etc/passwd", ""), Err(ProblemKind::NotExecutable));
        assert_eq!(kind("passwd", "/etc"), Err(ProblemKind::NotExecutable));
        assert_eq!(kind("/etc", ""), Err(ProblemKind::NotExecutable));
    }
}
