//! What programs within gVisor are told of memory barriers, which says whether gVisor itself has asked the host for them.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _};

use support::driver;
use uc_oci_runtime::Flavour;
use uc_testkit::busybox::Busybox;

/// A program whose exit code is the answer to membarrier(MEMBARRIER_CMD_QUERY): the commands that there are.
fn query() -> Vec<u8> {
    // mov eax, 324; xor edi, edi; xor esi, esi; xor edx, edx; syscall; mov edi, eax; mov eax, 60; syscall
    const CODE: [u8; 22] = [
        0xb8, 0x44, 1, 0, 0, 0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x0f, 0x05, 0x89, 0xc7, 0xb8, 60,
        0, 0, 0, 0x0f, 0x05,
    ];
    let (address, headers) = (0x40_0000u64, 64 + 56u64);
    let mut bytes = vec![
        0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 62, 0, 1, 0, 0, 0,
    ];
    for word in [address + headers, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([
        0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0,
    ]);
    let size = headers + CODE.len() as u64;
    for word in [0, address, address, size, size, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(CODE);
    bytes
}

/// What a program hears under a runtime; `None` where that cannot be found out here.
fn answer(flavour: Flavour) -> Option<u8> {
    if std::env::consts::ARCH != "x86_64" {
        println!("skipped: the program is for another processor");
        return None;
    }
    let made = Busybox::new().and_then(|busybox| Ok((driver(flavour, &busybox)?, busybox)));
    let (driver, busybox) = match made {
        Ok(made) => made,
        Err(reason) => {
            println!("skipped: {reason}");
            return None;
        }
    };
    let program = busybox.layer.join("query");
    fs::write(&program, query()).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    let (exit, text) = support::run(&driver, &busybox, "barriers", vec!["/query".into()], None);
    assert_eq!(text, "");
    Some(exit.code)
}

#[test]
fn gvisor_asks_the_host_for_none() {
    if let Some(commands) = answer(Flavour::Runsc) {
        assert_eq!(commands, 0);
    }
}

#[test]
fn runtimes_without_a_kernel_of_their_own_pass_them_on() {
    if let Some(commands) = answer(Flavour::Crun) {
        assert_ne!(commands, 0);
    }
}
