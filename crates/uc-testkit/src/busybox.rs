//! A root file system of busybox, and the contract's programs in it: for drivers of Linux containers.

use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::{Path, PathBuf},
};

use uc_linux::IdMapping;
use uc_sandbox::{Driver, Payload};

use crate::contract::{Fixtures, Peers, Program, Task};

/// The static busybox of Debian.
const PROGRAM: &str = "/bin/busybox";

/// What tests call by its name.
const APPLETS: [&str; 17] = [
    "cat", "dd", "echo", "env", "false", "grep", "head", "id", "ls", "nc", "od", "printf", "sh",
    "sleep", "touch", "true", "wc",
];

/// An unpacked layer that belongs to containers' root.
pub struct Busybox {
    /// The layer.
    pub layer: PathBuf,
    /// It lies in this; there is room for what else a test needs.
    pub directory: tempfile::TempDir,
}

impl Busybox {
    /// Lays it out; or why that cannot be done here.
    ///
    /// # Errors
    /// Busybox is not installed.
    pub fn new() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let layer = lay_out(directory.path())?;
        Ok(Self { layer, directory })
    }
}

/// Lays out a layer in a directory; or says why that cannot be done here.
///
/// # Errors
/// Busybox is not installed.
pub fn lay_out(directory: &Path) -> Result<PathBuf, String> {
    if !Path::new(PROGRAM).is_file() {
        return Err(format!("{PROGRAM} is missing (apt install busybox-static)"));
    }
    let layer = directory.join("layer");
    fs::create_dir_all(layer.join("bin")).expect("made");
    fs::copy(PROGRAM, layer.join("bin/busybox")).expect("copied");
    for applet in APPLETS {
        symlink("busybox", layer.join("bin").join(applet)).expect("linked");
    }
    let mapping = IdMapping::for_caller().expect("ids");
    for path in ["", "bin", "bin/busybox"] {
        chown(layer.join(path), mapping.host_uid(0), mapping.host_gid(0)).expect("owned");
    }
    Ok(layer)
}

/// Fixtures whose programs are busybox'.
pub struct BusyboxFixtures<K> {
    /// The driver under test.
    pub driver: Box<dyn Driver>,
    /// The layer of every program.
    pub layer: PathBuf,
    /// Variables that the driver gives every program.
    pub adds: &'static [&'static str],
    /// Whether what a program writes to a volume of its workload is seen on the host.
    pub writes_reach_host: bool,
    /// Whether a sandbox is told beforehand that it will have one container.
    pub announces_one: bool,
    /// What must live as long as the fixtures.
    pub kept: K,
}

impl<K> BusyboxFixtures<K> {
    fn argv(&self, argv: &[&str]) -> Program {
        Program {
            payload: Payload::Rootfs {
                layers: vec![self.layer.clone()],
            },
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }

    fn shell(&self, script: &str) -> Program {
        self.argv(&["sh", "-c", script])
    }
}

impl<K: Send + Sync> Fixtures for BusyboxFixtures<K> {
    fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    fn program(&self, task: Task) -> Program {
        match task {
            Task::Arguments(arguments) => self.argv(&[&["printf", "%s\\n"], arguments].concat()),
            Task::Environment => self.argv(&["env"]),
            Task::Streams => self.shell("echo out; echo err >&2"),
            Task::Exit(code) => self.shell(&format!("exit {code}")),
            Task::Spin => self.shell("echo ready; while :; do :; done"),
            Task::Sleep => self.shell("echo ready; exec sleep 1000000"),
            Task::Count => self.shell(
                "while :; do i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo counted; done",
            ),
            // A process for each line.
            Task::Tick => self.shell("while :; do busybox sleep 0.01; echo ticked; done"),
            Task::Eat => self.shell("x=0123456789abcdef; while :; do x=$x$x; done"),
            Task::Echo => self.argv(&["cat"]),
            Task::WriteMount => self.shell("echo written > /data/out || exit 1"),
            Task::WriteRelative => self.shell("echo written > out || exit 1"),
        }
    }

    fn missing(&self) -> Program {
        self.argv(&["no-such-program"])
    }

    fn adds(&self) -> &'static [&'static str] {
        self.adds
    }

    fn announces_one(&self) -> bool {
        self.announces_one
    }

    fn peers(&self, port: u16) -> Option<Peers> {
        // A persistent listener of busybox does not live long under gVisor, where its `accept` is interrupted.
        let serve = format!("nc -l -p {port}");
        let listens = format!("cat /proc/net/tcp* | grep -q ':{port:04X} 0*:0000 0A'");
        Some(Peers {
            server: self.shell(&format!(
                "echo ready; while :; do echo pong | {serve} >/dev/null; done"
            )),
            client: self.shell(&format!(
                "until nc 127.0.0.1 {port} </dev/null | grep pong; do sleep 0.1; done"
            )),
            stuck: self.shell(&format!(
                "{serve} & until {listens}; do sleep 0.1; done; kill -STOP $!; echo ready; exec sleep 1000000"
            )),
        })
    }

    fn writes_reach_host(&self) -> bool {
        self.writes_reach_host
    }
}
