//! Probes, remembered until the host starts anew.
//!
//! A probe tries things, which takes longer than starting a container. What it finds changes with the kernel, the user,
//! the control group, the programs on PATH, the device of user-mode networks, the variables that choose drivers and the programs
//! that they name, so these are the key; `uc doctor` and `uc explain` always try anew.

use std::{env, fs, sync::OnceLock};

use serde::{Deserialize, Serialize};
use uc_sandbox::{Availability, Driver, Probe};

use crate::home::{Home, make_private};

#[derive(Serialize, Deserialize)]
struct Memory {
    key: String,
    probe: Probe,
}

/// Tries now, and remembers the result.
pub(crate) fn fresh(home: &Home, driver: &dyn Driver) -> Probe {
    try_now(home, driver, None)
}

/// Tries now, and writes down what is not known already.
fn try_now(home: &Home, driver: &dyn Driver, known: Option<&[u8]>) -> Probe {
    let probe = driver.probe();
    // Memory is a convenience: if it cannot be written, the next run tries again.
    if let Ok(text) = serde_json::to_vec(&Memory {
        key: key().to_owned(),
        probe: probe.clone(),
    }) && known != Some(&text[..])
        && make_private(&home.probes()).is_ok()
    {
        let file = home.probes().join(driver.kind().name());
        let temporary =
            home.probes()
                .join(format!(".{}-{}", driver.kind().name(), std::process::id()));
        let kept = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, file));
        if kept.is_err() {
            let _ = fs::remove_file(&temporary);
        }
    }
    probe
}

/// The remembered result where it is still good and says that all is well, else a trial now.
pub(crate) fn remembered(home: &Home, driver: &dyn Driver) -> Probe {
    let file = home.probes().join(driver.kind().name());
    let known = fs::read(file).ok();
    let memory = known
        .as_deref()
        .and_then(|bytes| serde_json::from_slice::<Memory>(bytes).ok());
    match memory {
        Some(memory) if memory.key == key() && memory.probe.availability == Availability::Ready => {
            memory.probe
        }
        // What was missing may have come.
        _ => try_now(home, driver, known.as_deref()),
    }
}

/// What a probe's result depends on; it stays as it is while this process lives.
fn key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(read_key)
}

fn read_key() -> String {
    use std::os::unix::fs::MetadataExt as _;
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // Whoever is told what is missing goes and gets it.
    let tun = fs::metadata("/dev/net/tun").map_or(0, |device| device.mode());
    let path = env::var_os("PATH").unwrap_or_default();
    let installed: Vec<i64> = env::split_paths(&path)
        .filter_map(|directory| Some(fs::metadata(directory).ok()?.mtime()))
        .collect();
    let mut chosen: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("UC_") && name != "UC_HOME")
        .collect();
    chosen.sort();
    // A program that is named by its path may be another one tomorrow.
    let named: Vec<i64> = chosen
        .iter()
        .filter(|(_, value)| value.contains('/'))
        .filter_map(|(_, value)| Some(fs::metadata(value).ok()?.mtime()))
        .collect();
    format!(
        "{} {} {} {} {} {tun:o} {installed:?} {chosen:?} {named:?}",
        env!("CARGO_PKG_VERSION"),
        read("/proc/sys/kernel/random/boot_id").trim(),
        rustix::process::geteuid().as_raw(),
        read("/proc/self/cgroup").replace('\n', " "),
        path.display(),
    )
}
