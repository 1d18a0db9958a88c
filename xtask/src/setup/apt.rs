//! Installing with apt, when that needs no question asked.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    process::{Command, Stdio},
};

use uc_model::{Problem, Result};

use super::packages::Package;

/// Installs what apt knows of `missing`. Where there is no apt, or no right to use it, it does nothing: the caller
/// looks again and says what is left.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub(super) fn install(missing: &[&Package]) -> Result<()> {
    let Some(elevation) = elevation() else {
        return Ok(());
    };
    let apt = |arguments: &[&str]| {
        let mut words: Vec<&str> = elevation.to_vec();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]);
        words.extend(arguments);
        succeeds(&words)
    };
    let is_known = |one: &&&Package| is_installable(one.name);
    let mut known: Vec<&&Package> = missing.iter().filter(is_known).collect();
    if known.len() < missing.len() && apt(&["update"]) {
        known = missing.iter().filter(is_known).collect();
    }
    if known.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(|one| one.name).collect();
    println!("setup: installing {}", names.join(" "));
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&names);
    // The second try is for lists that are older than what the mirror still keeps.
    if apt(&arguments) || apt(&["update"]) && apt(&arguments) {
        return Ok(());
    }
    Err(Problem::host("apt could not install what is missing")
        .found(names.join(" "))
        .remedy(format!(
            "run `apt-get install {}` as root and read its messages",
            names.join(" ")
        )))
}

/// The words before a command that needs root; nothing when there is no apt or no way to be root without a question.
fn elevation() -> Option<&'static [&'static str]> {
    if !succeeds(&["apt-get", "--version"]) {
        return None;
    }
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if is_root {
        return Some(&[]);
    }
    succeeds(&["sudo", "-n", "true"]).then_some(&["sudo", "-n"])
}

/// Whether apt's lists have a version of it to install; they may name it without one.
fn is_installable(name: &str) -> bool {
    let output = Command::new("apt-cache")
        .args(["policy", name])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output();
    output.is_ok_and(|output| has_candidate(&String::from_utf8_lossy(&output.stdout)))
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

fn succeeds(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_candidate_is_not_installable() {
        assert!(has_candidate(
            "crun:\n  Installed: (none)\n  Candidate: 1.8.1-1\n  Version table:\n"
        ));
        assert!(!has_candidate(
            "umoci:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }
}
