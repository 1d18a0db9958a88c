//! What an operator allows the machine to do.

use serde::{Deserialize, Serialize};
use uc_model::{Problem, ProblemKind};

use super::finding::Thresholds;

/// The largest eviction budget, which bounds what the fleet remembers.
pub const MAX_EVICTIONS: u32 = 10_000;
/// The longest duration that a policy may name: a year, in seconds.
const MAX_DURATION_S: u64 = 366 * 86_400;
/// The largest number of findings that may be asked for.
const MAX_FINDINGS: u32 = 10_000;

/// How many of a group keep running whatever leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MinHealthy {
    /// So many.
    Count(u32),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

impl MinHealthy {
    /// How many of `members` must keep running.
    pub fn required(self, members: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => members.saturating_mul(percent as usize).div_ceil(100),
        }
    }
}

/// The bounds of what the machine does. Durations are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What makes an assessment a finding.
    pub thresholds: Thresholds,
    /// How many findings in a row must say "evict".
    pub findings_needed: u32,
    /// How long the last of them stays valid.
    pub finding_valid_s: u64,
    /// The sliding window of both budgets.
    pub window_s: u64,
    /// The most evictions of the whole fleet within a window.
    pub fleet_evictions: u32,
    /// The most evictions of one workload within a window.
    pub workload_evictions: u32,
    /// The most evictions under way at once: from the stop until the workload runs again.
    pub max_concurrent: u32,
    /// How long a workload is left alone after an eviction, however it ended.
    pub cooldown_s: u64,
    /// How many of a group keep running.
    pub min_healthy: MinHealthy,
    /// How long a workload has between SIGTERM and the next thing.
    pub grace_s: u64,
    /// Whether the next thing is SIGKILL. Otherwise the workload is left running and reported.
    pub kill_after_grace: bool,
    /// The wait before the first restart; it doubles with every further one.
    pub backoff_s: u64,
    /// Where the doubling ends.
    pub max_backoff_s: u64,
    /// The longest wait for a restart, whatever the back-off says.
    pub max_restart_wait_s: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            findings_needed: 2,
            finding_valid_s: 60,
            window_s: 3600,
            fleet_evictions: 5,
            workload_evictions: 2,
            max_concurrent: 1,
            cooldown_s: 300,
            min_healthy: MinHealthy::Percent(50),
            grace_s: 30,
            kill_after_grace: false,
            backoff_s: 1,
            max_backoff_s: 300,
            max_restart_wait_s: 300,
        }
    }
}

impl Policy {
    /// How long the next restart waits after `restarts` earlier ones without a calm time between, the bound aside.
    pub(super) fn backoff(&self, restarts: u32) -> u64 {
        let factor = 1_u64.checked_shl(restarts).unwrap_or(u64::MAX);
        self.backoff_s
            .saturating_mul(factor)
            .min(self.max_backoff_s)
    }

    /// Refuses a policy that no fleet can keep.
    pub fn check(&self) -> uc_model::Result<()> {
        let durations = [
            ("finding_valid_s", self.finding_valid_s),
            ("window_s", self.window_s),
            ("cooldown_s", self.cooldown_s),
            ("grace_s", self.grace_s),
            ("backoff_s", self.backoff_s),
            ("max_backoff_s", self.max_backoff_s),
            ("max_restart_wait_s", self.max_restart_wait_s),
        ];
        for (field, value) in durations {
            within(field, value, 0, MAX_DURATION_S)?;
        }
        within("window_s", self.window_s, 1, MAX_DURATION_S)?;
        let (most, findings) = (u64::from(MAX_EVICTIONS), u64::from(MAX_FINDINGS));
        within("findings_needed", self.findings_needed.into(), 1, findings)?;
        within("fleet_evictions", self.fleet_evictions.into(), 0, most)?;
        if let MinHealthy::Percent(percent) = self.min_healthy {
            within("min_healthy.percent", percent.into(), 0, 100)?;
        }
        let Thresholds {
            suspect_above,
            warn_above,
            warn_growth_above,
            warn_within_s,
            evict_above,
        } = self.thresholds;
        within("thresholds.warn_within_s", warn_within_s, 0, MAX_DURATION_S)?;
        let ordered = (0.0..=1.0).contains(&warn_growth_above)
            && 0.0 <= suspect_above
            && suspect_above <= warn_above
            && warn_above <= evict_above
            && evict_above <= 1.0;
        if ordered {
            return Ok(());
        }
        Err(refusal(
            "thresholds",
            "0 <= suspect_above <= warn_above <= evict_above <= 1, and warn_growth_above from 0 to 1",
            format!("{suspect_above}, {warn_above}, {evict_above}, and {warn_growth_above}"),
        ))
    }
}

fn within(field: &str, value: u64, least: u64, most: u64) -> uc_model::Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(refusal(
        field,
        format!("{least} to {most}"),
        value.to_string(),
    ))
}

fn refusal(field: &str, limit: impl Into<String>, found: String) -> Problem {
    Problem::new(
        ProblemKind::Invalid,
        "an eviction policy has a value out of its range",
    )
    .at(field)
    .limit(limit.into())
    .found(found)
    .remedy("put the value into its range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_can_be_kept() {
        Policy::default().check().unwrap();
    }

    #[test]
    fn the_least_number_that_stays_is_rounded_up() {
        assert_eq!(MinHealthy::Percent(50).required(3), 2);
        assert_eq!(MinHealthy::Percent(0).required(3), 0);
        assert_eq!(MinHealthy::Percent(100).required(3), 3);
        assert_eq!(MinHealthy::Count(2).required(1), 2);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_end_and_does_not_overflow() {
        let policy = Policy::default();
        assert_eq!([0, 1, 2, 8].map(|n| policy.backoff(n)), [1, 2, 4, 256]);
        assert_eq!([9, 63, 64, u32::MAX].map(|n| policy.backoff(n)), [300; 4]);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_its_name() {
        let refused = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy
                .check()
                .unwrap_err()
                .place()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(refused(|policy| policy.window_s = 0), "window_s");
        assert_eq!(
            refused(|policy| policy.findings_needed = 0),
            "findings_needed"
        );
        assert_eq!(refused(|policy| policy.grace_s = u64::MAX), "grace_s");
        assert_eq!(
            refused(|policy| policy.fleet_evictions = u32::MAX),
            "fleet_evictions"
        );
        assert_eq!(
            refused(|policy| policy.min_healthy = MinHealthy::Percent(101)),
            "min_healthy.percent"
        );
        assert_eq!(
            refused(|policy| policy.thresholds.warn_above = f64::NAN),
            "thresholds"
        );
    }
}
