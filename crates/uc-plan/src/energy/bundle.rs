//! The gateway bundle against a traditional gateway (M4.4).

use serde::Serialize;
use uc_model::Figure;
use uom::si::{energy::kilowatt_hour, f64::Energy};

use super::{Parameter, Scenario, without_noise};

/// What the bundle costs more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bundle {
    /// Its price, money a month.
    pub price: Figure,
    /// Energy it saves, kWh a month.
    pub saved: Figure,
    /// What that is worth, money a month.
    pub saving: Figure,
    /// Price less saving, money a month.
    pub net: Figure,
    /// The traditional gateway, money a month.
    pub traditional: Figure,
    /// Net less traditional, money a month.
    pub premium: Figure,
    /// The same as a share of the traditional price.
    pub premium_share: Figure,
    /// What the source says of that share.
    pub source_premium_share: Figure,
}

pub(super) fn bundle(scenario: &Scenario) -> Bundle {
    let energy: Energy = scenario.bundle_power_saved.quantity * scenario.hours_per_month.quantity;
    let saving = scenario.electricity_price.quantity * energy;
    let net = scenario.bundle_price.quantity - saving;
    let traditional = scenario.traditional_price.quantity;
    let premium = net - traditional;
    let unit = format!("{}/month", scenario.currency);
    let money = |amount: f64, inputs: &str| Figure::modelled(without_noise(amount), &unit, inputs);
    Bundle {
        price: scenario.figure(Parameter::BundlePrice),
        saved: Figure::modelled(
            without_noise(energy.get::<kilowatt_hour>()),
            "kWh/month",
            "power saved × hours a month",
        ),
        saving: money(saving.amount(), "energy saved × electricity price"),
        net: money(net.amount(), "price - saving"),
        traditional: scenario.figure(Parameter::TraditionalPrice),
        premium: money(premium.amount(), "net - traditional"),
        premium_share: Figure::modelled(
            without_noise(100.0 * premium.amount() / traditional.amount()),
            "%",
            "premium / traditional",
        ),
        source_premium_share: Figure::assumed(8.0, "%", "source, M4.4, rounded down"),
    }
}
