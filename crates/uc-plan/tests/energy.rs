//! The figures of M4, each under its id.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use proptest::prelude::*;
use uc_model::{ProblemKind, Provenance};
use uc_plan::energy::{
    Energy, Parameter, Scenario,
    bcs::{coupling, critical_temperature},
    energy,
    material::{Coolant, Material, State, Suitability, source_materials},
};
use uom::si::{f64::ThermodynamicTemperature, thermodynamic_temperature::kelvin};

fn source() -> Energy {
    energy(&Scenario::default()).expect("computes")
}

fn with(parameter: Parameter, value: f64) -> Scenario {
    let mut scenario = Scenario::default();
    scenario
        .set(parameter, value, Provenance::Assumed("test".into()))
        .expect("is within bounds");
    scenario
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs().max(1.0)
}

#[test]
fn m4_1_only_ybco_makes_a_line_and_nitrogen_cools_it() {
    let rows: Vec<_> = source_materials().iter().map(Material::row).collect();
    let of = |name: &str| rows.iter().find(|row| row.name == name).expect("is listed");
    assert_eq!(of("YBCO").critical_kelvin.value, 92.0);
    assert_eq!(of("YBCO").coolant, Some(Coolant::LiquidNitrogen));
    assert_eq!(of("YBCO").suitability, Suitability::Conductor);
    assert_eq!(of("YBCO").state, State::Production);
    assert_eq!(of("LK-99").suitability, Suitability::Unconfirmed);
    assert_eq!(of("LK-99").critical_celsius.value, 127.0);
    assert_eq!(of("LaH10").suitability, Suitability::NeedsPressure);
    assert_eq!(
        of("H3S").pressure.as_ref().map(|one| one.value),
        Some(155.0)
    );
}

#[test]
fn m4_2_nitrogen_costs_4320_a_month() {
    let line = source().line;
    assert!(near(line.refrigeration_per_day.value, 24.0));
    assert!(near(line.nitrogen_per_day.value, 80.0));
    assert!(near(line.evaporation_per_day.value, 40.0));
    assert!(near(line.cooling_per_day.value, 144.0));
    assert!(near(line.cooling_per_month.value, 4320.0));
}

#[test]
fn m4_2_copper_loses_720_kwh_for_360_and_the_ratio_is_12_not_1_2() {
    let line = source().line;
    assert!(near(line.copper_loss.value, 720.0));
    assert!(near(line.copper_per_month.value, 360.0));
    let ratio = line.ratio.expect("copper loses something");
    assert!(near(ratio.value, 12.0));
    assert!(matches!(ratio.provenance, Provenance::Modelled(_)));
    assert_eq!(line.source_ratio.value, 1.2);
    assert!(matches!(
        line.source_ratio.provenance,
        Provenance::Assumed(_)
    ));
}

#[test]
fn m4_2_break_even_is_at_346_a_and_nowhere_else() {
    let found = source().break_even;
    let of = |parameter| {
        found
            .iter()
            .find(|one| one.parameter == parameter)
            .expect("is searched")
    };
    let current = of(Parameter::Current).value.as_ref().expect("is found");
    assert!(near(current.value, 100.0 * 12.0_f64.sqrt()), "{current}");
    for (parameter, why) in [
        (Parameter::LineLength, "does not depend"),
        (Parameter::ElectricityPrice, "costs more"),
        (Parameter::NitrogenPrice, "costs more"),
    ] {
        assert!(of(parameter).value.is_none());
        let reason = of(parameter).why_none.as_ref().expect("has a reason");
        assert!(reason.contains(why), "{reason}");
    }
    let claim = source().claim;
    let current = claim[0].value.as_ref().expect("is found");
    assert!(near(current.value, 100.0 * 10.0_f64.sqrt()), "{current}");
}

/// What the notes of the answer say.
#[test]
fn m4_2_the_notes_figures_follow_from_the_model() {
    let ratio = |scenario: &Scenario| {
        let ratio = energy(scenario).expect("computes").line.ratio;
        ratio.expect("copper loses something").value
    };
    let without_evaporation = with(Parameter::NitrogenEvaporated, 0.0);
    assert!((ratio(&without_evaporation) - 104.0 / 12.0).abs() < 1e-9);
    assert!((ratio(&with(Parameter::NitrogenPrice, 0.0)) - 1440.0 / 720.0).abs() < 1e-9);
    let doubled = with(Parameter::LineLength, 1_000.0);
    let line = energy(&doubled).expect("computes").line;
    assert!(near(line.cooling_per_month.value, 8_640.0) && near(line.copper_loss.value, 1_440.0));
}

#[test]
fn m4_3_the_ticket_is_0_8_and_its_trend_has_an_error() {
    let ticket = source().ticket;
    assert!(near(ticket.ticket.value, 0.8));
    let stated: Vec<(f64, f64)> = ticket
        .milestones
        .iter()
        .map(|one| (one.ticket.value, one.cost_multiple.value))
        .collect();
    assert_eq!(stated, [(0.5, 2.0), (0.7, 1.4), (0.8, 1.2), (0.95, 1.05)]);
    // logit 0, 0.847, 1.386 at 2020, 2023, 2025.5: a slope of 0.253 a year, so 2030 has a logit of 2.558.
    assert!(
        (ticket.forecast.value - 0.9281).abs() < 1e-3,
        "{}",
        ticket.forecast
    );
    assert!(ticket.forecast_low.value < ticket.forecast.value);
    assert!(ticket.forecast_high.value > ticket.source_forecast.value);
    assert!(ticket.residual_error.value > 0.0 && ticket.leave_one_out_error.value > 0.0);
}

#[test]
fn m4_4_the_bundle_costs_212_or_8_48_per_cent_more() {
    let bundle = source().bundle;
    assert!(near(bundle.saved.value, 576.0));
    assert!(near(bundle.saving.value, 288.0));
    assert!(near(bundle.net.value, 2712.0));
    assert!(near(bundle.premium.value, 212.0));
    assert!(near(bundle.premium_share.value, 8.48));
    assert_eq!(bundle.source_premium_share.value, 8.0);
}

#[test]
fn m4_5_helium_costs_ten_times_and_room_temperature_is_208_k_away() {
    let red_lines = source().red_lines;
    assert!(!red_lines[0].is_crossed && !red_lines[1].is_crossed);
    assert!(near(red_lines[1].figure.value, 208.0));
    let mut cold = Scenario::default();
    let whose = Provenance::Assumed("test".into());
    cold.materials
        .push(Material::ambient("MgB2", -234.0, State::Production, whose).expect("is one"));
    cold.conductor = "MgB2".into();
    let answer = energy(&cold).expect("computes");
    assert!(answer.red_lines[0].is_crossed);
    assert!(near(answer.line.cooling_per_month.value, 43_200.0));
}

#[test]
fn m4_5_the_bcs_formula_forwards_and_backwards() {
    let debye = ThermodynamicTemperature::new::<kelvin>(428.0);
    let critical = critical_temperature(debye, 0.25).expect("computes");
    assert!((critical.get::<kelvin>() - 1.14 * 428.0 * (-4.0_f64).exp()).abs() < 1e-9);
    assert!((coupling(debye, critical).expect("inverts") - 0.25).abs() < 1e-12);
    assert!(coupling(debye, ThermodynamicTemperature::new::<kelvin>(500.0)).is_err());
    assert!(critical_temperature(ThermodynamicTemperature::new::<kelvin>(0.0), 0.25).is_err());
}

#[test]
fn bad_input_is_refused_by_name() {
    let mut scenario = Scenario::default();
    for (parameter, value) in [
        (Parameter::ElectricityPrice, -0.1),
        (Parameter::Current, f64::NAN),
        (Parameter::LineLength, 0.0),
        (Parameter::HoursPerMonth, 1000.0),
    ] {
        let problem = scenario
            .set(parameter, value, Provenance::Assumed("test".into()))
            .expect_err("is out of bounds");
        assert!(problem.to_string().contains(parameter.name()), "{problem}");
    }
    assert_eq!(scenario, Scenario::default());
    scenario.conductor = "LK-99".into();
    assert_eq!(
        energy(&scenario).expect_err("is unconfirmed").kind(),
        ProblemKind::Refused
    );
    scenario.conductor = "unobtainium".into();
    assert_eq!(
        energy(&scenario).expect_err("is unknown").kind(),
        ProblemKind::NotFound
    );
    assert!(Parameter::by_name("curent").is_err());
}

proptest! {
    #[test]
    fn a_break_even_found_is_one(price in 0.01_f64..100.0, nitrogen in 0.01_f64..100.0, ohms in 0.001_f64..10.0) {
        let mut scenario = with(Parameter::ElectricityPrice, price);
        let whose = || Provenance::Assumed("test".into());
        scenario.set(Parameter::NitrogenPrice, nitrogen, whose()).expect("is within bounds");
        scenario.set(Parameter::CopperResistance, ohms, whose()).expect("is within bounds");
        for found in energy(&scenario).expect("computes").break_even {
            let Some(value) = found.value else { continue };
            let mut there = scenario.clone();
            there.set(found.parameter, value.value, whose()).expect("is within bounds");
            let ratio = energy(&there).expect("computes").line.ratio.expect("copper loses something");
            prop_assert!((ratio.value - 1.0).abs() < 1e-6, "{:?} {}", found.parameter, ratio);
        }
    }

    #[test]
    fn dearer_money_changes_no_ratio(factor in 0.01_f64..100.0) {
        let mut scenario = with(Parameter::ElectricityPrice, 0.5 * factor);
        scenario.set(Parameter::NitrogenPrice, 8.0 * factor, Provenance::Assumed("test".into())).expect("is within bounds");
        let answer = energy(&scenario).expect("computes");
        let ratio = answer.line.ratio.expect("copper loses something");
        prop_assert!((ratio.value - 12.0).abs() < 1e-6);
        for (here, there) in answer.break_even.iter().zip(source().break_even) {
            prop_assert_eq!(here.value.is_some(), there.value.is_some());
        }
    }
}
