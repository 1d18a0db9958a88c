//! `cargo xtask setup`: finds the system packages that are missing, and installs them where apt lets us.

mod apt;
mod guest_kernel;
mod packages;
mod peers;
mod validators;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use packages::{Need, PACKAGES, Package, Proof};

/// What `setup` is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Options {
    /// Look only; install nothing.
    check: bool,
    /// Include what only tests use.
    for_tests: bool,
}

/// Finds what is missing, installs it if that can be done without asking, and says what is left.
///
/// # Errors
/// When something without which nothing builds stays missing, or an option is unknown.
#[allow(
    clippy::print_stdout,
    reason = "a chore reports on its standard output"
)]
pub fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    let wanted = || PACKAGES.iter().filter(|one| one.is_wanted(options));
    let mut missing: Vec<&Package> = wanted().filter(|one| !is_present(one)).collect();
    if !options.check && !missing.is_empty() {
        apt::install(&missing)?;
        missing.retain(|one| !is_present(one));
    }
    for line in describe(&missing) {
        println!("setup: {line}");
    }
    if options.for_tests
        && let Some(line) = validators::provide(options.check)
    {
        println!("setup: {line}");
    }
    if options.for_tests
        && let Some(line) = guest_kernel::provide(options.check)
    {
        println!("setup: {line}");
    }
    if options.for_tests
        && let Some(line) = peers::provide(options.check)
    {
        println!("setup: {line}");
    }
    refuse_if_required(&missing)
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options::default();
    for argument in arguments {
        match *argument {
            "--check" => options.check = true,
            "--for-tests" => options.for_tests = true,
            other => {
                return Err(Problem::invalid("unknown option of `setup`")
                    .limit("--check, --for-tests")
                    .found(other));
            }
        }
    }
    Ok(options)
}

fn is_present(package: &Package) -> bool {
    match package.proof {
        Proof::File(path) => Path::new(path).exists(),
        Proof::Library(name) => has_library(name),
        Proof::Program(name) => {
            let path = env::var_os("PATH").unwrap_or_default();
            let of_administrators = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(Into::into);
            env::split_paths(&path)
                .chain(of_administrators)
                .any(|folder| folder.join(name).is_file())
        }
    }
}

/// Whether `NAME.so` or `NAME-VERSION.so`, of any version, lies where libraries lie.
fn has_library(name: &str) -> bool {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let is_it = |file: &str| {
        let Some(rest) = file.strip_prefix(name) else {
            return false;
        };
        let is_versioned = rest
            .strip_prefix('-')
            .is_some_and(|version| version.starts_with(|digit: char| digit.is_ascii_digit()));
        rest.contains(".so") && (rest.starts_with(".so") || is_versioned)
    };
    let of_llvm = entries(Path::new("/usr/lib"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"));
    let arch = env::consts::ARCH;
    let of_system = [
        "/usr/lib".into(),
        "/usr/lib64".into(),
        format!("/usr/lib/{arch}-linux-gnu"),
    ];
    of_llvm
        .chain(of_system.into_iter().map(PathBuf::from))
        .any(|folder| entries(&folder).any(|entry| is_it(&entry.file_name().to_string_lossy())))
}

/// One line for each package: what it is for, and how to get it.
fn describe(missing: &[&Package]) -> Vec<String> {
    missing
        .iter()
        .map(|one| format!("{} is missing: {}", one.name, one.purpose))
        .collect()
}

fn refuse_if_required(missing: &[&Package]) -> Result<()> {
    let required: Vec<&str> = missing
        .iter()
        .filter(|one| one.need == Need::Build)
        .map(|one| one.name)
        .collect();
    if required.is_empty() {
        return Ok(());
    }
    Err(
        Problem::host("a package without which nothing builds is missing")
            .found(required.join(", "))
            .remedy(format!(
                "as root: apt-get install {}, or your system's packages of that content",
                required.join(" ")
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart() {
        let both = Options {
            check: true,
            for_tests: true,
        };
        assert_eq!(parse(&["--check", "--for-tests"]).expect("known"), both);
        let problem = parse(&["--chekc"]).expect_err("unknown");
        assert!(problem.to_string().contains("--chekc"));
    }

    #[test]
    fn only_a_build_need_is_an_error() {
        let of = |need| PACKAGES.iter().find(|one| one.need == need).expect("any");
        assert!(refuse_if_required(&[of(Need::Run), of(Need::Test)]).is_ok());
        let problem = refuse_if_required(&[of(Need::Build)]).expect_err("refused");
        assert!(problem.remedy_text().expect("says").contains("apt-get"));
    }

    #[test]
    fn packages_of_tests_are_wanted_by_tests_alone() {
        let wanted = |for_tests| {
            let options = Options {
                check: true,
                for_tests,
            };
            PACKAGES.iter().filter(|one| one.is_wanted(options)).count()
        };
        assert!(wanted(false) > 0);
        assert!(wanted(true) > wanted(false));
    }

    #[test]
    fn presence_is_seen_through_files_and_programs() {
        let package = |proof| Package {
            name: "x",
            proof,
            need: Need::Run,
            purpose: "x",
        };
        assert!(is_present(&package(Proof::File("/"))));
        assert!(is_present(&package(Proof::Program("sh"))));
        assert!(!is_present(&package(Proof::File("/no/such/file"))));
        assert!(is_present(&package(Proof::Library("libc"))));
        assert!(!is_present(&package(Proof::Library("libno-such"))));
        assert!(!is_present(&package(Proof::Program("no-such-program"))));
    }
}
