//! Answers that no healthy Prometheus gives: slow, cut, garbage, too large, redirected, failing halfway.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use uc_metrics::{
    Prometheus, memory_samples,
    prometheus::{Options, POINTS_PER_REQUEST},
};
use uc_model::{Problem, ProblemKind};

/// A request, as far as tests look at it.
struct Request {
    head: String,
    form: String,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let size = head.lines().find_map(|line| {
            let line = line.to_ascii_lowercase();
            line.strip_prefix("content-length: ")?.parse().ok()
        })?;
        let mut form = vec![0; size];
        reader.read_exact(&mut form).ok()?;
        Some(Self {
            head,
            form: String::from_utf8(form).ok()?,
        })
    }

    fn parameter(&self, name: &str) -> Option<f64> {
        let mut pairs = self.form.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .and_then(|(_, value)| value.parse().ok())
    }
}

/// A server that answers each connection with what a function writes.
struct Mock {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Mock {
    fn start(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // It ends with the test's process.
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(mut stream) = stream else { continue };
                let Some(request) = Request::read(&stream) else {
                    continue;
                };
                // Noted first, since whoever gets the answer may look at once.
                let whole = format!("{}{}", request.head, request.form);
                seen.lock().expect("not poisoned").push(whole);
                answer(number, &request, &mut stream);
            }
        });
        Self { url, requests }
    }

    /// Always the same bytes.
    fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _, stream| {
            let _ = stream.write_all(&bytes);
        })
    }

    fn client(&self) -> Prometheus {
        Prometheus::new(&self.url, options()).expect("a client")
    }

    fn problem(&self) -> Problem {
        self.client().query("up", 1.0).expect_err("fails")
    }
}

fn options() -> Options {
    Options {
        timeout: Duration::from_millis(600),
        max_body_bytes: 1 << 20,
        ..Options::default()
    }
}

fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn send(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

const EMPTY: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;

#[test]
fn a_server_that_is_down_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let client = Prometheus::new(&url, options()).expect("a client");
    let problem = client.query("up", 1.0).expect_err("is down");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    assert!(problem.place().is_some_and(|place| place.contains(&url)));
    assert!(problem.remedy_text().is_some());
}

#[test]
fn a_slow_answer_ends_in_time() {
    let silent = Mock::start(|_, _, _| thread::sleep(Duration::from_secs(3)));
    // A byte now and then must not keep it waiting either.
    let trickling = Mock::start(|_, _, stream| {
        send(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        for _ in 0..30 {
            send(stream, " ");
            thread::sleep(Duration::from_millis(100));
        }
    });
    for mock in [silent, trickling] {
        let begun = Instant::now();
        let problem = mock.problem();
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert_eq!(problem.kind(), ProblemKind::Unavailable);
        assert!(problem.to_string().contains("in time"), "{problem}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_told() {
    let whole = reply("200 OK", EMPTY);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"status\":";
    let until_end = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        &EMPTY[..40]
    );
    for bytes in [&whole[..whole.len() - 9], chunked, &until_end] {
        let problem = Mock::bytes(bytes).problem();
        assert_eq!(problem.kind(), ProblemKind::Unavailable, "{bytes}");
        assert!(
            problem.to_string().contains("breaks off"),
            "{bytes}: {problem}"
        );
    }
}

#[test]
fn garbage_is_told() {
    for bytes in ["", "garbage\r\n\r\n", "HTTP/1.1 999999 X\r\n\r\n"] {
        assert_eq!(
            Mock::bytes(bytes).problem().kind(),
            ProblemKind::Unavailable
        );
    }
    for body in ["<html>hello</html>", "[]", "{}", "null", "{\"status\":7}"] {
        let problem = Mock::bytes(reply("200 OK", body)).problem();
        assert_eq!(problem.kind(), ProblemKind::Unavailable);
        assert!(problem.remedy_text().is_some());
    }
}

#[test]
fn an_answer_that_is_too_large_is_refused() {
    let body = format!("{EMPTY}{}", " ".repeat(1 << 20));
    let problem = Mock::bytes(reply("200 OK", &body)).problem();
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(problem.to_string().contains("1048576 bytes"), "{problem}");
    // To the byte.
    let body = format!("{EMPTY}{}", " ".repeat((1 << 20) - EMPTY.len()));
    let fits = Mock::bytes(reply("200 OK", &body));
    assert!(fits.client().query("up", 1.0).is_ok());
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Mock::bytes(reply("200 OK", EMPTY));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url
    );
    let problem = Mock::bytes(redirect).problem();
    assert!(problem.to_string().contains(&elsewhere.url), "{problem}");
    assert!(elsewhere.requests.lock().expect("not poisoned").is_empty());
}

#[test]
fn the_token_is_sent_and_never_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    std::fs::write(&path, "s3cret.token\n").expect("written");
    let mock = Mock::start(|_, request, stream| {
        send(stream, &reply("401 Unauthorized", &request.head));
    });
    let options = Options {
        bearer_token_file: Some(path.clone()),
        ..options()
    };
    let client = Prometheus::new(&mock.url, options).expect("a client");
    let problem = client.query("up", 1.0).expect_err("is refused");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert!(problem.to_string().contains("[token]"), "{problem}");
    for told in [format!("{problem:?}"), format!("{client:?}")] {
        assert!(!told.contains("s3cret"), "{told}");
    }
    let requests = || mock.requests.lock().expect("not poisoned").clone();
    assert!(
        requests()[0]
            .to_lowercase()
            .contains("authorization: bearer s3cret.token")
    );
    // Renewed in place.
    std::fs::write(&path, "renewed").expect("written");
    client.query("up", 1.0).expect_err("is refused");
    assert!(
        requests()[1]
            .to_lowercase()
            .contains("authorization: bearer renewed")
    );
    std::fs::remove_file(&path).expect("removed");
    let problem = client.query("up", 1.0).expect_err("has no token");
    assert_eq!(problem.kind(), ProblemKind::NotFound);
}

/// The points that a range asks for, all of one value.
fn range_body(request: &Request, value: u32) -> String {
    let number = |name| request.parameter(name).expect("a parameter");
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let points: Vec<String> = (0..)
        .map(|index| start + f64::from(index) * step)
        .take_while(|time| *time <= end)
        .map(|time| format!("[{time},\"{value}\"]"))
        .collect();
    assert!(points.len() as u64 <= POINTS_PER_REQUEST);
    let labels = r#"{"namespace":"n","pod":"p","container":"c"}"#;
    let values = points.join(",");
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{labels},"values":[{values}]}}]}}}}"#
    )
}

#[test]
fn a_long_range_is_split_without_gaps_or_overlaps() {
    let mock = Mock::start(|_, request, stream| {
        send(stream, &reply("200 OK", &range_body(request, 1)));
    });
    let answer = mock
        .client()
        .query_range("m", 1000.0, 1000.0 + 30_000.0 * 15.0, 15.0)
        .expect("answered");
    assert!(answer.problem.is_none());
    let points = &answer.series[0].points;
    assert_eq!(points.len(), 30_001);
    assert!(points.windows(2).all(|pair| pair[1].0 - pair[0].0 == 15.0));
    assert_eq!(mock.requests.lock().expect("not poisoned").len(), 3);
}

#[test]
fn a_range_that_fails_halfway_keeps_what_came() {
    let mock = Mock::start(|number, request, stream| {
        if number == 1 {
            send(stream, &reply("503 Service Unavailable", "restarting"));
        } else {
            send(stream, &reply("200 OK", &range_body(request, 1)));
        }
    });
    let answer = mock.client().query_range("m", 0.0, 30_000.0, 1.0);
    let answer = answer.expect("some came");
    assert_eq!(answer.series[0].points.len() as u64, POINTS_PER_REQUEST);
    let problem = answer.problem.expect("it is not all");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    assert!(
        problem.to_string().contains("from 11000.000 on"),
        "{problem}"
    );
    assert!(problem.to_string().contains("restarting"), "{problem}");
}

#[test]
fn memory_without_limits_is_kept_with_the_problem() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let mock = Mock::start(move |_, request, stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        if request
            .form
            .contains("query=container_spec_memory_limit_bytes")
        {
            send(stream, &reply("500 Internal Server Error", "oops"));
        } else {
            send(stream, &reply("200 OK", &range_body(request, 7)));
        }
    });
    let found = memory_samples(&mock.client(), "", 0.0, 60.0, 15.0).expect("some came");
    let samples = found.samples.values().next().expect("a container");
    assert_eq!(samples.len(), 5);
    assert_eq!((samples[0].rss_bytes, samples[0].limit_bytes), (7, None));
    assert_eq!((samples[0].life, samples[0].oom_kills), (7000, Some(7)));
    assert_eq!(found.problems.len(), 1);
    let told = found.problems[0].to_string();
    assert!(told.contains("container_spec_memory_limit_bytes"), "{told}");
    assert_eq!(count.load(Ordering::Relaxed), 4);
}
