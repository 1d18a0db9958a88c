//! Programs in a directory that stands for the root: links stay in it, and what is missing is told.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use uc_trace::scan::{Options, scan};

use super::scanned;

/// A root with `/usr/bin/true` and its libraries, reached over links as in a distribution; nothing where there is none.
fn root() -> Option<(tempfile::TempDir, Vec<PathBuf>)> {
    let program = Path::new("/usr/bin/true");
    if !program.exists() {
        println!("skipped: there is no /usr/bin/true");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let inside = |path: &Path| {
        folder
            .path()
            .join(path.strip_prefix("/").expect("absolute"))
    };
    let files: Vec<PathBuf> = scanned(program)
        .libraries
        .into_iter()
        .map(|library| library.path)
        .collect();
    for file in &files {
        let copy = inside(file);
        fs::create_dir_all(copy.parent().expect("a parent")).expect("makes");
        fs::copy(file, copy).expect("copies");
    }
    for name in ["lib", "lib64", "lib32"] {
        if let Ok(to) = fs::read_link(Path::new("/").join(name)) {
            symlink(to, folder.path().join(name)).expect("links");
        }
    }
    for link in fs::read_dir("/lib64").into_iter().flatten().flatten() {
        if let Ok(to) = fs::read_link(link.path()) {
            let inside = folder.path().join("usr/lib64");
            fs::create_dir_all(&inside).expect("makes");
            symlink(to, inside.join(link.file_name())).expect("links");
        }
    }
    Some((folder, files))
}

#[test]
fn libraries_are_found_in_the_root_alone() {
    let Some((folder, files)) = root() else {
        return;
    };
    let options = Options {
        root: folder.path().to_owned(),
    };
    let program = folder.path().join("usr/bin/true");
    let here = scan(&program, &options).expect("scans");
    assert_eq!(
        here.footprint,
        scanned(Path::new("/usr/bin/true")).footprint
    );
    let paths: Vec<PathBuf> = here
        .libraries
        .into_iter()
        .map(|library| library.path)
        .collect();
    assert_eq!(paths, files, "paths as the program will see them");
    let Some(library) = files.iter().find(|file| file.ends_with("libc.so.6")) else {
        println!("skipped: `true` does not use the GNU C library");
        return;
    };
    // A link out of the root leads to a place in it, where there is nothing.
    let copy = folder
        .path()
        .join(library.strip_prefix("/").expect("absolute"));
    fs::rename(&copy, folder.path().join("libc.away")).expect("moves");
    symlink("../../../../../../../../libc.away.elsewhere", &copy).expect("links");
    let without = scan(&program, &options).expect("scans");
    assert!(
        without
            .footprint
            .gaps
            .iter()
            .any(|gap| gap.contains("libc.so.6")),
        "{:?}",
        without.footprint.gaps
    );
    fs::remove_file(&copy).expect("removes");
    symlink("../../../../../../../../libc.away", &copy).expect("links");
    let with = scan(&program, &options).expect("scans");
    assert_eq!(with.footprint, here.footprint);
    fs::remove_file(&copy).expect("removes");
    symlink(&copy, &copy).expect("links");
    scan(&program, &options).expect("a link to itself is a missing library");
}

#[test]
fn scripts_are_scanned_by_their_interpreter() {
    let Some((folder, _)) = root() else { return };
    let options = Options {
        root: folder.path().to_owned(),
    };
    let script = folder.path().join("script");
    for line in ["#!/usr/bin/true -x\n", "#! /usr/bin/true\n"] {
        fs::write(&script, line).expect("writes");
        let report = scan(&script, &options).expect("scans");
        assert!(report.footprint.calls.contains_key("exit_group"));
        assert!(
            report.footprint.gaps[0].contains("is a script"),
            "{:?}",
            report.footprint.gaps
        );
    }
    fs::write(&script, "#!/usr/bin/python9\n").expect("writes");
    let problem = scan(&script, &options).expect_err("no interpreter");
    assert!(format!("{problem:?}").contains("python9"), "{problem:?}");
    symlink("/usr/bin/true", folder.path().join("usr/bin/env")).expect("links");
    fs::write(&script, "#!/usr/bin/env true\n").expect("writes");
    scan(&script, &options).expect("scans");
    fs::write(&script, "#!/script\n").expect("writes");
    scan(&script, &options).expect_err("a script that names itself");
}
