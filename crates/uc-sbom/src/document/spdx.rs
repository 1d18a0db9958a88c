//! SPDX 2.3 as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha1::{Digest as _, Sha1};

use super::{TOOL, TOOL_VERSION, identity, timestamp};
use crate::{
    file_hash::hex,
    inventory::{Inventory, SubjectKind},
    licence::Licence,
    package::Package,
};

const NAMESPACE: &str = "https://undercurrent.dev/spdx";
const NO_ASSERTION: &str = "NOASSERTION";
const ROOT: &str = "SPDXRef-DocumentRoot";
/// The distribution's entry is told by its identifier: the purpose that would say so is spelt differently in the
/// schema's editions of 2.3.
pub(super) const OPERATING_SYSTEM: &str = "SPDXRef-OperatingSystem-";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Element>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: String,
    creators: [String; 1],
    license_list_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Element {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version_info: String,
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: [Checksum; 2],
    license_concluded: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    extracted_text: String,
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    related_spdx_element: String,
    relationship_type: &'static str,
}

impl Document {
    /// Completes the namespace by what is unique to the document.
    pub(super) fn name_space(&mut self, id: &str) {
        self.document_namespace = format!("{NAMESPACE}/{}-{id}", identity::sanitised(&self.name));
    }
}

pub(super) fn document(inventory: &Inventory, created_s: i64) -> Document {
    let refs = licence_refs(inventory);
    let mut packages = vec![root(inventory)];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", ROOT, "DESCRIBES")];
    packages.extend(operating_system(inventory));
    packages.extend(inventory.packages.iter().map(|one| element(one, &refs)));
    for package in packages.iter().skip(1) {
        relationships.push(relationship(ROOT, &package.id, "CONTAINS"));
    }
    let files: Vec<_> = inventory
        .files
        .iter()
        .map(|file| File {
            id: format!("SPDXRef-File-{}", identity::of_path(&file.path)),
            file_name: format!("./{}", file.path),
            checksums: [
                Checksum {
                    algorithm: "SHA1",
                    checksum_value: file.sha1.clone(),
                },
                Checksum {
                    algorithm: "SHA256",
                    checksum_value: file.sha256.clone(),
                },
            ],
            license_concluded: NO_ASSERTION,
            copyright_text: NO_ASSERTION,
            comment: file.layer.as_ref().map(|layer| format!("layer {layer}")),
        })
        .collect();
    for file in &files {
        relationships.push(relationship(ROOT, &file.id, "CONTAINS"));
    }
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: "SPDXRef-DOCUMENT",
        name: name_of(inventory),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: timestamp::rfc3339(created_s),
            creators: [format!("Tool: {TOOL}-{TOOL_VERSION}")],
            license_list_version: list_version(),
        },
        packages,
        files,
        has_extracted_licensing_infos: refs
            .into_iter()
            .map(|(words, id)| Extracted {
                license_id: id,
                extracted_text: words.clone(),
                name: words,
            })
            .collect(),
        relationships,
    }
}

/// Major and minor number: the field holds no more.
fn list_version() -> &'static str {
    let whole = spdx::license_version();
    let end = whole.match_indices('.').nth(1).map(|(at, _)| at);
    end.and_then(|end| whole.get(..end)).unwrap_or(whole)
}

fn name_of(inventory: &Inventory) -> String {
    if inventory.subject.name.is_empty() {
        "unnamed".to_owned()
    } else {
        inventory.subject.name.clone()
    }
}

/// The identifiers of licences that are words.
fn licence_refs(inventory: &Inventory) -> BTreeMap<String, String> {
    let words: BTreeSet<_> = inventory
        .packages
        .iter()
        .flat_map(|package| &package.licences)
        .filter_map(|licence| match licence {
            Licence::Named(words) => Some(words.clone()),
            Licence::Spdx(_) => None,
        })
        .collect();
    let mut taken = BTreeSet::new();
    words
        .into_iter()
        .map(|words| {
            let id = identity::licence_ref(&words, &mut taken);
            (words, id)
        })
        .collect()
}

fn bare(id: String, name: String) -> Element {
    Element {
        id,
        name,
        version_info: String::new(),
        supplier: NO_ASSERTION.to_owned(),
        download_location: NO_ASSERTION,
        files_analyzed: false,
        package_verification_code: None,
        homepage: None,
        source_info: None,
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        copyright_text: NO_ASSERTION,
        description: None,
        checksums: Vec::new(),
        external_refs: Vec::new(),
        primary_package_purpose: None,
    }
}

fn root(inventory: &Inventory) -> Element {
    let subject = &inventory.subject;
    let mut element = bare(ROOT.to_owned(), name_of(inventory));
    element.primary_package_purpose = Some(match subject.kind {
        SubjectKind::Image => "CONTAINER",
        SubjectKind::Directory => "SOURCE",
        SubjectKind::File => "FILE",
    });
    if !inventory.files.is_empty() {
        element.files_analyzed = true;
        element.package_verification_code = Some(verification_code(inventory));
    }
    if let Some(digest) = &subject.digest {
        element.version_info = digest.to_string();
        element.checksums.push(Checksum {
            algorithm: if digest.algorithm() == "sha512" {
                "SHA512"
            } else {
                "SHA256"
            },
            checksum_value: digest.hex().to_owned(),
        });
    }
    element
}

/// The SHA-1 of all files' SHA-1, sorted (SPDX 2.3, 7.9).
fn verification_code(inventory: &Inventory) -> VerificationCode {
    let mut hashes: Vec<_> = inventory.files.iter().map(|file| &file.sha1).collect();
    hashes.sort_unstable();
    let mut hasher = Sha1::new();
    for hash in hashes {
        hasher.update(hash.as_bytes());
    }
    VerificationCode {
        package_verification_code_value: hex(&hasher.finalize()),
    }
}

fn operating_system(inventory: &Inventory) -> Option<Element> {
    let distribution = inventory.distribution.as_ref()?;
    let id = format!(
        "{OPERATING_SYSTEM}{}",
        identity::sanitised(&distribution.id)
    );
    let mut element = bare(id, distribution.id.clone());
    element.version_info = distribution
        .version_id
        .clone()
        .or_else(|| distribution.codename.clone())
        .unwrap_or_default();
    element.description.clone_from(&distribution.pretty_name);
    Some(element)
}

fn element(package: &Package, refs: &BTreeMap<String, String>) -> Element {
    let id = format!("SPDXRef-Package-{}", identity::of_package(package));
    let mut element = bare(id, package.name.clone());
    element.version_info.clone_from(&package.version);
    element.supplier = package
        .supplier
        .as_deref()
        .map_or_else(|| NO_ASSERTION.to_owned(), supplier);
    element.homepage = package
        .homepage
        .clone()
        .filter(|page| page.starts_with("http://") || page.starts_with("https://"));
    element.description.clone_from(&package.description);
    element.source_info = source_info(package);
    element.license_declared = declared(&package.licences, refs);
    element
        .external_refs
        .extend(package.purl.clone().map(|purl| ExternalRef {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: purl,
        }));
    element
}

/// `Person: Name (address)`, or an organisation where there is no address.
fn supplier(text: &str) -> String {
    match text.split_once('<') {
        Some((name, address)) if !name.trim().is_empty() => {
            let address = address.trim().trim_end_matches('>');
            format!("Person: {} ({address})", name.trim())
        }
        _ => format!("Organization: {text}"),
    }
}

fn source_info(package: &Package) -> Option<String> {
    let places: Vec<_> = package
        .locations
        .iter()
        .map(|location| match &location.layer {
            Some(layer) => format!("/{} in layer {layer}", location.path),
            None => format!("/{}", location.path),
        })
        .collect();
    (!places.is_empty()).then(|| format!("found in {}", places.join(", ")))
}

/// All licences in one expression; words by their reference.
fn declared(licences: &[Licence], refs: &BTreeMap<String, String>) -> String {
    let terms: Vec<_> = licences
        .iter()
        .filter_map(|licence| match licence {
            Licence::Spdx(expression) => Some(expression.clone()),
            Licence::Named(words) => refs.get(words).cloned(),
        })
        .collect();
    match terms.as_slice() {
        [] => NO_ASSERTION.to_owned(),
        [one] => one.clone(),
        many => super::cyclonedx::conjunction(many),
    }
}

fn relationship(from: &str, to: &str, kind: &'static str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        related_spdx_element: to.to_owned(),
        relationship_type: kind,
    }
}
