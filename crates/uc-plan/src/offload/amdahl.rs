//! Amdahl's law, its sensitivities and its inversions (M8.3).

use serde::Serialize;
use uc_model::{Figure, Problem, Provenance, Result};

/// The most values on one axis of a grid.
pub const MAX_AXIS: usize = 256;

/// The greatest factor that is taken for an acceleration.
pub const MAX_FACTOR: f64 = 1e9;

/// The speed-up of a whole of which the share `p` becomes `s` times as fast: 1/((1-P) + P/S).
///
/// # Errors
/// Invalid if `p` is outside 0 to 1 or `s` outside 1 to [`MAX_FACTOR`].
pub fn amdahl(p: f64, s: f64) -> Result<f64> {
    check_p(p)?;
    check_s(s)?;
    Ok(speed_up(p, s))
}

/// The share that must have been accelerated `s`-fold for the whole to become `observed` times as fast; none if no share
/// explains it.
pub fn share_that_explains(observed: f64, s: f64) -> Option<f64> {
    let share = (1.0 - 1.0 / observed) / (1.0 - 1.0 / s);
    (0.0..=1.0).contains(&share).then_some(share)
}

/// The factor by which the share `p` must have been accelerated for the whole to become `observed` times as fast; none if
/// even an endless factor would not do.
pub fn factor_that_explains(observed: f64, p: f64) -> Option<f64> {
    let factor = p / (1.0 / observed - (1.0 - p));
    (factor.is_finite() && factor >= 1.0).then_some(factor)
}

/// How the speed-up answers to its two inputs, at one point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// P, the share of the work that is accelerated.
    pub p: f64,
    /// S, the factor by which it is.
    pub s: f64,
    /// 1/((1-P) + P/S).
    pub speed_up: f64,
    /// Change of the speed-up per unit of P.
    pub derivative_p: f64,
    /// Change of the speed-up per unit of S.
    pub derivative_s: f64,
    /// Percent of speed-up per percent of P.
    pub elasticity_p: f64,
    /// Percent of speed-up per percent of S.
    pub elasticity_s: f64,
}

/// The speed-up over a grid of P and S.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// Where every number of the points comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// The points, P after P and within it S after S.
    pub grid: Vec<Point>,
}

/// The speed-up with its derivatives at one point.
///
/// # Errors
/// As [`amdahl`].
pub fn point(p: f64, s: f64) -> Result<Point> {
    let speed_up = amdahl(p, s)?;
    let kept = 1.0 - 1.0 / s;
    Ok(Point {
        p,
        s,
        speed_up,
        derivative_p: speed_up * speed_up * kept,
        derivative_s: speed_up * speed_up * p / (s * s),
        elasticity_p: speed_up * p * kept,
        elasticity_s: speed_up * p / s,
    })
}

/// The grid of all pairs of the two axes.
///
/// # Errors
/// As [`amdahl`] for each pair, and for more than [`MAX_AXIS`] values on an axis.
pub fn sensitivity(ps: &[f64], ss: &[f64]) -> Result<Sensitivity> {
    for (axis, length) in [("P", ps.len()), ("S", ss.len())] {
        if length > MAX_AXIS {
            return Err(Problem::invalid("the grid of the sensitivity is too fine")
                .at(format!("values of {axis}"))
                .limit(format!("at most {MAX_AXIS}"))
                .found(length));
        }
    }
    let mut grid = Vec::with_capacity(ps.len() * ss.len());
    for &p in ps {
        for &s in ss {
            grid.push(point(p, s)?);
        }
    }
    Ok(Sensitivity {
        provenance: Provenance::Modelled("Amdahl's law and its partial derivatives".into()),
        grid,
    })
}

/// A claimed speed-up beside the law's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Claim {
    /// The claim.
    pub claimed: Figure,
    /// Claim less law.
    pub difference: Figure,
    /// The P with which the law would give the claim at the same S, if any does.
    pub p_that_explains: Option<Figure>,
    /// The S with which the law would give the claim at the same P, if any does.
    pub s_that_explains: Option<Figure>,
}

/// A claimed speed-up beside the law's for `p` and `s`.
///
/// # Errors
/// As [`amdahl`], and if the claim is not a positive number.
pub fn compare(claimed: Figure, p: f64, s: f64) -> Result<Claim> {
    let law = amdahl(p, s)?;
    super::check("claimed speed-up", claimed.value, 1e-9, MAX_FACTOR)?;
    let observed = claimed.value;
    let figure = |value, basis: &str| Figure::modelled(value, "", basis);
    Ok(Claim {
        difference: figure(observed - law, "claim less Amdahl's law"),
        p_that_explains: share_that_explains(observed, s)
            .map(|share| figure(share, "Amdahl's law solved for P with the same S")),
        s_that_explains: factor_that_explains(observed, p)
            .map(|factor| figure(factor, "Amdahl's law solved for S with the same P")),
        claimed,
    })
}

/// The law itself, for arguments that were checked.
pub(super) fn speed_up(p: f64, s: f64) -> f64 {
    1.0 / ((1.0 - p) + p / s)
}

pub(super) fn check_p(p: f64) -> Result<()> {
    super::check("P (accelerated share)", p, 0.0, 1.0)
}

pub(super) fn check_s(s: f64) -> Result<()> {
    super::check("S (factor of acceleration)", s, 1.0, MAX_FACTOR)
}
