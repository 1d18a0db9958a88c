//! The validators of SPDX and CycloneDX, which come from PyPI: a virtual environment of their own below `target`.
//!
//! Without Python, or without a network, tests say that they were skipped: nothing here is an error.

use crate::python::Environment;

/// Fixed, so that a new release cannot break the tests of an old commit.
const PACKAGES: [&str; 3] = [
    "packaging==26.3",
    "spdx-tools==0.8.5",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];
const MODULES: &str = "import packaging.version, spdx_tools, cyclonedx.validation.json, jsonschema";

/// Makes the environment where it is missing; what to say about it, if anything.
pub(super) fn provide(check: bool) -> Option<String> {
    let environment = Environment {
        name: "sbom-validators",
        packages: &PACKAGES,
        probe: MODULES,
    };
    let purpose = "without them documents are not validated by the tools of SPDX and CycloneDX";
    let place = environment.place();
    if check {
        return (!environment.works())
            .then(|| format!("{} is missing: {purpose}", place.display()));
    }
    (!environment.provide()).then(|| {
        let packages = PACKAGES.join(" ");
        format!(
            "python3 could not install {packages} into {}: {purpose}",
            place.display()
        )
    })
}
