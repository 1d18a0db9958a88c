//! The memory of a monitor: its proportional set size, which shares the program's pages among those that map them.

use std::{fs, process::Command};

use serde::Serialize;
use serde_json::Value;
use uc_model::{Problem, Result};

use super::fixture::Fixture;

/// The promise of SPECIFICATION.md, in MB.
const PROMISE_MB: f64 = 3.5;

/// A monitor's memory.
#[derive(Debug, Serialize)]
pub(super) struct Monitor {
    pub(super) pss_mb: f64,
    pub(super) promise_mb: f64,
}

/// Starts a workload in the background, reads its monitor's memory and ends it.
pub(super) fn monitor(fixture: &Fixture, uc: &str) -> Result<Monitor> {
    let started = ask(
        fixture,
        uc,
        &["run", "--detach", &fixture.image(), "--", "sleep", "60"],
    )?;
    let Some(id) = started["ids"][0].as_str() else {
        return Err(Problem::internal("a detached workload has no id"));
    };
    let pss = pss_of_owner(fixture, uc, id);
    ask(fixture, uc, &["rm", "--force", id])?;
    Ok(Monitor {
        pss_mb: pss?,
        promise_mb: PROMISE_MB,
    })
}

fn pss_of_owner(fixture: &Fixture, uc: &str, id: &str) -> Result<f64> {
    let all = ask(fixture, uc, &["ps"])?;
    let mut rows = all.as_array().into_iter().flatten();
    let owner = rows.find_map(|row| {
        let record = [&row["workload"], &row["workload"]["record"]];
        let record = record.into_iter().find(|record| record["id"] == id)?;
        record["owner"].as_u64()
    });
    let unknown = || Problem::host("a monitor's memory cannot be read");
    let path = format!("/proc/{}/smaps_rollup", owner.ok_or_else(unknown)?);
    let text = fs::read_to_string(&path).map_err(|error| unknown().at(&path).caused_by(error))?;
    let kib: Option<f64> = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok());
    Ok(kib.ok_or_else(|| unknown().at(&path))? * 1024.0 / 1e6)
}

/// Runs a command of ours and reads its JSON.
fn ask(fixture: &Fixture, uc: &str, arguments: &[&str]) -> Result<Value> {
    let failed = || Problem::host("uc fails").at(arguments.join(" "));
    let output = Command::new(uc)
        .args(["--format", "json"])
        .args(arguments)
        .envs(fixture.environment())
        .output()
        .map_err(|error| failed().caused_by(error))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(failed().found(words.trim().chars().take(300).collect::<String>()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed().caused_by(error))
}
