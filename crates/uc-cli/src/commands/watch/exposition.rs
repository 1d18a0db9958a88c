//! `/metrics` in Prometheus' text format.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use uc_foresight::{Verdict, eviction::Phase};
use uc_model::{Problem, Result};

use super::guard::Guard;

/// The longest request head that is read, in bytes.
const LONGEST_HEAD: usize = 8 << 10;
/// How long a reader may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The page, replaced as a whole.
#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<String>>);

impl Page {
    /// Shows another text from now on.
    pub(super) fn show(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Serves the page, one reader after another. Returns the address in use.
    pub(super) fn serve(&self, address: SocketAddr) -> Result<SocketAddr> {
        let failed = |error| {
            Problem::unavailable("cannot listen for readers of metrics")
                .at(address)
                .caused_by(error)
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let page = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A reader that breaks off is its own problem.
                let _ = page.answer(stream);
            }
        });
        Ok(address)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut head = Vec::new();
        let mut part = [0; 1024];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
            match stream.read(&mut part)? {
                0 => break,
                length => head.extend_from_slice(&part[..length]),
            }
        }
        let is_ours = head.starts_with(b"GET /metrics ") || head.starts_with(b"GET /metrics?");
        let (status, body) = if is_ours {
            (
                "200 OK",
                self.0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            )
        } else {
            ("404 Not Found", "metrics are at /metrics\n".to_owned())
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes())
    }
}

/// The page's text for what is known now.
pub(super) fn text(guard: &Guard, evictions: u64) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&Verdict) -> Option<f64>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (workload, watched) in &guard.watched {
            if let Some(value) = watched.verdict().and_then(value) {
                let _ = writeln!(text, "{name}{{workload=\"{}\"}} {value}", escaped(workload));
            }
        }
    };
    gauge(
        "uc_memory_rss_bytes",
        "Anonymous resident memory.",
        &|verdict| Some(verdict.level_bytes),
    );
    gauge(
        "uc_memory_limit_bytes",
        "Limit at which the kernel kills.",
        &|verdict| verdict.limit_bytes.map(|limit| limit as f64),
    );
    gauge(
        "uc_memory_forecast_bytes",
        "Median of memory in ten minutes.",
        &|verdict| verdict.forecast.map(|forecast| forecast.end.median()),
    );
    gauge(
        "uc_memory_forecast_peak_bytes",
        "Upper quartile of the peak within ten minutes.",
        &|verdict| Some(verdict.forecast_end_bytes),
    );
    gauge(
        "uc_memory_leak_probability",
        "Probability of a leak.",
        &|verdict| Some(verdict.leak_probability()),
    );
    gauge(
        "uc_memory_seconds_to_limit",
        "Time to the limit at the present pace.",
        &Verdict::pace_to_limit_s,
    );
    let _ = writeln!(
        text,
        "# HELP uc_watch_stopping Whether an eviction is under way.\n# TYPE uc_watch_stopping gauge"
    );
    for (workload, known) in &guard.fleet.workloads {
        let is_stopping = u8::from(matches!(known.phase, Phase::Stopping { .. }));
        let _ = writeln!(
            text,
            "uc_watch_stopping{{workload=\"{}\"}} {is_stopping}",
            escaped(workload)
        );
    }
    let _ = writeln!(
        text,
        "# HELP uc_watch_evictions_total Workloads that were asked to end, since this program began.\n# TYPE uc_watch_evictions_total counter\nuc_watch_evictions_total {evictions}"
    );
    text
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use uc_foresight::{
        Sample,
        eviction::{Event, Policy, Thresholds},
    };

    use super::{
        super::{
            guard::{Traits, tests::empty_guard},
            subject::{Handle, Sight, Subject},
        },
        *,
    };

    fn page() -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut guard = empty_guard(&folder);
        let mut sight = Sight::default();
        for (name, limit) in [
            ("web/main", Some(100 << 20)),
            ("process/a\"b\\c\nd/7", None),
        ] {
            sight.add(Subject {
                name: name.to_owned(),
                samples: vec![Sample::new(1.0, 4 << 20, limit)],
                handle: Handle::Remote,
                replica_of: None,
            });
        }
        let traits = |_: &Subject| Traits {
            protected: false,
            owned: true,
            group: None,
        };
        let thresholds = Thresholds::default();
        let mut problems = Vec::new();
        let mut events = guard.see(sight, 1.0, &thresholds, traits, &mut problems);
        events.push(Event::Tick);
        guard.decide(&events, 1.0, &Policy::default(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        text(&guard, 3)
    }

    #[test]
    fn the_page_as_a_prometheus_reads_it() {
        let page = page();
        insta::assert_snapshot!("page", page);
        let promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut promtool) = promtool else {
            println!("skipped: promtool is not on PATH (Debian: apt install prometheus)");
            return;
        };
        let mut input = promtool.stdin.take().unwrap();
        input.write_all(page.as_bytes()).unwrap();
        drop(input);
        let ended = promtool.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
