//! Machines that start from snapshots: no two are alike in what must differ, none has what another was given, and what
//! does not fit is not used.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use support::{
    Busybox,
    world::{Ended, Setting, Spec, World, block_on, monitors, run_alone},
};
use uc_microvm::{MicrovmDriver, Program, Settings};

/// Settings with a cache of the test's own, or the reason why there are none is printed.
fn settings(cache: &Path) -> Option<(Settings, &'static Busybox)> {
    let made = support::settings_in(cache);
    match made.and_then(|made| Ok((made, Busybox::shared()?))) {
        Ok(both) => Some(both),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// The snapshots in a cache, with the moment at which each was made.
fn snapshots(cache: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(cache.join("snapshots"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// When the memory of the only snapshot was written.
fn written(cache: &Path) -> (u64, SystemTime) {
    let all = snapshots(cache);
    assert_eq!(all.len(), 1, "{all:?}");
    let memory = all.first().expect("one").join("memory");
    let metadata = fs::metadata(memory).expect("there");
    (metadata.ino(), metadata.modified().expect("known"))
}

/// Runs a container several times at once, each in a machine of its own.
async fn at_once(driver: &MicrovmDriver, count: usize, spec: &Spec) -> Vec<Ended> {
    let runs = (0..count).map(|_| {
        let (driver, spec) = (driver.clone(), spec.clone());
        async move { run_alone(&driver, spec).await }
    });
    let mut tasks = tokio::task::JoinSet::new();
    runs.for_each(|run| {
        tasks.spawn(run);
    });
    tasks.join_all().await
}

#[test]
fn clones_share_no_random_numbers_no_name_and_have_the_right_time() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some((settings, busybox)) = settings(cache.path()) else {
        return;
    };
    let driver = MicrovmDriver::new(settings);
    block_on(async {
        // Through read(2) and through getrandom(2), which a shell's temporary names come of.
        let script = "head -c 16 /dev/urandom | od -An -tx1; head -c 16 /dev/random | od -An -tx1; \
                      cat /proc/sys/kernel/random/uuid; date +%s";
        let spec = Spec::shell(busybox, script);
        run_alone(&driver, spec.clone()).await;
        let made = written(cache.path());
        let mut seen = BTreeSet::new();
        for round in 0..3 {
            for ended in at_once(&driver, 4, &spec).await {
                let lines: Vec<&str> = ended.stdout.lines().collect();
                let [a, b, c, clock] = lines[..] else {
                    panic!("{ended:?}");
                };
                for random in [a, b, c] {
                    assert!(random.len() >= 36, "{ended:?}");
                    assert!(seen.insert(random.to_owned()), "{random} twice");
                }
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let now = now.expect("after 1970").as_secs();
                let clock: u64 = clock.parse().expect("seconds");
                assert!(
                    clock.abs_diff(now) <= 10,
                    "{clock} for {now} in round {round}"
                );
            }
        }
        assert_eq!(written(cache.path()), made, "all came of one snapshot");
        for name in ["first", "second"] {
            let setting = Setting {
                hostname: name.into(),
                ..Setting::default()
            };
            let world = World::with(&driver, setting).await;
            let ended = world.run(Spec::shell(busybox, "hostname")).await;
            assert_eq!(ended.stdout.trim(), name);
            world.destroy().await;
        }
    });
}

/// Whether any file of a directory and below has these bytes.
fn holds(directory: &Path, marker: &[u8]) -> bool {
    fs::read_dir(directory)
        .expect("there")
        .flatten()
        .any(|entry| {
            let path = entry.path();
            match path.is_dir() {
                true => holds(&path, marker),
                false => {
                    let bytes = fs::read(&path).expect("read");
                    memchr::memmem::find(&bytes, marker).is_some()
                }
            }
        })
}

/// A word that is in no memory before it is made, and the same word for a search.
fn marker(purpose: &str) -> String {
    format!("m4rker-{}-{purpose}", std::process::id() ^ 0x5a5a)
}

#[test]
fn no_snapshot_has_what_a_caller_gave() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some((settings, busybox)) = settings(cache.path()) else {
        return;
    };
    let driver = MicrovmDriver::new(settings);
    block_on(async {
        let snapshots = cache.path().join("snapshots");
        // The volume's path is the host's; its content is what a guest gets.
        let volume = tempfile::tempdir().expect("a directory");
        fs::write(volume.path().join("file"), marker("volume")).expect("written");
        let mut native = Spec::shell(busybox, "cat /volume/file; echo $SECRET; cat")
            .mount(volume.path(), "/volume")
            .memory(200);
        native.argv.push(marker("argument"));
        native.env.push(("SECRET".into(), marker("variable")));
        native.stdin = Some(marker("input").into_bytes());
        let ended = run_alone(&driver, native).await;
        for purpose in ["volume", "variable", "input"] {
            assert!(ended.stdout.contains(&marker(purpose)), "{ended:?}");
        }
        assert!(fs::read_dir(&snapshots).expect("there").count() >= 1);
        for purpose in ["argument", "variable", "input", "volume"] {
            assert!(!holds(&snapshots, marker(purpose).as_bytes()), "{purpose}");
        }
        // What every machine has is found: the search works.
        assert!(holds(&snapshots, b"uc-guest: "));
    });
}

/// Spoils a snapshot's file.
type Spoil = fn(&Path);

#[test]
fn snapshots_that_are_broken_are_made_anew() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some((settings, busybox)) = settings(cache.path()) else {
        return;
    };
    let driver = MicrovmDriver::new(settings);
    let truncate: Spoil = |path| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("opened");
        let length = file.metadata().expect("known").len();
        file.set_len(length / 2).expect("cut");
    };
    let garble: Spoil = |path| {
        let length = fs::metadata(path).expect("known").len();
        fs::write(path, vec![0x5a; length.min(1 << 20) as usize]).expect("written");
    };
    // As long as it should be.
    let replace: Spoil = |path| {
        let length = fs::metadata(path).expect("known").len();
        fs::write(path, vec![0x5a; length as usize]).expect("written");
    };
    // As the host's crash leaves it: what was written last had not reached the disk.
    let forget: Spoil = |path| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("opened");
        let before = file.metadata().expect("known");
        file.set_len(before.len() / 2).expect("cut");
        file.set_len(before.len()).expect("set");
        file.set_modified(before.modified().expect("known"))
            .expect("set");
        let verified = path.with_file_name("verified");
        fs::write(verified, "another run of the host").expect("written");
    };
    let remove: Spoil = |path| fs::remove_file(path).expect("removed");
    let another: Spoil = |path| fs::write(path, "{\"version\":99}").expect("written");
    block_on(async {
        let spec = Spec::shell(busybox, "echo fine");
        assert_eq!(run_alone(&driver, spec.clone()).await.stdout, "fine\n");
        for (file, spoil) in [
            ("memory", truncate),
            ("state", truncate),
            ("state", replace),
            ("memory", replace),
            ("memory", forget),
            ("state", forget),
            ("memory", remove),
            ("note.json", another),
            ("note.json", garble),
            ("note.json", remove),
        ] {
            let before = written(cache.path());
            spoil(&snapshots(cache.path()).first().expect("one").join(file));
            let ended = run_alone(&driver, spec.clone()).await;
            assert_eq!(ended.stdout, "fine\n", "with another {file}: {ended:?}");
            assert_ne!(written(cache.path()), before, "with another {file}");
            let again = written(cache.path());
            assert_eq!(run_alone(&driver, spec.clone()).await.stdout, "fine\n");
            assert_eq!(written(cache.path()), again, "the new one is used");
        }
    });
}

/// A monitor that is QEMU until it is to restore a machine: what it does then says a file that lies beside it.
struct Fickle {
    driver: MicrovmDriver,
    busybox: &'static Busybox,
    mode: PathBuf,
    /// With the cache.
    directory: tempfile::TempDir,
}

impl Fickle {
    /// What it becomes: nothing; a program that says nothing; QEMU without a line to the guest's agent.
    const ENDS: &str = "ends";
    const STANDS: &str = "stands";
    const KEEPS_AGENT: &str = "keeps the agent";

    const SCRIPT: &str = r#"#!/usr/bin/sh
case " $* " in *" -incoming "*)
    read -r mode < "${0%/*}/mode"
    case $mode in
        ends) exit 1 ;;
        stands) exec sleep 1000 ;;
        "keeps the agent")
            for argument; do
                shift
                case $argument in socket,id=agent,*) argument=null,id=agent ;; esac
                set -- "$@" "$argument"
            done ;;
    esac ;;
esac
exec qemu-system-x86_64 "$@"
"#;

    fn new() -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let (settings, busybox) = settings(&directory.path().join("cache"))?;
        let own = directory.path().join("monitor");
        fs::create_dir(&own).expect("made");
        let program = own.join("qemu");
        fs::write(&program, Self::SCRIPT).expect("written");
        for path in [&own, &program] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("set");
        }
        let fickle = Self {
            driver: MicrovmDriver::new(Settings {
                qemu: Some(program),
                ..settings
            }),
            busybox,
            mode: own.join("mode"),
            directory,
        };
        fickle.becomes("QEMU");
        Some(fickle)
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn becomes(&self, mode: &str) {
        fs::write(&self.mode, format!("{mode}\n")).expect("written");
    }
}

/// How a run of a machine came to be, as its owner is told.
async fn origin(driver: &MicrovmDriver, spec: &Spec) -> String {
    let world = World::new(driver).await;
    let (stdio, outputs) = support::world::stdio(None);
    let created = world.create_with(spec.clone(), stdio).await;
    let parts = created.expect("created").parts;
    world.begin("main").await;
    world.wait("main").await.expect("an end");
    assert_eq!(outputs.read().await.0, "fine\n");
    world.destroy().await;
    parts.first().expect("the machine").how.clone()
}

/// A restore that fails in this way is followed by a cold start, and the next is a restore. Whether the snapshot stays.
fn given_up(mode: &str, memory: u64, stays: bool) {
    let Some(fickle) = Fickle::new() else {
        return;
    };
    let cache = fickle.cache();
    block_on(async {
        let spec = Spec::shell(fickle.busybox, "echo fine").memory(memory);
        let starts = async |how: &str| {
            let origin = origin(&fickle.driver, &spec).await;
            assert!(origin.starts_with(how), "{origin} is not {how}");
        };
        starts("booted").await;
        let before = written(&cache);
        fickle.becomes(mode);
        starts("booted").await;
        assert_eq!(written(&cache) == before, stays, "{mode}");
        assert_eq!(monitors(memory + 96), Vec::<u32>::new());
        let before = written(&cache);
        fickle.becomes("QEMU");
        starts("restored").await;
        assert_eq!(written(&cache), before, "{mode}");
    });
}

#[test]
fn a_restored_machine_whose_agent_is_silent_is_given_up_for_one_that_is_booted() {
    given_up(Fickle::KEEPS_AGENT, 326, false);
}

#[test]
fn a_monitor_that_does_not_answer_is_given_up_with_the_snapshot() {
    given_up(Fickle::STANDS, 327, false);
}

#[test]
fn a_snapshot_outlives_a_monitor_that_does_not_start() {
    given_up(Fickle::ENDS, 328, true);
}

#[test]
fn a_machine_of_another_agent_or_size_or_image_has_a_snapshot_of_its_own() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some((made, busybox)) = settings(cache.path()) else {
        return;
    };
    let agent = cache.path().join("agent");
    let programs = made.programs.as_ref().expect("there").clone();
    let driver = MicrovmDriver::new(made);
    block_on(async {
        let run = async |driver: &MicrovmDriver, spec: Spec| {
            assert_eq!(run_alone(driver, spec).await.stdout, "fine\n");
            snapshots(cache.path()).len()
        };
        let spec = || Spec::shell(busybox, "echo fine");
        assert_eq!(run(&driver, spec()).await, 1);
        assert_eq!(run(&driver, spec().memory(150)).await, 2);
        let other = Busybox::another();
        assert_eq!(run(&driver, Spec::shell(&other, "echo fine")).await, 3);
        let mut more = spec();
        more.limits.cpu = Some(uc_model::MilliCpu(2000));
        let machines = match std::thread::available_parallelism().map_or(1, usize::from) {
            1 => 3,
            _ => 4,
        };
        assert_eq!(run(&driver, more).await, machines);
        let Program::File(path) = &programs.agent else {
            return;
        };
        fs::copy(path, &agent).expect("copied");
        let mut others = programs.clone();
        others.agent = Program::File(agent.clone());
        let (settings, _) = settings(cache.path()).expect("as before");
        let updated = MicrovmDriver::new(Settings {
            programs: Ok(others),
            ..settings
        });
        assert_eq!(run(&updated, spec()).await, machines + 1);
        // All of them are still found.
        assert_eq!(run(&driver, spec()).await, machines + 1);
    });
}

#[test]
fn fifty_restores_at_once_all_answer_and_leave_nothing() {
    let cache = tempfile::tempdir().expect("a directory");
    let Some((settings, busybox)) = settings(cache.path()) else {
        return;
    };
    let driver = MicrovmDriver::new(settings);
    block_on(async {
        let spec = Spec::shell(busybox, "echo $((6 * 7))").memory(107);
        run_alone(&driver, spec.clone()).await;
        let made = written(cache.path());
        let ended = at_once(&driver, 50, &spec).await;
        assert!(
            ended.iter().all(|ended| ended.stdout == "42\n"),
            "{ended:?}"
        );
        assert_eq!(written(cache.path()), made, "all came of one snapshot");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(monitors(107 + 96), Vec::<u32>::new());
        let left = fs::read_dir(cache.path().join("snapshots")).expect("there");
        assert_eq!(left.count(), 1);
    });
}
