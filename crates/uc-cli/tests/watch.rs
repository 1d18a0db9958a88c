//! `uc watch` beside real programs under real limits.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

#[path = "support/prometheus.rs"]
mod prometheus;
mod support;

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prometheus::Prometheus;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use support::Host;
use uc_metrics::history::{Bounds, History};

/// How long the whole may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(240);

/// A program that keeps half a megabyte each third of a second, up to `most` times, and says so when it is told to end.
fn pod(name: &str, most: u32) -> String {
    format!(
        r#"apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  containers:
    - name: main
      image: oci:busybox
      command: ["sh", "-c"]
      args:
        - |
          trap 'echo "{name} ends in order"; exit 0' TERM
          part=$(yes aaaaaaa | head -c 500000)
          i=0
          while true; do
            if [ $i -lt {most} ]; then eval "kept$i=\$part\$i"; i=$((i+1)); fi
            sleep 0.3 & wait $!
          done
      resources:
        limits: {{ memory: 96Mi }}
"#
    )
}

/// The same with a label.
fn replica(name: &str, app: &str, most: u32) -> String {
    let labels = format!("  name: {name}\n  labels: {{ app: {app} }}\n");
    pod(name, most).replace(&format!("  name: {name}\n"), &labels)
}

/// Kills the guard however the test ends.
struct Guard(Child);

impl Guard {
    fn start(host: &Host, arguments: &[&str]) -> Self {
        let child = host
            .uc()
            .args(["watch", "--format", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("starts"))
    }

    /// Kills it without a chance to clean up; what it told, by action and workload.
    fn kill(mut self) -> Vec<(String, String)> {
        self.0.kill().expect("killed");
        let mut text = String::new();
        let output = self.0.stdout.as_mut().expect("piped");
        output.read_to_string(&mut text).expect("UTF-8");
        let told = text.lines().map(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            (word("action"), word("workload"))
        });
        told.collect()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The newest workload of a name, as `uc ps` shows it.
fn named(host: &Host, name: &str) -> Value {
    let ended = host.run(&["ps", "--format", "json"]);
    let listed: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let all = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["workload"]);
    let of_name = all.filter(|one| one["name"] == name);
    of_name
        .max_by_key(|one| one["created_ms"].as_u64())
        .cloned()
        .unwrap_or_default()
}

/// Starts workloads detached; `false`, with the reason printed, where memory cannot be limited.
fn start(host: &Host, files: &[&str]) -> bool {
    for file in files {
        let started = host.run(&["run", "--detach", file]);
        if started.code == 77 || started.code == 78 {
            println!("skipped: this host cannot limit memory: {}", started.stderr);
            return false;
        }
        assert_eq!(started.code, 0, "{}", started.stderr);
    }
    true
}

/// Waits until a condition holds; tells what the guard told if it never does.
fn wait(guard: Guard, what: &str, mut holds: impl FnMut() -> bool) -> Guard {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", guard.kill());
        thread::sleep(Duration::from_millis(500));
    }
    guard
}

fn names<'a>(told: &'a [(String, String)], action: &str) -> Vec<&'a str> {
    let of_it = told.iter().filter(|(told, _)| told == action);
    of_it.map(|(_, name)| name.as_str()).collect()
}

#[test]
fn a_leak_ends_in_order_before_its_limit_while_a_neighbour_that_levels_off_lives() {
    let Some(host) = Host::new() else { return };
    host.file("leaky.yaml", &pod("leaky", 1_000));
    host.file("steady.yaml", &pod("steady", 110));
    host.file("watch.toml", "restart = false\n");
    if !start(&host, &["leaky.yaml", "steady.yaml"]) {
        return;
    }
    let watch = || Guard::start(&host, &["--interval", "1", "--config", "watch.toml"]);
    let guard = wait(watch(), "the leak was never stopped", || {
        named(&host, "leaky")["phase"] == "exited"
    });
    let told = guard.kill();
    assert_eq!(names(&told, "stop"), ["leaky/main"], "{told:?}");
    let leaky = named(&host, "leaky");
    assert_eq!(leaky["exit_code"], 0, "{leaky}");
    assert_eq!(
        leaky["containers"]["main"]["restarts"], 0,
        "the kernel was quicker: {leaky}"
    );
    assert!(
        host.run(&["logs", "leaky"])
            .stdout
            .contains("leaky ends in order")
    );

    // The guard was killed; whoever takes over knows what was done, and does it no second time.
    let again = watch();
    thread::sleep(Duration::from_secs(4));
    let told = again.kill();
    assert!(names(&told, "stop").is_empty(), "{told:?}");
    assert_eq!(named(&host, "steady")["alive"], true);
    assert_eq!(host.run(&["stop", "steady"]).code, 0);
}

#[test]
fn a_detached_workload_that_was_stopped_for_its_leak_starts_again() {
    let Some(host) = Host::new() else { return };
    host.file("leaky.yaml", &pod("leaky", 1_000));
    if !start(&host, &["leaky.yaml"]) {
        return;
    }
    let first = named(&host, "leaky")["id"].clone();
    let guard = Guard::start(&host, &["--interval", "1"]);
    let guard = wait(guard, "it never started again", || {
        let now = named(&host, "leaky");
        now["id"] != first && now["phase"] == "running"
    });
    let told = guard.kill();
    assert_eq!(names(&told, "stop"), ["leaky/main"], "{told:?}");
    assert_eq!(names(&told, "restart"), ["leaky/main"], "{told:?}");
    assert_eq!(host.run(&["stop", "leaky"]).code, 0);
}

#[test]
fn of_two_replicas_that_leak_the_second_waits_until_the_first_runs_again() {
    let Some(host) = Host::new() else { return };
    for name in ["first", "second"] {
        host.file(&format!("{name}.yaml"), &replica(name, "shop", 1_000));
    }
    host.file("watch.toml", "[policy]\nmax_concurrent = 9\n");
    if !start(&host, &["first.yaml", "second.yaml"]) {
        return;
    }
    let ids = || ["first", "second"].map(|name| named(&host, name)["id"].clone());
    let before = ids();
    let guard = Guard::start(&host, &["--interval", "1", "--config", "watch.toml"]);
    let guard = wait(guard, "none started again", || {
        let now = ids();
        (0..2).any(|one| now[one] != before[one])
    });
    let told = guard.kill();
    let restart = told.iter().position(|(action, _)| action == "restart");
    let until = &told[..restart.expect("a restart")];
    assert_eq!(names(until, "stop").len(), 1, "{told:?}");
    for name in ["first", "second"] {
        assert_eq!(host.run(&["stop", name]).code, 0);
    }
}

#[test]
fn what_is_not_ours_is_watched_and_never_stopped_unless_allowed() {
    let Some(host) = Host::new() else { return };
    let mut sleeper = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .expect("starts");
    let pid = sleeper.id().to_string();
    let ended = host.run(&[
        "watch",
        "--pid",
        &pid,
        "--for",
        "1",
        "--interval",
        "1",
        "--format",
        "json",
    ]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, ""),
        "{}",
        ended.stderr
    );
    assert!(sleeper.try_wait().expect("asked").is_none());
    sleeper.kill().expect("killed");
    sleeper.wait().expect("reaped");
}

#[test]
fn a_second_guard_and_a_malformed_configuration_are_told_clearly() {
    let Some(host) = Host::new() else { return };
    let guard = Guard::start(&host, &["--for", "60"]);
    let history = host.path().join("home/state/watch/history.redb");
    let begun = Instant::now();
    while !history.exists() && begun.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    let ended = host.run(&["watch", "--for", "1"]);
    assert_ne!(ended.code, 0);
    assert!(
        ended.stderr.contains("in use by another process"),
        "{}",
        ended.stderr
    );
    drop(guard);
    host.file("watch.toml", "[policy]\nfindings_needed = 0\n");
    let ended = host.run(&["watch", "--config", "watch.toml", "--for", "1"]);
    assert_eq!(ended.code, 65, "{}", ended.stderr);
    assert!(ended.stderr.contains("findings_needed"), "{}", ended.stderr);
}

/// The lines of a stream, as they come.
fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// A program that only waits, under another name.
fn sleeper(host: &Host, name: &str) -> Guard {
    let link = host.path().join(name);
    if !link.exists() {
        std::os::unix::fs::symlink("/bin/sleep", &link).expect("linked");
    }
    let child = Command::new(link).arg0("sleep").arg("600").spawn();
    Guard(child.expect("starts"))
}

/// What an earlier guard has left.
fn history(host: &Host) -> History {
    let path = host.path().join("home/state/watch/history.redb");
    let (history, damage) = History::open(path, Bounds::default()).expect("opens");
    assert!(damage.is_none(), "{damage:?}");
    history
}

#[test]
fn a_history_that_cannot_be_written_is_told_and_watching_goes_on() {
    let Some(host) = Host::new() else { return };
    let watched = sleeper(&host, "watched");
    let pid = watched.0.id().to_string();
    let uc = host.uc();
    let mut command = Command::new("sh");
    // With that signal ignored, a file that must not grow is an error like a full disk.
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(uc.get_program())
        .args(["watch", "--format", "json", "--interval", "1"])
        .args(["--for", "36", "--pid", &pid])
        .envs(
            uc.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(host.path())
        .stdout(Stdio::piped());
    let mut guard = Guard(command.spawn().expect("starts"));
    let told = lines(guard.0.stdout.take().expect("piped"));
    let file = host.path().join("home/state/watch/history.redb");
    let begun = Instant::now();
    while !file.exists() {
        assert!(begun.elapsed() < PATIENCE, "no history");
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_secs(1));
    let id = i32::try_from(guard.0.id()).ok().and_then(Pid::from_raw);
    let limit = |current| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(id, Resource::Fsize, Rlimit { current, maximum }).expect("limited");
    };
    limit(Some(0));
    let line = told.recv_timeout(PATIENCE).expect("told");
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["problem"]["kind"], "storage", "{line}");
    limit(getrlimit(Resource::Fsize).maximum);
    // Its last writing succeeds, what waited for it included.
    let ended = guard.0.wait().expect("waited for");
    assert!(
        ended.success(),
        "{ended} {:?}",
        told.try_iter().collect::<Vec<_>>()
    );
    let samples = history(&host).recent(&format!("process/{pid}"), 0.0);
    assert!(samples.expect("readable").len() > 25);
}

/// What `/metrics` says.
fn metrics(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        .expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    text
}

#[test]
fn processes_of_a_name_are_watched_as_they_come_and_go() {
    let Some(host) = Host::new() else { return };
    let first = sleeper(&host, "uc-test-web");
    let mut child = host
        .uc()
        .args(["watch", "--process", "uc-test-web", "--interval", "1"])
        .args(["--listen", "127.0.0.1:0", "--for", "120"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let said = lines(child.stderr.take().expect("piped"));
    let _guard = Guard(child);
    let said = said.recv_timeout(PATIENCE).expect("says where");
    let address = said
        .strip_prefix("metrics at http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .expect("an address");
    let shows = |process: &Guard, is_there: bool| {
        let label = format!("workload=\"process/uc-test-web/{}\"", process.0.id());
        let begun = Instant::now();
        while metrics(address).contains(&label) != is_there {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{label} {is_there}"
            );
            thread::sleep(Duration::from_millis(100));
        }
    };
    shows(&first, true);
    let second = sleeper(&host, "uc-test-web");
    shows(&second, true);
    let mut first = first;
    first.0.kill().expect("killed");
    first.0.wait().expect("reaped");
    shows(&first, false);
    shows(&second, true);
}

#[test]
fn pods_with_one_label_are_replicas_and_one_alone_is_not() {
    let Some(host) = Host::new() else { return };
    for (name, app) in [("one", "web"), ("two", "web"), ("three", "db")] {
        host.file(&format!("{name}.yaml"), &replica(name, app, 1));
    }
    if !start(&host, &["one.yaml", "two.yaml", "three.yaml"]) {
        return;
    }
    // A group of the configuration holds however small it is.
    let config = "[[group]]\nname = \"data\"\nmembers = [\"thr*\"]\n";
    let file = host.file("watch.toml", config).display().to_string();
    for (arguments, of_three) in [
        (&[][..], Value::Null),
        (&["--config", &file], "data".into()),
    ] {
        let ended = host.run(&[&["watch", "--for", "1", "--interval", "1"], arguments].concat());
        assert_eq!(ended.code, 0, "{ended}");
        let states = history(&host).states().expect("readable");
        let fleet: Value = serde_json::from_slice(&states["fleet"]).expect("JSON");
        let group = |name: &str| fleet["workloads"][name]["group"].clone();
        assert_eq!(group("one/main"), "web/main", "{fleet}");
        assert_eq!(group("two/main"), "web/main", "{fleet}");
        assert_eq!(group("three/main"), of_three, "{fleet}");
    }
    for name in ["one", "two", "three"] {
        assert_eq!(host.run(&["stop", name]).code, 0);
    }
}

/// Two containers for an hour up to now, and for some minutes from now on: one grows towards its limit, one stays.
fn two_containers() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("later");
    let now = i64::try_from(now.as_secs()).expect("not that late");
    let mut text = String::new();
    for metric in ["container_memory_rss", "container_spec_memory_limit_bytes"] {
        writeln!(text, "# TYPE {metric} gauge").expect("text");
        for pod in ["leaky", "steady"] {
            for at in (-3_600..600).step_by(15) {
                let value = match (metric, pod) {
                    ("container_memory_rss", "leaky") => 950_000_000 + at * 230_000,
                    ("container_memory_rss", _) => 500_000_000 + at % 4 * 100_000,
                    _ => 1_000_000_000,
                };
                let labels = format!("namespace=\"shop\",pod=\"{pod}\",container=\"app\"");
                writeln!(text, "{metric}{{{labels}}} {value} {}", now + at).expect("text");
            }
        }
    }
    text + "# EOF\n"
}

/// Takes what is posted; the bodies as they come.
fn webhook() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (sender, bodies) = channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("read") > 0 {
                let last = head.lines().last().unwrap_or_default().to_lowercase();
                if let Some(value) = last.strip_prefix("content-length: ") {
                    length = value.parse().expect("a number");
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("read");
            sender
                .send(String::from_utf8(body).expect("UTF-8"))
                .expect("sent");
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).expect("answered");
        }
    });
    (url, bodies)
}

#[test]
fn a_leak_that_only_a_prometheus_knows_is_told_and_posted() {
    let Some(host) = Host::new() else { return };
    let Some(server) = Prometheus::start(&two_containers()) else {
        return;
    };
    let (url, posted) = webhook();
    host.file("watch.toml", &format!("webhook = \"{url}\"\n"));
    let ended = host.run(&[
        "watch",
        "--prometheus",
        &server.url,
        "--selector",
        "namespace=\"shop\"",
        "--config",
        "watch.toml",
        "--format",
        "json",
        "--dry-run",
        "--interval",
        "2",
        "--for",
        "40",
    ]);
    assert_eq!(ended.code, 0, "{ended}");
    let events: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |action: &str| {
        let of_it = events.iter().filter(|event| event["action"] == action);
        of_it
            .map(|event| event["workload"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("warn"), ["prometheus/shop/leaky/app"], "{ended}");
    assert_eq!(of("would-evict"), ["prometheus/shop/leaky/app"], "{ended}");
    assert_eq!(events.len(), 2, "{ended}");
    assert_eq!(events[1]["because"], "not-owned", "{ended}");
    assert_eq!(events[1]["limit_bytes"], 1_000_000_000, "{ended}");
    let posted: Vec<String> = posted.try_iter().collect();
    assert_eq!(posted, ended.stdout.lines().collect::<Vec<_>>());
}
