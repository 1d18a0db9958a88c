//! Whether a workload leaks: dRSS/dt > ε and RSS > θ (mission M5.3), as probabilities.
//!
//! Five questions are put to each window of the past, from under a minute to two days. Their answers multiply: what leaks grows
//! (ε comes from the window's own noise), does so steadily, has not levelled off, is higher than ever before in this life, and
//! is high compared with its limit (θ) or about to meet it. The window that is surest speaks.

use serde::{Deserialize, Serialize};

use uc_model::Bytes;

use crate::{
    Tracker,
    eviction::Assessment,
    forecast::{Features, Forecast, HORIZON_S, Model},
    robust::{logistic, normal_below},
    trend::Trend,
};

/// ε: growth over a window below this share of the limit is none; within a minute it takes more than over an hour, since noise
/// that looks like growth for a minute comes every day.
const LEAST_RISE_HOUR: f64 = 0.03;
const LEAST_RISE_MINUTE: f64 = 0.12;
/// How far a window may be carried by the steps that this series is used to make, in such steps.
const WANDER: f64 = 3.0;
/// The spread of growth over a window, in spreads about its line: larger than for independent bins, since memory has memory.
const RISE_SPREAD: f64 = 1.6;
/// No series is known better than this share of the limit.
const LEAST_SPREAD: f64 = 0.0015;
/// The share of rising pairs at which growth is as likely steady as not, and how fast that turns.
const STEADY: (f64, f64) = (0.83, 0.03);
/// The pace of the last part over that of the whole at which it has as likely levelled off as not.
const CONTINUED: (f64, f64) = (0.4, 0.08);
/// How sure "higher than ever" is in a life too young to tell.
const NOVEL_WHEN_YOUNG: f64 = 0.95;
/// θ as a share of the limit, and how fast it turns. Growth that stops below it is a warm-up.
const HIGH: (f64, f64) = (0.9, 0.02);
/// The time to the limit below which growth counts as high wherever it is: this share of how long growth has lasted, for what shoots
/// up within minutes is a batch more often than a leak, but within these bounds in seconds, the lower being what an orderly end takes.
const DESPERATE_SHARE: f64 = 0.12;
const DESPERATE_S: (f64, f64) = (20.0, 180.0);
/// A life younger than this has too few minutes for the model to see its growth, in seconds.
const YOUNG_S: f64 = 600.0;
/// The leak probabilities between which the quantile that counts for decisions moves from the upper quartile to the outermost.
const SURE: (f64, f64) = (0.8, 0.95);
/// The times to the limit, at the pace of growth, between which the quantile that counts moves down to the median, in seconds:
/// what takes hours to the limit can be waited for, and a healthy day under a tight limit looks like it.
const UNHURRIED_S: (f64, f64) = (1_200.0, 3_600.0);
/// What earlier lives reached without harm counts as normal, up to this share of the limit more.
const HARMLESS_MARGIN: f64 = 0.02;

/// The answers for one window, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Length of the window in seconds.
    pub window_s: f64,
    /// Growth in bytes for each second.
    pub slope: f64,
    /// That growth exceeds ε.
    pub grows: f64,
    /// That it is steady.
    pub steady: f64,
    /// That it has not levelled off.
    pub continues: f64,
    /// That memory is higher than ever before.
    pub novel: f64,
    /// That memory exceeds θ.
    pub high: f64,
}

impl Evidence {
    /// The probability of a leak.
    pub fn leak_probability(&self) -> f64 {
        self.growth_probability() * self.high
    }

    /// The probability that memory grows as a leak does, however high it is.
    pub fn growth_probability(&self) -> f64 {
        self.grows * self.steady * self.continues * self.novel
    }

    /// What speaks most against a leak, in words, and how likely the contrary is.
    pub fn weakest(&self) -> (&'static str, f64) {
        [
            ("it hardly grows beyond its own noise", self.grows),
            ("it goes up and down", self.steady),
            ("it levels off", self.continues),
            ("it was this high before", self.novel),
            ("it is far from its limit", self.high),
        ]
        .into_iter()
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or(("nothing", 1.0))
    }
}

/// The verdict on one workload at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The surest window; absent while too little is known.
    pub evidence: Option<Evidence>,
    /// The forecast; absent while too little is known.
    pub forecast: Option<Forecast>,
    /// Memory now, in bytes: the mean of the last quarter of a minute.
    pub level_bytes: f64,
    /// The limit in bytes.
    pub limit_bytes: Option<u64>,
    /// The peak within ten minutes that is exceeded with a probability of a quarter; the surer the leak, down to a twentieth: acting
    /// a little early costs less than acting too late; the more time is left at its pace, up to a half. In a life too young for
    /// a forecast, or with the leak all but certain, at least where the surest window's growth leads: steps look like rest to a model.
    pub forecast_end_bytes: f64,
}

impl Verdict {
    /// The verdict on what a tracker has seen. `None` before the first sample.
    pub fn of(tracker: &Tracker, model: &Model) -> Option<Self> {
        let recent = tracker.recent()?;
        let last = tracker.last()?;
        let level = recent.newest();
        let now = Now {
            level,
            last: last.rss_bytes as f64,
        };
        let forecast = Features::of(recent).map(|features| model.forecast(&features));
        let evidence = last
            .limit_bytes
            .and_then(|limit| evidence(tracker, now, limit as f64));
        let by_growth = || {
            evidence.map_or(level, |evidence| {
                level + evidence.slope.max(0.0) * HORIZON_S
            })
        };
        let probability = evidence.map_or(0.0, |evidence| evidence.leak_probability());
        let to_limit_s = last
            .limit_bytes
            .zip(evidence)
            .map_or(0.0, |(limit, evidence)| {
                time_to(limit as f64 - level, evidence.slope)
            });
        let is_young = recent.span_s() < YOUNG_S;
        let forecast_end = match forecast {
            Some(forecast) if is_young || probability >= SURE.1 => {
                counted_peak(&forecast, probability, to_limit_s).max(by_growth())
            }
            Some(forecast) => counted_peak(&forecast, probability, to_limit_s),
            None => by_growth(),
        };
        Some(Self {
            evidence,
            forecast,
            level_bytes: level,
            limit_bytes: last.limit_bytes,
            forecast_end_bytes: forecast_end,
        })
    }

    /// What the eviction machine needs of it.
    pub fn assessment(&self) -> Assessment {
        Assessment {
            leak_probability: self.leak_probability(),
            growth_probability: self
                .evidence
                .map_or(0.0, |evidence| evidence.growth_probability()),
            pace_to_limit_s: self.near_limit_s().map(|seconds| seconds as u64),
            rss_bytes: self.level_bytes as u64,
            forecast_end_bytes: self.forecast_end_bytes,
            horizon_s: HORIZON_S as u64,
            limit_bytes: self.limit_bytes,
        }
    }

    /// Time until growth at the pace of the surest window meets the limit, in seconds.
    pub fn pace_to_limit_s(&self) -> Option<f64> {
        let slope = self.evidence?.slope;
        let left = self.limit_bytes? as f64 - self.level_bytes;
        (slope > 0.0).then(|| time_to(left, slope))
    }

    /// The same where growth has lasted for as long at least: what grew for a minute says nothing about an hour.
    fn near_limit_s(&self) -> Option<f64> {
        let window_s = self.evidence?.window_s;
        self.pace_to_limit_s().filter(|left_s| *left_s <= window_s)
    }

    /// Why, in words.
    pub fn reason(&self) -> String {
        let (Some(limit), Some(evidence)) = (self.limit_bytes, self.evidence) else {
            return match self.limit_bytes {
                None => "no limit, so nothing to run into".into(),
                Some(_) => "too little is known yet".into(),
            };
        };
        let share = 100.0 * self.level_bytes / (limit as f64).max(1.0);
        let pace = bytes(evidence.slope.abs() * 3600.0);
        let direction = if evidence.slope < 0.0 {
            "falls"
        } else {
            "grows"
        };
        let weakest = evidence.weakest();
        let counter = if weakest.1 < 0.9 {
            format!("; against a leak: {}", weakest.0)
        } else {
            String::new()
        };
        let end = bytes(self.forecast_end_bytes);
        format!(
            "{} of {} ({share:.0} %) in use; {direction} {pace} an hour over the last {}; may reach {end} within {}{counter}",
            bytes(self.level_bytes),
            Bytes(limit),
            duration(evidence.window_s),
            duration(HORIZON_S),
        )
    }

    /// The probability of a leak, from 0 to 1; 0 while too little is known.
    pub fn leak_probability(&self) -> f64 {
        self.evidence
            .map_or(0.0, |evidence| evidence.leak_probability())
    }
}

/// The time that growth takes to a height above, in seconds; endless where nothing grows.
fn time_to(bytes: f64, slope: f64) -> f64 {
    if slope > 0.0 {
        (bytes / slope).max(0.0)
    } else {
        f64::INFINITY
    }
}

/// Memory now, in bytes: the mean of the last quarter of a minute, which noise moves little, and the last sample, which does not
/// lag behind what grows to the limit within a minute.
#[derive(Debug, Clone, Copy)]
struct Now {
    level: f64,
    last: f64,
}

/// The peak that counts for decisions. The surer the leak, the less a false alarm is to be feared and the earlier one may act;
/// the slower it is, the less there is to lose by waiting.
fn counted_peak(forecast: &Forecast, probability: f64, to_limit_s: f64) -> f64 {
    let [_, _, median, quartile, outermost] = forecast.peak.0;
    let sureness = within(probability, SURE);
    let leisure = within(to_limit_s, UNHURRIED_S);
    let hurried = quartile + sureness * (outermost - quartile);
    hurried + leisure * (median - hurried)
}

/// Where a value lies between two others, from 0 to 1.
fn within(value: f64, (low, high): (f64, f64)) -> f64 {
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

fn evidence(tracker: &Tracker, now: Now, limit: f64) -> Option<Evidence> {
    let harmless = match tracker.harmless_peak() {
        peak if peak > 0.0 => turn(
            now.level - peak,
            HARMLESS_MARGIN * limit,
            HARMLESS_MARGIN * limit / 2.0,
        ),
        _ => 1.0,
    };
    tracker
        .trends()
        .map(|trend| of_window(&trend, now, limit, harmless))
        .max_by(|one, other| {
            let order = one.leak_probability().total_cmp(&other.leak_probability());
            order.then(
                one.growth_probability()
                    .total_cmp(&other.growth_probability()),
            )
        })
}

fn of_window(trend: &Trend, now: Now, limit: f64, harmless: f64) -> Evidence {
    let wander = trend.step_spread.unwrap_or(0.0) * WANDER;
    let spread = (RISE_SPREAD * trend.spread).hypot(wander) + LEAST_SPREAD * limit;
    let novel = trend.peak_before.map_or(NOVEL_WHEN_YOUNG, |peak| {
        turn(trend.level - peak, 0.0, 0.3 * trend.spread + 0.004 * limit)
    });
    Evidence {
        window_s: trend.window_s,
        slope: trend.slope,
        grows: normal_below((trend.rise() - least_rise(trend.window_s) * limit) / spread),
        steady: turn(trend.concordance, STEADY.0, STEADY.1),
        continues: turn(trend.tail, CONTINUED.0, CONTINUED.1),
        novel: novel * harmless,
        high: high(trend, now, limit),
    }
}

/// ε as a share of the limit: falls with the logarithm of the window's length, from a minute to an hour.
fn least_rise(window_s: f64) -> f64 {
    let shortness = ((3_600.0 / window_s).ln() / 60f64.ln()).clamp(0.0, 1.0);
    LEAST_RISE_HOUR + (LEAST_RISE_MINUTE - LEAST_RISE_HOUR) * shortness
}

/// Memory above θ, or so near the limit at its pace that waiting longer would be too late.
fn high(trend: &Trend, now: Now, limit: f64) -> f64 {
    let by_height = turn(now.level / limit, HIGH.0, HIGH.1);
    if trend.slope <= 0.0 {
        return by_height;
    }
    let left_s = (limit - now.last) / trend.slope;
    let desperate_s = (DESPERATE_SHARE * trend.window_s)
        .clamp(DESPERATE_S.0, DESPERATE_S.1)
        .min(trend.window_s / 4.0);
    by_height.max(turn(-left_s, -desperate_s, desperate_s / 8.0))
}

/// 0 far below the middle, 1 far above, one half on it.
fn turn(value: f64, middle: f64, width: f64) -> f64 {
    logistic((value - middle) / width)
}

fn bytes(value: f64) -> Bytes {
    Bytes(value.max(0.0) as u64)
}

/// A length of time in the unit that suits it.
fn duration(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Quantiles;

    fn forecast() -> Forecast {
        let peak = Quantiles([1.0, 2.0, 3.0, 4.0, 5.0]);
        Forecast {
            middle: peak,
            end: peak,
            peak,
        }
    }

    #[test]
    fn the_surer_the_leak_the_earlier_one_acts_and_the_slower_the_later() {
        let end = |probability, to_limit_s| counted_peak(&forecast(), probability, to_limit_s);
        assert_eq!(end(0.5, 60.0), 4.0);
        assert_eq!(end(0.99, 60.0), 5.0);
        // An hour and more to the limit, or no growth at all: whatever the probability, the median.
        assert_eq!(end(0.99, 3_600.0), 3.0);
        assert_eq!(end(0.5, time_to(1.0, 0.0)), 3.0);
        assert_eq!(end(0.5, 2_400.0), 3.5);
    }

    fn growing(window_s: f64, slope: f64) -> Trend {
        Trend {
            window_s,
            slope,
            spread: 0.0,
            concordance: 1.0,
            tail: 1.0,
            level: 0.5,
            peak_before: None,
            step_spread: None,
        }
    }

    /// How high half of the limit is that growth meets after so many seconds.
    fn height(window_s: f64, left_s: f64) -> f64 {
        let now = Now {
            level: 0.5,
            last: 0.5,
        };
        high(&growing(window_s, 0.5 / left_s), now, 1.0)
    }

    #[test]
    fn far_below_its_limit_only_what_is_about_to_meet_it_is_high() {
        // An eighth of ten minutes, not a quarter: a batch is still climbing then.
        assert!(height(640.0, 60.0) > 0.8 && height(640.0, 120.0) < 0.1);
        // After hours no earlier than three minutes before the limit.
        assert!(height(20_000.0, 150.0) > 0.7 && height(20_000.0, 300.0) < 0.1);
        // Within a minute early enough for an orderly end.
        assert!(height(80.0, 15.0) > 0.8 && height(80.0, 40.0) < 0.1);
    }
}
