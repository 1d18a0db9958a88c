//! When to stop a workload before the kernel kills it, and how to bring it back: one pure function over a fleet.
//!
//! [`step`] takes the fleet, one [`Event`] and the time, changes the fleet and answers with the [`Action`]s to carry out. It
//! reads nothing else, so that the very function that decides on a host is the one a model checker walks through (`model`).
//!
//! ```text
//!              Suspect          Warn, Evict         enough Evict, all guards agree
//!   Healthy ------------> Suspected ----> Warned ------------------> Stopping (SIGTERM, grace, perhaps SIGKILL)
//!      ^ ^                                   ^                         |        |
//!      | |          known not to have happened (withdrawn) <-----------+        | exited
//!      | |                                                             |        v
//!      | +------------------ Lingering <----- will not end, or doubt --+   PendingRestart (back-off) <--+
//!      |                     (cooldown)                                         | due                   | failed
//!      +---------------------------- runs again (cooldown) ---------------- Restarting -----------------+
//! ```
//!
//! A protected workload and one that is not ours take part up to Warned; then they are reported instead of stopped.
//!
//! # What the caller owes
//!
//! * **Write, then act.** The fleet is written to disk after `step` and before its actions are carried out. After a crash
//!   [`Event::Recovered`] comes first. It asks ([`Action::Inspect`]) what became of each stop and restart on the way and repeats
//!   neither: an [`Attempt`] is stopped at most once, ever. Messages ([`Action::Warn`], [`Action::Report`]) may be lost to a crash.
//!   Where a step answered with no action, writing may wait for the next [`Event::Tick`]: what is lost is evidence alone, and
//!   too little evidence never acts.
//! * **Look first.** After [`Event::Recovered`] and before the next tick, whatever ended by itself meanwhile is told.
//! * **In order.** Actions for one workload are carried out in the order given, so the answer to an inspection knows the
//!   outcome of all that came before it.
//! * **Ticks.** Evictions, restarts and the end of a grace are decided by [`Event::Tick`] alone, as often as deadlines shall
//!   be precise.
//!
//! # Time
//!
//! The clock that is handed in may jump. The fleet counts its own age by adding up how far the clock moved forward; a step
//! backwards counts as no time. So a clock set back cannot postpone a restart, and one set forward by mistake and then
//! corrected leaves nothing waiting for a day that lies far ahead.

mod decide;
mod finding;
mod fleet;
mod guards;
mod message;
mod policy;
mod transition;

#[cfg(test)]
mod model;
#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod stories;

pub use finding::{Assessment, Finding, Thresholds};
pub use fleet::{
    Attempt, Eviction, Evidence, Fleet, MAX_NAME_BYTES, MAX_WORKLOADS, Phase, Signal, Workload,
};
pub use message::{Action, Denial, Event, Found, Report};
pub use policy::{MAX_EVICTIONS, MinHealthy, Policy};

/// Takes one event into account and answers with what to do, in this order.
///
/// `now_s` is any clock in seconds; see the module for jumps. An event that makes no sense (an unknown workload, an answer to
/// an attempt that is over) changes nothing.
pub fn step(fleet: &mut Fleet, event: &Event, now_s: u64, policy: &Policy) -> Vec<Action> {
    transition::step(fleet, event, now_s, policy, &guards::Shipped)
}
