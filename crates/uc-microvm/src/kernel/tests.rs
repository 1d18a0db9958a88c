//! Kernels that are at hand, by the environment: real ones are too large for the repository.

use std::path::{Path, PathBuf};

use super::*;

/// A file that a variable names; without it the test is skipped.
fn named(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        println!("skipped: {variable} names no file");
    }
    path
}

fn prepare(given: &Path, cache: &Path) -> Result<Kernel> {
    find(Some(given), &Places::of_host(None), cache)
}

#[test]
fn a_kernel_of_libkrunfw_is_wrapped() {
    let Some(library) = named("UC_TEST_KRUNFW") else {
        return;
    };
    let cache = tempfile::tempdir().expect("a directory");
    let start = std::time::Instant::now();
    let kernel = prepare(&library, cache.path()).expect("prepared");
    let first = start.elapsed();
    let start = std::time::Instant::now();
    assert_eq!(prepare(&library, cache.path()).expect("kept"), kernel);
    println!("{first:?}, then {:?}: {kernel:#?}", start.elapsed());
    assert!(kernel.pvh);
    assert_eq!(kernel.console, "hvc0");
    assert!(!kernel.needs_acpi);
    assert!(kernel.modules.is_empty());
    assert_eq!(kernel.features, Feature::ALL);
}

#[test]
fn a_kernel_of_debian_comes_with_its_modules() {
    let Some(vmlinuz) = named("UC_TEST_VMLINUZ") else {
        return;
    };
    let cache = tempfile::tempdir().expect("a directory");
    let start = std::time::Instant::now();
    let kernel = prepare(&vmlinuz, cache.path()).expect("prepared");
    let first = start.elapsed();
    let start = std::time::Instant::now();
    assert_eq!(prepare(&vmlinuz, cache.path()).expect("kept"), kernel);
    println!("{first:?}, then {:?}: {kernel:#?}", start.elapsed());
    assert!(kernel.pvh && kernel.needs_acpi);
    assert_eq!(kernel.console, "ttyS0");
    assert_eq!(kernel.features, Feature::ALL);
}
