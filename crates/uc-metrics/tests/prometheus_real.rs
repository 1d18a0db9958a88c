//! A real Prometheus, filled by `promtool`: queries, splitting, errors, TLS, and the samples of containers.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use uc_metrics::{
    Prometheus, SeriesKey, memory_samples,
    prometheus::{Options, POINTS_PER_REQUEST},
};
use uc_model::ProblemKind;

/// A time that a block of two hours begins at.
const BEGIN_S: u32 = 1_700_006_400;

struct Server {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_there(program: &str) -> bool {
    let status = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = status.is_ok_and(|status| status.success());
    if !is_there {
        println!("skipped: {program} is not on PATH (Debian: apt install prometheus)");
    }
    is_there
}

impl Server {
    /// A server that knows an OpenMetrics text, once it is ready; nothing where none is installed.
    fn start(open_metrics: &str, arguments: &[&str]) -> Option<Self> {
        if !is_there("prometheus") || !is_there("promtool") {
            return None;
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
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            // What is older than this would be dropped.
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let scheme = if arguments.is_empty() {
            "http"
        } else {
            "https"
        };
        Some(Self {
            process,
            url: format!("{scheme}://{address}"),
            _directory: directory,
        })
    }

    fn client(&self, options: Options) -> Prometheus {
        let client = Prometheus::new(&self.url, options).expect("a client");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match client.query("1", 0.0) {
                Ok(_) => return client,
                Err(problem) => assert!(
                    problem.kind() == ProblemKind::Unavailable && Instant::now() < deadline,
                    "not ready: {problem}"
                ),
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn labels(pod: &str, id: &str) -> String {
    format!("namespace=\"shop\",pod=\"{pod}\",container=\"app\",id=\"/{id}\"")
}

/// An hour of two containers, one of which is replaced after half of it; and what is no container.
fn containers() -> String {
    let mut text = String::new();
    let mut family = |name: &str, value: &dyn Fn(&str, u32) -> Option<f64>| {
        writeln!(text, "# TYPE {name} gauge").expect("text");
        for (pod, id) in [("api", "old"), ("api", "new"), ("web", "one"), ("", "sum")] {
            for minute in 0..=60 {
                if let Some(value) = value(id, minute) {
                    let time = BEGIN_S + minute * 60;
                    writeln!(text, "{name}{{{}}} {value} {time}", labels(pod, id)).expect("text");
                }
            }
        }
    };
    let lives = |id: &str, minute: u32| match id {
        // Told of for a while together.
        "old" => minute <= 32,
        "new" => minute >= 30,
        _ => true,
    };
    family("container_memory_rss", &|id, minute| {
        lives(id, minute)
            .then(|| f64::from(minute + 1) * 1e6 + if id == "new" { 0.5e6 } else { 0.0 })
    });
    family("container_spec_memory_limit_bytes", &|id, minute| {
        lives(id, minute).then_some(if id == "one" { 0.0 } else { 1e9 })
    });
    family("container_start_time_seconds", &|id, minute| {
        let start = BEGIN_S + if id == "new" { 1800 } else { 0 };
        lives(id, minute).then_some(f64::from(start))
    });
    family("container_oom_events_total", &|id, minute| {
        (id != "one" && lives(id, minute)).then_some(f64::from(u8::from(minute > 10)))
    });
    text.push_str("# TYPE odd gauge\n");
    for (second, value) in [(0, "NaN"), (60, "+Inf"), (120, "-Inf"), (180, "1e3")] {
        writeln!(text, "odd {value} {}", BEGIN_S + second).expect("text");
    }
    text.push_str("# EOF\n");
    text
}

#[test]
fn what_a_prometheus_has_recorded_is_read() {
    let Some(server) = Server::start(&containers(), &[]) else {
        return;
    };
    let client = server.client(Options::default());
    let begin = f64::from(BEGIN_S);

    let odd = client
        .query_range("odd", begin, begin + 180.0, 60.0)
        .expect("answered");
    let points = &odd.series[0].points;
    assert!(points[0].1.is_nan());
    let rest: Vec<f64> = points[1..].iter().map(|point| point.1).collect();
    assert_eq!(rest, [f64::INFINITY, f64::NEG_INFINITY, 1000.0]);
    let scalar = client
        .query("scalar(odd)", begin + 180.0)
        .expect("answered");
    assert_eq!(scalar.series[0].points, [(begin + 180.0, 1000.0)]);
    assert!(
        client
            .query("absent_metric", begin)
            .expect("answered")
            .series
            .is_empty()
    );

    let problem = client.query("up{", begin).expect_err("is no query");
    assert_eq!(problem.kind(), ProblemKind::Invalid);
    assert!(problem.to_string().contains("parse error"), "{problem}");
    let problem = client
        .query("container_memory_rss * on() container_memory_rss", begin)
        .expect_err("cannot be evaluated");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    let elsewhere = Prometheus::new(&format!("{}/nowhere", server.url), Options::default());
    let problem = elsewhere
        .expect("a client")
        .query("up", begin)
        .expect_err("is not there");
    assert_eq!(problem.kind(), ProblemKind::NotFound, "{problem}");

    // More points than Prometheus gives at once: of the last, every second one of an hour.
    let long = client
        .query_range("vector(1)", begin, begin + 25_000.0, 1.0)
        .expect("answered");
    assert!(long.problem.is_none());
    assert_eq!(long.series[0].points.len(), 25_001);
    let most = POINTS_PER_REQUEST as f64;
    let exact = client
        .query_range("vector(1)", begin, begin + most - 1.0, 1.0)
        .expect("answered");
    assert_eq!(exact.series[0].points.len() as u64, POINTS_PER_REQUEST);
    check_containers(&client);
}

fn check_containers(client: &Prometheus) {
    let begin = f64::from(BEGIN_S);
    let found = memory_samples(client, "namespace=\"shop\"", begin, begin + 3600.0, 60.0)
        .expect("answered");
    assert!(found.problems.is_empty() && found.warnings.is_empty());
    let key = |pod: &str| SeriesKey {
        namespace: "shop".into(),
        pod: pod.into(),
        container: "app".into(),
    };
    let api = &found.samples[&key("api")];
    assert_eq!(api.len(), 61);
    for (minute, sample) in (0..).zip(api) {
        let is_new = minute >= 30;
        let start = BEGIN_S + if is_new { 1800 } else { 0 };
        assert_eq!(sample.t_s, begin + f64::from(minute) * 60.0);
        assert_eq!(sample.life, u64::from(start) * 1000, "minute {minute}");
        let rss = u64::try_from(minute + 1).expect("positive") * 1_000_000;
        assert_eq!(sample.rss_bytes, rss + if is_new { 500_000 } else { 0 });
        assert_eq!(sample.limit_bytes, Some(1_000_000_000));
        assert_eq!(sample.oom_kills, Some(u64::from(minute > 10)));
    }
    let web = &found.samples[&key("web")];
    assert!(
        web.iter()
            .all(|sample| sample.limit_bytes.is_none() && sample.oom_kills.is_none())
    );
    let some = memory_samples(client, "{pod=\"web\"}", begin, begin, 60.0).expect("answered");
    assert_eq!(some.samples.len(), 1);
    assert_eq!(some.samples[&key("web")].len(), 1);
}

fn make_certificate(directory: &Path) -> bool {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "3650", "-subj", "/CN=test"])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(directory.join("key.pem"))
        .arg("-out")
        .arg(directory.join("certificate.pem"))
        .output();
    let is_made = made.as_ref().is_ok_and(|output| output.status.success());
    if !is_made {
        println!("skipped: openssl makes no certificate: {made:?}");
    }
    is_made
}

#[test]
fn a_server_is_trusted_by_its_own_authority_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    if !make_certificate(directory.path()) {
        return;
    }
    let configuration = directory.path().join("web.yml");
    fs::write(
        &configuration,
        "tls_server_config: {cert_file: certificate.pem, key_file: key.pem}\n",
    )
    .expect("written");
    let argument = format!("--web.config.file={}", configuration.display());
    let Some(server) = Server::start("# TYPE m gauge\nm 1 1700006400\n# EOF\n", &[&argument])
    else {
        return;
    };
    let trusting = Options {
        ca_file: Some(directory.path().join("certificate.pem")),
        ..Options::default()
    };
    let client = server.client(trusting);
    assert_eq!(
        client
            .query("m", f64::from(BEGIN_S))
            .expect("answered")
            .series
            .len(),
        1
    );
    let stranger = Prometheus::new(&server.url, Options::default()).expect("a client");
    let problem = stranger.query("m", 0.0).expect_err("is not trusted");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    assert!(
        problem.to_string().contains("cannot be secured"),
        "{problem:?}"
    );
    assert!(
        Prometheus::new(
            &server.url,
            Options {
                ca_file: Some(directory.path().join("key.pem")),
                ..Options::default()
            }
        )
        .is_err()
    );
}
