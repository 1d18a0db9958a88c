//! Machines that fail: each end is reported as what it is, with the guest's last lines, in bounded time.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use support::{
    Busybox,
    world::{Spec, World, block_on, monitors, signal, test},
};
use uc_microvm::{MicrovmDriver, Program, Programs, Settings};
use uc_model::{Bytes, Problem};
use uc_sandbox::{ExitReason, Mount, MountSource, StatsRequest};

/// A program runs until it is stopped.
const SERVE: &str = "echo ready; exec sleep 1000000";

/// The process id of the only monitor whose machine has so much memory for its container.
fn monitor(container_mib: u64) -> u32 {
    let found = monitors(container_mib + 96);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

fn words(problem: &Problem) -> String {
    assert!(problem.remedy_text().is_some(), "{problem}");
    problem.to_string()
}

#[test]
fn a_killed_monitor_ends_every_wait_with_an_explanation() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let outputs = world.start(Spec::shell(busybox, SERVE).memory(311)).await;
        let container = || StatsRequest {
            container: "main".into(),
        };
        let measured = world.sandbox.stats(container()).await.expect("measured");
        let waiting = world.wait("main");
        let killing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            signal(monitor(311), Signal::KILL);
        };
        let (waited, ()) = tokio::join!(waiting, killing);
        let said = words(&waited.expect_err("no end of the program"));
        assert!(said.contains("microVM ended"), "{said}");
        outputs.read().await;
        // Everything answers at once from then on.
        let begun = Instant::now();
        world.wait("main").await.expect_err("the same again");
        assert_eq!(
            world.stop("main").await.expect("stopped").reason,
            ExitReason::Stopped
        );
        let last = world.sandbox.stats(container()).await;
        assert_eq!(
            last.expect("the last").memory_limit_bytes,
            measured.memory_limit_bytes
        );
        let late = Spec::shell(busybox, "true").named("late");
        let said = words(&world.create(late).await.err().expect("gone"));
        assert!(said.contains("microVM ended"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(10));
        world.destroy().await;
        assert!(monitors(311 + 96).is_empty());
    });
}

#[test]
fn a_machine_that_hangs_is_killed_by_a_stop() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let mut spec = Spec::shell(busybox, "exec sleep 1000000").memory(312);
        // More than fits on the way: nobody reads it.
        spec.stdin = Some(vec![b'x'; 4 << 20]);
        let outputs = world.start(spec).await;
        signal(monitor(312), Signal::STOP);
        let begun = Instant::now();
        let exit = world.stop("main").await.expect("an end");
        assert_eq!((exit.code, exit.reason), (137, ExitReason::Stopped));
        assert!(begun.elapsed() < Duration::from_secs(20));
        world.wait("main").await.expect("the same");
        outputs.read().await;
        world.destroy().await;
        assert!(monitors(312 + 96).is_empty());
    });
}

#[test]
fn a_machine_that_hangs_ends_a_wait_as_well() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let _outputs = world.start(Spec::shell(busybox, SERVE).memory(313)).await;
        signal(monitor(313), Signal::STOP);
        let begun = Instant::now();
        let said = words(&world.wait("main").await.expect_err("no end of the program"));
        assert!(said.contains("does not answer"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(80));
        world.destroy().await;
    });
}

#[test]
fn a_machine_that_hangs_can_be_destroyed_and_dropped() {
    test(async |driver, busybox| {
        for destroys in [true, false] {
            let world = World::new(&driver).await;
            let outputs = world.start(Spec::shell(busybox, SERVE).memory(314)).await;
            signal(monitor(314), Signal::STOP);
            let begun = Instant::now();
            match destroys {
                true => world.destroy().await,
                false => drop(world),
            }
            outputs.read().await;
            assert!(begun.elapsed() < Duration::from_secs(10));
            assert!(monitors(314 + 96).is_empty());
        }
    });
}

/// Starts a machine with another program in place of the agent; what comes of it.
fn with_agent(agent: impl FnOnce(&Programs) -> Vec<u8>) -> Option<String> {
    let cache = tempfile::tempdir().expect("a directory");
    let made = support::settings_in(cache.path());
    let busybox = Busybox::shared();
    let (settings, busybox) = match made.and_then(|made| Ok((made, busybox?))) {
        Ok(both) => both,
        Err(why) => {
            println!("skipped: {why}");
            return None;
        }
    };
    let mut programs = settings.programs.expect("there");
    let file = cache.path().join("agent");
    fs::write(&file, agent(&programs)).expect("written");
    programs.agent = Program::File(file);
    let driver = MicrovmDriver::new(Settings {
        programs: Ok(programs),
        ..settings
    });
    let mut said = String::new();
    block_on(async {
        let world = World::new(&driver).await;
        let problem = world.create(Spec::shell(busybox, "true")).await.err();
        said = words(&problem.expect("no machine"));
        world.destroy().await;
    });
    Some(said)
}

#[test]
fn a_kernel_that_panics_is_reported_with_its_last_lines() {
    let Some(said) = with_agent(|_| b"no program at all".to_vec()) else {
        return;
    };
    assert!(said.contains("kernel panicked"), "{said}");
    assert!(said.contains("Kernel panic - not syncing"), "{said}");
}

/// A program for x86-64 that says something and then takes memory until there is none: its kernel cannot kill it, as
/// process 1, and panics.
fn taking_all_memory() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let code: &[&[u8]] = &[
        b"\xb8\x01\0\0\0\xbf\x01\0\0\0",         // write, to descriptor 1,
        b"\x48\x8d\x35\x2c\0\0\0\xba\x10\0\0\0", // what stands below, 16 bytes
        b"\x0f\x05",                             // (a system call)
        b"\xb8\x09\0\0\0\x31\xff",               // mmap, anywhere,
        b"\xbe\0\0\0\x01\xba\x03\0\0\0",         // 16 MiB, to read and write,
        b"\x41\xba\x22\x80\0\0",                 // private, anonymous, at once,
        b"\x49\xc7\xc0\xff\xff\xff\xff\x45\x31\xc9", // of no file
        b"\x0f\x05\xeb\xdb",                     // (a system call), and again
        b"out of my depth\n",
    ];
    let code = code.concat();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    // An executable file for x86-64, version 1, its start, its one segment right behind this header.
    put(&2u16.to_le_bytes());
    put(&62u16.to_le_bytes());
    put(&1u32.to_le_bytes());
    [BASE + HEADERS, 64, 0]
        .iter()
        .for_each(|number| put(&number.to_le_bytes()));
    put(&0u32.to_le_bytes());
    [64u16, 56, 1, 0, 0, 0]
        .iter()
        .for_each(|number| put(&number.to_le_bytes()));
    // To be loaded, to read and execute: all of the file.
    [1u32, 5]
        .iter()
        .for_each(|number| put(&number.to_le_bytes()));
    let size = HEADERS + code.len() as u64;
    [0, BASE, BASE, size, size, 4096]
        .iter()
        .for_each(|number| put(&number.to_le_bytes()));
    put(&code);
    file
}

#[test]
fn a_kernel_that_panics_under_its_agent_is_reported_with_what_that_said_last() {
    let Some(said) = with_agent(|_| taking_all_memory()) else {
        return;
    };
    assert!(said.contains("kernel panicked"), "{said}");
    assert!(said.contains("Kernel panic - not syncing"), "{said}");
    assert!(said.contains("out of my depth"), "{said}");
}

#[test]
fn an_agent_that_ends_at_once_is_reported_with_its_last_lines() {
    // A function's runner without a function.
    let runner = |programs: &Programs| match &programs.function {
        Program::File(path) => fs::read(path).expect("read"),
        Program::Bytes(bytes) => bytes.to_vec(),
    };
    let Some(said) = with_agent(runner) else {
        return;
    };
    assert!(
        said.contains("the function runner takes one program"),
        "{said}"
    );
    if reboots_without_init() {
        assert!(said.contains("the microVM ended"), "{said}");
    } else {
        assert!(said.contains("kernel panicked"), "{said}");
        assert!(said.contains("Attempted to kill init!"), "{said}");
    }
}

/// Whether the kernel does not panic when process 1 ends, as Linux does: that of libkrunfw has been taught to reboot, and
/// lacks the words for it.
fn reboots_without_init() -> bool {
    let settings = support::settings().expect("there a moment ago");
    let kernel = fs::read(settings.kernel.expect("named")).expect("read");
    let is_compressed = !kernel.starts_with(b"\x7fELF");
    !is_compressed && memchr::memmem::find(&kernel, b"Attempted to kill init!").is_none()
}

#[test]
fn a_container_beyond_its_memory_is_told_apart_from_the_machine() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let hog = "x=0123456789abcdef; while :; do x=$x$x; done";
        let ended = world.run(Spec::shell(busybox, hog).memory(64)).await;
        assert_eq!(ended.exit.reason, ExitReason::OutOfMemory, "{ended:?}");
        // The machine and its other containers go on.
        let next = Spec::shell(busybox, "echo fine").named("next");
        assert_eq!(world.run(next).await.stdout, "fine\n");
        world.destroy().await;
    });
}

#[test]
fn a_machine_beyond_its_memory_ends_in_time_and_says_why() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        // File systems in memory that together are larger than the machine, and no container's limit to stop them.
        let script = "for f in /a/x /b/x /c/x /d/x /x; do cat /dev/zero > $f; done; \
                      x=0123456789abcdef; while :; do x=$x$x; done";
        let mut spec = Spec::shell(busybox, script);
        for target in ["/a", "/b", "/c", "/d"] {
            spec.mounts.push(Mount {
                source: MountSource::Memory {
                    size_limit: Some(Bytes::gib(4)),
                },
                target: target.into(),
                read_only: false,
            });
        }
        let outputs = world.start(spec).await;
        match world.wait("main").await {
            // The kernel found the culprit.
            Ok(exit) => assert_eq!(exit.reason, ExitReason::OutOfMemory, "{exit:?}"),
            Err(problem) => {
                let said = words(&problem);
                assert!(said.contains("memory"), "{said}");
            }
        }
        outputs.read().await;
        world.destroy().await;
    });
}
