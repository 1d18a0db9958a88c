//! Images as others see them: the kernel, the checker of erofs-utils, and a reader that shares no code with the writer.

use std::{
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

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

/// All that can be seen of a directory tree, one line for each name.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    let mut links = std::collections::BTreeMap::new();
    while let Some(path) = pending.pop() {
        let stat = fs::symlink_metadata(&path).expect("there");
        let name = path
            .strip_prefix(root)
            .expect("below")
            .display()
            .to_string();
        let first = links
            .entry(stat.ino())
            .or_insert_with(|| name.clone())
            .clone();
        let data = match stat.file_type() {
            kind if kind.is_dir() => {
                let mut names: Vec<PathBuf> = fs::read_dir(&path)
                    .expect("lists")
                    .map(|entry| entry.expect("reads").path())
                    .collect();
                names.sort();
                pending.extend(names.into_iter().rev());
                Vec::new()
            }
            kind if kind.is_file() => fs::read(&path).expect("reads"),
            kind if kind.is_symlink() => fs::read_link(&path)
                .expect("reads")
                .as_os_str()
                .as_bytes()
                .to_vec(),
            _ => stat.rdev().to_string().into_bytes(),
        };
        let size = if stat.is_dir() { 0 } else { stat.size() };
        lines.push(format!(
            "{name} {:o} {}:{} {}.{} {size} {} {first} {:x}",
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.mtime(),
            stat.mtime_nsec(),
            if stat.is_dir() { 0 } else { stat.nlink() },
            fnv(&data),
        ));
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
