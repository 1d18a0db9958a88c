//! The fleet with its observers: takes in what is seen, decides, remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use uc_foresight::{
    Observer, Sample, Verdict,
    eviction::{Action, Event, Finding, Fleet, Phase, Policy, Thresholds, step},
    forecast::Model,
};
use uc_metrics::history::History;
use uc_model::{Problem, Result};

use super::subject::{Handle, Subject};

/// Under which name the fleet is kept in the history.
const FLEET: &str = "fleet";
/// How far back memory is read at the start, in seconds: what the longest window of the verdict holds.
const REMEMBERED_S: f64 = 2.0 * 86_400.0;
/// Verdicts older than this say nothing about now, in seconds.
const STALE_S: f64 = 90.0;
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
        subjects: Vec<Subject>,
        now_s: f64,
        thresholds: &Thresholds,
        traits: impl Fn(&Subject) -> (bool, bool),
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut present = BTreeSet::new();
        for subject in subjects {
            present.insert(subject.name.clone());
            let (protected, owned) = traits(&subject);
            let known = self.fleet.workloads.get(&subject.name);
            let is_as_known =
                known.is_some_and(|known| known.protected == protected && known.owned == owned);
            if known.is_some_and(|known| {
                matches!(known.phase, Phase::PendingRestart { .. } | Phase::Stopped)
            }) {
                events.push(Event::Restarted {
                    workload: subject.name.clone(),
                    attempt: None,
                });
            }
            if !is_as_known {
                events.push(Event::Joined {
                    workload: subject.name.clone(),
                    protected,
                    owned,
                    group: None,
                });
            }
            self.observe(subject);
        }
        for (name, workload) in &self.fleet.workloads {
            if present.contains(name) {
                continue;
            }
            match workload.phase {
                Phase::Stopping { attempt, .. } => {
                    events.push(Event::Exited {
                        workload: name.clone(),
                        attempt: Some(attempt),
                    });
                }
                Phase::PendingRestart { .. } | Phase::Restarting { .. } => {}
                _ => events.push(Event::Vanished {
                    workload: name.clone(),
                }),
            }
        }
        self.watched.retain(|name, _| present.contains(name));
        for (name, watched) in &self.watched {
            events.push(Event::Observed {
                workload: name.clone(),
                finding: watched.finding(now_s, thresholds),
            });
        }
        events
    }

    fn observe(&mut self, subject: Subject) {
        if !self.watched.contains_key(&subject.name) {
            let mut watched = Watched {
                observer: Observer::default(),
                handle: subject.handle.clone(),
                sparks: VecDeque::new(),
                sparked_s: f64::MIN,
                last_s: f64::MIN,
            };
            let since_s = subject.samples.first().map_or(0.0, |sample| sample.t_s) - REMEMBERED_S;
            // Memory of an earlier run of this program; without it the series begins now.
            for sample in self
                .history
                .recent(&subject.name, since_s)
                .unwrap_or_default()
            {
                watched.take(sample, &self.model);
            }
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

    /// Tells the fleet of events and answers with what is to be done. The fleet is on disk before the answer.
    pub(super) fn decide(
        &mut self,
        events: &[Event],
        now_s: f64,
        policy: &Policy,
    ) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        for event in events {
            actions.extend(step(&mut self.fleet, event, now_s as u64, policy));
        }
        let must_write = actions.iter().any(|action| {
            matches!(
                action,
                Action::Stop { .. } | Action::Kill { .. } | Action::Restart { .. }
            )
        });
        if must_write {
            self.write()?;
        }
        Ok(actions)
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
        self.history.commit(&fresh, &[(FLEET, Some(&fleet))])?;
        self.fresh.clear();
        Ok(())
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

impl Watched {
    fn take(&mut self, sample: Sample, model: &Model) {
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

    fn finding(&self, now_s: f64, thresholds: &Thresholds) -> Finding {
        let is_stale = now_s - self.last_s > STALE_S;
        let assessment = self
            .verdict()
            .filter(|_| !is_stale)
            .map(Verdict::assessment);
        Finding::of(assessment.as_ref(), thresholds)
    }
}
