//! A real Prometheus, filled by `promtool`.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Ended however the test ends.
pub(crate) struct Prometheus {
    process: Child,
    pub(crate) url: String,
    _directory: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// A server that knows an OpenMetrics text; nothing, with the reason printed, where none is installed.
    pub(crate) fn start(open_metrics: &str) -> Option<Self> {
        for program in ["prometheus", "promtool"] {
            let found = Command::new(program).arg("--version").output();
            if !found.is_ok_and(|found| found.status.success()) {
                println!("skipped: {program} is not on PATH (Debian: apt install prometheus)");
                return None;
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let text = directory.path().join("metrics");
        fs::write(&text, open_metrics).expect("written");
        let filled = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&text, &data])
            .output()
            .expect("runs");
        assert!(filled.status.success(), "{filled:?}");
        let configuration = directory.path().join("prometheus.yml");
        fs::write(&configuration, "global: {}\n").expect("written");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let server = Self {
            process,
            url: format!("http://{address}"),
            _directory: directory,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it never listens"
            );
            thread::sleep(Duration::from_millis(50));
        }
        // It listens before it answers.
        thread::sleep(Duration::from_secs(2));
        Some(server)
    }
}
