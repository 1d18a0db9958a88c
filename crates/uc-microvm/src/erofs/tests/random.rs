//! Random trees in, the same trees out; random layers as overlayfs stacks them.

use std::{collections::BTreeMap, ffi::OsStr, fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::erofs::{
    format::device_number,
    reader::{self, Seen},
    tree::{Content, Kind, Node, Owner},
};

/// Few names, so that paths meet; one so long that directories need several blocks.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-c]",
        2 => "[-.A-Za-z0-9]{1,12}".prop_filter("a name", |name| name != "." && name != ".."),
        1 => "[x-z]{200,255}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..5).prop_map(|names| format!("/{}", names.join("/")))
}

/// Sizes about where layouts change.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        Just(0usize),
        1..200usize,
        3900..4200usize,
        8100..8300usize,
        0..20_000usize
    ];
    (size, any::<u8>()).prop_map(|(size, seed)| {
        let next = |index: usize| (index as u8).wrapping_mul(31).wrapping_add(seed);
        (0..size).map(next).collect()
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        8 => bytes().prop_map(|bytes| Kind::File(Content::Bytes(bytes))),
        2 => Just(Kind::Directory(BTreeMap::new())),
        2 => prop::collection::vec(1..=255u8, 1..4095).prop_map(Kind::Symlink),
        1 => (0..4096u32, 0..1u32 << 20).prop_map(|(a, b)| Kind::CharacterDevice(device_number(a, b))),
        1 => (0..4096u32, 0..1u32 << 20).prop_map(|(a, b)| Kind::BlockDevice(device_number(a, b))),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let xattr = (
        "(user|security)\\.[a-z]{1,200}",
        prop::collection::vec(any::<u8>(), 0..300),
    );
    let xattrs = prop_oneof![
        4 => Just(BTreeMap::new()),
        1 => prop::collection::btree_map(xattr.0, xattr.1.clone(), 0..4),
        1 => prop::collection::btree_map(xattr.0, xattr.1, 20..30),
    ];
    let owner = (any::<u32>(), any::<u32>()).prop_map(|(uid, gid)| Owner { uid, gid });
    let time = (any::<i64>(), 0..1_000_000_000u32);
    (kind(), 0..=0o7777u16, owner, time, xattrs).prop_map(
        |(kind, permissions, owner, mtime, xattrs)| Node {
            kind,
            permissions,
            owner,
            mtime,
            xattrs: xattrs
                .into_iter()
                .map(|(name, value)| (name.into_bytes(), value))
                .collect(),
        },
    )
}

/// What the reader should see of a node, but for its links and first name.
fn expected(node: &Node) -> Seen {
    let data = match &node.kind {
        Kind::File(Content::Bytes(bytes)) | Kind::Symlink(bytes) => bytes.clone(),
        Kind::CharacterDevice(device) | Kind::BlockDevice(device) => device.to_le_bytes().to_vec(),
        Kind::Fifo | Kind::Socket => vec![0; 4],
        _ => Vec::new(),
    };
    Seen {
        mode: node.kind.mode_bits() | node.permissions,
        uid: node.owner.uid,
        gid: node.owner.gid,
        mtime: node.mtime,
        links: 0,
        xattrs: node
            .xattrs
            .iter()
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.clone()))
            .collect(),
        data,
        first: String::new(),
    }
}

/// All names of a tree, as the reader should see them.
fn model(tree: &Tree) -> BTreeMap<String, Seen> {
    let mut model = BTreeMap::new();
    let mut names: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut pending = vec![(String::new(), 0)];
    while let Some((path, id)) = pending.pop() {
        names.entry(id).or_default().push(path.clone());
        model.insert(path.clone(), (expected(tree.node(id)), id));
        for (name, child) in tree.children(id).into_iter().flatten() {
            pending.push((format!("{path}/{}", String::from_utf8_lossy(name)), *child));
        }
    }
    let finish = |(path, (mut seen, id)): (String, (Seen, usize))| {
        let is_directory = |child: &&usize| tree.children(**child).is_some();
        seen.links = match tree.children(id) {
            Some(children) => 2 + children.values().filter(is_directory).count() as u32,
            None => names[&id].len() as u32,
        };
        // Names of one inode are met in the order of a walk that sorts within directories.
        let order = |path: &&String| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        seen.first = names[&id]
            .iter()
            .min_by_key(order)
            .cloned()
            .unwrap_or_default();
        (path, seen)
    };
    model.into_iter().map(finish).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_out_as_they_went_in(
        nodes in prop::collection::vec((path(), node()), 0..60),
        links in prop::collection::vec((path(), any::<prop::sample::Index>()), 0..10),
    ) {
        let mut tree = Tree::new();
        let mut files = Vec::new();
        for (path, node) in nodes {
            let is_directory = matches!(node.kind, Kind::Directory(_));
            // A file may be in the way.
            if let Ok(id) = tree.place(&path, node) && !is_directory {
                files.push(id);
            }
        }
        for (path, file) in links {
            let (parent, name) = path.rsplit_once('/').expect("absolute");
            if let (false, Ok(parent)) = (files.is_empty(), tree.make_directories(parent)) {
                tree.link(parent, name.as_bytes(), files[file.index(files.len())]).expect("linked");
            }
        }
        let (_place, path) = image_of(&tree);
        let image = fs::read(&path).expect("reads");
        prop_assert_eq!(reader::read(&image), model(&tree));
        check_with_fsck(&path);
    }
}

/// One thing that a layer does.
#[derive(Debug, Clone)]
enum Change {
    File(Vec<u8>),
    Directory,
    Opaque,
    Whiteout,
    Symlink,
    /// A second name for the layer's first file.
    HardLink,
}

fn change() -> impl Strategy<Value = (String, Change)> {
    let path = prop::collection::vec("[a-c]", 1..4).prop_map(|names| names.join("/"));
    let change = prop_oneof![
        3 => bytes().prop_map(Change::File),
        2 => Just(Change::Directory),
        1 => Just(Change::Opaque),
        2 => Just(Change::Whiteout),
        1 => Just(Change::Symlink),
        1 => Just(Change::HardLink),
    ];
    (path, change)
}

fn apply(
    layer: &Path,
    path: &str,
    change: &Change,
    first_file: &mut Option<PathBuf>,
) -> std::io::Result<()> {
    let at = layer.join(path);
    if let Some(parent) = at.parent() {
        fs::create_dir_all(parent)?;
    }
    match change {
        Change::File(bytes) => {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&at)?;
            fs::write(&at, bytes)?;
            first_file.get_or_insert(at);
        }
        Change::Directory => fs::create_dir_all(&at)?,
        Change::Opaque => {
            fs::create_dir_all(&at)?;
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&at, "user.overlay.opaque", b"y", flags)?;
        }
        Change::Whiteout => {
            let mode = rustix::fs::Mode::empty();
            let kind = rustix::fs::FileType::CharacterDevice;
            rustix::fs::mknodat(rustix::fs::CWD, &at, kind, mode, 0)?;
        }
        Change::Symlink => std::os::unix::fs::symlink("../a", &at)?,
        Change::HardLink => {
            if let Some(file) = first_file {
                fs::hard_link(file, &at)?;
            }
        }
    }
    Ok(())
}

/// A stack as the kernel's overlayfs shows it; unmounted when dropped.
struct Overlay(tempfile::TempDir);

impl Overlay {
    fn mount(layers: &[PathBuf]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root mounts");
            return None;
        }
        let point = tempfile::tempdir().expect("a directory");
        let names: Vec<String> = layers
            .iter()
            .rev()
            .map(|layer| layer.display().to_string())
            .collect();
        let options = format!("userxattr,lowerdir={}", names.join(":"));
        let args = ["-t", "overlay", "overlay", "-o", &options].map(OsStr::new);
        let output = run("mount", &[&args[..], &[point.path().as_os_str()]].concat())?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("unknown filesystem") {
            println!("skipped: no overlayfs");
            return None;
        }
        assert!(output.status.success(), "{said}");
        Some(Self(point))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

/// Lines without what overlayfs says otherwise by design: links of names that it hides, and inodes.
fn comparable(lines: Vec<Line>) -> Vec<Line> {
    lines
        .into_iter()
        .map(|line| Line {
            links: 0,
            first: String::new(),
            ..line
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn layers_stack_as_overlayfs_stacks_them(
        layers in prop::collection::vec(prop::collection::vec(change(), 0..16), 2..5),
    ) {
        let place = tempfile::tempdir().expect("a directory");
        let mut paths = Vec::new();
        for (number, changes) in layers.iter().enumerate() {
            let layer = place.path().join(number.to_string());
            fs::create_dir(&layer).expect("made");
            let mut first_file = None;
            for (path, change) in changes {
                // What another change stands in the way of is left out.
                let _ = apply(&layer, path, change, &mut first_file);
            }
            paths.push(layer);
        }
        let mut tree = Tree::new();
        for layer in &paths {
            tree.stack_layer(layer, &same).expect("read");
        }
        let (_place, image) = image_of(&tree);
        if let (Some(overlay), Some(mounted)) = (Overlay::mount(&paths), Mounted::new(&image)) {
            let found = comparable(listing(mounted.path()));
            prop_assert_eq!(found, comparable(listing(overlay.0.path())));
        }
    }
}
