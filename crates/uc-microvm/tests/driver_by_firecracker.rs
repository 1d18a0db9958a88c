//! The driver of microVMs with Firecracker as its monitor: the program that `UC_FIRECRACKER` names.
//!
//! A guest that boots is used like any other; a host whose KVM runs only guests made for it is told apart in bounded time.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says with them what it expected and found"
)]

mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use uc_microvm::{Accelerator, MicrovmDriver, Settings};
use uc_sandbox::{Availability, Driver as _};

/// Settings with Firecracker, or nothing after saying why.
fn settings(cache: &Path) -> Option<Settings> {
    let Some(firecracker) = std::env::var_os("UC_FIRECRACKER") else {
        println!("skipped: UC_FIRECRACKER names no Firecracker");
        return None;
    };
    match support::settings_in(cache) {
        Ok(settings) => Some(Settings {
            firecracker: Some(firecracker.into()),
            accelerator: None,
            ..settings
        }),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// What the driver lacks, how it helps itself, and how long it took to say so.
fn missing(settings: Settings) -> Option<(String, String, Duration)> {
    let before = Instant::now();
    let probe = MicrovmDriver::new(settings).probe();
    let Availability::Missing { what, remedy } = probe.availability else {
        println!("{:#?}", probe.facilities);
        return None;
    };
    println!("{what}\n  remedy: {remedy}");
    Some((what, remedy, before.elapsed()))
}

#[test]
fn a_guest_that_does_not_boot_with_kvm_is_told_in_bounded_time() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some(first) = settings(cache.path()) else {
        return;
    };
    let Some((what, remedy, took)) = missing(first) else {
        println!("skipped: guests boot with KVM here");
        return;
    };
    assert!(
        what.contains("Firecracker was asked for, and no guest boots with KVM"),
        "{what}"
    );
    assert!(
        what.contains("a guest does not reach its agent with KVM"),
        "{what}"
    );
    assert!(remedy.contains("UC_FIRECRACKER"), "{remedy}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let machines = fs::read_dir(cache.path().join("machines")).expect("made");
    assert_eq!(machines.count(), 0);
    // It is remembered, so that the next start is not the slower for it.
    let again = settings(cache.path()).expect("as before");
    let (same, _, took) = missing(again).expect("as before");
    assert_eq!(same, what);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn firecracker_without_kvm_is_a_contradiction() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some(settings) = settings(cache.path()) else {
        return;
    };
    let translated = Settings {
        accelerator: Some(Accelerator::Tcg),
        ..settings
    };
    let (what, _, _) = missing(translated).expect("refused");
    assert!(what.contains("translates no instructions"), "{what}");
}

#[test]
fn a_firecracker_that_is_none_is_told() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some(settings) = settings(cache.path()) else {
        return;
    };
    let absent = Settings {
        firecracker: Some(cache.path().join("firecracker")),
        ..settings
    };
    let (what, _, _) = missing(absent).expect("refused");
    assert!(what.contains("no program that can be executed"), "{what}");
}

/// Where the process has Firecracker on its `PATH`, and nothing that names it.
const ON_PATH: &str = "UC_TEST_FIRECRACKER_ON_PATH";

#[test]
fn firecracker_on_path_is_left_to_qemu_where_no_guest_boots() {
    let cache = tempfile::tempdir().expect("a directory");
    if std::env::var_os(ON_PATH).is_some() {
        let settings = Settings {
            accelerator: None,
            ..support::settings_in(cache.path()).expect("as before")
        };
        let probe = MicrovmDriver::new(settings).probe();
        assert_eq!(probe.availability, Availability::Ready);
        let monitor = probe
            .facilities
            .iter()
            .find(|facility| facility.name == "microVM monitor");
        println!("{}", monitor.expect("listed").detail);
        return;
    }
    let Some(Settings {
        firecracker: Some(program),
        ..
    }) = settings(cache.path())
    else {
        return;
    };
    std::os::unix::fs::symlink(program, cache.path().join("firecracker")).expect("linked");
    let path = std::env::var("PATH").expect("set");
    let output = std::process::Command::new(std::env::current_exe().expect("known"))
        .args([
            "--exact",
            "firecracker_on_path_is_left_to_qemu_where_no_guest_boots",
            "--nocapture",
        ])
        .env_remove("UC_FIRECRACKER")
        .env(ON_PATH, "1")
        .env("PATH", format!("{}:{path}", cache.path().display()))
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    println!("{said}");
    let by_firecracker = said.contains("Firecracker (") && said.contains("with KVM");
    let by_qemu = said.contains("QEMU (")
        && said.contains("not Firecracker, ")
        && said.contains("a guest does not reach its agent with KVM");
    assert!(by_firecracker || by_qemu, "{said}");
}
