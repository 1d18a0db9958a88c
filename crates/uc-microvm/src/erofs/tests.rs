//! Images as others see them: the kernel, the checker of erofs-utils, and a reader that shares no code with the writer.

mod random;

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use uc_linux::worker;

use super::*;

fn same(id: Id) -> u32 {
    match id {
        Id::User(id) | Id::Group(id) => id,
    }
}

fn image_of(tree: &Tree) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("image");
    let out = fs::File::create_new(&path).expect("made");
    write(tree, 1 << 30, &out).expect("written");
    (place, path)
}

/// Runs a program; none where it is not installed.
fn run(program: &str, args: &[&std::ffi::OsStr]) -> Option<std::process::Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no {program}");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

fn check_with_fsck(image: &Path) {
    let Some(output) = run("fsck.erofs", &[image.as_os_str()]) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("<E>"), "{said}");
}

/// An image that the kernel has mounted, for as long as this lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(image: &Path) -> Option<Self> {
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !rustix::process::geteuid().is_root() || !known.contains("erofs") {
            println!("skipped: only root mounts, and where the kernel knows erofs");
            return None;
        }
        let point = tempfile::tempdir().expect("a directory");
        let options = ["-t", "erofs", "-o", "loop,ro"].map(std::ffi::OsStr::new);
        let mut args = options.to_vec();
        args.extend([image.as_os_str(), point.path().as_os_str()]);
        let output = run("mount", &args)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("loop device"), "{said}");
            println!("skipped: no loop devices");
            return None;
        }
        Some(Self(point))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// What can be seen of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    path: String,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    size: u64,
    links: u64,
    /// The first name of the same inode.
    first: String,
    data: u64,
}

/// All that can be seen of a directory tree.
fn listing(root: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    let mut firsts = std::collections::BTreeMap::new();
    while let Some(path) = pending.pop() {
        // overlayfs lists whiteouts of directories that are in one layer alone, but lets nobody look at them.
        let Ok(stat) = fs::symlink_metadata(&path) else {
            continue;
        };
        let name = path
            .strip_prefix(root)
            .expect("below")
            .display()
            .to_string();
        let first: &String = firsts.entry(stat.ino()).or_insert_with(|| name.clone());
        let is_directory = stat.is_dir();
        let data = match stat.file_type() {
            kind if kind.is_dir() => {
                let entries = fs::read_dir(&path).expect("lists");
                let mut names: Vec<PathBuf> =
                    entries.map(|entry| entry.expect("reads").path()).collect();
                names.sort();
                pending.extend(names.into_iter().rev());
                Vec::new()
            }
            kind if kind.is_file() => fs::read(&path).expect("reads"),
            kind if kind.is_symlink() => {
                let target = fs::read_link(&path).expect("reads");
                target.as_os_str().as_bytes().to_vec()
            }
            _ => stat.rdev().to_string().into_bytes(),
        };
        lines.push(Line {
            path: name,
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            size: if is_directory { 0 } else { stat.size() },
            links: if is_directory { 0 } else { stat.nlink() },
            first: first.clone(),
            data: fnv(&data),
        });
    }
    lines
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Measures by hand: `UC_EROFS_TREE=/usr/lib cargo test --release -p uc-microvm large_tree -- --ignored --nocapture`.
#[test]
#[ignore = "measures a tree of the host's that a person names"]
fn large_tree() {
    let from = std::env::var_os("UC_EROFS_TREE").expect("a directory is named");
    let start = std::time::Instant::now();
    let mut tree = Tree::new();
    tree.stack_layer(Path::new(&from), &same).expect("read");
    let scanned = start.elapsed();
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("image");
    let out = fs::File::create_new(&path).expect("made");
    let summary = write(&tree, 16 << 30, &out).expect("written");
    println!("{summary:?} scan {scanned:?} all {:?}", start.elapsed());
    check_with_fsck(&path);
    if let Some(mounted) = Mounted::new(&path) {
        let (expected, found) = (listing(Path::new(&from)), listing(mounted.path()));
        assert_eq!(expected.len(), found.len());
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found);
        }
    }
}

#[test]
fn what_is_added_later_replaces_what_was_there() {
    let owner = Owner {
        uid: 1 << 30,
        gid: 7,
    };
    let mut tree = Tree::new();
    tree.file("/a/b", 0o600, owner, b"old".as_slice())
        .expect("added");
    tree.file("a/b", 0o640, owner, b"new".as_slice())
        .expect("added");
    tree.directory("a", 0o1777, owner).expect("changed");
    tree.symlink("/l", "a/b", owner).expect("added");
    assert!(tree.file("a/b/c", 0, owner, []).is_err(), "through a file");
    assert!(tree.directory("a/../b", 0, owner).is_err(), "back");
    assert!(
        tree.file("a", 0, owner, []).is_ok(),
        "in place of a directory"
    );
    tree.file("a2", 0o7755, owner, b"x".as_slice())
        .expect("added");
    let (_place, path) = image_of(&tree);
    let seen = reader::read(&fs::read(&path).expect("reads"));
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "/a", "/a2", "/l"]);
    assert_eq!(seen["/a2"].mode, 0o107755);
    assert_eq!((seen["/a2"].uid, seen["/a2"].gid), (1 << 30, 7));
    assert_eq!(fs::metadata(&path).expect("there").len(), 4096, "one block");
}

#[test]
fn host_files_are_copied_without_following_links() {
    let place = tempfile::tempdir().expect("a directory");
    let from = place.path().join("from");
    fs::create_dir_all(from.join("sub")).expect("made");
    fs::write(from.join("sub/file"), b"data").expect("written");
    fs::hard_link(from.join("sub/file"), from.join("again")).expect("linked");
    std::os::unix::fs::symlink("/etc/passwd", from.join("out")).expect("linked");
    std::os::unix::fs::symlink("from", place.path().join("link")).expect("linked");
    let mut tree = Tree::new();
    tree.copy("/data", &place.path().join("link"), &|_| 5)
        .expect("copied");
    tree.copy("/one", &from.join("sub/file"), &|_| 6)
        .expect("copied");
    let absent = tree
        .copy("/x", &from.join("none"), &|_| 0)
        .expect_err("absent");
    assert_eq!(absent.kind(), uc_model::ProblemKind::NotFound);
    let device = tree
        .copy("/x", Path::new("/dev/null"), &|_| 0)
        .expect_err("a device");
    assert_eq!(device.kind(), uc_model::ProblemKind::Refused);
    let (_place, path) = image_of(&tree);
    let seen = reader::read(&fs::read(&path).expect("reads"));
    let names: Vec<&str> = seen.keys().map(String::as_str).collect();
    let expected = [
        "",
        "/data",
        "/data/again",
        "/data/out",
        "/data/sub",
        "/data/sub/file",
        "/one",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen["/data/out"].data, b"/etc/passwd");
    assert_eq!(seen["/data/sub/file"].data, b"data");
    assert_eq!(seen["/data/sub/file"].links, 2);
    assert_eq!(seen["/data/sub/file"].first, "/data/again");
    assert_eq!((seen["/one"].uid, seen["/data"].gid), (6, 5));
}

#[test]
fn what_changed_or_is_too_large_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    fs::write(&file, vec![1; 10_000]).expect("written");
    let mut tree = Tree::new();
    tree.copy("/file", &file, &same).expect("copied");
    let out = tempfile::tempfile().expect("a file");
    let problem = write(&tree, 8192, &out).expect_err("too large");
    assert_eq!(problem.kind(), uc_model::ProblemKind::Refused);
    assert_eq!(
        out.metadata().expect("there").len(),
        0,
        "nothing is written"
    );
    fs::write(&file, vec![1; 9_999]).expect("written");
    let problem = write(&tree, 1 << 20, &out).expect_err("shorter");
    assert!(problem.to_string().contains("changed"), "{problem}");
    fs::remove_file(&file).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", &file).expect("linked");
    assert!(write(&tree, 1 << 20, &out).is_err(), "a link in its place");
}

#[test]
fn holes_stay_holes() {
    use std::os::unix::fs::FileExt as _;
    let place = tempfile::tempdir().expect("a directory");
    let file = fs::File::create_new(place.path().join("sparse")).expect("made");
    file.set_len(5 << 30).expect("long");
    file.write_all_at(b"first", 0).expect("written");
    file.write_all_at(b"middle", 3 << 30).expect("written");
    file.write_all_at(b"last", (5 << 30) - 4).expect("written");
    let mut tree = Tree::new();
    tree.stack_layer(place.path(), &same).expect("read");
    let image = place.path().join("image");
    let out = fs::File::create_new(&image).expect("made");
    let summary = write(&tree, 6 << 30, &out).expect("written");
    assert!(summary.bytes > 5 << 30);
    if out.metadata().expect("there").blocks() > 2048 {
        println!("skipped: this file system fills holes");
        return;
    }
    if let Some(mounted) = Mounted::new(&image) {
        let file = fs::File::open(mounted.path().join("sparse")).expect("opens");
        let mut bytes = [0; 6];
        file.read_exact_at(&mut bytes, 3 << 30).expect("reads");
        assert_eq!(&bytes, b"middle");
        file.read_exact_at(&mut bytes[..4], (5 << 30) - 4)
            .expect("reads");
        assert_eq!(&bytes[..4], b"last");
    }
}

/// Only this process's own id, as for users without subordinate ones.
fn own_id_only() -> uc_linux::IdMapping {
    let extent = |outside| uc_linux::Extent {
        inside: 0,
        outside,
        count: 1,
    };
    uc_linux::IdMapping {
        uids: vec![extent(rustix::process::geteuid().as_raw())],
        gids: vec![extent(rustix::process::getegid().as_raw())],
        writer: uc_linux::MapWriter::OwnIdOnly,
    }
}

#[test]
fn a_worker_in_a_user_namespace_writes_images_and_says_what_fails() {
    let place = tempfile::tempdir().expect("a directory");
    let layer = place.path().join("layer");
    fs::create_dir(&layer).expect("made");
    fs::write(layer.join("secret"), b"data").expect("written");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    fs::set_permissions(layer.join("secret"), closed).expect("closed");
    let image = place.path().join("image");
    let out = fs::File::create_new(&image).expect("made");
    let mapping = own_id_only();
    let layers = [layer];
    let write = |limit| {
        worker::run_as_reader(&mapping, place.path(), || {
            write_layers(&layers, &same, limit, &out)
        })
    };
    let summary = match write(1 << 20) {
        Err(problem) if problem.what().contains("user namespace") => {
            println!("skipped: {problem}");
            return;
        }
        other => other.expect("written"),
    };
    assert_eq!((summary.bytes, summary.inodes), (4096, 2));
    let seen = reader::read(&fs::read(&image).expect("reads"));
    assert_eq!((seen["/secret"].uid, seen["/secret"].mode), (0, 0o100000));
    assert_eq!(seen["/secret"].data, b"data");
    let problem = write(100).expect_err("too large");
    assert_eq!(problem.kind(), uc_model::ProblemKind::Refused);
}

#[test]
fn a_worker_reads_what_belongs_to_ids_of_containers() {
    use std::os::unix::fs::lchown;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root gives files away");
        return;
    }
    let mapping = uc_linux::IdMapping::for_caller().expect("ids");
    let place = tempfile::tempdir().expect("a directory");
    let layer = place.path().join("layer");
    fs::create_dir_all(layer.join("home")).expect("made");
    fs::write(layer.join("home/secret"), b"data").expect("written");
    for (path, id, mode) in [
        ("", 0, 0o755),
        ("home", 33, 0o700),
        ("home/secret", 33, 0o600),
    ] {
        let closed = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(layer.join(path), closed).expect("closed");
        lchown(layer.join(path), mapping.host_uid(id), mapping.host_gid(id)).expect("given");
    }
    let out = fs::File::create_new(place.path().join("image")).expect("made");
    let written = worker::run(&mapping, &layer, || {
        write_layers(&[".".into()], &|id| 500 + same(id), 1 << 20, &out)
    });
    match written {
        Err(problem) if problem.what().contains("user namespace") => {
            println!("skipped: {problem}");
            return;
        }
        other => other.expect("written"),
    };
    let seen = reader::read(&fs::read(place.path().join("image")).expect("reads"));
    assert_eq!((seen[""].uid, seen["/home/secret"].uid), (500, 533));
    assert_eq!(seen["/home/secret"].data, b"data");
}

#[test]
fn attributes_of_files_are_kept_but_for_those_of_overlayfs() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    fs::write(&file, b"").expect("written");
    let set = |name: &str, value: &[u8]| {
        rustix::fs::setxattr(&file, name, value, rustix::fs::XattrFlags::empty())
    };
    if set("user.b", b"two").is_err() {
        println!("skipped: this file system has no attributes");
        return;
    }
    set("user.a", b"").expect("set");
    set("user.overlay.origin", b"x").expect("set");
    let mut expected = vec![
        ("user.a".to_owned(), vec![]),
        ("user.b".to_owned(), b"two".to_vec()),
    ];
    // CAP_NET_BIND_SERVICE, permitted and effective.
    let mut capability = [0; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 4, 0, 0]);
    if set("security.capability", &capability).is_ok() {
        expected.insert(0, ("security.capability".to_owned(), capability.to_vec()));
    }
    let mut tree = Tree::new();
    tree.stack_layer(place.path(), &same).expect("read");
    let (_place, image) = image_of(&tree);
    let seen = reader::read(&fs::read(&image).expect("reads"));
    assert_eq!(seen["/file"].xattrs, expected);
    check_with_fsck(&image);
    if let Some(mounted) = Mounted::new(&image) {
        let mut value = [0; 64];
        let file = mounted.path().join("file");
        for (name, expected) in &expected {
            let length =
                rustix::fs::lgetxattr(&file, name.as_str(), &mut value[..]).expect("there");
            assert_eq!(&value[..length], expected, "{name}");
        }
    }
}
