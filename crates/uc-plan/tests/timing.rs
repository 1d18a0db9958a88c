//! Adoption over time: t*, trends, policies, and what a change of currency must not change.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use proptest::prelude::*;
use uc_model::Date;
use uc_plan::{
    Catalogue, Distribution, Estimate,
    catalogue::{Policy, SHIPPED},
    evaluation::{by_priority, evaluate},
    timing::{Timing, timing, weights},
    waiting::waiting,
};

fn source() -> Catalogue {
    Catalogue::read("2025.toml", SHIPPED).expect("reads")
}

fn date(text: &str) -> Date {
    text.parse().expect(text)
}

/// The catalogue with every amount of money `factor` times as large.
fn in_other_money(mut catalogue: Catalogue, factor: f64) -> Catalogue {
    let scale = |estimate: &mut Estimate| {
        estimate.distribution = estimate.distribution.scaled(factor);
    };
    catalogue.person_day_cost *= factor;
    catalogue.red_line_threshold *= factor;
    for technology in &mut catalogue.technologies {
        scale(&mut technology.monthly_cost);
        scale(&mut technology.monthly_benefit);
        scale(&mut technology.impact);
    }
    catalogue
}

/// A technology that costs 10 and brings 30 a month, for sure and for ever.
fn certain() -> Catalogue {
    let mut catalogue = source();
    catalogue.discount_rate = 0.0;
    catalogue.technologies.truncate(1);
    let technology = &mut catalogue.technologies[0];
    technology.monthly_cost = Estimate::point(10.0, "test");
    technology.monthly_benefit = Estimate::point(30.0, "test");
    technology.failure_probability = Estimate::point(0.0, "test");
    technology.trend.cost_decline = 0.0;
    technology.trend.late_benefit = 1.0;
    catalogue
}

fn of_first(catalogue: &Catalogue) -> Timing {
    timing(catalogue, &catalogue.technologies[0], catalogue.dated)
}

#[test]
fn m9_1_without_trends_every_moment_has_the_same_return_and_the_first_is_best() {
    let timing = of_first(&certain());
    assert_eq!(timing.curve.len(), 36);
    for moment in &timing.curve {
        assert!((moment.net_return.expect("costs") - 2.0).abs() < 1e-12);
    }
    assert_eq!(timing.curve[0].value, 36.0 * 20.0);
    assert_eq!((timing.best_month, timing.most_valuable_month), (0, 0));
}

#[test]
fn m9_1_falling_prices_move_the_best_time_back_and_the_standard_moves_it_forward() {
    let mut catalogue = certain();
    catalogue.technologies[0].trend.cost_decline = 0.3;
    assert_eq!(of_first(&catalogue).best_month, 35);
    // Whoever comes after the standard, twelve months on, keeps half.
    catalogue.technologies[0].trend.late_benefit = 0.5;
    assert_eq!(of_first(&catalogue).best_month, 11);
}

#[test]
fn policies_count_from_their_date_on() {
    let mut catalogue = certain();
    catalogue.technologies[0].trend.policies.push(Policy {
        date: catalogue.dated.plus_months(30),
        text: "doubled".into(),
        benefit_factor: 2.0,
        cost_factor: 1.0,
    });
    let weights = weights(&catalogue, &catalogue.technologies[0], catalogue.dated, 0);
    assert_eq!((weights.benefit, weights.cost), (29.0 + 7.0 * 2.0, 36.0));
}

#[test]
fn the_source_s_superconductor_is_never_worth_it_and_its_signing_is_at_once() {
    let catalogue = source();
    let of = |no: usize| timing(&catalogue, &catalogue.technologies[no - 1], catalogue.dated);
    assert!(!of(4).is_worthwhile);
    assert!(of(7).is_worthwhile);
    assert_eq!(of(7).best_month, 0);
}

proptest! {
    #[test]
    fn another_currency_changes_no_ranking_and_no_time(factor in 0.001_f64..1_000.0, day_cost in 0.0_f64..500.0) {
        let mut catalogue = source();
        catalogue.person_day_cost = day_cost;
        let other = in_other_money(catalogue.clone(), factor);
        let as_of = date("2026-03-01");
        prop_assert_eq!(
            by_priority(&evaluate(&catalogue, as_of)),
            by_priority(&evaluate(&other, as_of))
        );
        for (one, two) in catalogue.technologies.iter().zip(&other.technologies) {
            let (before, after) = (timing(&catalogue, one, as_of), timing(&other, two, as_of));
            prop_assert_eq!(before.best_month, after.best_month);
            prop_assert_eq!(before.most_valuable_month, after.most_valuable_month);
            let (before, after) = (waiting(one, &before), waiting(two, &after));
            prop_assert!((before.worth * factor - after.worth).abs() <= 1e-6 * (1.0 + after.option));
        }
    }

    #[test]
    fn distributions_without_width_give_the_deterministic_result(value in 0.0_f64..1_000.0) {
        let mut one = source();
        let mut two = source();
        one.technologies[0].monthly_benefit.distribution = Distribution::Point(value);
        two.technologies[0].monthly_benefit.distribution = Distribution::Uniform { low: value, high: value };
        prop_assert_eq!(of_first(&one).curve, of_first(&two).curve);
        prop_assert_eq!(evaluate(&one, one.dated), evaluate(&two, two.dated));
    }

    #[test]
    fn waiting_is_never_worth_less_than_nothing(month in 0_i64..40, volatility in 0.0_f64..2.0) {
        let mut catalogue = source();
        for technology in &mut catalogue.technologies {
            technology.trend.volatility = Some(volatility);
        }
        let as_of = catalogue.dated.plus_months(month);
        for technology in &catalogue.technologies {
            let waiting = waiting(technology, &timing(&catalogue, technology, as_of));
            prop_assert!(waiting.worth >= 0.0 && waiting.option.is_finite());
        }
    }
}
