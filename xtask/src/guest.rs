//! `cargo xtask guest`: builds the programs that go into a microVM's guest, as static programs, into `target/guest/`.

use std::{env, fs, path::PathBuf, process::Command};

use uc_model::{Problem, Result};

/// Packages that are programs of the same name.
const PROGRAMS: &[&str] = &["uc-guest", "uc-function"];

/// The profile of the workspace's `Cargo.toml`, and so the folder that they are built into.
const PROFILE: &str = "guest";

/// Has the crate `getrandom` call the kernel. Otherwise it asks the dynamic linker for the C library's function, finds none in
/// a static program, and opens `/dev/urandom`, which a function's container need not have.
const RANDOM_FROM_KERNEL: &str = "--cfg getrandom_backend=\"linux_raw\"";

/// The kind of a program header that names a dynamic linker.
const PT_INTERP: u32 = 3;

/// Builds them.
///
/// # Errors
/// One does not build, or needs a dynamic linker, which no guest has.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run() -> Result<()> {
    for program in PROGRAMS {
        build(program)?;
        let file = target().join(PROFILE).join(program);
        let bytes = fs::read(&file).map_err(|error| {
            Problem::internal("cargo made no program")
                .at(file.display())
                .caused_by(error)
        })?;
        if needs_dynamic_linker(&bytes) != Some(false) {
            return Err(
                Problem::internal("a program of the guest is not static").at(file.display())
            );
        }
        println!("guest: {} ({} KiB)", file.display(), bytes.len() / 1024);
    }
    Ok(())
}

/// Builds one by itself: together they would have each other's features, and the function runner a compiler.
fn build(program: &str) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let status = Command::new(cargo)
        .args(["rustc", "--profile", PROFILE, "--package", program, "--bin"])
        .args([program, "--", "-C", "target-feature=+crt-static"])
        .env("RUSTFLAGS", format!("{flags} {RANDOM_FROM_KERNEL}"))
        .status()
        .map_err(|error| Problem::host("cargo cannot be started").caused_by(error))?;
    if status.success() {
        return Ok(());
    }
    Err(Problem::invalid("a program of the guest does not build")
        .at(program)
        .found(status.to_string()))
}

/// Where cargo builds.
fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}

/// Whether a 64-bit little-endian ELF file names a dynamic linker; `None` for anything else.
fn needs_dynamic_linker(file: &[u8]) -> Option<bool> {
    let array = |at: usize, length: usize| file.get(at..at.checked_add(length)?);
    let half = |at| {
        Some(usize::from(u16::from_le_bytes(
            array(at, 2)?.try_into().ok()?,
        )))
    };
    let word = |at| Some(u32::from_le_bytes(array(at, 4)?.try_into().ok()?));
    if array(0, 6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(array(32, 8)?.try_into().ok()?)).ok()?;
    let (size, count) = (half(54)?, half(56)?);
    let mut named = false;
    for index in 0..count {
        named |= word(table.checked_add(index * size)?)? == PT_INTERP;
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header and one program header.
    fn program(kind: u32) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn a_dynamic_linker_is_seen() {
        assert_eq!(needs_dynamic_linker(&program(1)), Some(false));
        assert_eq!(needs_dynamic_linker(&program(PT_INTERP)), Some(true));
        let own = fs::read(env::current_exe().expect("a path")).expect("this test");
        assert_eq!(needs_dynamic_linker(&own), Some(true));
    }

    #[test]
    fn what_is_no_program_is_neither() {
        for length in 0..68 {
            assert_eq!(needs_dynamic_linker(&program(1)[..length]), None);
        }
        assert_eq!(needs_dynamic_linker(b"#!/bin/sh\n"), None);
    }
}
