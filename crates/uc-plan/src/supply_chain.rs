//! What unsigned images cost over one's own volumes: egress, pull time, re-signing (M3.2, M7.5).

use serde::Serialize;
use uc_model::{Figure, Problem, Result};

/// What is charged and how fast, by the source's policies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Money per GB of egress.
    pub price_per_gb: f64,
    /// GB a month that cost nothing even without signatures.
    pub allowance_gb: f64,
    /// Speed of unsigned pulls, megabits per second.
    pub unsigned_mbps: f64,
    /// Work to sign an old image anew, minutes.
    pub resign_minutes: f64,
}

impl Default for Policy {
    /// The source's: 0.5 a GB, 1 Mbps, 5 minutes. It names an allowance of 100 GB and charges for these 100 GB all the same;
    /// its 50 a month need an allowance of 0.
    fn default() -> Self {
        Self {
            price_per_gb: 0.5,
            allowance_gb: 0.0,
            unsigned_mbps: 1.0,
            resign_minutes: 5.0,
        }
    }
}

/// The user's own volumes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Volumes {
    /// GB that leave a registry each month.
    pub egress_gb_per_month: f64,
    /// Size of a pulled image, MB.
    pub image_mb: f64,
    /// Pulls a month.
    pub pulls_per_month: f64,
    /// Speed of signed pulls, megabits per second.
    pub link_mbps: f64,
    /// Images from before the policy.
    pub old_images: f64,
}

/// What the volumes cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SupplyChainCost {
    /// Money a month if unsigned; signed egress is free.
    pub egress_per_month: Figure,
    /// Money a year if unsigned.
    pub egress_per_year: Figure,
    /// Seconds for one pull if unsigned.
    pub unsigned_pull_s: Figure,
    /// Seconds for one pull if signed.
    pub signed_pull_s: Figure,
    /// Hours of waiting a month that signatures save.
    pub waiting_saved_h_per_month: Figure,
    /// Hours to sign the old images anew.
    pub resigning_h: Figure,
    /// The same in days of eight hours.
    pub resigning_person_days: Figure,
}

const HOURS_PER_DAY: f64 = 8.0;

/// The costs of volumes under a policy, money in `currency`.
///
/// # Errors
/// Invalid for negative or unbounded volumes, and for speeds that are not positive.
pub fn cost(volumes: &Volumes, policy: &Policy, currency: &str) -> Result<SupplyChainCost> {
    for (name, value, least) in [
        ("egress in GB", volumes.egress_gb_per_month, 0.0),
        ("image size in MB", volumes.image_mb, 0.0),
        ("pulls a month", volumes.pulls_per_month, 0.0),
        ("link speed in Mbps", volumes.link_mbps, 1e-6),
        ("number of old images", volumes.old_images, 0.0),
        ("price per GB", policy.price_per_gb, 0.0),
        ("allowance in GB", policy.allowance_gb, 0.0),
        ("unsigned speed in Mbps", policy.unsigned_mbps, 1e-6),
        ("minutes per image", policy.resign_minutes, 0.0),
    ] {
        if !(least..=1e15).contains(&value) {
            return Err(Problem::invalid(format!("the {name} is out of bounds"))
                .limit(format!("{least} to 1e15"))
                .found(value));
        }
    }
    let charged = (volumes.egress_gb_per_month - policy.allowance_gb).max(0.0);
    let egress = charged * policy.price_per_gb;
    let seconds = |mbps: f64| volumes.image_mb * 8.0 / mbps;
    // No pull is faster than the link.
    let (slow, fast) = (
        seconds(policy.unsigned_mbps.min(volumes.link_mbps)),
        seconds(volumes.link_mbps),
    );
    let saved_h = (slow - fast).max(0.0) * volumes.pulls_per_month / 3600.0;
    let resigning_h = volumes.old_images * policy.resign_minutes / 60.0;
    let model = |value, unit: &str, inputs: &str| Figure::modelled(value, unit, inputs);
    Ok(SupplyChainCost {
        egress_per_month: model(
            egress,
            currency,
            "egress above the allowance × price per GB",
        ),
        egress_per_year: model(12.0 * egress, currency, "twelve such months"),
        unsigned_pull_s: model(slow, "s", "image size / speed of unsigned pulls"),
        signed_pull_s: model(fast, "s", "image size / speed of the link"),
        waiting_saved_h_per_month: model(saved_h, "h", "difference of the two × pulls a month"),
        resigning_h: model(resigning_h, "h", "old images × minutes each"),
        resigning_person_days: model(
            resigning_h / HOURS_PER_DAY,
            "person-days",
            "days of eight hours",
        ),
    })
}
