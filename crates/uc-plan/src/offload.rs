//! Hardware offload: what moving network work off the processor frees and saves (M8).
//!
//! The speed-up follows Amdahl's law from P, the share of the work that moves, and S, how much faster it becomes. P is
//! given, or [measured](measure()) from two snapshots of /proc, or the source's. What the source measured stands beside what
//! the law says, as its claim.

pub mod amdahl;
mod delta;
pub mod measure;
pub mod payback;
pub mod procfs;
mod programs;
pub mod protocol;
pub mod table;
#[cfg(test)]
mod tests;
mod work;

use serde::Serialize;
use uc_model::{Figure, Problem, Result};

pub use amdahl::{Claim, Point, Sensitivity, amdahl};
pub use measure::{Measured, Snapshot, measure};
pub use payback::{Bundle, Payback};
pub use protocol::{Verdict, require_allowed};
pub use table::{Function, Row, Table};

use payback::Freed;

/// Whose the claims are.
const SOURCE: &str = "the source (M8)";

/// The most cores that are taken for one machine.
pub const MAX_CORES: f64 = 1e6;

/// What is asked. The default is the source's case on one core.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// P as the user gives it; without it the measured one, without that the source's 0.6.
    pub p: Option<f64>,
    /// S as the user gives it; without it the source's 10.
    pub s: Option<f64>,
    /// P of this machine, if it was measured.
    pub measured: Option<Measured>,
    /// Cores of the machine; without it the measured number of processors, without that 1.
    pub cores: Option<f64>,
    /// Share of these cores that works, 0 to 1; without it the measured one, without that 1.
    pub utilisation: Option<f64>,
    /// What a core costs a month, in the bundle's currency.
    pub core_price_per_month: Option<f64>,
    /// What the hardware costs.
    pub bundle: Bundle,
    /// The functions that are moved.
    pub functions: Vec<Function>,
    /// Values of P in the grid of sensitivities.
    pub grid_p: Vec<f64>,
    /// Values of S in the grid of sensitivities.
    pub grid_s: Vec<f64>,
    /// Throughput before, Gbps; without it the source's 10.
    pub throughput_gbps: Option<f64>,
    /// Latency before, ms; without it the source's 10.
    pub latency_ms: Option<f64>,
    /// Protocols that the bitstream is for.
    pub protocols: Vec<String>,
    /// Protocols that the provider allows.
    pub allow_list: Vec<String>,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            p: None,
            s: None,
            measured: None,
            cores: None,
            utilisation: None,
            core_price_per_month: None,
            bundle: Bundle::default(),
            functions: table::source_functions(),
            grid_p: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            grid_s: vec![2.0, 5.0, 10.0, 20.0, 50.0, 100.0],
            throughput_gbps: None,
            latency_ms: None,
            protocols: Vec::new(),
            allow_list: Vec::new(),
        }
    }
}

/// What the law says at P and S.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpeedUp {
    /// P, the share of the work that moves.
    pub p: Figure,
    /// S, how much faster it becomes.
    pub s: Figure,
    /// 1/((1-P) + P/S).
    pub speed_up: Figure,
    /// The speed-up at the measured P's lower end; none unless P was measured.
    pub low: Option<Figure>,
    /// The speed-up at the measured P's upper end; none unless P was measured.
    pub high: Option<Figure>,
    /// 1/(1-P), which no S exceeds; none if P is 1.
    pub ceiling: Option<Figure>,
    /// The derivatives and elasticities there.
    pub at: Point,
    /// The source's speed-up at its own P and S beside the law's.
    pub source: Claim,
    /// The law over the grid.
    pub sensitivity: Sensitivity,
}

/// What is freed of the processor at the load it has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CpuFreed {
    /// Cores of the machine.
    pub cores: Figure,
    /// Cores' worth of work before.
    pub busy_cores: Figure,
    /// Share of the work that is freed, 0 to 1.
    pub share: Figure,
    /// The same in cores.
    pub freed_cores: Figure,
}

/// A quantity before and after offload: the source's claim and the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The source's value before.
    pub claimed_before: Figure,
    /// The source's value after.
    pub claimed_after: Figure,
    /// The factor of improvement that the source claims.
    pub claimed_factor: Figure,
    /// The value before that the model starts from.
    pub before: Figure,
    /// The value after by the model.
    pub after: Figure,
    /// After less before by the source.
    pub claimed_change: Figure,
    /// After less before by the model; for latency this is ΔT with its sign.
    pub change: Figure,
    /// The source's factor less the model's.
    pub difference: Figure,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offload {
    /// Amdahl's law.
    pub speed_up: SpeedUp,
    /// What the functions take before and after.
    pub table: Table,
    /// What is freed of the processor.
    pub cpu_freed: CpuFreed,
    /// Packets' bits a second.
    pub throughput: Prediction,
    /// Time on the way.
    pub latency: Prediction,
    /// Whether the bundle pays.
    pub payback: Payback,
    /// What red line 8.1 says about the protocols.
    pub protocols: Vec<Verdict>,
    /// P of this machine, if it was measured.
    pub measured: Option<Measured>,
    /// Where the source's figures do not agree with each other or with the law.
    pub notes: Vec<String>,
}

/// Answers a question about offload.
///
/// # Errors
/// Invalid for a parameter out of its bounds; it names the parameter, the bounds and what was found.
pub fn offload(question: &Question) -> Result<Offload> {
    let given = Given::new(question)?;
    let (p, s) = (given.p.value, given.s.value);
    let freed = Freed {
        p,
        s,
        busy_cores: given.busy_cores.value,
        ends: given.ends,
    };
    let speed_up = speed_up(question, &given)?;
    let factor = speed_up.speed_up.value;
    let table = table::table(&question.functions, given.cores.value)?;
    let throughput_after = "value before × speed-up, if the processor is what limits it";
    let latency_after = "value before / speed-up, if it is all processing and no queue";
    let throughput = predict(
        &Quantity {
            name: "throughput before in Gbps",
            unit: "Gbps",
            claimed: (10.0, 15.0),
            given: question.throughput_gbps,
            basis: throughput_after,
        },
        |before| before * factor,
        |before, after| after / before,
    )?;
    let latency = predict(
        &Quantity {
            name: "latency before in ms",
            unit: "ms",
            claimed: (10.0, 5.0),
            given: question.latency_ms,
            basis: latency_after,
        },
        |before| before / factor,
        |before, after| before / after,
    )?;
    Ok(Offload {
        notes: notes(question, &speed_up, &table)?,
        cpu_freed: CpuFreed {
            share: Figure::modelled(freed.share(), "", "P(1 - 1/S) at the same load"),
            freed_cores: Figure::modelled(freed.cores(), "cores", "busy cores × P(1 - 1/S)"),
            cores: given.cores,
            busy_cores: given.busy_cores,
        },
        payback: payback::payback(&question.bundle, question.core_price_per_month, freed)?,
        protocols: protocol::verdicts(&question.protocols, &question.allow_list)?,
        measured: question.measured.clone(),
        speed_up,
        table,
        throughput,
        latency,
    })
}

/// The parameters, each from the best that is known of it.
struct Given {
    p: Figure,
    s: Figure,
    cores: Figure,
    busy_cores: Figure,
    /// The ends of P, if the P in use was measured.
    ends: Option<(f64, f64)>,
}

const BY_USER: &str = "the user";

impl Given {
    fn new(question: &Question) -> Result<Self> {
        let measured = question.measured.as_ref();
        let user = |value, unit: &str| Figure::assumed(value, unit, BY_USER);
        let p = match (question.p, measured) {
            (Some(p), _) => user(p, ""),
            (None, Some(measured)) => measured.p.clone(),
            (None, None) => Figure::assumed(0.6, "", SOURCE),
        };
        amdahl::check_p(p.value)?;
        let s = match question.s {
            Some(s) => user(s, ""),
            None => Figure::assumed(10.0, "", SOURCE),
        };
        amdahl::check_s(s.value)?;
        let cores = match (question.cores, measured) {
            (Some(cores), _) => user(cores, "cores"),
            (None, Some(measured)) => Figure {
                unit: "cores".into(),
                ..measured.cpus.clone()
            },
            (None, None) => Figure::assumed(1.0, "cores", "one core, for want of a number"),
        };
        check("number of cores", cores.value, 0.0, MAX_CORES)?;
        let (utilisation, basis) = match (question.utilisation, measured) {
            (Some(utilisation), _) => (utilisation, "cores × utilisation given by the user"),
            (None, Some(measured)) => (measured.utilisation.value, "cores × measured utilisation"),
            (None, None) => (1.0, "all cores, taken to be busy all the time"),
        };
        check("utilisation", utilisation, 0.0, 1.0)?;
        Ok(Self {
            busy_cores: Figure::modelled(cores.value * utilisation, "cores", basis),
            ends: match (question.p, measured) {
                (None, Some(measured)) => Some((measured.p_low.value, measured.p_high.value)),
                _ => None,
            },
            p,
            s,
            cores,
        })
    }
}

/// Fails unless a parameter lies within its bounds; what is no number lies outside all.
fn check(name: &str, value: f64, least: f64, most: f64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Problem::invalid(format!("the {name} is out of bounds"))
        .limit(format!("{least} to {most}"))
        .found(value))
}

fn speed_up(question: &Question, given: &Given) -> Result<SpeedUp> {
    let (p, s) = (given.p.value, given.s.value);
    let at = amdahl::point(p, s)?;
    let end = |p: f64, which: &str| -> Result<Figure> {
        Ok(Figure::modelled(
            amdahl(p, s)?,
            "",
            &format!("Amdahl's law at the measured P's {which} end"),
        ))
    };
    Ok(SpeedUp {
        speed_up: Figure::modelled(
            at.speed_up,
            "",
            &format!(
                "Amdahl's law with P ({}) and S ({})",
                given.p.provenance, given.s.provenance
            ),
        ),
        low: given.ends.map(|(low, _)| end(low, "lower")).transpose()?,
        high: given.ends.map(|(_, high)| end(high, "upper")).transpose()?,
        ceiling: (p < 1.0)
            .then(|| Figure::modelled(1.0 / (1.0 - p), "", "Amdahl's law for endless S")),
        at,
        source: amdahl::compare(
            Figure::assumed(2.0, "", "the source's measurement (M8.3)"),
            0.6,
            10.0,
        )?,
        sensitivity: amdahl::sensitivity(&question.grid_p, &question.grid_s)?,
        p: given.p.clone(),
        s: given.s.clone(),
    })
}

/// A quantity of M8.4.
struct Quantity {
    name: &'static str,
    unit: &'static str,
    claimed: (f64, f64),
    given: Option<f64>,
    basis: &'static str,
}

fn predict(
    quantity: &Quantity,
    model: impl Fn(f64) -> f64,
    improvement: impl Fn(f64, f64) -> f64,
) -> Result<Prediction> {
    let Quantity {
        name,
        unit,
        claimed,
        given,
        basis,
    } = *quantity;
    let whose = "the source (M8.4)";
    let before = match given {
        Some(before) => Figure::assumed(before, unit, BY_USER),
        None => Figure::assumed(claimed.0, unit, whose),
    };
    check(name, before.value, 1e-9, 1e12)?;
    let after = model(before.value);
    let factor = improvement(claimed.0, claimed.1);
    Ok(Prediction {
        claimed_before: Figure::assumed(claimed.0, unit, whose),
        claimed_after: Figure::assumed(claimed.1, unit, whose),
        claimed_factor: Figure::modelled(factor, "", "ratio of the source's two values"),
        claimed_change: Figure::modelled(
            claimed.1 - claimed.0,
            unit,
            "the source's after less before",
        ),
        change: Figure::modelled(after - before.value, unit, "after less before by the model"),
        difference: Figure::modelled(
            factor - improvement(before.value, after),
            "",
            "the source's factor less the model's",
        ),
        after: Figure::modelled(after, unit, basis),
        before,
    })
}

/// Where the source's own numbers disagree; said only of the source's numbers, not of the user's.
fn notes(question: &Question, speed_up: &SpeedUp, table: &Table) -> Result<Vec<String>> {
    let law = amdahl(0.6, 10.0)?;
    let mut notes = vec![format!(
        "the source measured {} where the law gives {law:.2} for P = 0.6 and S = 10; P = {:.3} or S = {:.1} would explain it",
        speed_up.source.claimed.value,
        speed_up
            .source
            .p_that_explains
            .as_ref()
            .map_or(f64::NAN, |p| p.value),
        speed_up
            .source
            .s_that_explains
            .as_ref()
            .map_or(f64::NAN, |s| s.value),
    )];
    if question.functions == table::source_functions() {
        notes.push(format!(
            "the source's table implies P = {:.2} and S = {:.1}, a speed-up of {:.2}; its law is applied to P = 0.6 and S = 10",
            table.total.before.value / 100.0,
            table.total.implied_s.as_ref().map_or(f64::NAN, |s| s.value),
            table.implied_speed_up.as_ref().map_or(f64::NAN, |factor| factor.value)
        ));
    }
    notes.push(format!(
        "the source's throughput grows 1.5-fold and its latency halves; the law with its P and S gives {law:.2} for both"
    ));
    if speed_up.low.is_some() {
        notes.push(
            "P was measured for the whole machine over one interval; another load has another P"
                .into(),
        );
    }
    Ok(notes)
}
