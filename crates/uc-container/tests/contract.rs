//! The contract that every driver keeps, with the programs of a busybox root file system.

use uc_container::ContainerDriver;
use uc_testkit::{
    busybox::{Busybox, BusyboxFixtures},
    contract::Made,
};

fn fixtures() -> Made {
    let busybox = Busybox::new()?;
    Ok(Box::new(BusyboxFixtures {
        driver: Box::new(ContainerDriver::new(
            busybox.directory.path().join("mount-points"),
        )),
        layer: busybox.layer.clone(),
        adds: &[],
        writes_reach_host: true,
        announces_one: false,
        kept: busybox,
    }))
}

uc_testkit::driver_contract!(fixtures);
