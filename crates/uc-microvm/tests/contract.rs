//! The contract that every driver keeps, with the programs of a busybox root file system in a microVM.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use support::Busybox;
use uc_microvm::MicrovmDriver;
use uc_sandbox::{Driver, Payload};
use uc_testkit::contract::{Fixtures, Made, Program, Task};

struct MicrovmFixtures {
    busybox: &'static Busybox,
    driver: MicrovmDriver,
}

impl MicrovmFixtures {
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

impl Fixtures for MicrovmFixtures {
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

    fn writes_reach_host(&self) -> bool {
        false
    }
}

fn fixtures() -> Made {
    Ok(Box::new(MicrovmFixtures {
        busybox: Busybox::shared()?,
        driver: support::driver()?,
    }))
}

uc_testkit::driver_contract!(fixtures);
