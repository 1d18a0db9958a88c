//! Against a real little server: one that answers, is down, fails first, refuses, or never answers.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
};

use super::*;

const QUICK: Pace = Pace {
    timeout: Duration::from_millis(300),
    first_wait: Duration::from_millis(10),
    at_end: Duration::from_secs(20),
};

/// Head and body of a request.
fn request(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("content-length: ")?.parse().ok()
    })?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// A server that answers the requests with these statuses, the last one for good; nothing for none at all.
fn server(statuses: Vec<Option<u16>>) -> (Secret, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    // It ends with the test's process.
    thread::spawn(move || {
        let mut kept = Vec::new();
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let Some(asked) = request(&stream) else {
                continue;
            };
            let _ = sender.send(asked);
            match statuses[number.min(statuses.len() - 1)] {
                Some(status) => {
                    let answer = format!(
                        "HTTP/1.1 {status} Word\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    );
                    let _ = (&stream).write_all(answer.as_bytes());
                }
                None => kept.push(stream),
            }
        }
    });
    (Secret(address), requests)
}

fn bodies(requests: &Receiver<(String, String)>) -> Vec<String> {
    requests.try_iter().map(|(_, body)| body).collect()
}

#[test]
fn events_are_posted_in_order_with_the_token() {
    let (address, requests) = server(vec![Some(204)]);
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "t0ken\n").unwrap();
    let webhook = Webhook::open_at_pace(&address, Some(token_file), QUICK).unwrap();
    webhook.send("{\"a\":1}");
    webhook.send("{\"b\":2}");
    webhook.finish();
    assert!(webhook.problems().is_empty());
    let requests: Vec<(String, String)> = requests.try_iter().collect();
    let (head, body) = &requests[0];
    assert_eq!(body, "{\"a\":1}");
    assert!(head.starts_with("POST /s3cret HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("authorization: bearer t0ken"), "{head}");
    assert_eq!(requests[1].1, "{\"b\":2}");
}

#[test]
fn what_fails_at_first_is_tried_again_and_what_is_refused_is_not() {
    let (address, requests) = server(vec![Some(500), Some(429), Some(200)]);
    let webhook = Webhook::open_at_pace(&address, None, QUICK).unwrap();
    webhook.send("1");
    webhook.finish();
    assert!(webhook.problems().is_empty());
    assert_eq!(bodies(&requests), ["1", "1", "1"]);

    for (status, word) in [(404, "refuses"), (301, "elsewhere"), (403, "credentials")] {
        let (address, requests) = server(vec![Some(status)]);
        let webhook = Webhook::open_at_pace(&address, None, QUICK).unwrap();
        webhook.send("1");
        webhook.finish();
        let problems = format!("{:?}", webhook.problems());
        assert!(problems.contains(word), "{problems}");
        assert_eq!(bodies(&requests).len(), 1);
    }
}

#[test]
fn one_that_is_down_or_slow_is_told_without_its_secret_and_delays_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let down = Secret(format!("http://{}/s3cret", listener.local_addr().unwrap()));
    drop(listener);
    let (slow, requests) = server(vec![None]);
    for address in [&down, &slow] {
        let webhook = Webhook::open_at_pace(address, None, QUICK).unwrap();
        let begun = Instant::now();
        webhook.send("1");
        assert!(begun.elapsed() < QUICK.timeout, "sending waited");
        webhook.finish();
        let problems = webhook.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(!format!("{problems:?}").contains("s3cret"), "{problems:?}");
    }
    assert_eq!(bodies(&requests).len(), TRIES as usize);
}

#[test]
fn of_too_many_that_wait_the_oldest_are_left_out_and_counted() {
    let (address, requests) = server(vec![None]);
    let pace = Pace {
        timeout: Duration::from_secs(60),
        at_end: Duration::from_millis(100),
        ..QUICK
    };
    let webhook = Webhook::open_at_pace(&address, None, pace).unwrap();
    webhook.send("first");
    // The server has it, and keeps it.
    requests.recv_timeout(Duration::from_secs(20)).unwrap();
    for number in 0..MOST_WAITING + 3 {
        webhook.send(&number.to_string());
    }
    assert_eq!(webhook.shared.queue().waiting.front().unwrap(), "3");
    let problems = format!("{:?}", webhook.problems());
    assert!(problems.contains("3 left out"), "{problems}");
    // The end waits no longer than it may, and says what was not told.
    webhook.finish();
    let problems = format!("{:?}", webhook.problems());
    let left = format!("{} events left", MOST_WAITING + 1);
    assert!(problems.contains(&left), "{problems}");
}
