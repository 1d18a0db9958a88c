//! Offload: the source's figures, the law's properties, the red line and what a user may get wrong (M8).

#![expect(clippy::expect_used, reason = "what a test asks for must be there")]

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use uc_model::{Figure, ProblemKind, Provenance};
use uc_plan::offload::{
    Bundle, Function, Question, Snapshot, amdahl,
    amdahl::{MAX_AXIS, compare, factor_that_explains, point, sensitivity, share_that_explains},
    measure, offload,
    protocol::{require_allowed, verdicts},
    table::{source_functions, table},
};

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

fn value(figure: &Option<Figure>) -> f64 {
    figure.as_ref().expect("a figure").value
}

#[test]
fn m8_1_the_table_frees_55_of_65_percent() {
    let table = table(&source_functions(), 16.0).expect("tables");
    let rows: Vec<(&str, f64, f64)> = table
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.before.value, row.after.value))
        .collect();
    assert_eq!(
        rows,
        [
            ("vSwitch", 30.0, 5.0),
            ("IPsec", 20.0, 3.0),
            ("load balancer", 15.0, 2.0)
        ]
    );
    near(table.total.before.value, 65.0);
    near(table.total.after.value, 10.0);
    near(table.total.freed.value, 55.0);
    let saving = value(&table.total.saving);
    near(saving, 100.0 * 55.0 / 65.0);
    assert_eq!(format!("{saving:.1}"), "84.6");
    near(table.total.freed_cores.value, 8.8);
    near(value(&table.total.implied_s), 6.5);
    near(value(&table.implied_speed_up), 1.0 / 0.45);
    assert!(matches!(
        table.rows[0].before.provenance,
        Provenance::Assumed(_)
    ));
}

#[test]
fn m8_2_red_line_8_1_lets_only_protocols_on_the_list_load() {
    let allow = ["IPsec".to_owned(), "VXLAN".to_owned()];
    require_allowed("vxlan", &allow).expect("allowed, whatever the case");
    let refused = require_allowed("VXLAM", &allow).expect_err("not on the list");
    assert_eq!(refused.kind(), ProblemKind::Refused);
    assert!(refused.to_string().contains("red line 8.1"), "{refused}");
    assert!(
        refused
            .remedy_text()
            .is_some_and(|text| text.contains("VXLAN"))
    );
    assert_eq!(
        require_allowed("IPsec", &[]).expect_err("empty").kind(),
        ProblemKind::Refused
    );
    assert_eq!(
        require_allowed("  ", &allow).expect_err("no name").kind(),
        ProblemKind::Invalid
    );
    let both = verdicts(&["IPsec".into(), "GRE".into()], &allow).expect("verdicts");
    assert!(both[0].allowed && both[0].reason.is_none());
    assert!(!both[1].allowed && both[1].reason.is_some());
}

#[test]
fn m8_3_amdahl_of_0_6_and_10_is_2_17() {
    let speed_up = amdahl(0.6, 10.0).expect("a speed-up");
    near(speed_up, 1.0 / 0.46);
    assert_eq!(format!("{speed_up:.2}"), "2.17");
}

#[test]
fn m8_3_the_source_s_2_0_is_its_claim_with_the_difference() {
    let answer = offload(&Question::default()).expect("answers");
    let source = &answer.speed_up.source;
    assert_eq!(source.claimed.value, 2.0);
    assert!(matches!(source.claimed.provenance, Provenance::Assumed(_)));
    near(source.difference.value, 2.0 - 1.0 / 0.46);
    near(value(&source.p_that_explains), 0.5 / 0.9);
    near(value(&source.s_that_explains), 6.0);
    near(answer.speed_up.speed_up.value, 1.0 / 0.46);
    near(value(&answer.speed_up.ceiling), 2.5);
}

#[test]
fn m8_4_the_bundle_of_50_and_49_is_99_a_month() {
    let question = Question {
        cores: Some(10.0),
        core_price_per_month: Some(30.0),
        ..Question::default()
    };
    let answer = offload(&question).expect("answers");
    let payback = &answer.payback;
    assert_eq!(payback.bundle_per_month.value, 99.0);
    assert_eq!(payback.bundle_per_month.unit, "CNY/month");
    near(answer.cpu_freed.share.value, 0.54);
    near(answer.cpu_freed.freed_cores.value, 5.4);
    near(value(&payback.net_per_month), 5.4 * 30.0 - 99.0);
    assert_eq!(payback.pays, Some(true));
    near(value(&payback.break_even_core_price), 99.0 / 5.4);
    near(value(&payback.break_even_p), 99.0 / (30.0 * 10.0 * 0.9));
    near(value(&payback.break_even_busy_cores), 99.0 / (30.0 * 0.54));
}

#[test]
fn m8_4_10_to_15_gbps_and_10_to_5_ms_stand_beside_the_model() {
    let answer = offload(&Question::default()).expect("answers");
    let throughput = &answer.throughput;
    assert_eq!(throughput.claimed_before.value, 10.0);
    assert_eq!(throughput.claimed_after.value, 15.0);
    near(throughput.claimed_factor.value, 1.5);
    near(throughput.after.value, 10.0 / 0.46);
    near(throughput.difference.value, 1.5 - 1.0 / 0.46);
    let latency = &answer.latency;
    assert_eq!(latency.claimed_before.value, 10.0);
    assert_eq!(latency.claimed_after.value, 5.0);
    near(latency.claimed_factor.value, 2.0);
    near(latency.after.value, 4.6);
    near(latency.change.value, -5.4);
    near(latency.claimed_change.value, -5.0);
    assert!(matches!(latency.after.provenance, Provenance::Modelled(_)));
    assert!(matches!(
        latency.claimed_after.provenance,
        Provenance::Assumed(_)
    ));
}

#[test]
fn the_break_even_inputs_break_even() {
    let question = Question {
        p: Some(0.3),
        s: Some(4.0),
        cores: Some(64.0),
        utilisation: Some(0.5),
        core_price_per_month: Some(20.0),
        ..Question::default()
    };
    let payback = offload(&question).expect("answers").payback;
    let net = |change: &dyn Fn(&mut Question)| {
        let mut question = question.clone();
        change(&mut question);
        value(&offload(&question).expect("answers").payback.net_per_month)
    };
    let (p, price) = (
        value(&payback.break_even_p),
        value(&payback.break_even_core_price),
    );
    near(net(&|question| question.p = Some(p)), 0.0);
    near(
        net(&|question| question.core_price_per_month = Some(price)),
        0.0,
    );
    let cores = value(&payback.break_even_busy_cores);
    near(net(&|question| question.cores = Some(cores / 0.5)), 0.0);
}

#[test]
fn what_frees_nothing_never_breaks_even() {
    for (p, s) in [(0.0, 10.0), (0.6, 1.0)] {
        let question = Question {
            p: Some(p),
            s: Some(s),
            core_price_per_month: Some(30.0),
            ..Question::default()
        };
        let payback = offload(&question).expect("answers").payback;
        assert_eq!(value(&payback.net_per_month), -99.0);
        assert_eq!(payback.pays, Some(false));
        assert!(payback.break_even_core_price.is_none());
        assert!(payback.break_even_busy_cores.is_none());
    }
    let unpriced = offload(&Question::default()).expect("answers").payback;
    assert!(unpriced.net_per_month.is_none() && unpriced.pays.is_none());
    assert!(unpriced.break_even_core_price.is_some());
}

#[test]
fn p_of_1_has_no_ceiling_and_a_table_may_free_everything() {
    let question = Question {
        p: Some(1.0),
        functions: vec![Function {
            name: "all".into(),
            before_percent: 100.0,
            after_percent: 0.0,
            whose: "the user".into(),
        }],
        ..Question::default()
    };
    let answer = offload(&question).expect("answers");
    near(answer.speed_up.speed_up.value, 10.0);
    assert!(answer.speed_up.ceiling.is_none());
    assert!(answer.table.implied_speed_up.is_none());
    assert!(answer.table.total.implied_s.is_none());
}

#[test]
fn the_answer_is_json_in_snake_case_without_null_numbers_of_the_law() {
    let answer = offload(&Question::default()).expect("answers");
    let json = serde_json::to_value(&answer).expect("serialises");
    assert_eq!(json["speed_up"]["p"]["provenance"], "assumed");
    assert_eq!(json["speed_up"]["sensitivity"]["provenance"], "modelled");
    let grid = json["speed_up"]["sensitivity"]["grid"]
        .as_array()
        .expect("a grid");
    assert_eq!(grid.len(), 54);
    assert!(grid.iter().all(|point| point["elasticity_p"].is_f64()));
    assert!(json["payback"]["bundle_per_month"]["value"].is_f64());
}

#[test]
fn bad_parameters_are_named_with_limit_and_found() {
    type Change = fn(&mut Question);
    let cases: [(&str, Change); 14] = [
        ("P (accelerated share)", |q| q.p = Some(1.5)),
        ("P (accelerated share)", |q| q.p = Some(-0.1)),
        ("P (accelerated share)", |q| q.p = Some(f64::NAN)),
        ("S (factor of acceleration)", |q| q.s = Some(0.9)),
        ("S (factor of acceleration)", |q| q.s = Some(f64::INFINITY)),
        ("price of a core a month", |q| {
            q.core_price_per_month = Some(-1.0);
        }),
        ("price of a part of the bundle", |q| {
            q.bundle = Bundle {
                parts: vec![50.0, -49.0],
                ..Bundle::default()
            };
        }),
        ("number of cores", |q| q.cores = Some(f64::NEG_INFINITY)),
        ("utilisation", |q| q.utilisation = Some(1.1)),
        ("throughput before in Gbps", |q| {
            q.throughput_gbps = Some(0.0);
        }),
        ("latency before in ms", |q| q.latency_ms = Some(f64::NAN)),
        ("percentage before", |q| {
            q.functions[0].before_percent = 101.0;
        }),
        ("percentage after", |q| q.functions[0].after_percent = 31.0),
        ("sum of the percentages before", |q| {
            q.functions[0].before_percent = 90.0;
        }),
    ];
    for (name, change) in cases {
        let mut question = Question::default();
        change(&mut question);
        let problem = offload(&question).expect_err(name);
        assert_eq!(problem.kind(), ProblemKind::Invalid);
        assert!(problem.what().contains(name), "{problem}");
        let view = problem.to_view();
        assert!(view.limit.is_some() && view.found.is_some(), "{problem}");
    }
    assert!(sensitivity(&vec![0.5; MAX_AXIS + 1], &[2.0]).is_err());
    assert!(compare(Figure::assumed(f64::NAN, "", "nobody"), 0.5, 2.0).is_err());
}

/// This host's /proc; none if a file of it is not there.
fn live() -> Option<Snapshot> {
    let processes = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .collect();
    Some(Snapshot {
        stat: fs::read_to_string("/proc/stat").ok()?,
        softirqs: fs::read_to_string("/proc/softirqs").unwrap_or_default(),
        processes,
    })
}

fn clock_ticks_per_s() -> Option<f64> {
    let output = Command::new("getconf").arg("CLK_TCK").output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[test]
fn m8_3_p_of_this_host_is_measured() {
    let Some(before) = live() else {
        println!("skipped: /proc/stat cannot be read");
        return;
    };
    let Some(ticks) = clock_ticks_per_s() else {
        println!("skipped: getconf CLK_TCK gives no number");
        return;
    };
    let start = Instant::now();
    // Some work of our own, so that the host is not idle.
    let mut sum = 0_u64;
    while start.elapsed() < Duration::from_millis(300) {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    thread::sleep(Duration::from_millis(300));
    let interval = start.elapsed().as_secs_f64();
    let after = live().expect("it was there a moment ago");
    let measured = measure(&before, &after, interval, ticks, &[]).expect("measures");
    let sum: f64 = measured.breakdown.iter().map(|part| part.share.value).sum();
    near(sum, 1.0);
    assert!(measured.p_low.value <= measured.p.value && measured.p.value <= measured.p_high.value);
    assert!(measured.busy_cores.value > 0.1, "{measured:?}");
    println!(
        "P of this host: {:.3} ({:.3} to {:.3}), {:.2} of {} cores busy; {:?}",
        measured.p.value,
        measured.p_low.value,
        measured.p_high.value,
        measured.busy_cores.value,
        measured.cpus.value,
        measured.notes
    );
    let question = Question {
        measured: Some(measured),
        core_price_per_month: Some(30.0),
        ..Question::default()
    };
    let answer = offload(&question).expect("answers");
    assert!(answer.speed_up.speed_up.value >= 1.0);
    assert!(answer.payback.net_per_month.is_some());
}

fn p() -> impl Strategy<Value = f64> {
    0.0..=1.0_f64
}

fn s() -> impl Strategy<Value = f64> {
    1.0..1e6_f64
}

proptest! {
    #[test]
    fn amdahl_grows_with_p_and_s_within_s_and_the_ceiling(p in p(), more in p(), s in s(), faster in s()) {
        let (p, more) = (p.min(more), p.max(more));
        let (s, faster) = (s.min(faster), s.max(faster));
        let at = |p, s| amdahl(p, s).expect("in bounds");
        prop_assert!(at(more, s) >= at(p, s) * (1.0 - 1e-12));
        prop_assert!(at(p, faster) >= at(p, s) * (1.0 - 1e-12));
        prop_assert!(at(p, s) >= 1.0 - 1e-12);
        prop_assert!(at(p, s) <= s * (1.0 + 1e-12));
        prop_assert!(at(p, s) * (1.0 - p) <= 1.0 + 1e-12);
    }

    #[test]
    fn the_derivatives_are_the_slopes(p in 0.01..0.99_f64, s in 1.1..1e3_f64) {
        let at = |p, s| amdahl(p, s).expect("in bounds");
        let point = point(p, s).expect("in bounds");
        let step = 1e-6;
        let slope_p = (at(p + step, s) - at(p - step, s)) / (2.0 * step);
        let slope_s = (at(p, s + step * s) - at(p, s - step * s)) / (2.0 * step * s);
        prop_assert!((point.derivative_p - slope_p).abs() <= 1e-3 * slope_p.abs() + 1e-6);
        prop_assert!((point.derivative_s - slope_s).abs() <= 1e-3 * slope_s.abs() + 1e-6);
        prop_assert!((point.elasticity_p - point.derivative_p * p / point.speed_up).abs() < 1e-9);
        prop_assert!((point.elasticity_s - point.derivative_s * s / point.speed_up).abs() < 1e-9);
    }

    #[test]
    fn what_explains_a_speed_up_gives_it(p in 0.05..1.0_f64, s in 1.5..100.0_f64) {
        let observed = amdahl(p, s).expect("in bounds");
        let share = share_that_explains(observed, s);
        // At P = 1 the inversion may step over 1 by its last bit, and then there is none.
        if let Some(share) = share {
            prop_assert!((share - p).abs() < 1e-9);
        } else {
            prop_assert!(p > 1.0 - 1e-9);
        }
        let factor = factor_that_explains(observed, p).expect("s");
        prop_assert!((factor - s).abs() < 1e-6 * s);
    }

    #[test]
    fn any_numbers_give_an_answer_or_a_problem(p in any::<f64>(), s in any::<f64>(), price in any::<f64>(), cores in any::<f64>()) {
        let question = Question {
            p: Some(p),
            s: Some(s),
            cores: Some(cores),
            core_price_per_month: Some(price),
            ..Question::default()
        };
        if let Ok(answer) = offload(&question) {
            prop_assert!(answer.speed_up.speed_up.value.is_finite());
            prop_assert!(answer.cpu_freed.freed_cores.value.is_finite());
        }
    }

    #[test]
    fn any_name_of_a_protocol_is_judged(name in "\\PC{0,200}", allowed in proptest::collection::vec("\\PC{0,200}", 0..8)) {
        let judged = require_allowed(&name, &allowed);
        let listed = allowed.iter().any(|allowed| allowed.trim().to_lowercase() == name.trim().to_lowercase());
        prop_assert!(judged.is_err() || listed);
    }
}
