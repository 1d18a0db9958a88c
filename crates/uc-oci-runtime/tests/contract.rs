//! The contract that every driver keeps, with the programs of a busybox root file system, for each runtime found here.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use support::{Busybox, driver};
use uc_oci_runtime::Flavour;
use uc_sandbox::{Driver, Payload};
use uc_testkit::contract::{Fixtures, Made, Program, Task};

struct OciFixtures {
    busybox: Busybox,
    driver: uc_oci_runtime::OciRuntimeDriver,
}

impl OciFixtures {
    fn shell(&self, script: &str) -> Program {
        self.argv(&["sh", "-c", script])
    }

    fn argv(&self, argv: &[&str]) -> Program {
        Program {
            payload: Payload::Rootfs {
                layers: vec![self.busybox.layer.clone()],
            },
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
        }
    }
}

impl Fixtures for OciFixtures {
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

    fn adds_home(&self) -> bool {
        true
    }

    fn missing(&self) -> Program {
        self.argv(&["no-such-program"])
    }
}

fn fixtures(flavour: Flavour) -> Made {
    let busybox = Busybox::new()?;
    let driver = driver(flavour, &busybox)?;
    Ok(Box::new(OciFixtures { busybox, driver }))
}

mod runsc {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Runsc));
}

mod crun {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Crun));
}

mod runc {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Runc));
}
