//! A whole guest from what is made here: kernel, modules, first files, disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    erofs::{Owner, Tree},
    initramfs::Archive,
};

/// Compiles process 1; none where there is no compiler.
fn init(place: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernel/tests/init.c");
    let program = place.join("init");
    let status = Command::new("gcc")
        .args(["-static", "-O1", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("skipped: gcc makes no static programs here");
        return None;
    }
    Some(program)
}

fn first_files(kernel: &Kernel, init: &Path) -> Vec<u8> {
    let mut archive = Archive::new();
    archive.file("init", 0o755, std::fs::read(init).expect("read"));
    archive.device("dev/console", 0o600, 5, 1);
    for (number, module) in kernel.modules.iter().enumerate() {
        let bytes = module.bytes().expect("read");
        archive.file(&format!("modules/{number:02}"), 0o644, bytes);
    }
    archive.finish().expect("fits")
}

fn disk(place: &Path) -> PathBuf {
    let owner = Owner {
        uid: 1_879_048_192,
        gid: 1_879_048_199,
    };
    let mut tree = Tree::new();
    tree.directory("/", 0o711, owner).expect("changed");
    tree.file("/hello", 0o4755, owner, b"hi there".as_slice())
        .expect("added");
    let large = place.join("large");
    fs::write(&large, vec![b'x'; 3_000_000]).expect("written");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&large, "user.note", b"kept", flags).expect("noted");
    tree.copy("/sub/large", &large, &|_| 99_999)
        .expect("copied");
    let path = place.join("disk");
    let out = fs::File::create_new(&path).expect("made");
    crate::erofs::write(&tree, 1 << 30, &out).expect("written");
    path
}

/// What the guest says; none without QEMU.
fn boot(kernel: &Kernel, place: &Path) -> Option<String> {
    let init = init(place)?;
    let initramfs = place.join("initramfs");
    fs::write(&initramfs, first_files(kernel, &init)).expect("written");
    let disk = disk(place);
    let said = place.join("said");
    let machine = match kernel.needs_acpi {
        true => "microvm,acpi=on,x-option-roms=off",
        false => "microvm,acpi=off,x-option-roms=off",
    };
    let append = format!(
        "console={} quiet reboot=t panic=-1 no_timer_check tsc_early_khz=2000000",
        kernel.console
    );
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-M",
        machine,
        "-accel",
        "tcg",
        "-m",
        "256",
        "-nodefaults",
        "-no-user-config",
    ])
    .args(["-display", "none", "-no-reboot", "-append", &append])
    .arg("-kernel")
    .arg(&kernel.image)
    .arg("-initrd")
    .arg(&initramfs)
    .arg("-chardev")
    .arg(format!("file,id=c,path={}", said.display()))
    .arg("-drive")
    .arg(format!(
        "id=d,file={},format=raw,if=none,readonly=on",
        disk.display()
    ))
    .args(["-device", "virtio-blk-device,drive=d"]);
    match kernel.console.as_str() {
        "hvc0" => qemu.args([
            "-device",
            "virtio-serial-device",
            "-device",
            "virtconsole,chardev=c",
        ]),
        _ => qemu.args(["-serial", "chardev:c"]),
    };
    let Ok(mut child) = qemu.spawn() else {
        println!("skipped: no qemu-system-x86_64");
        return None;
    };
    let start = Instant::now();
    while child.try_wait().expect("waits").is_none() {
        if start.elapsed() > Duration::from_secs(120) {
            child.kill().expect("killed");
            child.wait().expect("ends");
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("ended after {:?}", start.elapsed());
    Some(
        fs::read_to_string(&said)
            .unwrap_or_default()
            .replace('\r', ""),
    )
}

fn boots(file: &Path) {
    let place = tempfile::tempdir().expect("a directory");
    let kernel = prepare(file, &place.path().join("cache")).expect("prepared");
    sees_its_disk(&kernel, place.path());
}

fn sees_its_disk(kernel: &Kernel, place: &Path) {
    let Some(said) = boot(kernel, place) else {
        return;
    };
    let expected = "\
/disk 40711 1879048192:1879048199 3 0  
/disk/hello 104755 1879048192:1879048199 1 8  hi there
/disk/sub/large 100644 99999:99999 1 3000000 kept xxxxxxxxxxxxxxxx
/merged/new 100644 0:0 1 5  fresh
/merged/hello 104755 1879048192:1879048199 1 8  hi there
the end
";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_guest_of_libkrunfw_sees_its_disk() {
    if let Some(library) = named("UC_TEST_KRUNFW") {
        boots(&library);
    }
}

#[test]
fn a_guest_of_debian_sees_its_disk() {
    if let Some(vmlinuz) = named("UC_TEST_VMLINUZ") {
        boots(&vmlinuz);
    }
}

#[test]
fn a_guest_of_the_kernel_that_is_found_sees_its_disk() {
    let place = tempfile::tempdir().expect("a directory");
    match find(None, &Places::of_host(None), &place.path().join("cache")) {
        Ok(kernel) if kernel.has(Feature::Erofs) && kernel.has(Feature::Overlay) => {
            sees_its_disk(&kernel, place.path());
        }
        Ok(kernel) => println!("skipped: {} lacks file systems", kernel.source.display()),
        Err(problem) => println!("skipped: {problem}"),
    }
}
