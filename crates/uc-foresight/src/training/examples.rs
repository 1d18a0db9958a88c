//! Examples to learn from: what was seen, and what came.

use crate::{
    Recent, Sample,
    forecast::{Features, HORIZON_S, TARGETS},
};

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What was seen.
    pub features: Features,
    /// What came, in bytes: memory after 5 and after 10 minutes, and the peak in between.
    pub truth: [f64; TARGETS],
}

/// The examples of a series: one every `every_s` seconds, each with an hour before (or less, at the begin) and ten minutes after.
pub fn examples_of(samples: &[Sample], every_s: f64) -> Vec<Example> {
    let Some(first) = samples.first() else {
        return Vec::new();
    };
    let mut recent = Recent::new(first.t_s, first.rss_bytes as f64);
    let mut examples = Vec::new();
    let mut next_s = first.t_s + every_s;
    for (index, sample) in samples.iter().enumerate().skip(1) {
        recent.push(sample.t_s, sample.rss_bytes as f64);
        if sample.t_s < next_s {
            continue;
        }
        next_s = sample.t_s + every_s;
        if let (Some(features), Some(truth)) = (Features::of(&recent), truth_at(&samples[index..]))
        {
            examples.push(Example { features, truth });
        }
    }
    examples
}

/// What comes after the first of these samples; `None` where samples are missing.
fn truth_at(samples: &[Sample]) -> Option<[f64; TARGETS]> {
    let now_s = samples.first()?.t_s;
    let end = samples.partition_point(|sample| sample.t_s <= now_s + HORIZON_S + 5.0);
    let ahead = &samples[1..end.max(1)];
    let is_dense = ahead
        .windows(2)
        .all(|pair| pair[1].t_s - pair[0].t_s <= 120.0);
    let last = ahead.last()?;
    if !is_dense || last.t_s < now_s + HORIZON_S - 65.0 {
        return None;
    }
    let middle = ahead
        .iter()
        .find(|sample| sample.t_s >= now_s + HORIZON_S / 2.0)?;
    let peak = ahead.iter().map(|sample| sample.rss_bytes).max()?;
    Some([middle.rss_bytes as f64, last.rss_bytes as f64, peak as f64])
}
