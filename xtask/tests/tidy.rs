//! The repository keeps its own rules.

use xtask::{tidy, workspace::Workspace};

#[test]
fn the_repository_keeps_its_rules() {
    let workspace = Workspace::load().expect("the workspace can be read");
    assert!(
        workspace.crates.iter().any(|one| one.name == "xtask"),
        "the workspace was found"
    );
    assert!(workspace.sources.len() > 10, "its files were found");
    let violations: Vec<String> = tidy::check(&workspace)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
