//! The contract that every driver keeps.

use std::path::PathBuf;

use uc_sandbox::{Driver, HttpGrant, Payload};
use uc_testkit::contract::{Fixtures, Made, Program, Task};
use uc_wasm::WasmDriver;

struct WasmFixtures {
    driver: WasmDriver,
    _cache: tempfile::TempDir,
}

impl Fixtures for WasmFixtures {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn program(&self, task: Task) -> Program {
        let (name, arguments): (_, Vec<String>) = match task {
            Task::Arguments(arguments) => {
                ("args", arguments.iter().map(ToString::to_string).collect())
            }
            Task::Environment => ("env", Vec::new()),
            Task::Streams => ("streams", Vec::new()),
            Task::Exit(code) => ("exit", vec![code.to_string()]),
            Task::Spin => ("spin", Vec::new()),
            Task::Sleep => ("sleep", Vec::new()),
            Task::Count => ("count", Vec::new()),
            Task::Tick => ("tick", Vec::new()),
            Task::Eat => ("eat", Vec::new()),
            Task::Echo => ("echo", Vec::new()),
            Task::WriteMount => ("write", vec!["/data".into()]),
            Task::WriteRelative => ("write", vec![".".into()]),
        };
        program(name, arguments)
    }

    fn missing(&self) -> Program {
        program("missing", Vec::new())
    }
}

fn program(name: &str, arguments: Vec<String>) -> Program {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.wat"));
    let mut argv = vec![name.to_owned()];
    argv.extend(arguments);
    Program {
        payload: Payload::Wasm {
            file,
            act_as: None,
            port: None,
            http: HttpGrant::None,
        },
        argv,
    }
}

fn fixtures() -> Made {
    let cache = tempfile::tempdir().map_err(|error| error.to_string())?;
    Ok(Box::new(WasmFixtures {
        driver: WasmDriver::new(cache.path().join("cache")),
        _cache: cache,
    }))
}

uc_testkit::driver_contract!(fixtures);
