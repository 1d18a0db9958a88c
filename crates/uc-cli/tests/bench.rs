//! `uc bench` reports what it measured: structure is checked, times never are.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test ends where it fails"
)]

use std::{path::Path, process::Command};

use serde_json::Value;

fn bench(only: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_uc"))
        .args(["bench", "--runs", "2", "--only", only, "--format", "json"])
        .output()
        .expect("uc starts");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn every_sample_of_a_module_is_reported() {
    let report = bench("wasm");
    let ours = &report["wasm"][0];
    assert_eq!(ours["name"], "uc");
    assert_eq!(ours["skipped"], Value::Null);
    assert_eq!(ours["samples_ms"].as_array().map(Vec::len), Some(2));
    assert!(report["instantiation_us"]["median"].is_number(), "{report}");
    assert_eq!(report["container"], Value::Array(Vec::new()));
}

#[test]
fn a_contender_is_measured_or_says_why_not() {
    if !Path::new("/bin/busybox").exists() {
        println!("skipped: /bin/busybox is missing");
        return;
    }
    let report = bench("container");
    let all = report["container"].as_array().expect("contenders");
    assert_eq!(all.len(), 4);
    for one in all {
        let measured = one["ratio"].is_number() || one["name"] == "uc";
        assert!(measured || one["skipped"].is_string(), "{one}");
    }
}
