//! What reaches the machine and what it answers.

use serde::{Deserialize, Serialize};

use super::{finding::Finding, fleet::Attempt};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A workload was assessed.
    Observed {
        /// Its name.
        workload: String,
        /// The word on it.
        finding: Finding,
    },
    /// A workload is there and runs; or what is known of it changed.
    Joined {
        /// Its name.
        workload: String,
        /// Whether it is never evicted.
        protected: bool,
        /// Whether it is ours to stop; otherwise evictions are only reported.
        owned: bool,
        /// The replicas it belongs to, of which enough keep running.
        group: Option<String>,
    },
    /// A workload is there, but cannot be read. What is known of it stays, and nothing is done to it until it is observed, joins
    /// or runs again.
    Unread {
        /// Its name.
        workload: String,
    },
    /// A workload was removed: it does not run and will not be restarted.
    Vanished {
        /// Its name.
        workload: String,
    },
    /// The SIGTERM of an attempt was sent.
    StopConfirmed {
        /// Its name.
        workload: String,
        /// Which stop.
        attempt: Attempt,
    },
    /// The SIGTERM of an attempt could not be sent, and will not be.
    StopFailed {
        /// Its name.
        workload: String,
        /// Which stop.
        attempt: Attempt,
    },
    /// A workload ended.
    Exited {
        /// Its name.
        workload: String,
        /// The stop that ended it; absent where it ended by itself.
        attempt: Option<Attempt>,
    },
    /// A workload runs again.
    Restarted {
        /// Its name.
        workload: String,
        /// Our restart; absent where somebody else started it.
        attempt: Option<Attempt>,
    },
    /// Our restart failed, and nothing runs.
    RestartFailed {
        /// Its name.
        workload: String,
        /// Which restart.
        attempt: Attempt,
    },
    /// The answer to [`Action::Inspect`].
    Inspected {
        /// Its name.
        workload: String,
        /// The attempt asked about.
        attempt: Attempt,
        /// What was found.
        found: Found,
    },
    /// Time has passed. Everything that acts, acts now.
    Tick,
    /// The fleet was read from disk after an end of the program, orderly or not.
    Recovered,
    /// The policy is another one from now on.
    PolicyChanged,
}

/// What an inspection finds. It is final: whatever was ordered before it is done or never will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Nothing runs.
    Gone,
    /// It runs and was sent the SIGTERM of this attempt.
    Signalled,
    /// It runs and was certainly not sent the SIGTERM of this attempt.
    NotSignalled,
    /// It runs; whether it was signalled cannot be told.
    Running,
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Tell the owner of a probable leak.
    Warn {
        /// Its name.
        workload: String,
    },
    /// Send SIGTERM, at most once for an attempt.
    Stop {
        /// Its name.
        workload: String,
        /// Which stop: to be given back in what is told about it.
        attempt: Attempt,
        /// How long it has to end, in seconds.
        grace_s: u64,
    },
    /// Send SIGKILL to what was sent the SIGTERM of this attempt.
    Kill {
        /// Its name.
        workload: String,
        /// Which stop.
        attempt: Attempt,
    },
    /// Start again what was evicted.
    Restart {
        /// Its name.
        workload: String,
        /// Which restart: to be given back in what is told about it.
        attempt: Attempt,
    },
    /// Find out what became of a stop or a restart, and change nothing.
    Inspect {
        /// Its name.
        workload: String,
        /// Which one.
        attempt: Attempt,
    },
    /// Tell that a workload would have been evicted, were it ours and not protected.
    WouldEvict {
        /// Its name.
        workload: String,
        /// Why it is not.
        because: Denial,
    },
    /// Tell something else.
    Report {
        /// Its name.
        workload: String,
        /// What.
        report: Report,
    },
}

/// Why a workload that should be evicted is not. Told once in each episode, which a healthy finding or an eviction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// It is never evicted.
    Protected,
    /// It is not ours.
    NotOwned,
    /// Its last eviction, or the attempt at one, is too recent.
    Cooldown,
    /// Enough evictions are under way.
    Concurrency,
    /// The fleet's budget is used up.
    FleetBudget,
    /// Its own budget is used up.
    WorkloadBudget,
    /// Too few of its group would keep running.
    MinHealthy,
}

/// Something worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "report", content = "because")]
pub enum Report {
    /// It should be evicted and is not.
    Denied(Denial),
    /// The SIGTERM could not be sent.
    StopFailed,
    /// A stop that a crash interrupted turned out not to have happened; its budget is given back.
    Withdrawn,
    /// The grace is over and it still runs; it is left alone.
    WouldNotEnd,
    /// Whether it was sent SIGTERM cannot be told; it is left alone.
    InDoubt,
    /// A restart failed; the next one waits longer.
    RestartFailed,
    /// Not watched: too many workloads.
    TooMany,
    /// Not watched: its name or its group's is too long.
    NameTooLong,
}
