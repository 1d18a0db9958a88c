//! The fleet with its observers: takes in what is seen, decides, remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use uc_foresight::{
    Observer, Sample, Verdict,
    eviction::{Action, Event, Finding, Fleet, Phase, Policy, Thresholds, step},
    forecast::Model,
};
use uc_metrics::history::History;
use uc_model::{Problem, Result};

use super::subject::{Handle, Sight, Subject};

/// Under which name the fleet is kept in the history.
const FLEET: &str = "fleet";
/// How far back memory is read at the start, in seconds: what the longest window of the verdict holds.
const REMEMBERED_S: f64 = 2.0 * 86_400.0;
/// Verdicts older than this say nothing about now, in seconds.
const STALE_S: f64 = 90.0;
/// Samples that wait while the history cannot be written, at most.
const MOST_FRESH: usize = 1 << 16;
/// Levels kept for the sparkline.
const SPARKS: usize = 60;

/// One subject with what is known of it.
pub(super) struct Watched {
    pub(super) observer: Observer,
    pub(super) handle: Handle,
    /// Recent levels in bytes, one a minute, for the eye.
    pub(super) sparks: VecDeque<f64>,
    sparked_s: f64,
    last_s: f64,
    /// Whether a sample came since the last finding.
    has_news: bool,
}

/// What is allowed with a subject, and whose replica it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) protected: bool,
    pub(super) owned: bool,
    pub(super) group: Option<String>,
}

/// Everything that is watched.
pub(super) struct Guard {
    pub(super) watched: BTreeMap<String, Watched>,
    pub(super) fleet: Fleet,
    model: Model,
    history: History,
    fresh: Vec<(String, Sample)>,
}

impl Guard {
    /// Takes up what an earlier run left. `true` beside it if there was something.
    pub(super) fn open(history: History, model: Model, policy: &Policy) -> Result<(Self, bool)> {
        let mut fleet = Fleet::default();
        let mut is_recovered = false;
        if let Some(bytes) = history.states()?.get(FLEET) {
            fleet = serde_json::from_slice(bytes).map_err(|error| {
                Problem::invalid("what an earlier run decided cannot be read")
                    .at(history.path().display())
                    .remedy("move the file away to begin anew")
                    .caused_by(error)
            })?;
            // The policy may be another one than then, by which nothing in it is a flaw.
            let then_s = fleet.clock_s.unwrap_or_default();
            step(&mut fleet, &Event::PolicyChanged, then_s, policy);
            if let Some(flaw) = fleet.flaw(policy) {
                return Err(
                    Problem::invalid("what an earlier run decided contradicts itself")
                        .at(history.path().display())
                        .found(flaw)
                        .remedy("move the file away to begin anew"),
                );
            }
            is_recovered = true;
        }
        Ok((
            Self {
                watched: BTreeMap::new(),
                fleet,
                model,
                history,
                fresh: Vec::new(),
            },
            is_recovered,
        ))
    }

    /// Takes in what is there now, and answers with what happened to the fleet.
    pub(super) fn see(
        &mut self,
        sight: Sight,
        now_s: f64,
        thresholds: &Thresholds,
        traits: impl Fn(&Subject) -> Traits,
        problems: &mut Vec<Problem>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut present = BTreeSet::new();
        problems.extend(sight.problems);
        for subject in sight.subjects {
            // Two workloads of one name cannot be told apart.
            if !present.insert(subject.name.clone()) {
                continue;
            }
            events.extend(self.succeeded(&subject));
            events.extend(self.joined(&subject.name, traits(&subject)));
            self.observe(subject, problems);
        }
        let is_unread = |name: &str| {
            let watched = self.watched.get(name);
            let mut unread = sight.unread.iter();
            unread.any(|unread| match watched {
                Some(watched) => unread.covers(name, &watched.handle),
                None => unread.may_cover(name),
            })
        };
        let mut kept = present.clone();
        for (name, workload) in &self.fleet.workloads {
            if present.contains(name) {
                continue;
            }
            let event = if is_unread(name) {
                kept.insert(name.clone());
                unread(name, workload.phase)
            } else {
                gone(name, workload.phase)
            };
            events.extend(event);
        }
        self.watched.retain(|name, _| kept.contains(name));
        for name in present {
            let watched = self.watched.get_mut(&name);
            let finding = watched.and_then(|watched| watched.finding(now_s, thresholds));
            events.extend(finding.map(|finding| Event::Observed {
                workload: name,
                finding,
            }));
        }
        events
    }

    /// One that was being stopped has ended, and another of its name is there already: what was meant for the one must not
    /// reach the other.
    fn succeeded(&self, subject: &Subject) -> Vec<Event> {
        let known = self.fleet.workloads.get(&subject.name);
        let earlier = self.watched.get(&subject.name);
        match (known.map(|known| known.phase), earlier) {
            (Some(Phase::Stopping { attempt, .. }), Some(earlier))
                if subject.handle.is_another(&earlier.handle) =>
            {
                vec![
                    Event::Exited {
                        workload: subject.name.clone(),
                        attempt: Some(attempt),
                    },
                    Event::Restarted {
                        workload: subject.name.clone(),
                        attempt: None,
                    },
                ]
            }
            _ => Vec::new(),
        }
    }

    /// What a subject that is there is to the fleet.
    fn joined(&self, name: &str, traits: Traits) -> Vec<Event> {
        let mut events = Vec::new();
        let known = self.fleet.workloads.get(name);
        if known.is_some_and(|known| {
            matches!(known.phase, Phase::PendingRestart { .. } | Phase::Stopped)
        }) {
            events.push(Event::Restarted {
                workload: name.to_owned(),
                attempt: None,
            });
        }
        let is_as_known = known.is_some_and(|known| {
            !known.unread
                && known.protected == traits.protected
                && known.owned == traits.owned
                && known.group == traits.group
        });
        if !is_as_known {
            events.push(Event::Joined {
                workload: name.to_owned(),
                protected: traits.protected,
                owned: traits.owned,
                group: traits.group,
            });
        }
        events
    }

    fn observe(&mut self, subject: Subject, problems: &mut Vec<Problem>) {
        if !self.watched.contains_key(&subject.name) {
            let mut watched = Watched::new(subject.handle.clone());
            let since_s = subject.samples.first().map_or(0.0, |sample| sample.t_s) - REMEMBERED_S;
            match self.history.recent(&subject.name, since_s) {
                Ok(samples) => {
                    for sample in samples {
                        watched.take(sample, &self.model);
                    }
                }
                // Without memory of an earlier run the series begins now.
                Err(problem) => problems.push(problem),
            }
            // What was found then was told then.
            watched.has_news = false;
            self.watched.insert(subject.name.clone(), watched);
        }
        let Some(watched) = self.watched.get_mut(&subject.name) else {
            return;
        };
        watched.handle = subject.handle;
        for sample in subject.samples {
            if sample.t_s > watched.last_s {
                watched.take(sample, &self.model);
                self.fresh.push((subject.name.clone(), sample));
            }
        }
    }

    /// Tells the fleet of events and answers with what is to be done. A decision to act is on disk before the answer; one that
    /// could not be written down is told as a problem, not done, and as if it had not been made.
    pub(super) fn decide(
        &mut self,
        events: &[Event],
        now_s: f64,
        policy: &Policy,
        problems: &mut Vec<Problem>,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for event in events {
            // Only a tick acts.
            let before = matches!(event, Event::Tick).then(|| self.fleet.clone());
            let mut decided = step(&mut self.fleet, event, now_s as u64, policy);
            if decided.iter().any(must_be_durable)
                && let Err(problem) = self.write()
            {
                problems.push(problem);
                decided.retain(|action| !must_be_durable(action));
                if let Some(before) = before {
                    decided.clear();
                    self.fleet = before;
                }
            }
            actions.extend(decided);
        }
        actions
    }

    /// Writes new samples and the fleet.
    pub(super) fn write(&mut self) -> Result<()> {
        let fleet = serde_json::to_vec(&self.fleet)
            .map_err(|error| Problem::internal("cannot write the fleet").caused_by(error))?;
        let fresh: Vec<(&str, Sample)> = self
            .fresh
            .iter()
            .map(|(name, sample)| (name.as_str(), *sample))
            .collect();
        let outcome = self.history.commit(&fresh, &[(FLEET, Some(&fleet))]);
        if outcome.is_ok() {
            self.fresh.clear();
        } else {
            // They wait for a file that can be written, the newest of them.
            let left_off = self.fresh.len().saturating_sub(MOST_FRESH);
            self.fresh.drain(..left_off);
        }
        outcome
    }

    /// Whether something should be looked at more often.
    pub(super) fn is_tense(&self) -> bool {
        self.watched.values().any(|watched| {
            watched.observer.verdict().is_some_and(|verdict| {
                verdict
                    .limit_bytes
                    .is_some_and(|limit| verdict.level_bytes > 0.6 * limit as f64)
                    || verdict
                        .evidence
                        .is_some_and(|evidence| evidence.growth_probability() > 0.3)
            })
        })
    }
}

/// Whether an action must not be done before the decision for it is on disk: after a crash it would be done a second time.
fn must_be_durable(action: &Action) -> bool {
    matches!(
        action,
        Action::Stop { .. } | Action::Kill { .. } | Action::Restart { .. }
    )
}

impl Watched {
    fn new(handle: Handle) -> Self {
        Self {
            observer: Observer::default(),
            handle,
            sparks: VecDeque::new(),
            sparked_s: f64::MIN,
            last_s: f64::MIN,
            has_news: false,
        }
    }

    fn take(&mut self, sample: Sample, model: &Model) {
        self.has_news = true;
        self.observer.observe(sample, model);
        self.last_s = sample.t_s;
        if sample.t_s >= self.sparked_s + 60.0 || self.sparks.is_empty() {
            self.sparked_s = sample.t_s;
            self.sparks.push_back(0.0);
            if self.sparks.len() > SPARKS {
                self.sparks.pop_front();
            }
        }
        if let Some(newest) = self.sparks.back_mut() {
            *newest = sample.rss_bytes as f64;
        }
    }

    /// The last verdict.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.observer.verdict()
    }

    /// The word on it, if there is a new one: a verdict that comes from one sample is one finding however often it is looked at.
    fn finding(&mut self, now_s: f64, thresholds: &Thresholds) -> Option<Finding> {
        if now_s - self.last_s > STALE_S || self.handle.is_paused() {
            return Some(Finding::Unknown);
        }
        let has_news = std::mem::take(&mut self.has_news);
        let assessment = self.verdict().map(Verdict::assessment);
        has_news.then(|| Finding::of(assessment.as_ref(), thresholds))
    }
}

/// What the fleet is told of one that is not there.
fn gone(name: &str, phase: Phase) -> Option<Event> {
    match phase {
        Phase::Stopping { attempt, .. } => Some(Event::Exited {
            workload: name.to_owned(),
            attempt: Some(attempt),
        }),
        Phase::PendingRestart { .. } | Phase::Restarting { .. } => None,
        _ => Some(Event::Vanished {
            workload: name.to_owned(),
        }),
    }
}

/// What the fleet is told of one that may be there and cannot be read; one that had ended is awaited as before.
fn unread(name: &str, phase: Phase) -> Option<Event> {
    let had_ended = matches!(
        phase,
        Phase::PendingRestart { .. } | Phase::Restarting { .. } | Phase::Stopped
    );
    (!had_ended).then(|| Event::Unread {
        workload: name.to_owned(),
    })
}

#[cfg(test)]
pub(super) mod tests;
