//! Sampling a portfolio: what must come out exactly, what within the stated error, and what is refused.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;
use uc_plan::{
    Distribution, Inputs, Weights,
    adoption::Outcome,
    monte_carlo::{
        BreakEven, Experiment, Figure, POINTS, Partial, Prospect, RANKED_LIMIT, REPLICATES_LIMIT,
        Sampling, Spread, Summary, TECHNOLOGIES_LIMIT,
    },
};

const WEIGHTS: Weights = Weights {
    benefit: 30.0,
    cost: 28.0,
    effort: 50.0,
    failure: 0.9,
    impact: 0.95,
};

const UNCERTAIN: Prospect = Prospect {
    benefit: Distribution::Pert {
        low: 10.0,
        mode: 20.0,
        high: 50.0,
    },
    cost: Distribution::Triangular {
        low: 5.0,
        mode: 8.0,
        high: 20.0,
    },
    effort: Distribution::Normal {
        mean: 3.0,
        sd: 1.0,
        low: 1.0,
        high: f64::INFINITY,
    },
    failure: Distribution::Uniform {
        low: 0.1,
        high: 0.4,
    },
    impact: Distribution::LogNormal {
        median: 50.0,
        p90: 100.0,
    },
    weights: WEIGHTS,
    chosen: true,
};

fn certain(benefit: f64, cost: f64, failure: f64, impact: f64) -> Prospect {
    Prospect {
        benefit: Distribution::Point(benefit),
        cost: Distribution::Point(cost),
        effort: Distribution::Point(2.0),
        failure: Distribution::Point(failure),
        impact: Distribution::Point(impact),
        weights: WEIGHTS,
        chosen: true,
    }
}

fn experiment(prospects: &[Prospect], replicates: u32) -> Experiment {
    let seed = 5;
    Experiment::new(prospects, Sampling { seed, replicates }).unwrap()
}

fn summary(experiment: &Experiment) -> Summary {
    let partials = (0..experiment.replicates()).map(|index| experiment.replicate(index));
    experiment.summarise(partials).unwrap()
}

fn places(spread: &Spread) -> [f64; 8] {
    [
        spread.mean,
        spread.min,
        spread.p5,
        spread.p25,
        spread.p50,
        spread.p75,
        spread.p95,
        spread.max,
    ]
}

#[test]
fn neither_order_nor_grouping_changes_a_bit() {
    let experiment = experiment(&[UNCERTAIN, certain(3.0, 1.0, 0.1, 5.0)], 4);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| experiment.replicate(index));
    let together = |one: &Partial, other: &Partial| {
        let mut merged = one.clone();
        merged.merge(other.clone()).unwrap();
        merged
    };
    let in_order = experiment.summarise([a.clone(), b.clone(), c.clone(), d.clone()]);
    let otherwise = experiment.summarise([together(&d, &b), together(&c, &a)]);
    let text = |summary: Summary| serde_json::to_string(&summary).unwrap();
    assert_eq!(text(in_order.unwrap()), text(otherwise.unwrap()));
}

#[test]
fn each_replicate_must_be_there_once() {
    let experiment = experiment(&[certain(3.0, 1.0, 0.1, 5.0)], 2);
    let (a, b) = (experiment.replicate(0), experiment.replicate(1));
    assert!(experiment.summarise([a.clone()]).is_err());
    assert!(experiment.summarise([a.clone(), a.clone()]).is_err());
    assert!(
        experiment
            .summarise([a.clone(), b.clone(), b.clone()])
            .is_err()
    );
    let mut other = self::experiment(&[UNCERTAIN], 2).replicate(1);
    assert!(other.merge(b).is_err());
    assert!(experiment.summarise([a, other]).is_err());
}

/// The value is linear in each figure, so its mean and variance are known.
#[test]
fn mean_and_deviation_are_the_exact_ones_within_the_stated_error() {
    let other = Prospect {
        failure: Distribution::Pert {
            low: 0.0,
            mode: 0.2,
            high: 0.9,
        },
        ..UNCERTAIN
    };
    let experiment = experiment(&[UNCERTAIN, other], 8);
    let value = summary(&experiment).portfolio.value;
    let exact: f64 = [UNCERTAIN, other]
        .map(|one| Outcome::of(&one.means(), &one.weights).value())
        .iter()
        .sum();
    let sd = experiment.value_variance().sqrt();
    println!(
        "{} {exact} ± {}; {} {sd}",
        value.mean, value.standard_error, value.sd
    );
    assert!((value.mean - exact).abs() < 5.0 * value.standard_error);
    assert!((value.sd - sd).abs() < 1e-3 * sd);
    // Plain random numbers would err by this.
    let random = sd / (8.0 * POINTS as f64).sqrt();
    assert!(value.standard_error < random / 10.0, "{random}");
}

#[test]
fn percentiles_are_those_of_the_distribution_within_the_stated_error() {
    let prospect = Prospect {
        benefit: UNCERTAIN.benefit,
        ..certain(0.0, 0.0, 0.0, 0.0)
    };
    let summary = summary(&experiment(&[prospect], 2));
    let found = &summary.technologies[0].benefit;
    for (share, value) in [0.05, 0.25, 0.5, 0.75, 0.95]
        .into_iter()
        .zip([found.p5, found.p25, found.p50, found.p75, found.p95])
    {
        let exact = WEIGHTS.benefit * UNCERTAIN.benefit.quantile(share);
        // Half a stratum of the lattice, beside the cell.
        let allowed = summary.percentile_error * exact + 1e-3;
        assert!((value - exact).abs() < allowed, "{share}: {value} {exact}");
        assert!(
            (value - exact).abs() < allowed / 10.0,
            "they are far better in practice"
        );
    }
    assert!((found.chart.shares.iter().sum::<f64>() - 0.98).abs() < 1e-6);
}

#[test]
fn ranks_and_firsts_add_up() {
    let prospects = [
        UNCERTAIN,
        certain(30.0, 10.0, 0.2, 60.0),
        certain(10.0, 0.0, 0.5, 60.0),
        certain(10.0, 0.0, 0.4, 60.0),
        UNCERTAIN,
    ];
    let summary = summary(&experiment(&prospects, 2));
    let firsts = summary.technologies.iter().map(|one| one.first.mean);
    assert_eq!(firsts.collect::<Vec<_>>(), [0.0, 0.0, 0.0, 1.0, 0.0]);
    let ranks: Vec<f64> = summary
        .technologies
        .iter()
        .map(|one| one.mean_rank.unwrap().mean)
        .collect();
    assert_eq!(ranks.iter().sum::<f64>(), 15.0);
    assert_eq!(ranks[2..4], [2.0, 1.0]);
    assert!((ranks[0] - ranks[4]).abs() < 0.01);
}

#[test]
fn what_is_free_has_an_infinite_return_that_is_counted_apart() {
    let summary = summary(&experiment(
        &[certain(10.0, 0.0, 0.5, 60.0), certain(0.0, 0.0, 0.0, 60.0)],
        2,
    ));
    let roi = &summary.technologies[0].roi;
    assert_eq!(
        (roi.infinite, roi.undefined, roi.p50),
        (1.0, 0.0, f64::INFINITY)
    );
    assert!(roi.mean.is_nan() && roi.chart.shares.is_empty());
    let roi = &summary.technologies[1].roi;
    assert_eq!((roi.infinite, roi.undefined), (0.0, 1.0));
    assert!(roi.p50.is_nan());
    assert!(
        summary.portfolio.roi.mean.is_finite(),
        "effort costs something"
    );
}

#[test]
fn beyond_the_lattice_and_the_ranks_everything_else_is_still_told() {
    let prospects = vec![UNCERTAIN; RANKED_LIMIT + 1];
    let experiment = experiment(&prospects, 2);
    let summary = summary(&experiment);
    assert!(
        summary
            .technologies
            .iter()
            .all(|one| one.mean_rank.is_none())
    );
    let firsts: f64 = summary.technologies.iter().map(|one| one.first.mean).sum();
    assert!((firsts - 1.0).abs() < 1e-12);
    let value = &summary.portfolio.value;
    let exact = prospects.len() as f64 * Outcome::of(&UNCERTAIN.means(), &WEIGHTS).value();
    let sd = experiment.value_variance().sqrt();
    assert!((value.mean - exact).abs() < sd / 100.0);
}

#[test]
fn swings_are_sorted_and_explain_the_variance() {
    let other = Prospect {
        chosen: false,
        ..UNCERTAIN
    };
    let experiment = experiment(&[certain(3.0, 1.0, 0.1, 5.0), UNCERTAIN, other], 2);
    let tornado = experiment.tornado();
    assert_eq!(tornado.len(), 5);
    assert!(tornado.is_sorted_by(|one, next| one.width() >= next.width()));
    assert!(tornado.iter().all(|one| one.technology == 1));
    let first = &tornado[0];
    assert_eq!(first.figure, Figure::Benefit);
    let range = UNCERTAIN.benefit.quantile(0.9) - UNCERTAIN.benefit.quantile(0.1);
    assert!((first.width() - (1.0 - 0.25 * 0.9) * 30.0 * range).abs() < 1e-9);
    let explained: f64 = tornado.iter().map(|one| one.first_order).sum();
    assert!((0.95..=1.0).contains(&explained), "{explained}");
}

#[test]
fn break_even_values_make_the_value_zero() {
    let even = BreakEven::of(&UNCERTAIN);
    let means = UNCERTAIN.means();
    for inputs in [
        Inputs {
            benefit: even.benefit.unwrap(),
            ..means
        },
        Inputs {
            cost: even.cost.unwrap(),
            ..means
        },
        Inputs {
            effort: even.effort.unwrap(),
            ..means
        },
        Inputs {
            failure: even.failure.unwrap(),
            ..means
        },
        Inputs {
            impact: even.impact.unwrap(),
            ..means
        },
    ] {
        assert!(Outcome::of(&inputs, &WEIGHTS).value().abs() < 1e-9 * even.value);
    }
    // Right even if it fails for certain, and without regard to an impact that never comes.
    let good = BreakEven::of(&certain(100.0, 1.0, 0.0, 50.0));
    assert!(good.value > 0.0 && good.failure.is_none() && good.impact.is_none());
    // Wrong even if it costs nothing.
    let bad = BreakEven::of(&certain(1.0, 10.0, 0.1, 50.0));
    assert!(bad.value < 0.0 && bad.cost.is_none() && bad.effort.is_none() && bad.failure.is_none());
    assert!(bad.benefit.is_some());
}

#[test]
fn limits_are_kept() {
    let sampling = |replicates| Sampling {
        seed: 0,
        replicates,
    };
    let one = certain(1.0, 1.0, 0.1, 1.0);
    assert!(Experiment::new(&[], sampling(2)).is_err());
    assert!(Experiment::new(&vec![one; TECHNOLOGIES_LIMIT], sampling(2)).is_ok());
    assert!(Experiment::new(&vec![one; TECHNOLOGIES_LIMIT + 1], sampling(2)).is_err());
    for replicates in [0, 1, REPLICATES_LIMIT + 1] {
        assert!(Experiment::new(&[one], sampling(replicates)).is_err());
    }
    for bad in [-1.0, 1.1, f64::NAN, f64::INFINITY] {
        assert!(Experiment::new(&[certain(1.0, 1.0, bad, 1.0)], sampling(2)).is_err());
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Experiment::new(&[certain(1.0, bad, 0.1, 1.0)], sampling(2)).is_err());
        let weights = Weights {
            impact: bad,
            ..WEIGHTS
        };
        assert!(Experiment::new(&[Prospect { weights, ..one }], sampling(2)).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn certain_figures_give_the_deterministic_result(
        figures in prop::collection::vec((0.0..1e4, 1e-3..1e4, 0.0..1.0, 0.0..1e5), 1..4),
    ) {
        let prospects: Vec<Prospect> = figures.iter().map(|&(b, c, p, i)| certain(b, c, p, i)).collect();
        let summary = summary(&experiment(&prospects, 2));
        let outcomes: Vec<Outcome> = prospects.iter().map(|one| Outcome::of(&one.means(), &WEIGHTS)).collect();
        let close = |spread: &Spread, exact: f64| places(spread)
            .into_iter()
            .all(|place| (place - exact).abs() <= 1e-12 * exact.abs().max(1.0));
        for (one, (outcome, &(b, c, p, i))) in summary.technologies.iter().zip(outcomes.iter().zip(&figures)) {
            prop_assert_eq!(places(&one.value), [outcome.value(); 8]);
            prop_assert_eq!(places(&one.cost), [outcome.cost; 8]);
            prop_assert!(close(&one.risk, outcome.risk));
            prop_assert!(close(&one.monthly_risk, p * i));
            prop_assert!(close(&one.roi, b / c - 1.0));
            prop_assert!(one.value.sd == 0.0 && one.value.standard_error == 0.0);
            prop_assert_eq!(one.worthwhile.mean, f64::from(u8::from(outcome.value() > 0.0)));
        }
        let total: f64 = outcomes.iter().map(Outcome::value).sum();
        prop_assert_eq!(places(&summary.portfolio.value), [total; 8]);
        prop_assert_eq!(summary.portfolio.loss.mean, f64::from(u8::from(total < 0.0)));
    }

    /// By powers of two, which scale floats exactly: so histograms keep their cells, and rounding breaks no tie.
    #[test]
    fn the_currency_scales_money_and_changes_no_ranking(power in -20..20) {
        let factor = 2.0_f64.powi(power);
        let free = certain(3.0, 0.0, 0.2, 5.0);
        let other = Prospect { impact: Distribution::Uniform { low: 10.0, high: 90.0 }, ..UNCERTAIN };
        let prospects = [UNCERTAIN, other, free];
        let scaled = prospects.map(|one| Prospect {
            benefit: one.benefit.scaled(factor),
            cost: one.cost.scaled(factor),
            impact: one.impact.scaled(factor),
            weights: Weights { effort: one.weights.effort * factor, ..one.weights },
            ..one
        });
        let (before, after) = (summary(&experiment(&prospects, 2)), summary(&experiment(&scaled, 2)));
        let follows = |one: &Spread, other: &Spread, factor: f64| places(one)
            .into_iter()
            .zip(places(other))
            .all(|(one, other)| (one * factor - other).abs() <= 1e-6 * other.abs());
        prop_assert!(follows(&before.portfolio.value, &after.portfolio.value, factor));
        prop_assert!(follows(&before.portfolio.roi, &after.portfolio.roi, 1.0));
        for (one, other) in before.technologies.iter().zip(&after.technologies) {
            prop_assert!(follows(&one.value, &other.value, factor));
            prop_assert!((one.first.mean - other.first.mean).abs() < 1e-4);
            let rank = |one: &uc_plan::monte_carlo::TechnologySummary| one.mean_rank.unwrap().mean;
            prop_assert!((rank(one) - rank(other)).abs() < 1e-4);
        }
    }
}
