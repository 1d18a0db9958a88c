//! The state: what is known of each workload, and which evictions count against the budgets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    message::Denial,
    policy::{MAX_EVICTIONS, Policy},
};

/// The most workloads that one fleet watches.
pub const MAX_WORKLOADS: usize = 10_000;
/// The longest name of a workload or group, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// The number of one stop or one restart: never given twice, so that an answer names what it answers.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Attempt(pub u64);

impl Attempt {
    /// The number after it.
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Everything the machine remembers. Times are in seconds of the fleet's own age.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// How long the fleet has been watched.
    pub age_s: u64,
    /// The clock when it was last looked at; nothing before the first event.
    pub clock_s: Option<u64>,
    /// The number that the next attempt gets.
    pub next_attempt: Attempt,
    /// The workloads by name.
    pub workloads: BTreeMap<String, Workload>,
    /// The evictions within the window, oldest first. They outlive their workloads, so that nobody gets a new budget by leaving.
    pub evictions: Vec<Eviction>,
}

/// One eviction that counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Eviction {
    /// Whose.
    pub workload: String,
    /// Which stop.
    pub attempt: Attempt,
    /// When it was decided.
    pub at_s: u64,
}

/// What is known of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Whether it is never evicted.
    pub protected: bool,
    /// Whether it is ours to stop.
    pub owned: bool,
    /// The replicas it belongs to.
    pub group: Option<String>,
    /// Whether it is there but cannot be read at present: nothing is done to it until it is seen again.
    #[serde(default)]
    pub unread: bool,
    /// Where it stands.
    pub phase: Phase,
    /// The findings in a row that say "evict".
    pub evidence: Option<Evidence>,
    /// Until when it is left alone.
    pub cooldown_until_s: Option<u64>,
    /// Restarts since the last calm time; they lengthen the back-off.
    pub restarts: u32,
    /// A stop that was given up, whose signal may still end the workload.
    pub unfinished: Option<Attempt>,
    /// The denials that were told in this episode.
    pub told: BTreeSet<Denial>,
}

/// Findings in a row that say "evict".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Evidence {
    /// How many; counting ends at what the policy asks for.
    pub count: u32,
    /// When the last one came.
    pub at_s: u64,
    /// What it said, in seconds.
    pub seconds_to_limit: u64,
}

/// Where a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum Phase {
    /// It runs and nothing is wrong.
    Healthy,
    /// It runs and is watched.
    Suspected,
    /// It runs and its owner was warned.
    Warned,
    /// A stop was decided.
    Stopping {
        /// Which.
        attempt: Attempt,
        /// When.
        since_s: u64,
        /// When the grace is over.
        deadline_s: u64,
        /// What is known of the signal.
        signal: Signal,
    },
    /// The stop was given up: it runs, but its signal may still end it, so nobody counts on it for a while.
    Lingering {
        /// Which stop.
        attempt: Attempt,
        /// Until when.
        until_s: u64,
    },
    /// It ended by our stop, and will be restarted.
    PendingRestart {
        /// When that was known.
        since_s: u64,
        /// When it will be restarted.
        due_s: u64,
    },
    /// A restart was ordered.
    Restarting {
        /// Which.
        attempt: Attempt,
        /// When.
        since_s: u64,
    },
    /// It ended by itself. Whoever runs it restarts it or does not.
    Stopped,
}

/// What is known of the signal of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// SIGTERM was ordered.
    Ordered,
    /// SIGTERM was sent.
    Sent,
    /// Whether SIGTERM was sent is not known: a crash or silence came between.
    InDoubt,
    /// SIGKILL was ordered.
    KillOrdered,
}

impl Workload {
    /// One that has just joined.
    pub(super) fn new(protected: bool, owned: bool, group: Option<String>) -> Self {
        Self {
            protected,
            owned,
            group,
            unread: false,
            phase: Phase::Healthy,
            evidence: None,
            cooldown_until_s: None,
            restarts: 0,
            unfinished: None,
            told: BTreeSet::new(),
        }
    }

    /// Whether its group can count on it.
    pub fn serves(&self) -> bool {
        matches!(
            self.phase,
            Phase::Healthy | Phase::Suspected | Phase::Warned
        )
    }

    /// Whether an eviction of it is under way: from the stop until it runs again or the stop was given up.
    pub fn is_under_way(&self) -> bool {
        matches!(
            self.phase,
            Phase::Stopping { .. } | Phase::PendingRestart { .. } | Phase::Restarting { .. }
        )
    }

    /// Goes on to a phase in which earlier findings mean nothing any more.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.evidence = None;
        self.told.clear();
    }
}

impl Fleet {
    /// Moves the fleet's age on by what the clock went forward.
    pub(super) fn advance(&mut self, now_s: u64) {
        let elapsed = self
            .clock_s
            .map_or(0, |clock_s| now_s.saturating_sub(clock_s));
        self.age_s = self.age_s.saturating_add(elapsed);
        self.clock_s = Some(now_s);
    }

    /// A number that no attempt had.
    pub(super) fn take_attempt(&mut self) -> Attempt {
        let attempt = self.next_attempt;
        self.next_attempt = attempt.next();
        attempt
    }

    /// How many evictions are under way.
    pub fn under_way(&self) -> usize {
        self.workloads
            .values()
            .filter(|workload| workload.is_under_way())
            .count()
    }

    /// What is wrong with a fleet that was read from somewhere; nothing if it can be trusted.
    ///
    /// `step` keeps this for a fleet that began empty.
    pub fn flaw(&self, policy: &Policy) -> Option<&'static str> {
        if self.workloads.len() > MAX_WORKLOADS {
            return Some("too many workloads");
        }
        if self.evictions.len() > MAX_EVICTIONS as usize {
            return Some("too many evictions");
        }
        if self.next_attempt.0 > u64::MAX / 2 || self.age_s > u64::MAX / 2 {
            return Some("a counter near its end");
        }
        if self
            .evictions
            .iter()
            .any(|eviction| eviction.at_s > self.age_s)
        {
            return Some("an eviction in the future");
        }
        let mut attempts = BTreeSet::new();
        for (name, workload) in &self.workloads {
            let group = workload.group.as_deref().unwrap_or_default();
            if name.len() > MAX_NAME_BYTES || group.len() > MAX_NAME_BYTES {
                return Some("a name too long");
            }
            for attempt in workload.attempts() {
                if attempt >= self.next_attempt || !attempts.insert(attempt) {
                    return Some("an attempt that was never made or made twice");
                }
            }
            if let Some(flaw) = workload.flaw(self.age_s, policy) {
                return Some(flaw);
            }
        }
        None
    }
}

impl Workload {
    fn attempts(&self) -> impl Iterator<Item = Attempt> {
        let current = match self.phase {
            Phase::Stopping { attempt, .. }
            | Phase::Lingering { attempt, .. }
            | Phase::Restarting { attempt, .. } => Some(attempt),
            _ => None,
        };
        current.into_iter().chain(self.unfinished)
    }

    fn flaw(&self, age_s: u64, policy: &Policy) -> Option<&'static str> {
        if self.evidence.is_some_and(|evidence| evidence.at_s > age_s) {
            return Some("evidence from the future");
        }
        if self.evidence.is_some() && self.phase != Phase::Warned {
            return Some("evidence without a warning");
        }
        if self
            .evidence
            .is_some_and(|evidence| evidence.count == 0 || evidence.count > policy.findings_needed)
        {
            return Some("evidence miscounted");
        }
        let may_run = !matches!(
            self.phase,
            Phase::Stopped | Phase::PendingRestart { .. } | Phase::Restarting { .. }
        );
        if self.unfinished.is_some() && !may_run {
            return Some("an unfinished stop of what does not run");
        }
        match self.phase {
            Phase::Stopping {
                since_s,
                deadline_s,
                ..
            } if since_s > age_s || deadline_s < since_s => Some("a stop out of time"),
            Phase::PendingRestart { since_s, due_s }
                if since_s > age_s
                    || due_s < since_s
                    || due_s - since_s > policy.max_restart_wait_s =>
            {
                Some("a restart out of its bound")
            }
            Phase::Restarting { since_s, .. } if since_s > age_s => Some("a restart in the future"),
            _ => None,
        }
    }
}
