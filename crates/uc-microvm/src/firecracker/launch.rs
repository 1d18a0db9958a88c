//! What is needed to start Firecracker: its program, its directory, the files it is given, and how it is shut in.
//!
//! Firecracker sees a root of its own with three directories: `/files` with what it is given, `/run` which it may write to,
//! and `/dev`. A configuration names its files by [`GivenFile::path`] and its sockets by those below, so it is the same
//! wherever the microVM's directory lies, and no path of a socket is ever too long.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uc_linux::cgroup::Entrances;
pub use uc_linux::tap::TAP;
use uc_model::{Problem, Result};
use uc_sandbox::PortForward;

use super::{configuration::Configuration, jailer::Jailer};
pub use crate::jail::VmmUser;
use crate::kernel;

/// The socket of the API, as Firecracker names it.
pub const API_SOCKET: &str = "/run/api.sock";

/// The socket of the guest's socket device, as a configuration must name it.
pub const VSOCK: &str = "/run/v.sock";

/// The configuration, as Firecracker names it.
pub(crate) const CONFIGURATION: &str = "configuration.json";

/// Most files that a microVM is given.
pub const MAX_FILES: usize = 64;

/// Longest id of a microVM, in bytes.
pub const MAX_ID: usize = 64;

/// A start of Firecracker.
#[derive(Debug)]
pub struct Launch {
    /// The program, version 1 or newer.
    pub program: PathBuf,
    /// Letters, digits and hyphens.
    pub id: String,
    /// A directory for this microVM alone. It is made, and goes with the microVM.
    pub directory: PathBuf,
    /// What it may read, or write.
    pub files: Vec<GivenFile>,
    /// What to boot at once, by `--config-file`; without it the API waits to be told.
    pub configuration: Option<Configuration>,
    /// How it is shut in.
    pub confinement: Confinement,
    /// The device that it makes virtual machines with: `/dev/kvm`.
    pub kvm: PathBuf,
    /// Whether it shares the host's network, to reach tap devices there. Otherwise it has none.
    pub host_network: bool,
    /// Ports that lead to its guest by the device [`TAP`], which is made in a network of its own that is linked to the host's.
    /// Without, there is no such device. Not together with the host's network.
    pub ports: Option<Vec<PortForward>>,
    /// The control groups that it is to be in.
    pub groups: Entrances,
}

impl Launch {
    /// A start with nothing given, in namespaces of its own.
    pub fn new(
        program: impl Into<PathBuf>,
        id: impl Into<String>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        Self {
            program: program.into(),
            id: id.into(),
            directory: directory.into(),
            files: Vec::new(),
            configuration: None,
            confinement: Confinement::Namespaces,
            kvm: PathBuf::from("/dev/kvm"),
            host_network: false,
            ports: None,
            groups: Entrances::default(),
        }
    }
}

/// A file of the host that Firecracker is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenFile {
    /// What it is called inside: letters, digits, `.`, `-` and `_`.
    pub name: String,
    /// Where it is.
    pub source: PathBuf,
    /// Whether it may be written. It then comes to belong to the user that Firecracker runs as.
    pub writable: bool,
}

impl GivenFile {
    /// A file to read.
    pub fn read_only(name: impl Into<String>, source: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            source: source.into(),
            writable: false,
        }
    }

    /// A file to write.
    pub fn writable(name: impl Into<String>, source: impl Into<PathBuf>) -> Self {
        Self {
            writable: true,
            ..Self::read_only(name, source)
        }
    }

    /// Its path inside, for a configuration.
    pub fn path(&self) -> String {
        given_path(&self.name)
    }
}

/// The path inside of what is given under a name.
pub fn given_path(name: &str) -> String {
    format!("/files/{name}")
}

/// How Firecracker is shut in.
#[derive(Debug, Clone)]
pub enum Confinement {
    /// In namespaces of its own, as a user without rights, in a root that holds what it is given.
    Namespaces,
    /// By Firecracker's own jailer, which only root can use.
    Jailer(Jailer),
}

/// Checks a launch before anything is made.
pub(crate) fn check(launch: &Launch) -> Result<()> {
    let id = &launch.id;
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !plain(id, b"-") || id.len() > MAX_ID {
        return Err(Problem::invalid("this is no id of a microVM")
            .limit(format!("1 to {MAX_ID} letters, digits and hyphens"))
            .found(format!("{id:?}")));
    }
    if launch.files.len() > MAX_FILES {
        return Err(Problem::invalid("a microVM is given too many files")
            .limit(MAX_FILES)
            .found(launch.files.len()));
    }
    let mut names = BTreeSet::new();
    for file in &launch.files {
        if !names.insert(&file.name) {
            return Err(Problem::invalid("a microVM is given two files of one name")
                .found(format!("{:?}", file.name)));
        }
        if !plain(&file.name, b".-_") || file.name.starts_with('.') || file.name == CONFIGURATION {
            return Err(Problem::invalid("this is no name for a file of a microVM")
                .limit("letters, digits, `.`, `-` and `_`")
                .found(format!("{:?}", file.name)));
        }
        check_source(file)?;
    }
    if launch.host_network && launch.ports.is_some() {
        return Err(Problem::invalid(
            "a microVM has the host's network or one of its own",
        ));
    }
    check_program(&launch.program)?;
    check_kvm(&launch.kvm)?;
    launch
        .configuration
        .as_ref()
        .map_or(Ok(()), |configuration| {
            check_boot(configuration, &launch.files)
        })
}

/// Checks a configuration and the kernel that it names, if that is among what is given.
fn check_boot(configuration: &Configuration, files: &[GivenFile]) -> Result<()> {
    configuration.check()?;
    let path = &configuration.boot_source.kernel_image_path;
    files
        .iter()
        .find(|file| file.path() == *path)
        .map_or(Ok(()), |file| kernel::check_head(&file.source))
}

fn check_source(file: &GivenFile) -> Result<()> {
    let place = || file.source.display();
    let metadata = fs::metadata(&file.source).map_err(|error| {
        let problem = match error.kind() {
            std::io::ErrorKind::NotFound => Problem::not_found("a file of a microVM is missing"),
            _ => Problem::host("a file of a microVM cannot be reached"),
        };
        problem.at(place()).caused_by(error)
    })?;
    if metadata.is_file() || metadata.file_type().is_block_device() {
        return Ok(());
    }
    Err(Problem::invalid("a microVM can be given files and block devices alone").at(place()))
}

/// Checks that a file can be executed.
pub(crate) fn check_program(program: &Path) -> Result<()> {
    let executable = fs::metadata(program)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if executable {
        return Ok(());
    }
    Err(Problem::host("this is no program that can be executed")
        .at(program.display())
        .remedy("name the program of a release: https://github.com/firecracker-microvm/firecracker/releases"))
}

fn check_kvm(device: &Path) -> Result<()> {
    const ABSENT: &str = "load the module kvm_intel or kvm_amd, enable nested virtualisation where this is a virtual \
                          machine, or use QEMU without KVM";
    const CLOSED: &str =
        "let the user open it: join the group kvm, or setfacl -m u:$USER:rw /dev/kvm";
    let problem = |what: &str| Problem::host(what).at(device.display());
    match fs::metadata(device) {
        Ok(metadata) if metadata.file_type().is_char_device() => {}
        Ok(_) => return Err(problem("this is no device").remedy(ABSENT)),
        Err(error) => {
            return Err(problem("this host has no KVM")
                .remedy(ABSENT)
                .caused_by(error));
        }
    }
    // What the caller cannot open, the microVM's user cannot either; root's is given a node of its own.
    let opened = fs::OpenOptions::new().read(true).write(true).open(device);
    opened.map(drop).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied => CLOSED,
            _ => ABSENT,
        };
        problem("KVM cannot be used").found(error).remedy(remedy)
    })
}

/// Makes a directory for its owner alone.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|error| {
            Problem::storage("cannot make a microVM's directory")
                .at(path.display())
                .caused_by(error)
        })
}

/// Gives what may be written to the user that will write it, unless it has it already.
pub(crate) fn hand_over(path: &Path, user: VmmUser) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata(path).map(|metadata| metadata.uid());
    if matches!(owner, Ok(uid) if uid == user.uid) {
        return Ok(());
    }
    std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).map_err(|error| {
        Problem::storage("cannot hand a file to the microVM's user")
            .at(path.display())
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_launched_is_refused_before_anything_is_made() {
        type Change = fn(&mut Launch);
        let kernel = || GivenFile::read_only("kernel", "/proc/self/exe");
        let cases: &[(Change, &str)] = &[
            (|launch| launch.id = "a_b".to_owned(), "no id of a microVM"),
            (|launch| launch.id = "a".repeat(65), "no id of a microVM"),
            (
                |launch| launch.files.push(launch.files[0].clone()),
                "two files of one name",
            ),
            (
                |launch| launch.files[0].name = "../kernel".to_owned(),
                "no name for a file",
            ),
            (
                |launch| launch.files[0].name = CONFIGURATION.to_owned(),
                "no name for a file",
            ),
            (
                |launch| launch.files[0].source = "/proc".into(),
                "files and block devices alone",
            ),
            (
                |launch| launch.files[0].source = "/nonexistent".into(),
                "is missing",
            ),
            (
                |launch| launch.program = "/proc/version".into(),
                "no program",
            ),
            (|launch| launch.kvm = "/proc/version".into(), "no device"),
            (
                |launch| {
                    launch.host_network = true;
                    launch.ports = Some(Vec::new());
                },
                "or one of its own",
            ),
        ];
        for (change, words) in cases {
            let scratch = tempfile::tempdir().expect("a directory");
            let mut launch = Launch::new("/bin/sh", "a", scratch.path().join("vm"));
            launch.kvm = "/dev/null".into();
            launch.files.push(kernel());
            check(&launch).expect("well");
            change(&mut launch);
            let problem = check(&launch).expect_err(words);
            assert!(
                problem.to_string().contains(words),
                "{problem} lacks {words}"
            );
        }
    }
}
