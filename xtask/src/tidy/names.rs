//! Files, modules and crates are named after what they hold, never `utils`.

use super::Violation;
use crate::workspace::Workspace;

const EMPTY_NAMES: &[&str] = &[
    "common",
    "helper",
    "helpers",
    "misc",
    "miscellaneous",
    "stuff",
    "util",
    "utilities",
    "utils",
];

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &workspace.crates {
        if is_empty_name(&member.name) {
            let manifest = format!("{}/Cargo.toml", member.folder);
            violations.push(Violation::of_file("names", manifest, advice(&member.name)));
        }
    }
    for source in &workspace.sources {
        let stem = source.path.trim_end_matches(".rs");
        if let Some(name) = stem.split('/').find(|part| is_empty_name(part)) {
            violations.push(Violation::of_file("names", &source.path, advice(name)));
        }
        for offset in source.words("mod") {
            let name = source.code[offset + 3..].trim_start();
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            if is_empty_name(name) {
                violations.push(Violation::at("names", source, offset, advice(name)));
            }
        }
    }
    violations
}

fn is_empty_name(name: &str) -> bool {
    let last = name.rsplit(['_', '-']).next().unwrap_or(name);
    EMPTY_NAMES.contains(&name) || EMPTY_NAMES.contains(&last)
}

fn advice(name: &str) -> String {
    format!("`{name}` says nothing: name it after what it holds")
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn telling_names_pass() {
        let text = "mod digest;\nmod uncommon;\n// mod utils;\n";
        assert_eq!(check(&file("crates/uc-image/src/layer.rs", text)), []);
    }

    #[test]
    fn empty_names_fail_as_file_folder_module_and_crate() {
        assert_eq!(check(&file("src/utils.rs", "")).len(), 1);
        assert_eq!(check(&file("tests/common/mod.rs", "")).len(), 1);
        assert_eq!(check(&file("src/path_utils.rs", "")).len(), 1);
        assert_eq!(check(&file("src/lib.rs", "pub mod misc {}")).len(), 1);
        assert_eq!(check(&crates([member("uc-common", &[])])).len(), 1);
    }
}
