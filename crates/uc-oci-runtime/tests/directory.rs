//! A start from a directory that the supervisor's own file systems hide: the one test of its process, which changes directory.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use support::driver;
use uc_oci_runtime::Flavour;
use uc_testkit::busybox::Busybox;

#[test]
fn it_does_not_matter_where_a_start_was_asked_for() {
    // The supervisor mounts its own file system over /tmp.
    let hidden = tempfile::tempdir_in("/tmp").expect("a directory");
    std::env::set_current_dir(hidden.path()).expect("entered");
    for flavour in [Flavour::Runsc, Flavour::Crun, Flavour::Runc, Flavour::Youki] {
        let made = Busybox::new().and_then(|busybox| Ok((driver(flavour, &busybox)?, busybox)));
        match made {
            Ok((driver, busybox)) => {
                let argv = ["sh", "-c", "pwd"].map(str::to_owned).to_vec();
                let (exit, text) = support::run(&driver, &busybox, "directory", argv, None);
                assert_eq!((exit.code, text.as_str()), (0, "/\n"), "{flavour}");
            }
            Err(reason) => println!("skipped: {reason}"),
        }
    }
}
