//! The contract that every driver keeps, with the programs of a busybox root file system in a microVM.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use uc_testkit::{busybox::BusyboxFixtures, contract::Made};

fn fixtures() -> Made {
    Ok(Box::new(BusyboxFixtures {
        driver: Box::new(support::driver()?),
        layer: support::Busybox::shared()?.layer.clone(),
        adds: &[],
        writes_reach_host: false,
        announces_one: false,
        kept: (),
    }))
}

uc_testkit::driver_contract!(fixtures);
