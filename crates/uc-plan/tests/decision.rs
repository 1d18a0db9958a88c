//! The figures of M0 and M9, each under its id.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use uc_model::Date;
use uc_plan::{
    Catalogue,
    catalogue::SHIPPED,
    contradiction::check,
    evaluation::{Evaluation, PriorityKey, Totals, Window, by_priority, evaluate},
};

fn source() -> Catalogue {
    Catalogue::read("2025.toml", SHIPPED).expect("reads")
}

fn date(text: &str) -> Date {
    text.parse().expect(text)
}

fn on(text: &str) -> Vec<Evaluation> {
    evaluate(&source(), date(text))
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0)
}

#[test]
fn m0_1_the_vector_has_maturity_cost_window_and_red_lines() {
    let evaluations = on("2025-10-22");
    let superconductor = &evaluations[3].vector;
    assert!(near(superconductor.maturity, 0.3));
    assert!(near(superconductor.monthly_cost, 3000.0));
    assert_eq!(superconductor.window_months, 36);
    assert_eq!(superconductor.red_lines, 2);
}

#[test]
fn m0_2_the_predicate_fails_where_the_source_s_own_windows_are_too_long() {
    let evaluations = on("2025-10-22");
    let passing: Vec<bool> = evaluations.iter().map(|one| one.is_undercurrent).collect();
    assert_eq!(passing, [true, false, true, false, true, true, true, false]);
    for no in [2, 4, 8] {
        let failed = &evaluations[no - 1].conditions[2];
        assert_eq!(failed.demand, "window under 18 months");
        assert!(!failed.holds, "no. {no}: {}", failed.found);
    }
}

#[test]
fn m0_3_windows_of_2025_10_22_are_the_source_s_and_today_many_are_shut() {
    let months = |text| -> Vec<i64> {
        on(text)
            .iter()
            .map(|one| one.vector.window_months)
            .collect()
    };
    assert_eq!(months("2025-10-22"), [12, 18, 6, 36, 9, 12, 6, 18]);
    assert_eq!(months("2026-11-25"), [-1, 4, -7, 22, -4, -1, -7, 4]);
    let shut: Vec<bool> = on("2026-11-25")
        .iter()
        .map(|one| one.window == Window::Shut)
        .collect();
    assert_eq!(shut, [true, false, true, false, true, true, true, false]);
}

#[test]
fn m0_4_red_lines_count_above_the_threshold() {
    let mut catalogue = source();
    let count = |catalogue: &Catalogue| -> Vec<usize> {
        evaluate(catalogue, catalogue.dated)
            .iter()
            .map(|one| one.vector.red_lines)
            .collect()
    };
    assert_eq!(count(&catalogue), [2, 1, 1, 2, 2, 1, 2, 1]);
    catalogue.red_line_threshold = 50.0;
    assert_eq!(count(&catalogue), [0, 1, 1, 2, 0, 0, 1, 1]);
    catalogue.person_day_cost = 1_000.0;
    catalogue.red_line_threshold = 5_000.0;
    assert_eq!(count(&catalogue), [0, 1, 1, 1, 0, 0, 0, 0]);
}

#[test]
fn m9_1_and_m9_2_returns_both_ways() {
    let evaluations = on("2025-10-22");
    let both = |no: usize| {
        (
            evaluations[no - 1].net_return,
            evaluations[no - 1].gross_return,
        )
    };
    let close = |found: (Option<f64>, Option<f64>), net: f64, gross: f64| {
        near(found.0.expect("bounded"), net) && near(found.1.expect("bounded"), gross)
    };
    assert!(close(both(1), 1.0, 2.0), "{:?}", both(1));
    assert!(close(both(4), -0.9, 0.1), "{:?}", both(4));
    assert!(close(both(8), 0.0, 1.0), "{:?}", both(8));
    for no in [2, 3, 5, 6, 7] {
        assert_eq!(both(no), (None, None), "no. {no} is free");
    }
}

#[test]
fn m9_3_risk_is_probability_times_impact() {
    let risks: Vec<f64> = on("2025-10-22").iter().map(|one| one.risk).collect();
    for (found, said) in risks
        .iter()
        .zip([15.0, 50.0, 2.0, 2100.0, 2.0, 12.0, 5.0, 60.0])
    {
        assert!(near(*found, said), "{found} {said}");
    }
}

#[test]
fn m9_4_priority_is_a_total_order_and_free_technologies_come_first() {
    let evaluations = on("2025-10-22");
    let order: Vec<usize> = by_priority(&evaluations).iter().map(|at| at + 1).collect();
    assert_eq!(order, [5, 3, 7, 6, 2, 1, 8, 4]);
    let mut ranks: Vec<usize> = evaluations.iter().map(|one| one.priority).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(
        PriorityKey::new(1.0, 0.0, 1e9)
            .compare(&PriorityKey::new(1e9, 1.0, 1e-9))
            .is_gt()
    );
}

#[test]
fn m9_4_without_risk_a_gain_comes_first_and_nothing_is_nothing() {
    let without = PriorityKey::new(5.0, 0.0, 0.0);
    assert!(without.compare(&PriorityKey::new(1e9, 0.0, 1.0)).is_gt());
    assert_eq!(PriorityKey::new(0.0, 0.0, 0.0), PriorityKey::Free(0.0));
}

#[test]
fn m9_6_totals() {
    let catalogue = source();
    let totals = Totals::of(&catalogue.technologies);
    assert!(near(totals.monthly_cost, 3117.0));
    let yearly: f64 = [3, 5, 7]
        .map(|no| 12.0 * catalogue.technologies[no - 1].monthly_benefit.mean())
        .iter()
        .sum();
    assert!(near(yearly, 11_200.0));
}

/// Every **check** of the mission that a catalogue can carry, and what follows instead.
#[test]
fn the_source_s_contradictions_are_named_with_both_figures() {
    let checks = check(&source());
    let of = |id: &str, subject: &str| {
        let check = checks
            .iter()
            .find(|one| one.id == id && one.subject.contains(subject))
            .unwrap_or_else(|| panic!("{id} {subject}"));
        (check.says.as_str(), check.computed.as_str(), check.agrees)
    };
    assert_eq!(of("M0.2", ""), ("8", "5", false));
    assert_eq!(of("M2.3", ""), ("0.78", "0.7727", false));
    assert_eq!(of("M4.2", ""), ("1.2", "12", false));
    assert_eq!(of("M9.1", "no. 1"), ("200.0 %", "100.0 %", false));
    assert_eq!(of("M9.1", "no. 4"), ("10.0 %", "-90.0 %", false));
    assert_eq!(
        of("M9.2", "grades"),
        (
            "rise with the risk",
            "fpga medium at 60, multi-runtime high at 50",
            false
        )
    );
    assert_eq!(
        of("M9.4", ""),
        ("7, 3, 5, 1, 8, 6, 2, 4", "5, 3, 7, 6, 2, 1, 8, 4", false)
    );
    assert_eq!(of("M9.6", "all eight"), ("3099", "3117", false));
    assert_eq!(of("M9.6", "timetable"), ("99", "18", false));
    assert_eq!(of("M9.6", "yearly return"), ("843.0 %", "842.8 %", true));
}
