//! The validators of SPDX and CycloneDX, which come from PyPI: a virtual environment of their own below `target`.
//!
//! Without Python, or without a network, tests say that they were skipped: nothing here is an error.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Fixed, so that a new release cannot break the tests of an old commit.
const PACKAGES: [&str; 3] = [
    "packaging==26.3",
    "spdx-tools==0.8.5",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];
const MODULES: &str = "import packaging.version, spdx_tools, cyclonedx.validation.json, jsonschema";

/// Makes the environment where it is missing; what to say about it, if anything.
pub(super) fn provide(check: bool) -> Option<String> {
    let place = place();
    if works(&place) {
        return None;
    }
    let purpose = "without them documents are not validated by the tools of SPDX and CycloneDX";
    if check {
        return Some(format!("{} is missing: {purpose}", place.display()));
    }
    let made = runs("python3", &["-m", "venv", &place.to_string_lossy()])
        && runs(
            &place.join("bin/python3").to_string_lossy(),
            &[
                &[
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ][..],
                // Soon over where there is no network.
                &["--timeout", "20", "--retries", "1"],
                &PACKAGES,
            ]
            .concat(),
        );
    (!made || !works(&place)).then(|| {
        let packages = PACKAGES.join(" ");
        format!(
            "python3 could not install {packages} into {}: {purpose}",
            place.display()
        )
    })
}

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sbom-validators")
}

fn works(place: &Path) -> bool {
    runs(
        &place.join("bin/python3").to_string_lossy(),
        &["-c", MODULES],
    )
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
