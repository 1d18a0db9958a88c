//! The conditions under which the machine acts, each a function of its own.
//!
//! They stand apart from the transitions so that the model check can take out one at a time and see that exactly the property
//! it stands for breaks. What ships is [`Shipped`]: every guard as it is written here.

use super::{
    fleet::{Attempt, Evidence, Signal, Workload},
    message::Action,
    policy::{MAX_EVICTIONS, Policy},
};

/// The guards. The default of each is the shipped one.
pub(super) trait Guards {
    /// Whether it may be evicted at all.
    fn is_unprotected(&self, workload: &Workload) -> bool {
        !workload.protected
    }

    /// Whether it is ours to stop.
    fn is_ours(&self, workload: &Workload) -> bool {
        workload.owned
    }

    /// Whether findings are enough in number and recent.
    fn is_proven(&self, evidence: &Evidence, age_s: u64, policy: &Policy) -> bool {
        evidence.count >= policy.findings_needed
            && age_s.saturating_sub(evidence.at_s) <= policy.finding_valid_s
    }

    /// Whether the last eviction is long enough ago.
    fn is_cooled_down(&self, workload: &Workload, age_s: u64) -> bool {
        workload
            .cooldown_until_s
            .is_none_or(|until_s| age_s >= until_s)
    }

    /// Whether one more eviction may be under way.
    fn is_below_concurrency(&self, under_way: usize, policy: &Policy) -> bool {
        under_way < policy.max_concurrent as usize
    }

    /// Whether the fleet's budget has one more.
    fn fleet_can_afford(&self, used: usize, policy: &Policy) -> bool {
        used < policy.fleet_evictions.min(MAX_EVICTIONS) as usize
    }

    /// Whether the workload's budget has one more.
    fn workload_can_afford(&self, used: usize, policy: &Policy) -> bool {
        used < policy.workload_evictions as usize
    }

    /// Whether a group of `members` keeps enough running if one of the `serving` stops.
    fn keeps_enough(&self, members: usize, serving: usize, policy: &Policy) -> bool {
        serving.saturating_sub(1) >= policy.min_healthy.required(members)
    }

    /// Whether what survives its grace is killed: only what was certainly sent SIGTERM, and is still ours and unprotected.
    fn may_kill(&self, workload: &Workload, signal: Signal, policy: &Policy) -> bool {
        policy.kill_after_grace && signal == Signal::Sent && workload.owned && !workload.protected
    }

    /// How long a restart waits: the back-off, but never beyond the bound.
    fn restart_wait(&self, backoff_s: u64, policy: &Policy) -> u64 {
        backoff_s.min(policy.max_restart_wait_s)
    }

    /// Whether a restart is due.
    fn is_due(&self, due_s: u64, age_s: u64) -> bool {
        age_s >= due_s
    }

    /// Whether what is told about one attempt is about the present one.
    fn is_present(&self, told: Attempt, present: Attempt) -> bool {
        told == present
    }

    /// What to do about a stop that a crash may have interrupted: ask, since a second signal could not be taken back.
    fn after_crash(&self, workload: &str, attempt: Attempt, _grace_s: u64) -> Action {
        Action::Inspect {
            workload: workload.to_owned(),
            attempt,
        }
    }
}

/// The guards as they ship.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shipped;

impl Guards for Shipped {}
