//! Samples of containers, out of what cAdvisor (in the kubelet) tells Prometheus.

use std::{collections::BTreeMap, fmt};

use uc_foresight::Sample;
use uc_model::{Problem, Result};

use super::{Prometheus, Series};

const RSS: &str = "container_memory_rss";
const LIMIT: &str = "container_spec_memory_limit_bytes";
const OOM_KILLS: &str = "container_oom_events_total";
const START: &str = "container_start_time_seconds";

/// A container of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// The namespace.
    pub namespace: String,
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.pod, self.container)
    }
}

/// What came of asking for samples.
#[derive(Debug, Default)]
#[must_use = "samples may be missing: see `problems`"]
pub struct MemorySamples {
    /// By container, ascending in time.
    pub samples: BTreeMap<SeriesKey, Vec<Sample>>,
    /// What Prometheus warns of: data may be missing.
    pub warnings: Vec<String>,
    /// What is missing, and why: the end of the range, or limits, OOM kills or starts.
    pub problems: Vec<Problem>,
}

/// The samples of all containers that a selector (`namespace="shop",pod=~"api-.*"`, with braces or without, or empty) matches, every
/// `step_s` from `start_s` to `end_s`.
///
/// `life` is when the container started, in milliseconds since 1970. A limit of 0 is none. Where a container was replaced and
/// both are told of for a while, the later one counts. Limits and starts that are missing for a while are as they were.
///
/// # Errors
/// As [`Prometheus::query_range`], if no memory is told of at all because of a failure.
pub fn memory_samples(
    client: &Prometheus,
    selector: &str,
    start_s: f64,
    end_s: f64,
    step_s: f64,
) -> Result<MemorySamples> {
    let mut found = MemorySamples::default();
    let mut joined: BTreeMap<BTreeMap<String, String>, Joined> = BTreeMap::new();
    for metric in [RSS, LIMIT, OOM_KILLS, START] {
        let answer = client.query_range(&query(metric, selector), start_s, end_s, step_s);
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) if metric == RSS => return Err(problem),
            Err(problem) => {
                found.problems.push(problem.within(metric));
                continue;
            }
        };
        found
            .problems
            .extend(answer.problem.map(|problem| problem.within(metric)));
        for warning in answer.warnings {
            if !found.warnings.contains(&warning) {
                found.warnings.push(warning);
            }
        }
        for series in answer.series {
            add(&mut joined, metric, series);
        }
    }
    for (labels, series) in joined {
        if let Some(key) = key_of(&labels) {
            found
                .samples
                .entry(key)
                .or_default()
                .extend(series.samples());
        }
    }
    for samples in found.samples.values_mut() {
        keep_latest_life(samples);
    }
    found.samples.retain(|_, samples| !samples.is_empty());
    Ok(found)
}

/// Without the Pods' sums and their pause containers.
fn query(metric: &str, selector: &str) -> String {
    let selector = selector.trim();
    let inner = selector
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(selector)
        .trim()
        .trim_end_matches(',');
    let separator = if inner.is_empty() { "" } else { "," };
    format!("{metric}{{container!=\"\",container!=\"POD\"{separator}{inner}}}")
}

/// The four metrics of one cgroup, as points.
#[derive(Default)]
struct Joined {
    rss: Vec<(f64, f64)>,
    limit: Vec<(f64, f64)>,
    oom_kills: Vec<(f64, f64)>,
    start: Vec<(f64, f64)>,
}

fn add(joined: &mut BTreeMap<BTreeMap<String, String>, Joined>, metric: &str, series: Series) {
    let mut labels = series.labels;
    labels.remove("__name__");
    // Some kubelets tell of OOM kills with fewer labels, or of other groups: only what has memory is wanted.
    let entry = match metric {
        RSS => joined.entry(labels).or_default(),
        _ => match joined.get_mut(&labels) {
            Some(entry) => entry,
            None => return,
        },
    };
    match metric {
        RSS => entry.rss = series.points,
        LIMIT => entry.limit = series.points,
        OOM_KILLS => entry.oom_kills = series.points,
        _ => entry.start = series.points,
    }
}

fn key_of(labels: &BTreeMap<String, String>) -> Option<SeriesKey> {
    Some(SeriesKey {
        namespace: labels.get("namespace")?.clone(),
        pod: labels.get("pod")?.clone(),
        container: labels.get("container")?.clone(),
    })
}

impl Joined {
    fn samples(&self) -> Vec<Sample> {
        let mut limits = Held::new(&self.limit);
        let mut starts = Held::new(&self.start);
        let mut oom_kills = Held::new(&self.oom_kills);
        let rss = self.rss.iter();
        rss.filter_map(|(t_s, rss)| {
            let limit = limits.at(*t_s).and_then(whole);
            let start_ms = starts.at(*t_s).and_then(|start| whole(start * 1000.0));
            Some(Sample {
                t_s: *t_s,
                rss_bytes: whole(*rss)?,
                limit_bytes: limit.filter(|limit| *limit > 0),
                life: start_ms.unwrap_or(0),
                oom_kills: oom_kills.at(*t_s).and_then(whole),
                pressure: None,
            })
        })
        .collect()
    }
}

/// Points read in ascending time: the last one so far, before the first the first. A container does not lose its limit
/// because a scrape failed, and does not start anew.
struct Held<'a> {
    points: &'a [(f64, f64)],
    next: usize,
}

impl<'a> Held<'a> {
    fn new(points: &'a [(f64, f64)]) -> Self {
        Self { points, next: 0 }
    }

    fn at(&mut self, t_s: f64) -> Option<f64> {
        while self
            .points
            .get(self.next)
            .is_some_and(|point| point.0 <= t_s)
        {
            self.next += 1;
        }
        let point = self.points.get(self.next.saturating_sub(1))?;
        Some(point.1)
    }
}

/// A value as a number of bytes, kills or milliseconds; nothing for what is none.
fn whole(value: f64) -> Option<u64> {
    // From 2^63 on values mean "no limit".
    (value.is_finite() && (0.0..9.2e18).contains(&value)).then(|| value.round() as u64)
}

/// Of several cgroups of one container at one time, the one that was started last; of those the largest.
fn keep_latest_life(samples: &mut Vec<Sample>) {
    samples.sort_by(|a, b| {
        a.t_s
            .total_cmp(&b.t_s)
            .then(b.life.cmp(&a.life))
            .then(b.rss_bytes.cmp(&a.rss_bytes))
    });
    samples.dedup_by(|later, kept| later.t_s == kept.t_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_taken_with_and_without_braces() {
        let expected = "m{container!=\"\",container!=\"POD\",a=\"b\"}";
        for selector in ["a=\"b\"", "{a=\"b\"}", " { a=\"b\", } "] {
            assert_eq!(query("m", selector), expected);
        }
        assert_eq!(query("m", "{}"), "m{container!=\"\",container!=\"POD\"}");
    }

    #[test]
    fn gaps_hold_the_last_known_limit_and_start() {
        let joined = Joined {
            rss: vec![
                (1.0, 10.0),
                (2.0, f64::NAN),
                (3.0, 30.0),
                (4.0, -1.0),
                (5.0, 50.0),
            ],
            limit: vec![(3.0, 100.0), (5.0, 0.0)],
            oom_kills: vec![],
            start: vec![(3.0, 7.5)],
        };
        let samples = joined.samples();
        let seen: Vec<_> = samples
            .iter()
            .map(|one| (one.t_s, one.rss_bytes, one.limit_bytes, one.life))
            .collect();
        assert_eq!(
            seen,
            [
                (1.0, 10, Some(100), 7500),
                (3.0, 30, Some(100), 7500),
                (5.0, 50, None, 7500)
            ]
        );
        assert_eq!(samples[0].oom_kills, None);
    }

    #[test]
    fn the_later_of_two_lives_counts() {
        let sample = |t_s, rss_bytes, life| Sample {
            life,
            ..Sample::new(t_s, rss_bytes, None)
        };
        let mut samples = vec![
            sample(1.0, 5, 1),
            sample(2.0, 6, 1),
            sample(2.0, 1, 2),
            sample(3.0, 2, 2),
        ];
        keep_latest_life(&mut samples);
        assert_eq!(
            samples,
            [sample(1.0, 5, 1), sample(2.0, 1, 2), sample(3.0, 2, 2)]
        );
    }
}
