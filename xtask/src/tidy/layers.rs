//! A crate uses only crates of layers below its own.

use super::Violation;
use crate::workspace::{Crate, Dependency, DependencyKind, Workspace};

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The shared nouns.
    Nouns,
    /// Pure: no async, files, network, clock, environment.
    Pure,
    /// The traits that engines and sandboxes share.
    Seam,
    /// What several adapters stand on.
    Base,
    /// One backend, protocol or source of facts each.
    Adapter,
    /// Puts the adapters together.
    Engine,
    /// A foreign protocol on the engine or the pure core.
    Edge,
    /// The binary.
    Cli,
    /// Never shipped: uses any crate, and is used by tests and other crates of its kind alone.
    Dev,
}

/// Every crate there is or will be, with its layer.
const TABLE: &[(&str, Layer)] = &[
    ("uc-model", Layer::Nouns),
    ("uc-manifest", Layer::Pure),
    ("uc-select", Layer::Pure),
    ("uc-redline", Layer::Pure),
    ("uc-sbom", Layer::Pure),
    ("uc-sign", Layer::Pure),
    ("uc-foresight", Layer::Pure),
    ("uc-plan", Layer::Pure),
    ("uc-report", Layer::Pure),
    ("uc-sandbox", Layer::Seam),
    ("uc-linux", Layer::Base),
    ("uc-guest-protocol", Layer::Base),
    ("uc-wasm", Layer::Adapter),
    ("uc-container", Layer::Adapter),
    ("uc-oci-runtime", Layer::Adapter),
    ("uc-microvm", Layer::Adapter),
    ("uc-image", Layer::Adapter),
    ("uc-metrics", Layer::Adapter),
    ("uc-solver", Layer::Adapter),
    ("uc-trace", Layer::Adapter),
    ("uc-engine", Layer::Engine),
    ("uc-guest", Layer::Edge),
    ("uc-function", Layer::Edge),
    ("uc-shim", Layer::Edge),
    ("uc-gateway", Layer::Edge),
    ("uc-cluster", Layer::Edge),
    ("uc-cli", Layer::Cli),
    ("uc-testkit", Layer::Dev),
    ("uc-escape", Layer::Dev),
    ("xtask", Layer::Dev),
];

/// The layer of one of our crates.
pub fn layer_of(name: &str) -> Option<Layer> {
    TABLE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in &workspace.crates {
        let mut report = |message| {
            let manifest = format!("{}/Cargo.toml", member.folder);
            violations.push(Violation::of_file("layers", manifest, message));
        };
        let Some(layer) = layer_of(&member.name) else {
            report(format!(
                "{} has no layer: give it one in xtask/src/tidy/layers.rs",
                member.name
            ));
            continue;
        };
        for dependency in &member.dependencies {
            if let Some(message) = forbidden_edge(member, layer, dependency) {
                report(message);
            }
        }
    }
    violations
}

fn forbidden_edge(from: &Crate, layer: Layer, to: &Dependency) -> Option<String> {
    let target = layer_of(&to.name)?;
    let allowed = match (layer, target) {
        (Layer::Dev, _) => true,
        (_, Layer::Dev) => to.kind == DependencyKind::Dev,
        _ => target < layer,
    };
    (!allowed).then(|| {
        format!(
            "{} (layer {layer:?}) uses {} (layer {target:?}): only layers below its own are open to it",
            from.name, to.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{super::samples::*, *};

    #[test]
    fn downward_edges_and_test_only_edges_to_dev_crates_pass() {
        let mut wasm = member("uc-wasm", &["uc-model", "uc-sandbox", "wasmtime"]);
        wasm.dependencies.push(Dependency {
            name: "uc-testkit".into(),
            kind: DependencyKind::Dev,
        });
        let testkit = member("uc-testkit", &["uc-sandbox", "uc-image"]);
        assert_eq!(check(&crates([wasm, testkit])), []);
    }

    #[test]
    fn upward_same_layer_and_shipped_dev_edges_fail() {
        for (from, to) in [
            ("uc-model", "uc-manifest"),
            ("uc-select", "uc-manifest"),
            ("uc-wasm", "uc-engine"),
            ("uc-engine", "uc-testkit"),
        ] {
            let found = check(&crates([member(from, &[to])]));
            assert_eq!(found.len(), 1, "{from} -> {to}");
            assert_eq!(found[0].path, format!("crates/{from}/Cargo.toml"));
            assert!(found[0].message.contains(to));
        }
    }

    #[test]
    fn a_crate_without_a_layer_fails() {
        assert_eq!(check(&crates([member("uc-surprise", &[])])).len(), 1);
    }
}
