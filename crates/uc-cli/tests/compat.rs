//! `uc compat` as somebody at a terminal meets it.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use serde_json::Value;
use support::{Ended, Host};

fn json(host: &Host, arguments: &[&str]) -> Value {
    let ended = host.run(
        &[
            &["compat", "--arch", "x86_64", "--format", "json"],
            arguments,
        ]
        .concat(),
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("is JSON")
}

fn text(host: &Host, arguments: &[&str]) -> Ended {
    host.run(&[&["compat", "--arch", "x86_64"], arguments].concat())
}

#[test]
fn m2_3_the_matrix_sets_the_source_s_figures_beside_the_computed_ones() {
    let Some(host) = Host::new() else { return };
    let ended = text(&host, &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    insta::assert_snapshot!("compat_matrix", ended.stdout);
    let longest = ended.stdout.lines().map(str::len).max();
    assert!(longest <= Some(130), "{longest:?}");
    for check in ["0.773", "0.78 does not follow", "gvisor   microvm"] {
        let plain = ended
            .stdout
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let wanted = check.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(&wanted), "{check}: {}", ended.stdout);
    }
}

#[test]
fn m2_3_json_has_every_pair_with_its_provenance() {
    let Some(host) = Host::new() else { return };
    let matrix = json(&host, &[]);
    let pairs = matrix["comparisons"].as_array().expect("a list");
    assert_eq!(pairs.len(), 10);
    for pair in pairs {
        let size = |key: &str| pair[key].as_array().expect("a list").len() as f64;
        let apart = size("only_one") + size("only_other");
        let expected = apart / (apart + size("common"));
        let value = pair["incompatibility"]["value"].as_f64().expect("a number");
        assert!((value - expected).abs() < 1e-12, "{pair}");
        assert_eq!(pair["incompatibility"]["provenance"], "modelled");
        assert!(pair["claimed"].is_null() || pair["claimed"]["provenance"] == "assumed");
    }
    let claimed = pairs.iter().filter(|pair| !pair["claimed"].is_null());
    assert_eq!(claimed.count(), 3);
    assert!(
        matrix["posix_subset"]
            .as_array()
            .expect("a list")
            .contains(&"read".into())
    );
    assert_eq!(matrix["runtimes"][3]["name"], "gvisor");
    assert_eq!(matrix["runtimes"][3]["claimed_calls"]["value"], 220.0);
}

#[test]
fn a_mapping_says_what_is_lost_and_what_becomes_of_the_rest() {
    let Some(host) = Host::new() else { return };
    let ended = text(&host, &["gvisor", "wasm"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    insta::assert_snapshot!("compat_gvisor_wasm", ended.stdout);
    let mapping = json(&host, &["kata", "gvisor"]);
    assert_eq!(
        (&mapping["from"], &mapping["to"]),
        (&"microvm".into(), &"gvisor".into())
    );
    let fate = |call: &str| {
        let all = mapping["morphisms"].as_array().expect("a list");
        let one = all.iter().find(|one| one["call"] == call).expect("a call");
        one["fate"].as_str().expect("a word").to_owned()
    };
    assert_eq!([fate("read"), fate("io_uring_setup")], ["maps", "lost"]);
}

#[test]
fn calls_are_listed_with_errors_notes_and_arguments() {
    let Some(host) = Host::new() else { return };
    let listing = text(&host, &["--calls", "gvisor"]).stdout;
    for line in [
        "271 of 383 calls of x86_64, 222 of them whole",
        "release 20240729.0",
        "vmsplice                 refused  ENOSYS",
        "Arguments that decide",
        "- keyctl, all but KEYCTL_GET_KEYRING_ID",
    ] {
        assert!(listing.contains(line), "{line}: {listing}");
    }
    let wasm = json(&host, &["--calls", "wasm"]);
    assert_eq!(wasm["calls"]["read"]["through"][0], "fd_read");
    assert_eq!(wasm["calls"]["fork"]["level"], "refused");
    let arm = host.run(&["compat", "--calls", "microvm", "--arch", "arm64"]);
    assert!(
        arm.stdout
            .starts_with("microVM (Kata, Firecracker): 323 of 325 calls of aarch64")
    );
}

#[test]
fn wrong_names_are_told_with_what_was_probably_meant() {
    let Some(host) = Host::new() else { return };
    let ended = text(&host, &["gvisr", "kata"]);
    assert_eq!(ended.code, 65);
    assert!(
        ended.stderr.contains("did you mean gvisor?"),
        "{}",
        ended.stderr
    );
    assert_eq!(text(&host, &["--calls", "docker"]).code, 65);
    assert_eq!(host.run(&["compat", "--arch", "riscv64"]).code, 65);
    assert_eq!(text(&host, &["gvisor"]).code, 2);
    assert_eq!(text(&host, &["--calls", "gvisor", "kata", "wasm"]).code, 2);
}
