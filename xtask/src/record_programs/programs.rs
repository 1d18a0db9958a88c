//! The languages, how a program in each is built, and how it is started for a scenario.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use uc_model::{Problem, Result};

use super::process::Process;
use crate::measure;

/// A language, or a server.
#[derive(Debug)]
pub(super) struct Language {
    /// What the names of its recordings begin with.
    pub(super) name: &'static str,
    /// What must be on PATH.
    needs: &'static [&'static str],
    /// What the program calls them; a name with `leak` says that memory is lost.
    pub(super) scenarios: &'static [&'static str],
    /// Builds from the folder of sources into the scratch folder.
    pub(super) build: fn(&Path, &Path) -> Result<Launcher>,
}

pub(super) const LANGUAGES: &[Language] = &[
    Language {
        name: "c",
        needs: &["cc"],
        scenarios: &[
            "cache-plateau",
            "leak-accelerating",
            "leak-staircase",
            "leak-steady",
            "step-changes",
        ],
        build: build_c,
    },
    Language {
        name: "go",
        needs: &["go"],
        scenarios: &[
            "gc-sawtooth",
            "leak-goroutines",
            "leak-labels",
            "pool-plateau",
            "timed-map",
        ],
        build: build_go,
    },
    Language {
        name: "java",
        needs: &["javac", "java"],
        scenarios: &[
            "cache-plateau",
            "gc-sawtooth",
            "leak-listeners",
            "leak-then-clear",
            "queue-bursts",
        ],
        build: build_java,
    },
    Language {
        name: "node",
        needs: &["node"],
        scenarios: &["gc-sawtooth", "leak-closures", "lru-plateau"],
        build: |sources, _| {
            let node = real("node", &["-p", "process.execPath"])?;
            Ok(Launcher::program(
                "node",
                [node, path(sources, "memory.js")],
            ))
        },
    },
    Language {
        name: "python",
        needs: &["python3"],
        scenarios: &[
            "leak-memo",
            "leak-registry",
            "lru-plateau",
            "periodic-batch",
            "traffic-ramp",
        ],
        build: |sources, _| {
            let memory = path(sources, "memory.py");
            Ok(Launcher::program("python", [python()?, memory]))
        },
    },
    Language {
        name: "redis",
        needs: &["redis-server", "python3"],
        scenarios: &["bounded", "expiring", "leak-keys"],
        build: |sources, _| {
            Ok(Launcher::Redis {
                client: vec![python()?, path(sources, "redis.py")],
            })
        },
    },
];

impl Language {
    /// The file of a scenario.
    pub(super) fn file(&self, scenario: &str) -> String {
        format!("{}-{scenario}.csv", self.name)
    }

    /// Why it cannot be recorded here.
    pub(super) fn absent(&self) -> Option<String> {
        let places = env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &str| env::split_paths(&places).any(|one| one.join(name).is_file());
        let missing = self.needs.iter().find(|name| !is_there(name))?;
        Some(format!("{missing} is not on PATH"))
    }
}

/// How a scenario is started.
#[derive(Debug)]
pub(super) enum Launcher {
    /// These words, and the scenario behind them.
    Program {
        language: &'static str,
        words: Vec<String>,
    },
    /// A server of its own, and a client that fills it.
    Redis { client: Vec<String> },
}

impl Launcher {
    fn program(language: &'static str, words: impl Into<Vec<String>>) -> Self {
        let words = words.into();
        Self::Program { language, words }
    }

    /// Starts a scenario; what it writes lands in the scratch folder.
    ///
    /// # Errors
    /// Host, where it cannot be started.
    pub(super) fn start(&self, scenario: &str, scratch: &Path) -> Result<Running> {
        let with = |words: &[String], more: &[&str]| -> Vec<String> {
            let more = more.iter().map(|&word| word.to_owned());
            words.iter().cloned().chain(more).collect()
        };
        match self {
            Self::Program { language, words } => Ok(Running {
                recorded: Process::start(
                    format!("{language} {scenario}"),
                    &with(words, &[scenario]),
                    scratch,
                )?,
                client: None,
            }),
            Self::Redis { client } => {
                let socket = path(scratch, &format!("{scenario}.sock"));
                let folder = scratch.to_string_lossy();
                let mut server = with(
                    &["redis-server".to_owned()],
                    &[
                        "--port",
                        "0",
                        "--unixsocket",
                        &socket,
                        "--save",
                        "",
                        "--dir",
                        &folder,
                    ],
                );
                if scenario == "bounded" {
                    let bound = ["--maxmemory", "110mb", "--maxmemory-policy", "allkeys-lru"];
                    server = with(&server, &bound);
                }
                let name = format!("redis {scenario}");
                let recorded = Process::start(name.clone(), &server, scratch)?;
                let client = Process::start(
                    format!("the client of {name}"),
                    &with(client, &[&socket, scenario]),
                    scratch,
                )?;
                Ok(Running {
                    recorded,
                    client: Some(client),
                })
            }
        }
    }
}

/// A scenario that runs.
#[derive(Debug)]
pub(super) struct Running {
    recorded: Process,
    client: Option<Process>,
}

impl Running {
    /// What the recorded process holds.
    ///
    /// # Errors
    /// Host, where it or its client has ended.
    pub(super) fn memory_bytes(&mut self) -> Result<u64> {
        if let Some(client) = &mut self.client {
            client.must_run()?;
        }
        self.recorded.memory_bytes()
    }
}

fn build_c(sources: &Path, scratch: &Path) -> Result<Launcher> {
    let (source, program) = (path(sources, "memory.c"), path(scratch, "memory-c"));
    compile("cc", &["-O1", "-o", &program, &source, "-lm"])?;
    Ok(Launcher::program("c", [program]))
}

fn build_go(sources: &Path, scratch: &Path) -> Result<Launcher> {
    let (source, program) = (path(sources, "memory.go"), path(scratch, "memory-go"));
    compile("go", &["build", "-o", &program, &source])?;
    Ok(Launcher::program("go", [program]))
}

fn build_java(sources: &Path, scratch: &Path) -> Result<Launcher> {
    let (source, classes) = (path(sources, "Memory.java"), path(scratch, "classes"));
    compile("javac", &["-d", &classes, &source])?;
    // The collector and the bound stand here, so that the recordings do not depend on the size of the host.
    let words = [
        "java",
        "-XX:+UseSerialGC",
        "-Xmx600m",
        "-cp",
        &classes,
        "Memory",
    ];
    Ok(Launcher::program("java", words.map(str::to_owned)))
}

fn python() -> Result<String> {
    real("python3", &["-c", "import sys; print(sys.executable)"])
}

/// The program itself: managers of versions put a script in front, which may stay and be recorded in its place.
fn real(program: &str, arguments: &[&str]) -> Result<String> {
    let answer = measure::text(Path::new(program), arguments).ok_or_else(|| {
        Problem::host("an interpreter does not run")
            .at(program)
            .remedy(format!("see what `{program} --version` says"))
    })?;
    Ok(answer.trim().to_owned())
}

fn compile(compiler: &str, arguments: &[&str]) -> Result<()> {
    let failed = || {
        Problem::host("a program to record does not build")
            .at(format!("{compiler} {}", arguments.join(" ")))
            .remedy(
                "see what the compiler said above, or take it from PATH to leave its language out",
            )
    };
    let status = Command::new(compiler)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| failed().caused_by(error))?;
    if status.success() {
        return Ok(());
    }
    Err(failed().found(status))
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}
