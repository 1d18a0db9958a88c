//! Fixture directories stand for hosts of each kind; version 1 of this host is tested in `tests/real_cgroup.rs`.

use super::*;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = root.join(name);
        fs::create_dir_all(file.parent().expect("has a parent")).expect("made");
        fs::write(file, text).expect("written");
    }
}

const V2_MOUNTS: &str = "24 1 0:21 / / rw - ext4 /dev/sda rw\n30 24 0:26 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
const HYBRID_MOUNTS: &str = "30 25 0:26 / /cg/pids rw - cgroup cgroup rw,pids\n31 25 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n\
                             32 25 0:28 / /cg/unified rw - cgroup2 cgroup2 rw\n";

fn v2(files: &[(&str, &str)]) -> (tempfile::TempDir, MemoryHierarchy) {
    let host = tempfile::tempdir().expect("a directory");
    write(
        host.path(),
        &[("cg/cgroup.controllers", "cpu memory pids\n")],
    );
    write(host.path(), files);
    let hierarchy = MemoryHierarchy::from_mountinfo(V2_MOUNTS, host.path()).expect("mounted");
    assert_eq!(hierarchy.version(), Version::V2);
    (host, hierarchy)
}

#[test]
fn version_2_takes_anonymous_memory_and_the_smallest_limit_above() {
    let (_host, hierarchy) = v2(&[
        ("cg/a/memory.max", "1000000\n"),
        ("cg/a/b/memory.max", "500000\n"),
        ("cg/a/b/c/memory.max", "max\n"),
        (
            "cg/a/b/c/memory.stat",
            "anon 4096\nfile 999999\nanon_thp 1\n",
        ),
        (
            "cg/a/b/c/memory.events",
            "low 0\noom 4\noom_kill 3\noom_group_kill 1\n",
        ),
        (
            "cg/a/b/c/memory.pressure",
            "some avg10=50.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ),
        ("cg/a/b/c/cgroup.procs", "12\n13\n"),
    ]);
    let group = hierarchy.open("/a/b/c").expect("there");
    let sample = group.read(5.0).expect("readable").expect("alive");
    assert_eq!((sample.t_s, sample.rss_bytes), (5.0, 4096));
    assert_eq!(sample.limit_bytes, Some(500_000));
    assert_eq!((sample.oom_kills, sample.pressure), (Some(3), Some(0.5)));
    assert_eq!(group.processes().expect("listed"), [12, 13]);
}

#[test]
fn version_2_without_any_limit_events_or_pressure_has_none() {
    let (_host, hierarchy) = v2(&[
        ("cg/a/memory.max", "max\n"),
        ("cg/a/memory.stat", "anon 7\n"),
    ]);
    let group = hierarchy.open("/a").expect("there");
    let sample = group.read(0.0).expect("readable").expect("alive");
    assert_eq!((sample.rss_bytes, sample.limit_bytes), (7, None));
    assert_eq!((sample.oom_kills, sample.pressure), (None, None));
}

#[test]
fn hybrid_reads_memory_from_version_1_and_pressure_from_version_2() {
    let host = tempfile::tempdir().expect("a directory");
    let stat = "rss 1\nrss_huge 1\nhierarchical_memory_limit 52428800\ntotal_rss 8192\ntotal_rss_huge 4096\n";
    write(
        host.path(),
        &[
            ("cg/memory/w/memory.stat", stat),
            (
                "cg/memory/w/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
            (
                "cg/memory/free/memory.stat",
                "hierarchical_memory_limit 9223372036854771712\ntotal_rss 3\n",
            ),
            (
                "cg/unified/w/memory.pressure",
                "some avg10=25.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
            ("cg/unified/cgroup.controllers", ""),
        ],
    );
    let hierarchy = MemoryHierarchy::from_mountinfo(HYBRID_MOUNTS, host.path()).expect("mounted");
    assert_eq!(hierarchy.version(), Version::V1);
    let group = hierarchy.open("/w").expect("there");
    let sample = group.read(0.0).expect("readable").expect("alive");
    assert_eq!(
        (sample.rss_bytes, sample.limit_bytes),
        (8192, Some(52_428_800))
    );
    assert_eq!((sample.oom_kills, sample.pressure), (Some(2), Some(0.25)));
    let free = hierarchy.open("/free").expect("there");
    let sample = free.read(0.0).expect("readable").expect("alive");
    assert_eq!((sample.limit_bytes, sample.pressure), (None, None));
}

#[test]
fn a_host_without_the_memory_controller_has_no_hierarchy() {
    let host = tempfile::tempdir().expect("a directory");
    for mounts in ["", V2_MOUNTS, "x", "30 25 0:26 / /cg rw - cgroup2"] {
        assert_eq!(MemoryHierarchy::from_mountinfo(mounts, host.path()), None);
    }
}

#[test]
fn a_vanished_group_is_told_from_an_unreadable_one() {
    let (host, hierarchy) = v2(&[("cg/a/memory.stat", "anon 7\n"), ("cg/b/x", "")]);
    let unaccounted = hierarchy.open("/b").expect("there");
    let problem = unaccounted.read(0.0).expect_err("has no memory.stat");
    assert!(problem.to_string().contains("not accounted for"));
    let group = hierarchy.open("/a").expect("there");
    fs::write(host.path().join("cg/a/memory.stat"), "file 1\n").expect("written");
    assert!(group.read(0.0).is_err());
    fs::remove_dir_all(host.path().join("cg/a")).expect("removed");
    assert!(group.read(0.0).expect("no problem").is_none());
    assert!(group.processes().expect("no problem").is_empty());
    let problem = hierarchy.open("/a").expect_err("gone");
    assert_eq!(problem.kind(), uc_model::ProblemKind::NotFound);
}

#[test]
fn paths_that_leave_the_hierarchy_are_refused() {
    let (_host, hierarchy) = v2(&[("cg/a/memory.stat", "anon 7\n")]);
    for path in ["", "a", "/../a", "/a/../..", "/a\0"] {
        let problem = hierarchy.open(path).expect_err("is no path");
        assert_eq!(problem.kind(), uc_model::ProblemKind::Invalid, "{path:?}");
    }
    assert!(hierarchy.open("/").is_ok());
}

#[test]
fn leaves_with_processes_are_listed_and_bounds_are_told() {
    let (_host, hierarchy) = v2(&[
        ("cg/cgroup.procs", "1\n"),
        ("cg/b/cgroup.procs", ""),
        ("cg/b/x/cgroup.procs", "5\n"),
        // An inner group of version 1 with processes of its own, and a group in it that is empty.
        ("cg/a/cgroup.procs", "6\n"),
        ("cg/a/empty/cgroup.procs", ""),
        ("cg/c/cgroup.procs", "7\n"),
    ]);
    let all = hierarchy.groups("/", 10).expect("listed");
    assert_eq!(all.paths, ["/a", "/b/x", "/c"]);
    assert!(!all.is_truncated);
    assert!(!hierarchy.groups("/", 3).expect("listed").is_truncated);
    let some = hierarchy.groups("/", 2).expect("listed");
    assert_eq!(some.paths, ["/a", "/b/x"]);
    assert!(some.is_truncated);
    let below = hierarchy.groups("/b", 10).expect("listed");
    assert_eq!(below.paths, ["/b/x"]);
    assert!(hierarchy.groups("/absent", 10).is_err());
}

#[test]
fn a_tree_that_is_too_deep_is_cut() {
    let deep = format!("cg{}/cgroup.procs", "/d".repeat(40));
    let (_host, hierarchy) = v2(&[(&deep, "5\n")]);
    let found = hierarchy.groups("/", 10).expect("listed");
    assert!(found.is_truncated && found.paths.is_empty());
}

#[test]
fn the_group_of_a_process_is_found_in_its_own_hierarchy() {
    let (_host, hierarchy) = v2(&[]);
    let text = "4:memory:/one\n1:name=systemd:/two\n0::/odd:name\n";
    assert_eq!(hierarchy.path_of_process(text), Some("/odd:name"));
    let host = tempfile::tempdir().expect("a directory");
    let hybrid = MemoryHierarchy::from_mountinfo(HYBRID_MOUNTS, host.path()).expect("mounted");
    assert_eq!(hybrid.path_of_process(text), Some("/one"));
    assert_eq!(hybrid.path_of_process("garbage"), None);
}

#[test]
fn a_group_that_cannot_be_looked_into_is_told_and_hides_no_other() {
    let (host, hierarchy) = v2(&[
        ("cg/a/one/cgroup.procs", "1\n"),
        ("cg/a/two/cgroup.procs", "2\n"),
    ]);
    let processes = host.path().join("cg/a/one/cgroup.procs");
    fs::remove_file(&processes).expect("removed");
    // Reading a directory fails whoever asks.
    fs::create_dir(&processes).expect("made");
    let found = hierarchy.groups("/a", 10).expect("listed");
    assert_eq!(found.paths, ["/a/two"]);
    let unread: Vec<&str> = found.unread.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(unread, ["/a/one"]);
}
