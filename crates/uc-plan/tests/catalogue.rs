//! Catalogue files: what is read, and how what is wrong is refused.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use proptest::prelude::*;
use uc_plan::{Catalogue, Distribution, catalogue::SHIPPED};

const HEAD: &str = "version = 1\nname = \"mine\"\ndated = 2026-01-01\ncurrency = \"EUR\"\n";

/// A catalogue of one technology in which one field has another value.
fn with(field: &str, value: &str) -> String {
    let fields = [
        ("id", "\"one\""),
        ("name", "\"One\""),
        ("maturity", "0.5"),
        ("standardised", "2027-01-01"),
        ("monthly_cost", "10"),
        ("monthly_benefit", "[10, 30]"),
        ("failure_probability", "{ value = 10, unit = \"percent\" }"),
        ("impact", "100"),
        ("effort", "{ value = 1, unit = \"person-weeks\" }"),
    ];
    let mut text = format!("{HEAD}[[technology]]\n");
    for (name, default) in fields {
        if name != field {
            text += &format!("{name} = {default}\n");
        }
    }
    text + &format!("{field} = {value}\n")
}

fn two(requires_of_first: &str, requires_of_second: &str) -> String {
    let second = with("requires", requires_of_second).replace(HEAD, "");
    format!(
        "{}\n{}",
        with("requires", requires_of_first),
        second
            .replace("\"one\"", "\"two\"")
            .replace("[\"two\"]", "[\"one\"]")
    )
}

fn refusal(text: &str) -> String {
    let problem = Catalogue::read("mine.toml", text).expect_err(text);
    assert_eq!(problem.kind(), uc_model::ProblemKind::Invalid);
    format!("{problem}; {}", problem.remedy_text().unwrap_or_default())
}

#[test]
fn figures_are_numbers_ranges_and_distributions_in_several_units() {
    let catalogue = Catalogue::read("mine.toml", &with("number", "7")).expect("reads");
    let one = &catalogue.technologies[0];
    assert_eq!(one.number, Some(7));
    assert_eq!(one.failure_probability.mean(), 0.1);
    assert_eq!(one.effort.mean(), 5.0);
    assert_eq!(
        one.monthly_benefit.distribution,
        Distribution::Uniform {
            low: 10.0,
            high: 30.0
        }
    );
    for figure in [
        "{ low = 1, mode = 2, high = 4, distribution = \"pert\" }",
        "{ mean = 3, sd = 1 }",
        "{ mean = 3, sd = 1, low = 1, high = 9 }",
        "{ median = 3, p90 = 9, assumed = \"me\" }",
    ] {
        Catalogue::read("mine.toml", &with("impact", figure)).expect(figure);
    }
}

#[test]
fn the_shipped_catalogue_reads() {
    let catalogue = Catalogue::read("2025.toml", SHIPPED).expect("reads");
    assert_eq!(catalogue.technologies.len(), 8);
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_field() {
    for (field, value, words) in [
        ("monthly_cost", "-1", "cannot be negative"),
        ("failure_probability", "1.1", "between 0 and 1"),
        (
            "failure_probability",
            "{ value = 101, unit = \"percent\" }",
            "between 0 and 1",
        ),
        (
            "failure_probability",
            "{ median = 0.2, p90 = 0.4 }",
            "between 0 and 1",
        ),
        ("impact", "[30, 10]", "inverted"),
        ("impact", "{ low = 1, mode = 9, high = 4 }", "inverted"),
        ("impact", "{ mean = 1, sd = 0 }", "must be positive"),
        (
            "impact",
            "{ value = 1, unit = \"parsecs\" }",
            "unit is not known",
        ),
        ("impact", "{ value = 1, low = 2 }", "make no figure"),
        (
            "impact",
            "{ value = 1, assumed = \"a\", measured = \"b\" }",
            "one provenance",
        ),
        ("impact", "\"many\"", "wrong kind"),
        ("impact", "nan", "out of bounds"),
        ("impact", "1e300", "out of bounds"),
        ("standardised", "\"2027-02-30\"", "not a date"),
        ("standardised", "2027-01-01T00:00:00Z", "not a date"),
        ("id", "\"One Two\"", "id is malformed"),
        ("name", "\"\\u001b[31m\"", "control characters"),
        ("impact", "{ median = 1, p90 = 1e5 }", "too wide"),
        ("risk_grade", "\"huge\"", "grade is not known"),
        ("maturitty", "1", "did you mean maturity?"),
        ("requires", "[\"one\"]", "cannot name itself"),
        ("requires", "[\"on\"]", "did you mean one?"),
    ] {
        let words_found = refusal(&with(field, value));
        assert!(
            words_found.contains(words),
            "{field} = {value}: {words_found}"
        );
        assert!(
            words_found.contains("mine.toml:14:") || words_found.contains("mine.toml:15:"),
            "{field} = {value}: {words_found}"
        );
        assert!(
            words_found.contains("technology[0]"),
            "{field}: {words_found}"
        );
    }
}

#[test]
fn empty_and_circular_catalogues_are_refused() {
    assert!(refusal(HEAD).contains("the catalogue is empty"));
    assert!(refusal("").contains("a field is missing"));
    assert!(refusal("version = 2").contains("version"));
    assert!(refusal("version = ").contains("no TOML"));
    assert!(refusal(&two("[\"two\"]", "[\"two\"]")).contains("one requires two requires one"));
    assert!(
        refusal(&two("[\"two\"]", "[]\nexcludes = [\"two\"]"))
            .contains("excludes what it requires")
    );
    assert!(refusal(&two("[]", "[]").replace("\"two\"", "\"one\"")).contains("same id"));
    assert!(refusal(&format!("horizon_months = 0\n{}", with("number", "1"))).contains("horizon"));
    assert!(refusal(&format!("{HEAD}{}", "#".repeat(1 << 20))).contains("too large"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in ".{0,200}", field in "[a-z_]{1,20}", value in ".{0,40}") {
        let _ = Catalogue::read("any", &text);
        let _ = Catalogue::read("any", &with(&field, &value));
    }
}

/// The published schema and the reader agree, as judged by a validator that knows nothing of the reader.
#[test]
fn the_schema_accepts_what_is_read_and_refuses_what_is_not() {
    const SCRIPT: &str = include_str!("support/validate_catalogue.py");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join("target/sbom-validators/bin/python3");
    if !python.exists() {
        println!("skipped: no validators (cargo xtask setup --for-tests brings them)");
        return;
    }
    let samples = [
        (SHIPPED.to_owned(), true),
        (with("number", "7"), true),
        (
            with("impact", "{ mean = 3, sd = 1, low = 1, high = 9 }"),
            true,
        ),
        (with("maturitty", "1"), false),
        (with("impact", "\"many\""), false),
        (with("impact", "{ value = 1, unit = \"parsecs\" }"), false),
        (with("impact", "{ value = 1, low = 2, high = 3 }"), false),
        (with("id", "\"One Two\""), false),
        (HEAD.to_owned(), false),
        (
            format!("horizon_months = 0\n{}", with("number", "1")),
            false,
        ),
    ];
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(root.join("catalog/schema.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut input = child.stdin.take().expect("is piped");
    for (text, _) in &samples {
        writeln!(input, "{}", serde_json::to_string(text).expect("JSON")).expect("is read");
    }
    drop(input);
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success());
    let verdicts = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(verdicts.lines().count(), samples.len());
    for ((text, is_valid), verdict) in samples.iter().zip(verdicts.lines()) {
        assert_eq!(verdict == "[]", *is_valid, "{verdict}\n{text}");
        assert_eq!(Catalogue::read("any", text).is_ok(), *is_valid, "{text}");
    }
}
