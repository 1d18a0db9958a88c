//! The packages of an SPDX document, in a form that both tools share.

use std::collections::BTreeMap;

use serde_json::Value;
use uc_model::{Problem, Result};

/// Package URLs without qualifiers, percent-decoded; `name@version` for packages without one. The key has no group where
/// the package is a Java archive: few archives state it, and tools guess differently.
///
/// # Errors
/// Invalid where it is no JSON.
pub(super) fn of_spdx(document: &[u8]) -> Result<BTreeMap<String, String>> {
    let document: Value = serde_json::from_slice(document)
        .map_err(|error| Problem::invalid("not an SPDX document").caused_by(error))?;
    let packages = document["packages"].as_array();
    Ok(packages
        .into_iter()
        .flatten()
        .filter_map(name)
        .map(|name| (without_group(&name), name))
        .collect())
}

fn without_group(name: &str) -> String {
    let artifact = name
        .strip_prefix("pkg:maven/")
        .and_then(|rest| rest.rsplit('/').next());
    artifact.map_or_else(
        || name.to_owned(),
        |artifact| format!("pkg:maven/{artifact}"),
    )
}

fn name(package: &Value) -> Option<String> {
    let purpose = package["primaryPackagePurpose"]
        .as_str()
        .unwrap_or_default();
    let id = package["SPDXID"].as_str().unwrap_or_default();
    if purpose == "CONTAINER" || purpose.starts_with("OPERATING") || id.contains("OperatingSystem")
    {
        return None;
    }
    let references = package["externalRefs"].as_array();
    let purl = references
        .into_iter()
        .flatten()
        .filter(|reference| reference["referenceType"] == "purl")
        .find_map(|reference| reference["referenceLocator"].as_str());
    let text = |key: &str| package[key].as_str().unwrap_or_default();
    Some(match purl {
        Some(purl) => decoded(purl.split(['?', '#']).next().unwrap_or(purl)),
        None => format!("{}@{}", text("name"), text("versionInfo")),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualifiers_and_what_is_no_package_are_left_out() {
        let document = br#"{"packages":[
            {"SPDXID":"a","name":"image","primaryPackagePurpose":"CONTAINER"},
            {"SPDXID":"b","name":"x","externalRefs":[
                {"referenceType":"cpe23Type","referenceLocator":"cpe"},
                {"referenceType":"purl","referenceLocator":"pkg:deb/debian/x@1%2B2?arch=all"}]},
            {"SPDXID":"c","name":"y","versionInfo":"3"},
            {"SPDXID":"d","name":"z","externalRefs":[
                {"referenceType":"purl","referenceLocator":"pkg:maven/org.z/z@4"}]}]}"#;
        let found = of_spdx(document).expect("reads");
        assert_eq!(
            found.into_keys().collect::<Vec<_>>(),
            ["pkg:deb/debian/x@1+2", "pkg:maven/z@4", "y@3"]
        );
    }
}
