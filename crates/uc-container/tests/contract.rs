//! The contract that every driver keeps, with the programs of a busybox root file system.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_container::ContainerDriver;
use uc_linux::IdMapping;
use uc_sandbox::{Driver, Payload};
use uc_testkit::contract::{Fixtures, Made, Program, Task};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 6] = ["cat", "env", "false", "printf", "sh", "sleep"];

struct ContainerFixtures {
    layer: PathBuf,
    driver: ContainerDriver,
    _directory: tempfile::TempDir,
}

impl ContainerFixtures {
    fn shell(&self, script: &str) -> Program {
        self.argv(&["sh", "-c", script])
    }

    fn argv(&self, argv: &[&str]) -> Program {
        Program {
            payload: Payload::Rootfs {
                layers: vec![self.layer.clone()],
            },
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }
}

impl Fixtures for ContainerFixtures {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn program(&self, task: Task) -> Program {
        match task {
            Task::Arguments(arguments) => self.argv(&[&["printf", "%s\\n"], arguments].concat()),
            Task::Environment => self.argv(&["env"]),
            Task::Streams => self.shell("echo out; echo err >&2"),
            Task::Exit(code) => self.shell(&format!("exit {code}")),
            Task::Spin => self.shell("echo ready; while :; do :; done"),
            Task::Sleep => self.shell("echo ready; exec sleep 1000000"),
            Task::Eat => self.shell("x=0123456789abcdef; while :; do x=$x$x; done"),
            Task::Echo => self.argv(&["cat"]),
            Task::WriteMount => self.shell("echo written > /data/out || exit 1"),
            Task::WriteRelative => self.shell("echo written > out || exit 1"),
        }
    }

    fn missing(&self) -> Program {
        self.argv(&["no-such-program"])
    }
}

fn fixtures() -> Made {
    if !Path::new(BUSYBOX).is_file() {
        return Err(format!("{BUSYBOX} is missing (apt install busybox-static)"));
    }
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let layer = directory.path().join("layer");
    fs::create_dir_all(layer.join("bin")).expect("made");
    fs::copy(BUSYBOX, layer.join("bin/busybox")).expect("copied");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).expect("linked");
    }
    let mapping = IdMapping::for_caller().expect("ids");
    for path in ["", "bin", "bin/busybox"] {
        std::os::unix::fs::chown(layer.join(path), mapping.host_uid(0), mapping.host_gid(0))
            .expect("owned");
    }
    Ok(Box::new(ContainerFixtures {
        layer,
        driver: ContainerDriver::new(directory.path().join("mount-points")),
        _directory: directory,
    }))
}

uc_testkit::driver_contract!(fixtures);
