//! A recording played through the code that guards a host, in virtual time.

use serde::Serialize;

use crate::{
    Continuity, Observer, Sample, Verdict,
    eviction::{Action, Event, Finding, Fleet, Phase, Policy, Thresholds, step},
    forecast::Model,
    robust::median,
};

/// The name that the recorded workload has in the fleet.
const WORKLOAD: &str = "recording";

/// Something that happened in a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayEvent {
    /// When, in seconds.
    pub t_s: f64,
    /// What: `suspected`, `warned`, `evicted`, `calmed` (as before all that), `restarted` (the memory fell as it does in a
    /// restart) or `limit-crossed`.
    pub event: &'static str,
    /// The probability of a leak, from 0 to 1.
    pub leak_probability: f64,
    /// Where memory may be in ten minutes, in bytes.
    pub forecast_end_bytes: u64,
    /// Why, in words.
    pub reason: String,
}

/// The last line of a replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// `summary`.
    pub event: &'static str,
    /// `leak` if it was evicted, or was at its limit and would have been; `healthy` otherwise.
    pub verdict: &'static str,
    /// When it was evicted, in seconds.
    pub evicted_at_s: Option<f64>,
    /// When the recording first reaches the limit, in seconds, evicted or not.
    pub crossed_limit_at_s: Option<f64>,
    /// Time from the eviction to the limit, in seconds.
    pub warning_s: Option<f64>,
    /// The highest probability of a leak.
    pub highest_leak_probability: f64,
    /// Samples read.
    pub samples: usize,
}

/// Plays samples in order of time; tells each event as it happens and the summary at the end. An evicted workload and one that
/// reached its limit run no more, so nothing is decided after either; the rest is read for when the limit is reached.
pub fn replay(
    samples: &[Sample],
    model: &Model,
    policy: &Policy,
    tell: &mut dyn FnMut(ReplayEvent),
) -> Summary {
    let policy = &paced(policy, samples);
    let mut player = Player {
        observer: Observer::default(),
        fleet: Fleet::default(),
        policy,
        thresholds: Thresholds::default(),
        phase: "calmed",
        highest: 0.0,
    };
    let mut evicted_at_s = None;
    let mut crossed_limit_at_s = None;
    let mut is_certain = false;
    for sample in samples {
        let is_across = sample
            .limit_bytes
            .is_some_and(|limit| sample.rss_bytes >= limit);
        if is_across && crossed_limit_at_s.is_none() {
            crossed_limit_at_s = Some(sample.t_s);
        }
        if evicted_at_s.is_some() {
            if crossed_limit_at_s.is_some() {
                break;
            }
            continue;
        }
        let Some(event) = player.play(sample, model, is_across, tell) else {
            continue;
        };
        if event == "evicted" {
            evicted_at_s = Some(sample.t_s);
        }
        if is_across {
            is_certain = event == "evicted";
            evicted_at_s = None;
            break;
        }
    }
    Summary {
        event: "summary",
        verdict: if evicted_at_s.is_some() || is_certain {
            "leak"
        } else {
            "healthy"
        },
        evicted_at_s,
        crossed_limit_at_s,
        warning_s: evicted_at_s
            .zip(crossed_limit_at_s)
            .map(|(evicted, crossed)| crossed - evicted),
        highest_leak_probability: player.highest,
        samples: samples.len(),
    }
}

/// A policy that lets findings live for as long as this recording takes between samples.
fn paced(policy: &Policy, samples: &[Sample]) -> Policy {
    let mut steps: Vec<f64> = samples
        .windows(2)
        .map(|pair| pair[1].t_s - pair[0].t_s)
        .collect();
    let step_s = median(&mut steps);
    Policy {
        finding_valid_s: policy.finding_valid_s.max((step_s * 2.5) as u64),
        ..policy.clone()
    }
}

struct Player<'a> {
    observer: Observer,
    fleet: Fleet,
    policy: &'a Policy,
    thresholds: Thresholds,
    phase: &'static str,
    highest: f64,
}

impl Player<'_> {
    /// Takes in a sample; answers with the phase it led to.
    fn play(
        &mut self,
        sample: &Sample,
        model: &Model,
        is_across: bool,
        tell: &mut dyn FnMut(ReplayEvent),
    ) -> Option<&'static str> {
        let continuity = self.observer.observe(*sample, model);
        if continuity == Continuity::Ignored {
            return None;
        }
        let verdict = *self.observer.verdict()?;
        self.highest = self.highest.max(verdict.leak_probability());
        let mut told = |event| {
            tell(ReplayEvent {
                t_s: sample.t_s,
                event,
                leak_probability: verdict.leak_probability(),
                forecast_end_bytes: verdict.forecast_end_bytes as u64,
                reason: verdict.reason(),
            });
        };
        if continuity == Continuity::NewLife && self.observer.tracker().lives() > 1 {
            told("restarted");
        }
        let phase = self.phase_after(&verdict, sample.t_s as u64);
        if phase != self.phase {
            self.phase = phase;
            told(phase);
        }
        if is_across {
            told("limit-crossed");
        }
        Some(phase)
    }

    fn phase_after(&mut self, verdict: &Verdict, now_s: u64) -> &'static str {
        let workload = || WORKLOAD.to_owned();
        let finding = Finding::of(Some(&verdict.assessment()), &self.thresholds);
        let mut actions = Vec::new();
        for event in [
            Event::Joined {
                workload: workload(),
                protected: false,
                owned: true,
                group: None,
            },
            Event::Observed {
                workload: workload(),
                finding,
            },
            Event::Tick,
        ] {
            actions.extend(step(&mut self.fleet, &event, now_s, self.policy));
        }
        if actions
            .iter()
            .any(|action| matches!(action, Action::Stop { .. }))
        {
            return "evicted";
        }
        match self
            .fleet
            .workloads
            .get(WORKLOAD)
            .map(|workload| workload.phase)
        {
            Some(Phase::Suspected) => "suspected",
            Some(Phase::Warned) => "warned",
            _ => "calmed",
        }
    }
}
