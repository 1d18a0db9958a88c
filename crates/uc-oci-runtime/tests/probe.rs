//! What the probe finds of the runtimes that are here, each with a trial that looks at the filter it puts in force.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects, and why it cannot run"
)]

mod support;

use support::driver;
use uc_oci_runtime::Flavour;
use uc_sandbox::{Availability, Driver as _};
use uc_testkit::busybox::Busybox;

#[test]
fn a_runtime_that_is_here_is_ready() {
    for flavour in [Flavour::Runsc, Flavour::Crun, Flavour::Runc, Flavour::Youki] {
        let made = Busybox::new().and_then(|busybox| Ok((driver(flavour, &busybox)?, busybox)));
        match made {
            Ok((driver, _busybox)) => {
                assert_eq!(
                    driver.probe().availability,
                    Availability::Ready,
                    "{flavour}"
                );
            }
            Err(reason) => println!("skipped: {reason}"),
        }
    }
}
