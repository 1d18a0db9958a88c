//! The configuration of a Wasm artifact: whether it is a module or a component, and what that imports and exports.

use uc_model::{Digest, Problem, Result};
use wasmparser::{Parser, Payload};

use crate::spec;

/// The largest program that is pushed, in bytes.
pub(super) const WASM_BYTES: u64 = 1 << 30;
/// The most imports or exports that are listed.
const NAMES: usize = 10_000;
/// The same file gives the same artifact; the field is there because readers insist on it.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Version 0 of the configuration.
pub(super) fn config(bytes: &[u8], layer: &Digest) -> Result<Vec<u8>> {
    let not_wasm = |found: String| {
        Problem::invalid("not a WebAssembly program")
            .limit("a module or component in binary form")
            .found(found)
            .remedy("text is turned into binary form by: wasm-tools parse")
    };
    if !bytes.starts_with(b"\0asm") {
        return Err(not_wasm("another kind of file".into()));
    }
    let mut document = serde_json::json!({
        "created": CREATED, "architecture": "wasm", "os": "wasip1", "layerDigests": [layer],
    });
    if Parser::is_component(bytes) {
        let (imports, exports) = names(bytes).map_err(|error| not_wasm(error.to_string()))?;
        document["os"] = "wasip2".into();
        document["component"] = serde_json::json!({ "imports": imports, "exports": exports });
    } else if !Parser::is_core_wasm(bytes) {
        return Err(not_wasm("an unknown version".into()));
    }
    spec::to_json(&document)
}

/// Imports and exports of a component, in the order in which they are declared.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), wasmparser::BinaryReaderError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        imports.truncate(NAMES);
        exports.truncate(NAMES);
    }
    Ok((imports, exports))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::verify::digest_of;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    /// A component without anything in it.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn parsed(bytes: &[u8]) -> serde_json::Value {
        let config = config(bytes, &digest_of(bytes)).expect("is Wasm");
        serde_json::from_slice(&config).expect("JSON")
    }

    #[test]
    fn modules_and_components_are_told_apart() {
        let module = parsed(MODULE);
        assert_eq!(module["os"], "wasip1");
        assert_eq!(module["layerDigests"][0], digest_of(MODULE).to_string());
        assert!(module.get("component").is_none());
        let component = parsed(COMPONENT);
        assert_eq!(component["os"], "wasip2");
        assert_eq!(component["component"]["imports"], serde_json::json!([]));
    }

    #[test]
    fn a_component_lists_its_own_names_alone() {
        let text = r#"(component
            (import "wasi:cli/stdout@0.2.0" (instance))
            (component (import "inner" (func)))
            (core module (func (export "deep")))
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "run") (canon lift (core func $i "f"))))"#;
        let component = parsed(&wat::parse_str(text).expect("valid"));
        assert_eq!(
            component["component"]["imports"],
            serde_json::json!(["wasi:cli/stdout@0.2.0"])
        );
        assert_eq!(
            component["component"]["exports"],
            serde_json::json!(["run"])
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), is_component in any::<bool>()) {
            let mut whole = if is_component { COMPONENT } else { MODULE }.to_vec();
            whole.append(&mut bytes);
            let _ = config(&whole, &digest_of(b""));
        }
    }
}
