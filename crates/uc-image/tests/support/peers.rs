//! Real tools beside ours: a registry on a free port of this machine, and commands that are found on PATH.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Whether every tool is there; else says which is not.
pub(crate) fn present(tools: &[&str]) -> bool {
    for tool in tools {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
        });
        if !found {
            println!("skipped: {tool} is not installed");
            return false;
        }
    }
    true
}

/// Runs a command to its end.
#[allow(dead_code, reason = "each test file uses a part of this")]
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("starts");
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// docker-registry, killed when dropped.
pub(crate) struct Registry {
    child: Child,
    pub(crate) port: u16,
}

impl Registry {
    /// Starts one that keeps its data in `directory`; with `htpasswd` it asks for a login.
    pub(crate) fn start(directory: &Path, htpasswd: Option<&str>) -> Self {
        let port = free_port();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            directory.join("data").display()
        );
        if let Some(line) = htpasswd {
            let file = directory.join("htpasswd");
            fs::write(&file, line).expect("writes");
            config += &format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
                file.display()
            );
        }
        let file: PathBuf = directory.join("config.yml");
        fs::write(&file, config).expect("writes");
        Self::spawn("docker-registry", &file, port)
    }

    /// Starts zot, which lists referrers by itself.
    #[allow(dead_code, reason = "each test file uses a part of this")]
    pub(crate) fn start_zot(directory: &Path) -> Self {
        let port = free_port();
        let config = serde_json::json!({
            "distSpecVersion": "1.1.1",
            "storage": { "rootDirectory": directory.join("zot") },
            "http": { "address": "127.0.0.1", "port": port.to_string() },
            "log": { "level": "error" },
        });
        let file = directory.join("zot.json");
        fs::write(&file, config.to_string()).expect("writes");
        Self::spawn("zot", &file, port)
    }

    fn spawn(program: &str, config: &Path, port: u16) -> Self {
        let child = Command::new(program)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .expect("binds")
        .local_addr()
        .expect("bound")
        .port()
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
