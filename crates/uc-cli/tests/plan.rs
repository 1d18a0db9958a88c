//! `uc plan`, `uc energy` and `uc offload` as somebody at a terminal meets them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;
use support::{Ended, Host};

/// What a command printed as JSON.
fn json(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).expect("is JSON")
}

fn plan(host: &Host, arguments: &[&str]) -> Ended {
    host.run(&[&["plan", "--as-of", "2025-10-22"], arguments].concat())
}

/// The adopted technologies with their quarters.
fn adopted(answer: &Value) -> BTreeMap<String, u64> {
    let adoptions = answer["selection"]["portfolio"]["adoptions"]
        .as_array()
        .expect("a list");
    let name = |at: &Value| {
        let at = at.as_u64().expect("a position") as usize;
        answer["technologies"][at]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    adoptions
        .iter()
        .map(|one| {
            (
                name(&one["candidate"]),
                one["period"].as_u64().expect("a period"),
            )
        })
        .collect()
}

#[test]
fn m0_3_the_source_s_day_gives_the_source_s_windows_and_another_day_says_what_is_shut() {
    let Some(host) = Host::new() else { return };
    let windows = |as_of: &str| -> Vec<i64> {
        let answer = json(&host.run(&[
            "plan",
            "--as-of",
            as_of,
            "--samples",
            "0",
            "--format",
            "json",
        ]));
        let technologies = answer["technologies"].as_array().expect("a list").clone();
        technologies
            .iter()
            .map(|one| one["vector"]["window_months"].as_i64().expect("months"))
            .collect()
    };
    assert_eq!(windows("2025-10-22"), [12, 18, 6, 36, 9, 12, 6, 18]);
    assert_eq!(windows("2026-11-25"), [-1, 4, -7, 22, -4, -1, -7, 4]);
    let text = host.run(&[
        "plan",
        "--as-of",
        "2026-11-25",
        "--samples",
        "0",
        "--show",
        "technologies",
    ]);
    assert!(text.stdout.contains("shut 7 months"), "{}", text.stdout);
    assert!(text.stdout.contains("shut 1 month "), "{}", text.stdout);
}

#[test]
fn a_plan_has_every_section_as_text() {
    let Some(host) = Host::new() else { return };
    let ended = plan(&host, &["--samples", "131072"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    insta::assert_snapshot!("plan_text", ended.stdout);
    let some = plan(&host, &["--samples", "0", "--show", "timetable"]);
    assert!(!some.stdout.contains("Portfolio:"), "{}", some.stdout);
}

#[test]
fn budget_people_and_wishes_bind_and_what_does_not_fit_is_named() {
    let Some(host) = Host::new() else { return };
    let ask = |arguments: &[&str]| {
        json(&plan(
            &host,
            &[arguments, &["--samples", "0", "--format", "json"]].concat(),
        ))
    };
    let free = adopted(&ask(&["--budget", "0"]));
    assert!(
        !free.contains_key("fused-runtime") && free.contains_key("signing"),
        "{free:?}"
    );
    let wished = adopted(&ask(&["--require", "fpga", "--forbid", "signing,rootless"]));
    assert!(
        wished.contains_key("fpga") && !wished.contains_key("signing"),
        "{wished:?}"
    );
    let calm = ask(&["--risk-limit", "10"]);
    assert!(
        calm["selection"]["portfolio"]["risk"]
            .as_f64()
            .expect("a number")
            <= 10.0 + 1e-6
    );
    let both = plan(&host, &["--require", "fpga", "--forbid", "fpga"]);
    assert!(
        both.code == 65 && both.stderr.contains("both required and forbidden"),
        "{}",
        both.stderr
    );
    let refused = plan(&host, &["--require", "superconductor", "--budget", "2000"]);
    assert_eq!(refused.code, 65);
    assert!(
        refused.stderr.contains("the budget of 2025Q4 is short by")
            || refused.stderr.contains("the budget of 2026Q3 is short by"),
        "{}",
        refused.stderr
    );
}

#[test]
fn equal_seeds_give_equal_answers_and_other_seeds_nearly() {
    let Some(host) = Host::new() else { return };
    let ask = |seed: &str| {
        json(&plan(
            &host,
            &["--samples", "131072", "--seed", seed, "--format", "json"],
        ))
    };
    let (one, two) = (ask("1"), ask("2"));
    assert_eq!(ask("1"), one);
    let value = |answer: &Value| {
        let value = &answer["uncertainty"]["summary"]["portfolio"]["value"];
        (
            value["mean"].as_f64().expect("a number"),
            value["standard_error"].as_f64().expect("a number"),
        )
    };
    assert_ne!(value(&one), value(&two));
    let apart = (value(&one).0 - value(&two).0).abs();
    assert!(apart < 1.0, "{apart}");
    let deterministic = one["selection"]["portfolio"]["value"]
        .as_f64()
        .expect("a number");
    assert!(
        (value(&one).0 - deterministic).abs() < 1.0,
        "the model is linear in independent figures"
    );
}

/// iCalendar is read by Python's standard tools alone in the shape of lines; the dates are those of the timetable.
#[test]
fn m9_5_the_timetable_goes_into_calendars_and_spreadsheets() {
    let Some(host) = Host::new() else { return };
    let calendar = host.path().join("plan.ics");
    let table = host.path().join("plan.csv");
    for file in [&calendar, &table] {
        let ended = plan(
            &host,
            &["--samples", "0", "--calendar", &file.to_string_lossy()],
        );
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let text = fs::read_to_string(&calendar).expect("is there");
    assert!(text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"));
    assert_eq!(
        text.matches("BEGIN:VEVENT").count(),
        text.matches("END:VEVENT").count()
    );
    assert!(
        text.contains("SUMMARY:Adopt signing\r\n")
            && text.contains("SUMMARY:Window of fpga shuts\r\n")
    );
    let table = fs::read_to_string(&table).expect("is there");
    assert!(table.starts_with("quarter,first week,last week,action,technology"));
    assert!(
        table.contains("2025Q4,1,1,adopt,ai-scheduler,2,1,2025-10-22,2025-10-23\r\n"),
        "{table}"
    );
    assert!(table.contains(",watch,fpga,"));
    let refused = plan(&host, &["--samples", "0", "--calendar", "plan.doc"]);
    assert_eq!(refused.code, 65);
    assert!(!Path::new("plan.doc").exists());
}

#[test]
fn csv_has_a_row_for_each_figure_with_its_provenance() {
    let Some(host) = Host::new() else { return };
    let ended = plan(&host, &["--samples", "131072", "--format", "csv"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mut rows = ended.stdout.split("\r\n").filter(|row| !row.is_empty());
    assert_eq!(
        rows.next(),
        Some("technology,quantity,value,unit,p5,p50,p95,provenance,basis")
    );
    assert!(
        ended
            .stdout
            .contains("fused-runtime,monthly cost,18,CNY per month,"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("superconductor,risk,2100,CNY,,,,modelled,M9.3\r\n")
    );
    for command in ["energy", "offload"] {
        let ended = host.run(&[command, "--format", "csv"]);
        assert!(
            ended
                .stdout
                .starts_with("group,figure,value,unit,provenance,basis\r\n"),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.lines().count() > 20);
    }
}

#[test]
fn reports_hold_every_chart_and_nothing_from_elsewhere() {
    let Some(host) = Host::new() else { return };
    let report = plan(&host, &["--samples", "131072", "--format", "html"]).stdout;
    for title in [
        "Windows until the standard",
        "Return by month of adoption",
        "Risk and benefit",
        "Efficient frontier",
        "What drives the portfolio",
        "Value of the portfolio",
        "Who adopts what when",
    ] {
        assert!(report.contains(&format!("<figcaption>{title}")), "{title}");
    }
    assert!(!report.contains("<script") && !report.contains("src="));
    assert!(report.contains("Where the source contradicts itself"));
    for command in ["energy", "offload"] {
        let report = host.run(&[command, "--format", "html"]).stdout;
        assert!(
            report.contains("<figure>") && !report.contains("<script"),
            "{command}"
        );
    }
    let other = host.run(&["ps", "--format", "html"]);
    assert_eq!(other.code, 65);
}

#[test]
fn one_s_own_catalogue_counts_and_what_is_wrong_in_it_is_named() {
    let Some(host) = Host::new() else { return };
    let write = |name: &str, text: &str| {
        let file = host.path().join(name);
        fs::write(&file, text).expect("is written");
        file.to_string_lossy().into_owned()
    };
    let one = "[[technology]]\nid = \"one\"\nname = \"One\"\nmaturity = 0.5\nstandardised = 2027-01-01\nmonthly_cost = 10\n\
               monthly_benefit = 30\nfailure_probability = 0\nimpact = 0\neffort = 1\n";
    let head = "version = 1\nname = \"mine\"\ndated = 2026-01-01\ncurrency = \"EUR\"\n";
    let mine = write("mine.toml", &format!("{head}{one}"));
    let answer = json(&host.run(&[
        "plan",
        "--as-of",
        "2026-01-01",
        "--catalog",
        &mine,
        "--format",
        "json",
    ]));
    // For sure and without interest: 36 months of 20, whatever is sampled.
    assert_eq!(answer["selection"]["portfolio"]["value"], 720.0);
    let sampled = &answer["uncertainty"]["summary"]["portfolio"]["value"];
    assert!((sampled["mean"].as_f64().expect("a number") - 720.0).abs() < 1e-9);
    assert_eq!(sampled["sd"], 0.0);
    for (name, text, words) in [
        (
            "negative.toml",
            format!("{head}{}", one.replace("= 10", "= -10")),
            "negative.toml:10:",
        ),
        (
            "cycle.toml",
            format!(
                "{head}{one}requires = [\"two\"]\n{}requires = [\"one\"]\n",
                one.replace("one", "two")
            ),
            "cycle",
        ),
        ("empty.toml", head.to_owned(), "empty"),
    ] {
        let ended = host.run(&["plan", "--catalog", &write(name, &text)]);
        assert_eq!(ended.code, 65, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert_eq!(host.run(&["plan", "--catalog", "no-such.toml"]).code, 66);
    for arguments in [
        &["plan", "--as-of", "2025-02-30"][..],
        &["plan", "--people", "0"],
        &["plan", "--budget", "-1"],
        &["plan", "--require", "nothing"],
        &["plan", "--samples", "99999999999"],
        &["energy", "--set", "current"],
        &["offload", "--measure", "0"],
        &["offload", "--s", "0.5"],
    ] {
        let ended = host.run(arguments);
        assert_eq!(
            ended.code, 65,
            "{arguments:?}: {}{}",
            ended.stdout, ended.stderr
        );
        assert!(ended.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn m7_5_unsigned_pulls_and_signing_anew_over_one_s_own_volumes() {
    let Some(host) = Host::new() else { return };
    let ask = |arguments: &[&str]| {
        json(&host.run(&[&["plan", "supply-chain"], arguments, &["--format", "json"]].concat()))
    };
    let answer = ask(&["--image-mb", "100"]);
    assert_eq!(answer["unsigned_pull_s"]["value"], 800.0);
    assert_eq!(answer["egress_per_month"]["value"], 50.0);
    assert_eq!(answer["egress_per_year"]["value"], 600.0);
    assert_eq!(
        ask(&["--image-mb", "1000"])["unsigned_pull_s"]["value"],
        8000.0
    );
    assert_eq!(
        ask(&["--allowance-gb", "100"])["egress_per_month"]["value"],
        0.0
    );
    assert_eq!(
        ask(&["--image-mb", "100", "--link-mbps", "0.5"])["unsigned_pull_s"]["value"],
        1600.0
    );
    let hours = ask(&["--old-images", "12"])["resigning_h"]["value"].as_f64();
    assert_eq!(hours, Some(1.0));
    assert_eq!(
        host.run(&["plan", "supply-chain", "--egress-gb", "-1"])
            .code,
        65
    );
}

#[test]
fn m8_the_host_s_own_load_is_measured() {
    let Some(host) = Host::new() else { return };
    let answer = json(&host.run(&["offload", "--measure", "0.5", "--format", "json"]));
    let p = answer["measured"]["p"]["value"].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&p));
    assert_eq!(answer["measured"]["cpus"]["provenance"], "measured");
    let refused = host.run(&["offload", "--protocol", "quic", "--allow", "ipsec"]);
    assert_eq!(refused.code, 77);
    assert!(
        refused.stderr.contains("red line 8.1"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_report_of_a_plan_opens_in_a_browser() {
    let Some(host) = Host::new() else { return };
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        println!("skipped: no browser (chromium) on PATH");
        return;
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plan");
    fs::create_dir_all(&folder).expect("is made");
    let (page, picture) = (folder.join("plan.html"), folder.join("plan.png"));
    let ended = plan(
        &host,
        &["--format", "html", "--file", &page.to_string_lossy()],
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1100,6800",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert!(!words.contains("CONSOLE"), "{words}");
    let bytes = fs::read(&picture).expect("the picture is there");
    assert!(
        bytes.len() > 100_000,
        "the picture is empty: {} bytes",
        bytes.len()
    );
}
