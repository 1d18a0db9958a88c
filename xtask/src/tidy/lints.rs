//! Every crate takes the workspace's lints; what one of them must lower, it lowers in its source, with a reason.

use super::Violation;
use crate::workspace::Workspace;

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    workspace
        .crates
        .iter()
        .filter(|member| !inherits_lints(&member.manifest))
        .map(|member| {
            Violation::of_file(
                "lints",
                format!("{}/Cargo.toml", member.folder),
                "it does not say `[lints] workspace = true`",
            )
        })
        .collect()
}

/// Reads the one section that matters line by line: what else the file holds is cargo's to check.
fn inherits_lints(manifest: &str) -> bool {
    let mut in_section = false;
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            in_section = line == "[lints]";
        }
        let compact: String = line.split_whitespace().collect();
        compact == "lints.workspace=true" || in_section && compact == "workspace=true"
    })
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    fn with_manifest(manifest: &str) -> Vec<Violation> {
        let mut one = member("uc-model", &[]);
        one.manifest = manifest.into();
        check(&crates([one]))
    }

    #[test]
    fn inherited_lints_pass() {
        assert_eq!(
            with_manifest("[package]\n\n[lints]\nworkspace = true\n"),
            []
        );
    }

    #[test]
    fn lints_of_its_own_or_none_fail() {
        for manifest in [
            "[package]\nname = \"x\"\n",
            "[lints.rust]\nunsafe_code = \"allow\"\n",
            "[dependencies]\nworkspace = true\n",
            "# [lints]\n# workspace = true\n",
        ] {
            assert_eq!(with_manifest(manifest).len(), 1, "{manifest}");
        }
    }
}
