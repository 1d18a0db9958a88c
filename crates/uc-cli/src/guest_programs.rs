//! The programs that go into a microVM's guest: within this one, or files that a build leaves near it.

#[cfg(not(feature = "embedded-guest"))]
use std::path::PathBuf;

use uc_microvm::{Program, Programs};
#[cfg(not(feature = "embedded-guest"))]
use uc_model::Problem;
use uc_model::Result;

/// Names a directory that holds them, in a development build.
#[cfg(not(feature = "embedded-guest"))]
const VARIABLE: &str = "UC_GUEST_PROGRAMS";

/// The agent's name.
#[cfg(not(feature = "embedded-guest"))]
const AGENT: &str = "uc-guest";

/// The function runner's.
#[cfg(not(feature = "embedded-guest"))]
const FUNCTION_RUNNER: &str = "uc-function";

/// The programs that are built in.
///
/// # Errors
/// None; a development build has some.
#[cfg(feature = "embedded-guest")]
pub(crate) fn find() -> Result<Programs> {
    Ok(Programs {
        agent: Program::Bytes(include_bytes!(env!("UC_GUEST"))),
        function: Program::Bytes(include_bytes!(env!("UC_FUNCTION"))),
    })
}

/// The programs in the directory that the environment names, else beside this one or where `cargo xtask guest` leaves them.
///
/// # Errors
/// Host, where they are missing.
#[cfg(not(feature = "embedded-guest"))]
pub(crate) fn find() -> Result<Programs> {
    let own = std::env::current_exe().map_err(|error| {
        Problem::host("this program does not know where it is").caused_by(error)
    })?;
    let named = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    find_in(&directories(named.map(PathBuf::from), &own))
}

/// Where to look, first to last. A directory that is named is the only one.
#[cfg(not(feature = "embedded-guest"))]
fn directories(named: Option<PathBuf>, own: &std::path::Path) -> Vec<PathBuf> {
    let beside = own.with_file_name("");
    named.map_or_else(
        || vec![beside.clone(), beside.join("../guest")],
        |named| vec![named],
    )
}

/// Both come from one directory, since they are built together and speak one protocol.
#[cfg(not(feature = "embedded-guest"))]
fn find_in(directories: &[PathBuf]) -> Result<Programs> {
    directories
        .iter()
        .map(|directory| (directory.join(AGENT), directory.join(FUNCTION_RUNNER)))
        .find(|(agent, function_runner)| agent.is_file() && function_runner.is_file())
        .map(|(agent, function_runner)| Programs {
            agent: Program::File(agent),
            function: Program::File(function_runner),
        })
        .ok_or_else(|| {
            let places: Vec<String> = directories
                .iter()
                .map(|directory| directory.display().to_string())
                .collect();
            Problem::host("the programs of the microVM's guest are not there")
                .at(places.join(", "))
                .limit(format!("{AGENT} and {FUNCTION_RUNNER} in one directory"))
                .remedy(format!(
                    "build them: cargo xtask guest, or name their directory in {VARIABLE}"
                ))
        })
}

#[cfg(all(test, not(feature = "embedded-guest")))]
#[allow(clippy::expect_used, reason = "a test says what it expects")]
mod tests {
    use std::path::Path;

    use super::*;

    #[expect(
        clippy::expect_used,
        reason = "a failed expectation is how a test speaks"
    )]
    fn fill(directory: &Path, names: &[&str]) {
        std::fs::create_dir_all(directory).expect("made");
        for name in names {
            std::fs::write(directory.join(name), *name).expect("written");
        }
    }

    #[test]
    fn a_build_finds_what_lies_beside_it_or_in_the_guests_folder() {
        let target = tempfile::tempdir().expect("temporary directory");
        let own = target.path().join("debug/uc");
        fill(&target.path().join("debug"), &["uc"]);
        let look = || find_in(&directories(None, &own));
        let problem = look().expect_err("nothing there");
        assert!(
            problem
                .remedy_text()
                .is_some_and(|remedy| remedy.contains("cargo xtask guest"))
        );

        fill(&target.path().join("guest"), &[AGENT]);
        look().expect_err("one is missing");
        fill(&target.path().join("guest"), &[AGENT, FUNCTION_RUNNER]);
        let programs = look().expect("found");
        let guest = target.path().join("debug").join("../guest");
        assert_eq!(programs.agent, Program::File(guest.join(AGENT)));
        assert_eq!(
            programs.function,
            Program::File(guest.join(FUNCTION_RUNNER))
        );

        fill(&target.path().join("debug"), &[AGENT, FUNCTION_RUNNER]);
        let beside = Program::File(target.path().join("debug").join(AGENT));
        assert_eq!(look().expect("found").agent, beside);
    }

    #[test]
    fn a_directory_that_is_named_is_the_only_one() {
        let target = tempfile::tempdir().expect("temporary directory");
        let own = target.path().join("debug/uc");
        fill(
            &target.path().join("debug"),
            &["uc", AGENT, FUNCTION_RUNNER],
        );
        let named = target.path().join("named");
        let look = || find_in(&directories(Some(named.clone()), &own));
        let problem = look().expect_err("nothing there");
        assert!(
            problem
                .place()
                .is_some_and(|place| place.ends_with("named"))
        );
        fill(&named, &[AGENT, FUNCTION_RUNNER]);
        assert_eq!(
            look().expect("found").agent,
            Program::File(named.join(AGENT))
        );
    }
}
