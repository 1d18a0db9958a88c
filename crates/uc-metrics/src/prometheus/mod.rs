//! A blocking client of Prometheus' HTTP API, and of what speaks it (Thanos, Mimir, VictoriaMetrics).

mod answer;
mod memory;
mod transport;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use uc_model::{Problem, Result};

pub use self::memory::{MemorySamples, SeriesKey, memory_samples};
use self::{answer::Answered, transport::Transport};

/// The most points of a series that Prometheus gives in one answer.
pub const POINTS_PER_REQUEST: u64 = 11_000;
/// Requests that one range is split into.
pub const REQUESTS_PER_RANGE: u64 = 64;
/// Points of all series of one range: 256 MiB of them.
const POINTS_PER_RANGE: usize = 1 << 24;
/// The shortest step: Prometheus counts in milliseconds.
const SHORTEST_STEP_S: f64 = 0.001;
/// The longest query, in bytes.
const QUERY_BYTES: usize = 64 << 10;

/// How to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For one request, from connecting to the end of the answer.
    pub timeout: Duration,
    /// The file with the bearer token; read anew for each request, since tokens of Kubernetes are renewed in place.
    pub bearer_token_file: Option<PathBuf>,
    /// Certificate authorities (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The largest answer, in bytes.
    pub max_body_bytes: u64,
    /// The most series in an answer.
    pub max_series: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            bearer_token_file: None,
            ca_file: None,
            max_body_bytes: 64 << 20,
            max_series: 100_000,
        }
    }
}

/// A series of an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its labels, `__name__` among them where the query keeps it.
    pub labels: BTreeMap<String, String>,
    /// Times in seconds since 1970, ascending, with values, which may be infinite or no number.
    pub points: Vec<(f64, f64)>,
}

/// What came of a query.
#[derive(Debug, Default)]
#[must_use = "an answer may be incomplete: see `problem`"]
pub struct Answer {
    /// The series, in the order of their labels.
    pub series: Vec<Series>,
    /// What Prometheus warns of, as stores that did not answer: then data may be missing.
    pub warnings: Vec<String>,
    /// Why the answer ends before the range does, where it had to be asked for in parts and a later part failed.
    pub problem: Option<Problem>,
}

/// A Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    transport: Transport,
    max_series: usize,
}

impl Prometheus {
    /// A client of the server at an address, as `https://prometheus.example:9090` or with a path before `/api`. Nothing is
    /// sent yet.
    ///
    /// # Errors
    /// Invalid where the address is none, or holds a password; refused where a token would be sent unencrypted to another
    /// machine; not found or invalid where the certificate authorities cannot be read.
    pub fn new(url: &str, options: Options) -> Result<Self> {
        let max_series = options.max_series;
        Ok(Self {
            transport: Transport::new(url, options)?,
            max_series,
        })
    }

    /// Evaluates a query at one time. A scalar is a series without labels.
    ///
    /// # Errors
    /// Unavailable where the server cannot be reached, is too slow, fails or breaks off; invalid where it does not understand
    /// the query; refused where it wants other credentials or the answer is too large.
    pub fn query(&self, query: &str, at_s: f64) -> Result<Answer> {
        check_query(query)?;
        check_time(at_s)?;
        let parameters = [("query", query.to_owned()), ("time", format!("{at_s:.3}"))];
        let answered = self.ask("query", &parameters)?;
        let mut whole = Whole::default();
        whole.add(answered, self.max_series)?;
        Ok(whole.into_answer(None))
    }

    /// Evaluates a query every `step_s` from `start_s` to `end_s`, both included. More points than Prometheus gives at once are
    /// asked for in several requests.
    ///
    /// # Errors
    /// As [`Prometheus::query`], if nothing came at all. What came before a failure is returned, with the problem beside it.
    pub fn query_range(
        &self,
        query: &str,
        start_s: f64,
        end_s: f64,
        step_s: f64,
    ) -> Result<Answer> {
        check_query(query)?;
        let steps = steps(start_s, end_s, step_s)?;
        let mut whole = Whole::default();
        let mut first = 0;
        while first <= steps {
            let last = (first + POINTS_PER_REQUEST - 1).min(steps);
            // Both fit a float exactly: there are at most 704,000 steps.
            let time = |step: u64| format!("{:.3}", start_s + step as f64 * step_s);
            let parameters = [
                ("query", query.to_owned()),
                ("start", time(first)),
                ("end", time(last)),
                ("step", format!("{step_s:.3}")),
            ];
            let outcome = self.ask("query_range", &parameters);
            match outcome.and_then(|answered| whole.add(answered, self.max_series)) {
                Ok(()) => {}
                Err(problem) if first == 0 => return Err(problem),
                Err(problem) => {
                    let problem = problem.within(format!("from {} on", time(first)));
                    return Ok(whole.into_answer(Some(problem)));
                }
            }
            first = last + 1;
        }
        Ok(whole.into_answer(None))
    }

    fn ask(&self, endpoint: &str, parameters: &[(&str, String)]) -> Result<Answered> {
        let reply = self.transport.post(endpoint, parameters)?;
        answer::read(&reply, self.max_series).map_err(|problem| problem.at(&reply.url))
    }
}

/// The parts of an answer, put together.
#[derive(Default)]
struct Whole {
    series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>>,
    warnings: Vec<String>,
    points: usize,
}

impl Whole {
    fn add(&mut self, answered: Answered, max_series: usize) -> Result<()> {
        for warning in answered.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self.warnings.truncate(answer::WARNINGS);
        for series in answered.series {
            if self.points + series.points.len() > POINTS_PER_RANGE {
                return Err(
                    Problem::refused("the answers hold more points than are kept")
                        .limit(format!("{POINTS_PER_RANGE} points of all series"))
                        .remedy("narrow the selector, shorten the range or lengthen the step"),
                );
            }
            if !self.series.contains_key(&series.labels) && self.series.len() >= max_series {
                return Err(answer::too_many_series(max_series));
            }
            self.points += series.points.len();
            let points = self.series.entry(series.labels).or_default();
            for point in series.points {
                // Parts must not overlap, whatever the server makes of their ends.
                if points.last().is_none_or(|last| last.0 < point.0) {
                    points.push(point);
                }
            }
        }
        Ok(())
    }

    fn into_answer(self, problem: Option<Problem>) -> Answer {
        let series = self.series.into_iter();
        Answer {
            series: series
                .map(|(labels, points)| Series { labels, points })
                .collect(),
            warnings: self.warnings,
            problem,
        }
    }
}

/// How many steps a range has.
fn steps(start_s: f64, end_s: f64, step_s: f64) -> Result<u64> {
    check_time(start_s)?;
    check_time(end_s)?;
    if !(SHORTEST_STEP_S..=1e9).contains(&step_s) {
        return Err(Problem::invalid("this is no step of a range")
            .limit("0.001 s to 1,000,000,000 s")
            .found(format!("{step_s} s")));
    }
    if end_s < start_s {
        return Err(Problem::invalid("the range ends before it begins")
            .found(format!("{start_s} to {end_s}")));
    }
    // A step that falls short of the end by rounding alone counts.
    let steps = ((end_s - start_s) / step_s + 1e-6).floor();
    let most = POINTS_PER_REQUEST * REQUESTS_PER_RANGE;
    if steps >= most as f64 {
        return Err(Problem::invalid("the range has too many steps")
            .limit(format!("{most} steps"))
            .found(format!("{steps:.0} steps"))
            .remedy("shorten the range or lengthen the step"));
    }
    Ok(steps as u64)
}

fn check_time(time_s: f64) -> Result<()> {
    // Up to the year 9999; Prometheus itself ends where milliseconds no longer fit.
    if (-62_135_596_800.0..=253_402_300_799.0).contains(&time_s) {
        return Ok(());
    }
    Err(Problem::invalid("this is no time")
        .limit("seconds since 1970, up to the year 9999")
        .found(time_s))
}

fn check_query(query: &str) -> Result<()> {
    if query.len() <= QUERY_BYTES {
        return Ok(());
    }
    Err(Problem::invalid("the query is too long")
        .limit(format!("{QUERY_BYTES} bytes"))
        .found(format!("{} bytes", query.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_with_both_ends() {
        assert_eq!(steps(0.0, 0.0, 15.0).expect("one point"), 0);
        assert_eq!(steps(0.0, 44.9, 15.0).expect("three points"), 2);
        assert_eq!(steps(0.0, 0.3, 0.1).expect("four points"), 3);
        for (start, end, step) in [
            (1.0, 0.0, 1.0),
            (0.0, 1.0, 0.0),
            (0.0, 1.0, f64::NAN),
            (f64::NAN, 1.0, 1.0),
            (0.0, f64::INFINITY, 1.0),
            (0.0, 704_000.0, 1.0),
            (0.0, 1.0, -1.0),
        ] {
            assert!(steps(start, end, step).is_err(), "{start} {end} {step}");
        }
    }
}
