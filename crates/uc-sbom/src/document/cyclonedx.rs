//! CycloneDX 1.6 as JSON.

use serde::Serialize;

use super::{TOOL, TOOL_VERSION, identity, timestamp};
use crate::{
    inventory::{Inventory, SubjectKind},
    licence::Licence,
    package::Package,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    pub(super) serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: [Component; 1],
}

#[derive(Serialize, Default)]
struct Component {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(rename = "externalReferences", skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<ExternalReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum LicenceChoice {
    Expression(String),
    License { name: String },
}

#[derive(Serialize)]
struct ExternalReference {
    url: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

pub(super) fn document(inventory: &Inventory, created_s: i64) -> Document {
    let mut components: Vec<_> = operating_system(inventory).into_iter().collect();
    components.extend(inventory.packages.iter().map(component));
    components.extend(inventory.files.iter().map(|file| {
        Component {
            kind: "file",
            reference: format!("file-{}", identity::of_path(&file.path)),
            name: format!("/{}", file.path),
            hashes: vec![
                Hash {
                    alg: "SHA-1",
                    content: file.sha1.clone(),
                },
                Hash {
                    alg: "SHA-256",
                    content: file.sha256.clone(),
                },
            ],
            properties: file
                .layer
                .iter()
                .map(|layer| property("undercurrent:layer", layer.as_str()))
                .collect(),
            ..Component::default()
        }
    }));
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: timestamp::rfc3339(created_s),
            tools: Tools {
                components: [Component {
                    kind: "application",
                    name: TOOL.to_owned(),
                    version: TOOL_VERSION.to_owned(),
                    ..Component::default()
                }],
            },
            component: root(inventory),
        },
        components,
    }
}

fn root(inventory: &Inventory) -> Component {
    let subject = &inventory.subject;
    Component {
        kind: match subject.kind {
            SubjectKind::Image => "container",
            SubjectKind::Directory => "application",
            SubjectKind::File => "file",
        },
        reference: "root".to_owned(),
        name: subject.name.clone(),
        version: subject
            .digest
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        ..Component::default()
    }
}

fn operating_system(inventory: &Inventory) -> Option<Component> {
    let distribution = inventory.distribution.as_ref()?;
    Some(Component {
        kind: "operating-system",
        reference: format!("os-{}", identity::sanitised(&distribution.id)),
        name: distribution.id.clone(),
        version: distribution
            .version_id
            .clone()
            .or_else(|| distribution.codename.clone())
            .unwrap_or_default(),
        description: distribution.pretty_name.clone(),
        ..Component::default()
    })
}

fn component(package: &Package) -> Component {
    let mut properties = Vec::new();
    for (number, location) in package.locations.iter().enumerate() {
        let path = format!("/{}", location.path);
        properties.push(property(
            &format!("undercurrent:location:{number}:path"),
            &path,
        ));
        if let Some(layer) = &location.layer {
            let name = format!("undercurrent:location:{number}:layer");
            properties.push(property(&name, layer.as_str()));
        }
    }
    Component {
        kind: "library",
        reference: identity::of_package(package),
        publisher: package.supplier.clone(),
        name: package.name.clone(),
        version: package.version.clone(),
        description: package.description.clone(),
        licenses: licences(&package.licences),
        purl: package.purl.clone(),
        external_references: package
            .homepage
            .iter()
            .filter(|page| page.starts_with("http://") || page.starts_with("https://"))
            .filter(|page| is_plain_url(page))
            .map(|page| ExternalReference {
                url: page.clone(),
                kind: "website",
            })
            .collect(),
        properties,
        ..Component::default()
    }
}

/// Whether an address is an IRI reference, as the schema asks.
fn is_plain_url(page: &str) -> bool {
    page.chars()
        .all(|c| !c.is_whitespace() && !r#"<>"{}|\^`[]"#.contains(c))
        && page.split('%').skip(1).all(|rest| {
            let mut digits = rest.chars().take(2);
            digits.all(|digit| digit.is_ascii_hexdigit()) && rest.len() >= 2
        })
}

/// One expression, or names: the schema lets a component have either. It also lists the identifiers of its day, so a
/// single identifier is written as an expression too, which a newer list cannot break.
fn licences(licences: &[Licence]) -> Vec<LicenceChoice> {
    let expressions: Option<Vec<_>> = licences
        .iter()
        .map(|licence| match licence {
            Licence::Spdx(expression) => Some(expression.clone()),
            Licence::Named(_) => None,
        })
        .collect();
    match expressions.as_deref() {
        Some([]) => Vec::new(),
        Some([one]) => vec![LicenceChoice::Expression(one.clone())],
        Some(many) => vec![LicenceChoice::Expression(conjunction(many))],
        None => licences
            .iter()
            .map(|licence| LicenceChoice::License {
                name: licence.as_str().to_owned(),
            })
            .collect(),
    }
}

/// All of several expressions.
pub(super) fn conjunction(expressions: &[String]) -> String {
    let bracketed: Vec<_> = expressions
        .iter()
        .map(|one| {
            if one.contains(" OR ") {
                format!("({one})")
            } else {
                one.clone()
            }
        })
        .collect();
    bracketed.join(" AND ")
}

fn property(name: &str, value: &str) -> Property {
    Property {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
