//! P from fixed snapshots: what is counted, what is not, and texts that are none of the kernel's.

use proptest::prelude::*;

use super::{
    Measured, Question, Snapshot, measure,
    measure::MAX_EXTRA,
    offload,
    procfs::{self, MAX_PROCESS_TEXT, MAX_PROCESSES},
};

const USER: u64 = 0x0040_0100;
const KERNEL: u64 = 0x0420_8040;

/// The text of /proc/PID/stat.
fn process(pid: u64, comm: &str, flags: u64, [utime, stime, start]: [u64; 3]) -> String {
    format!(
        "{pid} ({comm}) S 1 {pid} {pid} 0 -1 {flags} 113 0 0 0 {utime} {stime} 777 888 20 0 1 0 {start} 8192 10 \
         18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
}

/// Four processors; the columns in the order of /proc/stat.
fn stat(columns: [u64; 10]) -> String {
    let all = columns.map(|column| column.to_string()).join(" ");
    format!(
        "cpu  {all}\ncpu0 1 2 3 4\ncpu1 1 2 3 4\ncpu2 1 2 3 4\ncpu3 1 2 3 4\nintr 5 0 1\nctxt 22351123\nbtime 1764000000\n"
    )
}

fn softirqs(rows: &[(&str, u64, u64)]) -> String {
    rows.iter().fold(
        "       CPU0       CPU1\n".to_owned(),
        |text, (name, a, b)| format!("{text}{name:>12}: {a:>10} {b:>10}\n"),
    )
}

/// A machine of four processors at the start of ten seconds of 100 ticks each.
fn before() -> Snapshot {
    Snapshot {
        stat: stat([10_000, 500, 7_000, 90_000, 300, 100, 900, 0, 1_000, 0]),
        softirqs: softirqs(&[
            ("HI", 1, 1),
            ("TIMER", 50_000, 60_000),
            ("NET_TX", 100, 200),
            ("NET_RX", 4_294_967_000, 7_000),
        ]),
        processes: vec![
            process(14, "ksoftirqd/0", KERNEL, [0, 700, 10]),
            process(300, "napi/eth0-12", KERNEL, [0, 1_000, 20]),
            process(301, "kworker/u8:2-wg-crypt-wg0", KERNEL, [0, 10, 30]),
            process(302, "kworker/u8:3-events", KERNEL, [0, 10, 30]),
            process(400, "nginx", USER, [5_000, 3_000, 900]),
            process(401, "nginx", USER, [6_000, 4_000, 901]),
            process(500, "nginx", USER, [9_000, 0, 902]),
            process(410, "ovs-vswitchd", USER, [100, 100, 800]),
            process(420, "charon", USER, [0, 0, 801]),
            process(430, "my (odd) proxy", USER, [40, 0, 802]),
            process(601, "haproxy", USER, [50, 0, 803]),
            process(700, "browser", USER, [800, 0, 40_000]),
            process(800, "napi/eth0-99", USER, [0, 0, 804]),
        ],
    }
}

/// The same machine ten seconds later.
fn after() -> Snapshot {
    Snapshot {
        stat: stat([11_000, 600, 7_500, 91_980, 320, 150, 1_250, 0, 1_100, 0]),
        softirqs: softirqs(&[
            ("HI", 1, 1),
            ("TIMER", 51_000, 62_000),
            ("NET_TX", 600, 700),
            ("NET_RX", 4_704, 8_000),
        ]),
        processes: vec![
            process(14, "ksoftirqd/0", KERNEL, [0, 900, 10]),
            process(300, "napi/eth0-12", KERNEL, [0, 1_100, 20]),
            process(301, "kworker/u8:2+wg-crypt-wg0", KERNEL, [0, 70, 30]),
            // It served another queue in between: whose its time was is not known.
            process(302, "kworker/u8:3-wg-crypt-wg0", KERNEL, [0, 20, 30]),
            process(400, "nginx", USER, [5_080, 3_040, 900]),
            process(401, "nginx", USER, [6_020, 4_020, 901]),
            // The number is used again, by a process that began after the first snapshot.
            process(500, "nginx", USER, [20, 0, 50_000]),
            process(410, "ovs-vswitchd", USER, [250, 150, 800]),
            process(420, "charon", USER, [30, 10, 801]),
            process(430, "my (odd) proxy", USER, [140, 0, 802]),
            // It ran before, but the first snapshot missed it.
            process(600, "haproxy", USER, [70, 70, 200]),
            process(601, "haproxy", USER, [40, 0, 803]),
            process(700, "browser", USER, [1_100, 0, 40_000]),
            // A program with the name of a kernel thread is none.
            process(800, "napi/eth0-99", USER, [60, 60, 804]),
            String::new(),
        ],
    }
}

fn measured() -> Measured {
    let named = ["my (odd) proxy".to_owned()];
    measure(&before(), &after(), 10.0, 100.0, &named).expect("measures")
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

#[test]
fn the_busy_time_of_the_fixture_is_broken_down() {
    let measured = measured();
    let shares: Vec<(&str, f64, bool)> = measured
        .breakdown
        .iter()
        .map(|part| (part.work, part.share.value * 2_000.0, part.in_p))
        .collect();
    let expected = [
        ("network softirqs", 245.0, true),
        ("other softirqs", 105.0, false),
        ("hard interrupts", 50.0, false),
        ("kernel network threads", 100.0, true),
        ("kernel crypto threads", 60.0, true),
        ("network programs", 380.0, true),
        ("crypto programs", 40.0, true),
        ("programs named by the user", 100.0, true),
        ("everything else", 920.0, false),
    ];
    assert_eq!(shares.len(), expected.len());
    for (found, expected) in shares.iter().zip(expected) {
        assert_eq!((found.0, found.2), (expected.0, expected.2));
        near(found.1, expected.1);
    }
    near(measured.p.value, 925.0 / 2_000.0);
    near(measured.p_crypto.value, 100.0 / 2_000.0);
    near(measured.p_network.value, 825.0 / 2_000.0);
    near(measured.busy_cores.value, 2.0);
    near(measured.utilisation.value, 0.5);
    near(measured.guest.value, 100.0 / 2_000.0);
    near(measured.cpus.value, 4.0);
}

#[test]
fn the_error_bar_has_resolution_sampling_and_overlap() {
    let measured = measured();
    let uncertainty = &measured.uncertainty;
    let p: f64 = 925.0 / 2_000.0;
    let tick = (1.0 + 18.0 + 5.0 * p * p).sqrt() / 2_000.0;
    let sampling = 2.0 * (p * (1.0 - p) / 2_000.0).sqrt();
    near(uncertainty.tick_resolution.value, tick);
    near(uncertainty.sampling.value, sampling);
    near(uncertainty.overlap.value, 280.0 / 2_000.0);
    near(measured.p_high.value, p + tick.hypot(sampling));
    near(measured.p_low.value, p - tick.hypot(sampling) - 0.14);
    near(uncertainty.p_if_no_softirq_is_network.value, 0.34);
    near(uncertainty.p_if_all_softirq_is_network.value, 0.515);
}

#[test]
fn what_was_odd_is_noted() {
    let notes = measured().notes.join("\n");
    for said in [
        "1 counters were smaller",
        "time of haproxy",
        "1 network or crypto processes were missing",
        "1 network or crypto processes ended",
        "1 network or crypto processes changed their name",
        "1 texts of processes",
    ] {
        assert!(notes.contains(said), "{said}\n{notes}");
    }
    assert!(!notes.contains("where the interval had"), "{notes}");
    let wrong = measure(&before(), &after(), 1.0, 100.0, &[]).expect("measures");
    assert!(
        wrong
            .notes
            .join("\n")
            .contains("where the interval had 400")
    );
}

#[test]
fn the_programs_are_listed_the_busiest_first() {
    let measured = measured();
    let names: Vec<(&str, usize)> = measured
        .programs
        .iter()
        .map(|named| (named.name.as_str(), named.processes))
        .collect();
    assert_eq!(names[..2], [("ovs-vswitchd", 1), ("nginx", 3)]);
    assert!(!names.iter().any(|(name, _)| name.starts_with("ksoftirqd")));
}

#[test]
fn m8_3_the_measured_p_drives_the_speed_up_with_its_error_bar() {
    let question = Question {
        measured: Some(measured()),
        core_price_per_month: Some(100.0),
        ..Question::default()
    };
    let answer = offload(&question).expect("answers");
    near(answer.speed_up.speed_up.value, 1.0 / (0.5375 + 0.04625));
    let low = answer.speed_up.low.expect("low").value;
    let high = answer.speed_up.high.expect("high").value;
    assert!(low < answer.speed_up.speed_up.value && answer.speed_up.speed_up.value < high);
    near(answer.cpu_freed.cores.value, 4.0);
    let net = |figure: Option<uc_model::Figure>| figure.expect("a price was given").value;
    let payback = answer.payback;
    let (low, high) = (
        net(payback.net_low_per_month),
        net(payback.net_high_per_month),
    );
    let middle = net(payback.net_per_month);
    near(middle, 2.0 * 0.4625 * 0.9 * 100.0 - 99.0);
    assert!(low < middle && middle < high);
    near(answer.cpu_freed.freed_cores.value, 2.0 * 0.4625 * 0.9);
}

#[test]
fn too_much_process_time_is_reduced_to_the_machine_s() {
    let mut after = after();
    after
        .processes
        .push(process(400, "nginx", USER, [5_000 + 9_000, 3_000, 900]));
    let measured = measure(&before(), &after, 10.0, 100.0, &[]).expect("measures");
    let sum: f64 = measured.breakdown.iter().map(|part| part.share.value).sum();
    near(sum, 1.0);
    assert!(measured.p.value <= 1.0);
    assert!(measured.notes.join("\n").contains("multiplied by"));
}

#[test]
fn without_softirq_counts_none_of_their_time_is_the_network_s() {
    let (before, mut after) = (before(), after());
    after.softirqs.clear();
    let measured = measure(&before, &after, 10.0, 100.0, &[]).expect("measures");
    near(measured.breakdown[0].share.value, 0.0);
    near(measured.breakdown[1].share.value, 0.175);
    assert!(measured.notes.join("\n").contains("no counts of softirqs"));
}

#[test]
fn what_cannot_be_measured_is_a_problem_that_says_why() {
    let (first, second) = (before(), after());
    let refused = |first: &Snapshot, second: &Snapshot, interval, ticks, said: &str| {
        let problem = measure(first, second, interval, ticks, &[]).expect_err(said);
        assert!(problem.to_string().contains(said), "{problem}");
    };
    for interval in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        refused(&first, &second, interval, 100.0, "interval in seconds");
    }
    refused(&first, &second, 1.0, 0.0, "clock ticks per second");
    refused(&first, &first, 10.0, 100.0, "did nothing in the interval");
    refused(&second, &first, 10.0, 100.0, "did nothing in the interval");
    refused(&Snapshot::default(), &second, 1.0, 100.0, "first snapshot");
    let broken = |stat: &str| Snapshot {
        stat: stat.into(),
        ..Snapshot::default()
    };
    refused(&first, &broken("cpu 1 2 3"), 1.0, 100.0, "cut off");
    refused(&first, &broken("cpu 1 2 x 4"), 1.0, 100.0, "column 3");
    let many = Snapshot {
        processes: vec![String::new(); MAX_PROCESSES + 1],
        ..after()
    };
    refused(&first, &many, 1.0, 100.0, "too many processes");
    let names = vec!["a".to_owned(); MAX_EXTRA + 1];
    assert!(measure(&first, &second, 1.0, 100.0, &names).is_err());
    assert!(measure(&first, &second, 1.0, 100.0, &[String::new()]).is_err());
}

#[test]
fn names_with_spaces_and_parentheses_are_read_whole() {
    let text = process(7, "a) R 1 (b c", USER, [1, 2, 3]);
    let read = procfs::process(&text).expect("reads");
    assert_eq!(read.comm, "a) R 1 (b c");
    assert_eq!((read.utime, read.stime, read.starttime), (1, 2, 3));
    assert!(!read.kernel);
    assert_eq!(procfs::process("7 (a) R 1 2"), None);
    assert_eq!(
        procfs::process(&format!("{text}{}", " 0".repeat(MAX_PROCESS_TEXT))),
        None
    );
}

#[test]
fn a_long_name_is_found_as_the_kernel_cuts_it() {
    let with = |time| Snapshot {
        processes: vec![process(9, "a-rather-long-n", USER, [time, 0, 5])],
        ..if time == 0 { before() } else { after() }
    };
    let named = ["a-rather-long-name-of-a-proxy".to_owned()];
    let measured = measure(&with(0), &with(100), 10.0, 100.0, &named).expect("measures");
    near(measured.breakdown[7].share.value, 0.05);
}

/// Lines that look like the kernel's, so that arbitrary text gets past the first check.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,60}",
        "cpu[0-9]{0,2}( [0-9]{1,20}){0,12}",
        " *(NET_RX|NET_TX|TIMER): ( [0-9]{1,20}){0,4}",
        "[0-9]{1,3} \\((nginx|napi/x|kworker/0:1-pcrypt|[() a-z]{0,8})\\) S( [0-9]{1,20}){0,24}",
    ]
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let text = || proptest::collection::vec(line(), 0..8).prop_map(|lines| lines.join("\n"));
    let times = proptest::collection::vec(any::<u64>(), 4..12).prop_map(|times| {
        times
            .iter()
            .fold("cpu".to_owned(), |text, time| format!("{text} {time}"))
    });
    (
        prop_oneof![text(), times],
        text(),
        proptest::collection::vec(line(), 0..8),
    )
        .prop_map(|(stat, softirqs, processes)| Snapshot {
            stat,
            softirqs,
            processes,
        })
}

proptest! {
    #[test]
    fn any_snapshots_give_shares_that_add_up_or_a_problem(
        before in snapshot(),
        after in snapshot(),
        interval in prop_oneof![Just(10.0), any::<f64>()],
        ticks in prop_oneof![Just(100.0), any::<f64>()],
        extra in proptest::collection::vec("\\PC{0,20}", 0..3),
    ) {
        if let Ok(measured) = measure(&before, &after, interval, ticks, &extra) {
            let sum: f64 = measured.breakdown.iter().map(|part| part.share.value).sum();
            prop_assert!((sum - 1.0).abs() < 1e-6, "{sum}");
            let (low, p, high) = (measured.p_low.value, measured.p.value, measured.p_high.value);
            prop_assert!(0.0 <= low && low <= p && p <= high && high <= 1.0);
            prop_assert!(measured.utilisation.value <= 1.0);
            let question = Question { measured: Some(measured), ..Question::default() };
            prop_assert!(offload(&question).is_ok());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,300}") {
        let _ = procfs::cpu_stat(&text);
        procfs::softirqs(&text);
        let _ = procfs::process(&text);
    }
}
