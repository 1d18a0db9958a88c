//! What layers become on disk: contents, metadata, links, whiteouts.

#![allow(
    clippy::expect_used,
    reason = "helpers of tests fail by panicking, like the tests themselves"
)]

mod support;

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use support::{Archive, OPTIONS, gzip, unpack, unpack_with, zstd};
use tar::EntryType;
use uc_image::unpack::{Options, Ownership, graft};

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("readable")
}

fn is_whiteout(path: impl AsRef<Path>) -> bool {
    let metadata = fs::symlink_metadata(path).expect("there");
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

fn is_opaque(path: impl AsRef<Path>) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(path.as_ref(), "user.overlay.opaque", &mut value[..])
        .is_ok_and(|length| &value[..length] == b"y")
}

#[test]
fn contents_modes_and_times_are_kept_in_every_compression() {
    let stream = Archive::default()
        .directory("./")
        .entry(EntryType::Directory, "etc/", "", 0o750, b"")
        .file("etc/hostname", "box\n")
        .entry(EntryType::Regular, "etc/su", "", 0o4755, b"#!")
        .hard_link("etc/alias", "etc/hostname")
        .symlink("etc/link", "/nowhere/at/all")
        .entry(EntryType::Fifo, "etc/pipe", "", 0o600, b"")
        .file("/absolute", "below")
        .finish();
    let mut diff_ids = Vec::new();
    for compressed in [stream.clone(), gzip(&stream), zstd(&stream)] {
        let target = tempfile::tempdir().expect("makes a directory");
        let unpacked = unpack(&compressed, target.path()).expect("unpacks");
        assert_eq!(unpacked.entries, 8);
        assert!(unpacked.implied.is_empty());
        diff_ids.push(unpacked.diff_id);

        let etc = target.path().join("etc");
        assert_eq!(read(etc.join("hostname")), "box\n");
        assert_eq!(
            fs::metadata(etc.join("su")).expect("there").mode() & 0o7777,
            0o4755
        );
        let directory = fs::metadata(&etc).expect("there");
        assert_eq!(
            (directory.mode() & 0o7777, directory.mtime()),
            (0o750, 1_000_000_000)
        );
        let inode = |name: &str| fs::symlink_metadata(etc.join(name)).expect("there").ino();
        assert_eq!(inode("alias"), inode("hostname"));
        assert_eq!(
            fs::read_link(etc.join("link")).expect("a link"),
            Path::new("/nowhere/at/all")
        );
        assert_eq!(
            fs::symlink_metadata(etc.join("link"))
                .expect("there")
                .mtime(),
            1_000_000_000
        );
        assert!(
            fs::symlink_metadata(etc.join("pipe"))
                .expect("there")
                .file_type()
                .is_fifo()
        );
        assert_eq!(read(target.path().join("absolute")), "below");
    }
    assert_eq!(diff_ids[0], uc_image::verify::digest_of(&stream));
    assert!(diff_ids.iter().all(|diff_id| *diff_id == diff_ids[0]));
}

#[test]
fn whiteouts_take_the_form_of_overlayfs() {
    let stream = Archive::default()
        .file("etc/.wh.passwd", "")
        .file("var/cache/.wh..wh..opq", "")
        .file(".wh.opt", "")
        .file("deep/er/.wh..wh..opq", "")
        .file("deep/.wh.other", "")
        .file(".wh..wh.plnk", "")
        .finish();
    let target = tempfile::tempdir().expect("makes a directory");
    let unpacked = unpack(&stream, target.path()).expect("unpacks");
    assert_eq!(unpacked.whiteouts, 5);
    assert!(is_whiteout(target.path().join("etc/passwd")));
    assert!(is_whiteout(target.path().join("opt")));
    assert!(is_whiteout(target.path().join("deep/other")));
    assert!(is_opaque(target.path().join("var/cache")));
    assert!(is_opaque(target.path().join("deep/er")));
    assert!(!target.path().join("etc/.wh.passwd").exists());
    assert_eq!(
        fs::read_dir(target.path()).expect("lists").count(),
        4,
        "driver metadata is left out"
    );
}

#[test]
fn a_layer_may_remove_and_bring_back_in_any_order() {
    let directory_first = Archive::default()
        .directory("a")
        .file("a/new", "x")
        .file(".wh.a", "");
    let whiteout_first = Archive::default()
        .file(".wh.a", "")
        .directory("a")
        .file("a/new", "x");
    let implied = Archive::default().file(".wh.a", "").file("a/new", "x");
    for archive in [directory_first, whiteout_first, implied] {
        let target = tempfile::tempdir().expect("makes a directory");
        unpack(&archive.finish(), target.path()).expect("unpacks");
        assert!(
            is_opaque(target.path().join("a")),
            "what lower layers have must stay hidden"
        );
        assert_eq!(read(target.path().join("a/new")), "x");
    }
    let file = Archive::default()
        .file("f", "new")
        .file(".wh.f", "")
        .finish();
    let target = tempfile::tempdir().expect("makes a directory");
    unpack(&file, target.path()).expect("unpacks");
    assert_eq!(read(target.path().join("f")), "new");
}

#[test]
fn later_entries_replace_earlier_ones() {
    let stream = Archive::default()
        .directory("d")
        .file("d/inner", "old")
        .file("d", "now a file")
        .file("f", "old")
        .file("f", "new")
        .symlink("l", "f")
        .directory("l")
        .file("l/x", "in a directory")
        .directory("kept")
        .file("kept/x", "kept")
        .directory("kept")
        .finish();
    let target = tempfile::tempdir().expect("makes a directory");
    unpack(&stream, target.path()).expect("unpacks");
    assert_eq!(read(target.path().join("d")), "now a file");
    assert_eq!(read(target.path().join("f")), "new");
    assert_eq!(read(target.path().join("l/x")), "in a directory");
    assert_eq!(read(target.path().join("kept/x")), "kept");
}

#[test]
fn long_names_pax_records_and_attributes_are_read() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let mut gnu = long.clone().into_bytes();
    gnu.push(0);
    let stream = Archive::default()
        .entry(
            EntryType::XGlobalHeader,
            "pax_global_header",
            "",
            0,
            b"18 comment=ignored",
        )
        .entry(EntryType::GNULongName, "././@LongLink", "", 0, &gnu)
        .file("short", "gnu")
        .pax(&[
            ("path", b"by/pax"),
            ("mtime", b"12.5"),
            ("SCHILY.xattr.user.note", b"a\nb\0"),
            ("SCHILY.xattr.security.capability", b"\x01"),
            ("SCHILY.xattr.user.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.x", b"1"),
        ])
        .file("ignored", "pax")
        .finish();
    let target = tempfile::tempdir().expect("makes a directory");
    let unpacked = unpack(&stream, target.path()).expect("unpacks");
    assert_eq!(read(target.path().join(long)), "gnu");
    let path = target.path().join("by/pax");
    let metadata = fs::metadata(&path).expect("there");
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (12, 500_000_000));
    assert_eq!(
        (unpacked.dropped_capabilities, unpacked.dropped_xattrs),
        (1, 2)
    );
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&path, "user.note", &mut value[..]).expect("kept");
    assert_eq!(&value[..length], b"a\nb\0");
    assert!(rustix::fs::getxattr(&path, "user.overlay.redirect", &mut value[..]).is_err());
}

#[test]
fn sparse_files_get_their_holes_back() {
    let expected = format!("{}AB{}", "\0".repeat(1000), "\0".repeat(998));
    let zero_one = Archive::default()
        .pax(&[
            ("GNU.sparse.size", b"2000"),
            ("GNU.sparse.map", b"1000,2"),
            ("GNU.sparse.name", b"s"),
        ])
        .file("x", "AB");
    let mut map = b"1\n1000\n2\n".to_vec();
    map.resize(512, 0);
    let one_zero = Archive::default()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"2000"),
            ("GNU.sparse.name", b"s"),
        ])
        .entry(
            EntryType::Regular,
            "x",
            "",
            0o644,
            &[&map[..], b"AB"].concat(),
        );
    let old = Archive::default().entry_with(EntryType::GNUSparse, "s", "", b"AB", |header| {
        let gnu = header.as_gnu_mut().expect("a GNU header");
        gnu.set_real_size(2000);
        gnu.sparse[0].set_offset(1000);
        gnu.sparse[0].set_length(2);
    });
    for (format, archive) in [("0.1", zero_one), ("1.0", one_zero), ("old", old)] {
        let stream = archive.file("after", "still in step").finish();
        let target = tempfile::tempdir().expect("makes a directory");
        unpack(&stream, target.path()).unwrap_or_else(|problem| panic!("{format}: {problem}"));
        assert_eq!(read(target.path().join("s")), expected, "{format}");
        assert_eq!(
            read(target.path().join("after")),
            "still in step",
            "{format}"
        );
    }
}

#[test]
fn an_archive_without_end_marker_is_whole() {
    let stream = Archive::default().file("a", "x").unterminated();
    for end in [stream.len(), stream.len() - 511] {
        let target = tempfile::tempdir().expect("makes a directory");
        unpack(&stream[..end], target.path()).expect("unpacks");
        assert_eq!(read(target.path().join("a")), "x");
    }
    let empty = tempfile::tempdir().expect("makes a directory");
    assert_eq!(
        unpack(b"", empty.path()).expect("an empty layer").entries,
        0
    );
}

#[test]
fn owners_are_kept_where_the_process_may() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may give files away");
        return;
    }
    let owned = |header: &mut tar::Header| {
        header.set_uid(1234);
        header.set_gid(4321);
    };
    let stream = Archive::default()
        .entry_with(EntryType::Directory, "d", "", b"", owned)
        .entry_with(EntryType::Regular, "d/f", "", b"", |header| {
            owned(header);
            header.set_mode(0o6755);
        })
        .entry_with(EntryType::Symlink, "d/l", "f", b"", owned)
        .finish();
    let keep = |highest_id| Options {
        ownership: Ownership::Keep { highest_id },
        ..OPTIONS
    };
    let target = tempfile::tempdir().expect("makes a directory");
    unpack_with(&stream, target.path(), &keep(65535)).expect("unpacks");
    for name in ["d", "d/f", "d/l"] {
        let metadata = fs::symlink_metadata(target.path().join(name)).expect("there");
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321), "{name}");
    }
    assert_eq!(
        fs::metadata(target.path().join("d/f"))
            .expect("there")
            .mode()
            & 0o7777,
        0o6755
    );

    let problem = unpack_with(
        &stream,
        tempfile::tempdir().expect("makes").path(),
        &keep(4000),
    )
    .expect_err("too high");
    assert!(
        problem.to_string().contains("found: 1234:4321"),
        "{problem}"
    );
    assert!(
        problem
            .remedy_text()
            .is_some_and(|remedy| remedy.contains("/etc/subuid"))
    );
}

#[test]
fn a_grafted_layer_follows_the_links_and_modes_below() {
    let base = tempfile::tempdir().expect("makes a directory");
    let (lower, upper) = (base.path().join("lower"), base.path().join("upper"));
    fs::create_dir(&lower).expect("makes");
    fs::create_dir(&upper).expect("makes");
    let below = Archive::default()
        .directory("usr")
        .entry(EntryType::Directory, "usr/bin", "", 0o751, b"")
        .symlink("bin", "usr/bin")
        .symlink("sbin", "/usr/bin")
        .entry(EntryType::Directory, "tmp", "", 0o1777, b"")
        .finish();
    unpack(&below, &lower).expect("unpacks");
    let above = Archive::default()
        .file("bin/tool", "1")
        .file("bin/sub/x", "2")
        .file("sbin/admin", "3")
        .file("tmp/t", "4")
        .file("own/o", "5")
        .finish();
    let unpacked = unpack(&above, &upper).expect("unpacks");
    assert_eq!(unpacked.implied.len(), 5);
    let open = |path: &Path| fs::File::open(path).expect("opens");
    use std::os::fd::AsFd;
    graft(
        open(&upper).as_fd(),
        &[open(&lower).as_fd()],
        &unpacked.implied,
    )
    .expect("grafts");

    for (name, content) in [
        ("usr/bin/tool", "1"),
        ("usr/bin/sub/x", "2"),
        ("usr/bin/admin", "3"),
        ("tmp/t", "4"),
        ("own/o", "5"),
    ] {
        assert_eq!(read(upper.join(name)), content, "{name}");
    }
    assert!(!upper.join("bin").exists() && !upper.join("sbin").exists());
    let mode = |name: &str| fs::metadata(upper.join(name)).expect("there").mode() & 0o7777;
    assert_eq!(
        (mode("tmp"), mode("usr/bin"), mode("own")),
        (0o1777, 0o751, 0o755)
    );
}
