//! A root file system of one static program and its links, as a tar archive.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tar::{Builder, EntryType, Header};
use uc_model::{Problem, Result};

/// The Debian and Ubuntu package that holds the static program.
const PACKAGE: &str = "busybox-static";

const FOLDERS: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
];

const FILES: &[(&str, &str)] = &[
    ("etc/group", "root:x:0:\nnobody:x:65534:\n"),
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    ),
];

/// The archive. It holds no time and no owner but root, so that equal programs give equal archives.
pub(super) fn root_file_system() -> Result<Vec<u8>> {
    let (program, content) = match installed()? {
        Some(found) => found,
        None => downloaded()?,
    };
    let applets = applets(&program)?;
    archive(&content, &applets)
        .map_err(|error| Problem::internal("cannot make the archive").caused_by(error))
}

/// The program's path and content, where a static one is installed.
fn installed() -> Result<Option<(PathBuf, Vec<u8>)>> {
    for path in ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from) {
        if path.is_file() {
            let content = read(&path)?;
            if is_static(&content) {
                return Ok(Some((path, content)));
            }
        }
    }
    Ok(None)
}

/// Takes the program out of Debian's package without installing that: it would replace the `busybox` that most
/// systems boot with.
fn downloaded() -> Result<(PathBuf, Vec<u8>)> {
    let missing = || {
        Problem::host("there is no static busybox, and apt cannot download one")
            .remedy("as root: apt-get update && apt-get install busybox-static")
    };
    let folder = PathBuf::from("target/busybox-static");
    fs::create_dir_all(&folder).map_err(|error| {
        Problem::storage("cannot make a folder")
            .at(folder.display())
            .caused_by(error)
    })?;
    run(&folder, "apt-get", &["-qq", "download", PACKAGE]).map_err(|_| missing())?;
    let package = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with(PACKAGE) && name.ends_with(".deb"))
        .ok_or_else(missing)?;
    run(&folder, "dpkg-deb", &["-x", &package, "root"])?;
    for path in ["root/bin/busybox", "root/usr/bin/busybox"] {
        let path = folder.join(path);
        if path.is_file() {
            let content = read(&path)?;
            return Ok((path, content));
        }
    }
    Err(missing())
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Problem::host(format!("cannot run {program}")).caused_by(error))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::host(format!("{program} failed")).found(status))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Problem::storage("cannot read busybox")
            .at(path.display())
            .caused_by(error)
    })
}

/// A dynamic program names its interpreter, which all systems keep below a folder that begins with /lib.
fn is_static(program: &[u8]) -> bool {
    let beginning = &program[..program.len().min(4096)];
    program.starts_with(b"\x7fELF") && !beginning.windows(4).any(|window| window == b"/lib")
}

fn applets(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program)
        .arg("--list")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Problem::host("cannot run busybox").caused_by(error))?;
    let is_name = |name: &&str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_[.".contains(&byte);
        !name.is_empty() && *name != "busybox" && name.bytes().all(is_plain)
    };
    let list = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<String> = list.lines().filter(is_name).map(Into::into).collect();
    names.sort();
    Ok(names)
}

fn archive(program: &[u8], applets: &[String]) -> std::io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, mode) in FOLDERS {
        let mut header = header(EntryType::Directory, *mode, 0);
        archive.append_data(&mut header, format!("{path}/"), std::io::empty())?;
    }
    for (path, text) in FILES {
        let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    let mut of_program = header(EntryType::Regular, 0o755, program.len() as u64);
    archive.append_data(&mut of_program, "bin/busybox", program)?;
    for applet in applets {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        archive.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_programs_give_equal_archives() {
        let applets = ["sh".to_owned(), "true".to_owned()];
        let first = archive(b"program", &applets).expect("packs");
        assert_eq!(first, archive(b"program", &applets).expect("packs"));
        let mut reader = tar::Archive::new(first.as_slice());
        let paths: Vec<String> = reader
            .entries()
            .expect("is an archive")
            .map(|entry| {
                entry
                    .expect("entry")
                    .path()
                    .expect("path")
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(paths.len(), FOLDERS.len() + FILES.len() + 1 + 2);
        assert!(paths.contains(&"bin/busybox".to_owned()));
        assert!(paths.contains(&"bin/true".to_owned()));
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(is_static(b"\x7fELF\x02\x01\x01 code"));
        assert!(!is_static(
            b"\x7fELF\x02\x01\x01 /lib64/ld-linux-x86-64.so.2\0"
        ));
        assert!(!is_static(b"#!/bin/sh\n"));
    }
}
