//! Whether the bundle pays: its price against the price of the cores it frees (M8.4).

use serde::Serialize;
use uc_model::{Figure, Result};

/// What the hardware costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Money a month for each part of the bundle.
    pub parts: Vec<f64>,
    /// The currency of all prices.
    pub currency: String,
    /// Whose prices these are.
    pub whose: String,
}

impl Default for Bundle {
    /// The source's: 50 + 49 CNY a month.
    fn default() -> Self {
        Self {
            parts: vec![50.0, 49.0],
            currency: "CNY".into(),
            whose: super::SOURCE.into(),
        }
    }
}

/// The greatest price that is taken.
const MAX_PRICE: f64 = 1e12;

/// What is freed and by what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Freed {
    pub(super) p: f64,
    pub(super) s: f64,
    /// Cores that worked before.
    pub(super) busy_cores: f64,
    /// The ends of P, if it was measured.
    pub(super) ends: Option<(f64, f64)>,
}

impl Freed {
    /// Share of the busy time that is freed at a given load.
    pub(super) fn share(self) -> f64 {
        self.p * (1.0 - 1.0 / self.s)
    }

    /// The same in cores.
    pub(super) fn cores(self) -> f64 {
        self.busy_cores * self.share()
    }
}

/// The bundle's price against what the freed cores are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payback {
    /// The bundle's price a month: the sum of its parts.
    pub bundle_per_month: Figure,
    /// What a core costs a month, if the user said so.
    pub core_price_per_month: Option<Figure>,
    /// What the freed cores are worth a month; none without a price.
    pub freed_worth_per_month: Option<Figure>,
    /// What is left of it after the bundle; negative if the bundle costs more. None without a price.
    pub net_per_month: Option<Figure>,
    /// The same at the measured P's lower end; none without a price or a measured P.
    pub net_low_per_month: Option<Figure>,
    /// The same at the measured P's upper end; none without a price or a measured P.
    pub net_high_per_month: Option<Figure>,
    /// Whether something is left; none without a price.
    pub pays: Option<bool>,
    /// The price of a core from which the bundle pays; none if no core is freed.
    pub break_even_core_price: Option<Figure>,
    /// The P from which the bundle pays at the given price; none without a price, or if not even P = 1 would do.
    pub break_even_p: Option<Figure>,
    /// The busy cores from which it pays at the given price and P; none without a price, or if nothing is freed.
    pub break_even_busy_cores: Option<Figure>,
}

pub(super) fn payback(bundle: &Bundle, core_price: Option<f64>, freed: Freed) -> Result<Payback> {
    for (index, &part) in bundle.parts.iter().enumerate() {
        super::check("price of a part of the bundle", part, 0.0, MAX_PRICE)
            .map_err(|problem| problem.within(format!("part {}", index + 1)))?;
    }
    let price: f64 = bundle.parts.iter().sum();
    super::check("price of the bundle", price, 0.0, MAX_PRICE)?;
    if let Some(core_price) = core_price {
        super::check("price of a core a month", core_price, 0.0, MAX_PRICE)?;
    }
    let money = format!("{}/month", bundle.currency);
    let model = |value, unit: &str, inputs: &str| Figure::modelled(value, unit, inputs);
    let worth = core_price.map(|core_price| freed.cores() * core_price);
    // A break-even that would divide by nothing does not exist.
    let ratio = |above: f64, below: f64| {
        let value = above / below;
        (below > 0.0 && value.is_finite()).then_some(value)
    };
    let net_at = |p: f64, which: &str| {
        let cores = Freed { p, ..freed }.cores();
        core_price.map(|core_price| {
            let basis = format!("net per month at the measured P's {which} end");
            model(cores * core_price - price, &money, &basis)
        })
    };
    let kept = 1.0 - 1.0 / freed.s;
    Ok(Payback {
        bundle_per_month: Figure::assumed(price, &money, &bundle.whose),
        core_price_per_month: core_price
            .map(|core_price| Figure::assumed(core_price, &money, "the user's price of a core")),
        freed_worth_per_month: worth
            .map(|worth| model(worth, &money, "cores freed × price of a core")),
        net_per_month: worth.map(|worth| {
            model(
                worth - price,
                &money,
                "worth of the cores freed less the bundle",
            )
        }),
        net_low_per_month: freed.ends.and_then(|(low, _)| net_at(low, "lower")),
        net_high_per_month: freed.ends.and_then(|(_, high)| net_at(high, "upper")),
        pays: worth.map(|worth| worth > price),
        break_even_core_price: ratio(price, freed.cores())
            .map(|value| model(value, &money, "price of the bundle / cores freed")),
        break_even_p: core_price
            .and_then(|core_price| ratio(price, core_price * freed.busy_cores * kept))
            .filter(|p| *p <= 1.0)
            .map(|p| {
                model(
                    p,
                    "",
                    "price of the bundle / (price of a core × busy cores × (1 - 1/S))",
                )
            }),
        break_even_busy_cores: core_price
            .and_then(|core_price| ratio(price, core_price * freed.share()))
            .map(|cores| {
                model(
                    cores,
                    "cores",
                    "price of the bundle / (price of a core × P(1 - 1/S))",
                )
            }),
    })
}
