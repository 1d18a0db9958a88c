//! What the probe finds of the runtimes that are here, each with a trial that looks at the filter it puts in force.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use support::driver;
use uc_oci_runtime::{Flavour, OciRuntimeDriver};
use uc_sandbox::{Availability, Driver as _};
use uc_testkit::busybox::Busybox;

/// One after the other: each sees the control groups of all trials of this process.
static TRIALS: Mutex<()> = Mutex::new(());

/// Control groups of this process's trials, below a directory.
fn groups_of_trials(below: &Path, found: &mut Vec<PathBuf>) {
    let ours = format!("undercurrent-uc-trial-{}-", std::process::id());
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy().starts_with(&ours) {
                found.push(entry.path());
            }
            groups_of_trials(&entry.path(), found);
        }
    }
}

#[test]
fn a_trial_of_a_broken_runtime_says_so_and_leaves_nothing() {
    let _alone = TRIALS.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().expect("a directory");
    // What ends well without doing anything, where it says a version as GNU's does; and what fails.
    let fails = b"#!/bin/sh\n[ $1 = --version ] && echo crun version 1.2.3\n".to_vec();
    for (name, bytes, expected) in [
        (
            "true",
            fs::read("/bin/true").expect("read"),
            "did not say which process it made",
        ),
        ("a script", fails, "could not create the container"),
    ] {
        let program = directory.path().join("crun");
        fs::write(&program, bytes).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let supervisor = PathBuf::from(env!("CARGO_BIN_EXE_uc-supervisor"));
        let mount_points = directory.path().join("mount-points");
        let driver =
            OciRuntimeDriver::new(Flavour::Crun, supervisor, mount_points).with_program(program);
        let Availability::Missing { what, remedy } = driver.probe().availability else {
            panic!("{name}: ready");
        };
        assert!(what.contains(expected), "{name}: {what}");
        assert!(!what.contains("found: )"), "{name}: {what}");
        assert!(!remedy.contains("apt"), "{name}: {remedy}");
        let mut left = Vec::new();
        groups_of_trials(Path::new("/sys/fs/cgroup"), &mut left);
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

#[test]
fn a_runtime_that_is_here_is_ready() {
    let _alone = TRIALS.lock().unwrap_or_else(PoisonError::into_inner);
    for flavour in [Flavour::Runsc, Flavour::Crun, Flavour::Runc, Flavour::Youki] {
        let made = Busybox::new().and_then(|busybox| Ok((driver(flavour, &busybox)?, busybox)));
        match made {
            Ok((driver, _busybox)) => {
                assert_eq!(
                    driver.probe().availability,
                    Availability::Ready,
                    "{flavour}"
                );
            }
            Err(reason) => println!("skipped: {reason}"),
        }
    }
}
