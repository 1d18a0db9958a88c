//! What a Prometheus knows, asked by a thread of its own: one that is slow must not keep this host from being watched.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use uc_metrics::prometheus::{MemorySamples, Prometheus, memory_samples};
use uc_model::{Problem, Result};

use super::subject::{Handle, Sight, Subject, Unread};

/// How far back it is asked each time, in seconds, and in steps of how many.
const ASKED_BACK_S: f64 = 120.0;
const ASKED_STEP_S: f64 = 15.0;
/// How far back it is asked at first, and at most after it did not answer, in seconds: what the forecast sees.
const ASKED_BACK_AT_MOST_S: f64 = 3_600.0;
/// The shortest and the longest that a look waits for an answer: otherwise a quarter of the time between two looks.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// A Prometheus, with what is asked of it.
pub(super) struct Remote {
    /// From when to when, in seconds since 1970.
    asks: Sender<(f64, f64)>,
    answers: Receiver<Result<MemorySamples>>,
    patience: Duration,
    /// Until when it is being asked.
    asked_s: Option<f64>,
    /// Until when it has answered.
    answered_s: Option<f64>,
}

impl Remote {
    /// Begins a thread that asks. Looks are so far apart.
    pub(super) fn open(client: Prometheus, selector: String, interval: Duration) -> Result<Self> {
        let (asks, asked) = channel();
        let (answer, answers) = channel();
        thread::Builder::new()
            .name("prometheus".to_owned())
            .spawn(move || {
                for (start_s, end_s) in asked {
                    let samples = memory_samples(&client, &selector, start_s, end_s, ASKED_STEP_S);
                    if answer.send(samples).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| {
                Problem::host("cannot begin a thread for Prometheus").caused_by(error)
            })?;
        Ok(Self {
            asks,
            answers,
            patience: (interval / 4).clamp(PATIENCE.0, PATIENCE.1),
            asked_s: None,
            answered_s: None,
        })
    }

    /// What it knows, as far as it answers in time: an answer that comes later is taken at the next look.
    pub(super) fn look(&mut self, now_s: f64, sight: &mut Sight) {
        if self.asked_s.is_none() {
            self.ask(now_s);
        }
        if !self.take(sight) {
            // Those that it told of may be there still.
            sight.unread.push(Unread::Remote);
        }
    }

    fn ask(&mut self, now_s: f64) {
        // On a grid, so that no sample is counted twice.
        let on_grid = |time_s: f64| (time_s / ASKED_STEP_S).floor() * ASKED_STEP_S;
        let earliest_s = now_s - ASKED_BACK_AT_MOST_S;
        let since_s = self.answered_s.map_or(earliest_s, |answered_s| {
            answered_s.min(now_s - ASKED_BACK_S).max(earliest_s)
        });
        if self.asks.send((on_grid(since_s), on_grid(now_s))).is_ok() {
            self.asked_s = Some(now_s);
        }
    }

    /// Takes the answer, if it comes in time.
    fn take(&mut self, sight: &mut Sight) -> bool {
        let answer = match self.answers.recv_timeout(self.patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => {
                Err(Problem::internal("nobody asks Prometheus any more"))
            }
        };
        let asked_s = self.asked_s.take();
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => {
                sight.miss(Unread::Remote, problem);
                return true;
            }
        };
        let is_partial = !answer.problems.is_empty();
        let warnings = answer.warnings.into_iter().map(|warning| {
            Problem::unavailable("Prometheus warns that data may be missing").found(warning)
        });
        for problem in answer.problems.into_iter().chain(warnings) {
            sight.miss(Unread::Remote, problem);
        }
        // Samples without their limits or starts would look like other lives; the next look asks for them again.
        if is_partial {
            return true;
        }
        self.answered_s = asked_s;
        for (key, samples) in answer.samples {
            sight.add(Subject {
                name: format!("prometheus/{key}"),
                samples,
                handle: Handle::Remote,
                replica_of: None,
            });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        time::Instant,
    };

    use uc_metrics::prometheus::Options;

    use super::*;

    /// A server that answers each request after a while.
    fn server(delay: Duration, answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 8_192]);
                thread::sleep(delay);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        url
    }

    fn remote(url: &str) -> Remote {
        let client = Prometheus::new(url, Options::default()).unwrap();
        Remote::open(client, String::new(), Duration::from_secs(1)).unwrap()
    }

    const NOTHING: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}";
    const BROKEN: &str = "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

    #[test]
    fn a_slow_one_delays_no_look_and_is_heard_at_a_later_one() {
        let mut remote = remote(&server(Duration::from_millis(700), NOTHING));
        let begun = Instant::now();
        let mut first = Sight::default();
        remote.look(1e9, &mut first);
        assert!(begun.elapsed() < Duration::from_millis(1_500), "it waited");
        assert_eq!(first.unread, [Unread::Remote]);
        assert!(first.problems.is_empty(), "{:?}", first.problems);
        // Four metrics take it some three seconds.
        let mut sight = first;
        while !sight.unread.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "never heard");
            sight = Sight::default();
            remote.look(1e9 + 5.0, &mut sight);
        }
        assert_eq!(remote.answered_s, Some(1e9));
    }

    #[test]
    fn one_that_fails_is_told_and_asked_for_the_whole_time_again() {
        let mut remote = remote(&server(Duration::ZERO, BROKEN));
        for _ in 0..2 {
            let mut sight = Sight::default();
            remote.look(1e9, &mut sight);
            assert_eq!(sight.unread, [Unread::Remote]);
            assert_eq!(sight.problems.len(), 1, "{:?}", sight.problems);
            assert_eq!((remote.asked_s, remote.answered_s), (None, None));
        }
    }
}
