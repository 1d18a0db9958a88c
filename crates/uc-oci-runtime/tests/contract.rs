//! The contract that every driver keeps, with the programs of a busybox root file system, for each runtime found here.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use support::driver;
use uc_oci_runtime::Flavour;
use uc_testkit::{
    busybox::{Busybox, BusyboxFixtures},
    contract::Made,
};

fn fixtures(flavour: Flavour, announces_one: bool) -> Made {
    let busybox = Busybox::new()?;
    Ok(Box::new(BusyboxFixtures {
        driver: Box::new(driver(flavour, &busybox)?),
        layer: busybox.layer.clone(),
        adds: added(flavour),
        writes_reach_host: true,
        announces_one,
        kept: busybox,
    }))
}

/// youki takes no process without a PATH.
fn added(flavour: Flavour) -> &'static [&'static str] {
    match flavour {
        Flavour::Youki => &[
            "HOME=/",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ],
        Flavour::Runsc | Flavour::Crun | Flavour::Runc => &["HOME=/"],
    }
}

/// A container that is known to stay alone has a kernel for itself.
mod runsc_alone {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Runsc, true));
}

/// Others share one.
mod runsc_shared {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Runsc, false));
}

mod crun {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Crun, false));
}

mod runc {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Runc, false));
}

mod youki {
    uc_testkit::driver_contract!(|| super::fixtures(super::Flavour::Youki, false));
}
