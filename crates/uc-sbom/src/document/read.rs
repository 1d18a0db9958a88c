//! SPDX 2.2 and 2.3, and CycloneDX 1.2 to 1.6, read back to an inventory.

use serde::{Deserialize, de::DeserializeOwned};
use uc_model::{Problem, Result};

use super::{spdx::OPERATING_SYSTEM, timestamp::parse_time};
use crate::{
    distribution::Distribution,
    inventory::{Inventory, Subject, SubjectKind, Warning},
    licence::Licence,
    package::{Location, Package, PackageKind},
    purl::{Purl, normal_pypi},
    text,
};

/// The largest document, in bytes.
const DOCUMENT_BYTES: usize = 256 << 20;
/// The most packages of a document.
const PACKAGES: usize = 500_000;
/// The deepest nesting of components within components.
const DEPTH: usize = 16;

/// What a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentFormat {
    /// SPDX 2.x as JSON.
    Spdx,
    /// CycloneDX 1.x as JSON.
    CycloneDx,
}

/// What tells the formats apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    spdx_version: Option<String>,
    bom_format: Option<String>,
    spec_version: Option<String>,
    /// Of an in-toto statement: the document that it attests.
    predicate: Option<serde_json::Value>,
}

/// Reads a document of either format, or the in-toto statement around one. Whoever needs to know who stated it verifies
/// the statement first.
///
/// # Errors
/// Invalid if it is neither, or not of a version that is known; refused if it is too large.
pub fn read(bytes: &[u8]) -> Result<(DocumentFormat, Inventory)> {
    if bytes.len() > DOCUMENT_BYTES {
        return Err(Problem::refused("the SBOM is too large")
            .limit(format!("{DOCUMENT_BYTES} bytes"))
            .found(format!("{} bytes", bytes.len())));
    }
    let probe: Probe = parse(bytes)?;
    if let Some(version) = probe.spdx_version {
        if !matches!(version.as_str(), "SPDX-2.2" | "SPDX-2.3") {
            return Err(unknown_version("SPDX-2.2 or SPDX-2.3", &version));
        }
        return Ok((DocumentFormat::Spdx, spdx(parse(bytes)?)?));
    }
    if probe.bom_format.as_deref() == Some("CycloneDX") {
        let version = probe.spec_version.unwrap_or_default();
        if !matches!(version.as_str(), "1.2" | "1.3" | "1.4" | "1.5" | "1.6") {
            return Err(unknown_version("CycloneDX 1.2 to 1.6", &version));
        }
        return Ok((DocumentFormat::CycloneDx, cyclonedx(parse(bytes)?)?));
    }
    if let Some(predicate) = probe.predicate {
        return of_predicate(predicate);
    }
    Err(Problem::invalid("not an SBOM that is known")
        .limit("SPDX 2.3 or CycloneDX 1.4 to 1.6, as JSON")
        .remedy("convert it to one of these formats"))
}

/// When a document says it was made, in seconds since 1970.
pub fn created(bytes: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Times {
        creation_info: Option<Time>,
        metadata: Option<Time>,
        predicate: Option<Box<Times>>,
    }
    #[derive(Deserialize)]
    struct Time {
        #[serde(alias = "timestamp")]
        created: Option<String>,
    }
    let times: Times = serde_json::from_slice(bytes).ok()?;
    let times = times.predicate.map_or_else(
        || (times.creation_info, times.metadata),
        |inner| (inner.creation_info, inner.metadata),
    );
    parse_time(&times.0.or(times.1)?.created?)
}

fn of_predicate(predicate: serde_json::Value) -> Result<(DocumentFormat, Inventory)> {
    if predicate.get("predicate").is_some() {
        return Err(Problem::refused("statements are nested"));
    }
    let bytes = serde_json::to_vec(&predicate)
        .map_err(|error| Problem::internal("JSON cannot be written").caused_by(error))?;
    drop(predicate);
    read(&bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid("the SBOM is not well-formed JSON of its kind")
            .at(format!("line {} column {}", error.line(), error.column()))
            .caused_by(error)
    })
}

fn unknown_version(limit: &str, found: &str) -> Problem {
    Problem::invalid("the SBOM is of a version that is not known")
        .limit(limit)
        .found(text::shown(found))
}

fn too_many() -> Problem {
    Problem::refused("the SBOM lists too many packages").limit(PACKAGES)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxDocument {
    #[serde(default)]
    name: String,
    #[serde(default)]
    packages: Vec<SpdxPackage>,
    #[serde(default)]
    document_describes: Vec<String>,
    #[serde(default)]
    relationships: Vec<SpdxRelationship>,
    #[serde(default)]
    has_extracted_licensing_infos: Vec<SpdxExtracted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID", default)]
    id: String,
    name: String,
    #[serde(default)]
    version_info: String,
    supplier: Option<String>,
    homepage: Option<String>,
    description: Option<String>,
    license_declared: Option<String>,
    primary_package_purpose: Option<String>,
    #[serde(default)]
    external_refs: Vec<SpdxExternalRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxExternalRef {
    reference_type: String,
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxRelationship {
    related_spdx_element: String,
    relationship_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxExtracted {
    license_id: String,
    name: Option<String>,
    #[serde(default)]
    extracted_text: String,
}

fn spdx(document: SpdxDocument) -> Result<Inventory> {
    if document.packages.len() > PACKAGES {
        return Err(too_many());
    }
    let described: Vec<&str> = document
        .relationships
        .iter()
        .filter(|one| one.relationship_type == "DESCRIBES")
        .map(|one| one.related_spdx_element.as_str())
        .chain(document.document_describes.iter().map(String::as_str))
        .collect();
    let mut gathered = Gathered::new(&document.name);
    for one in document.packages {
        let purpose = one.primary_package_purpose.as_deref().unwrap_or_default();
        if matches!(purpose, "OPERATING-SYSTEM" | "OPERATING_SYSTEM")
            || one.id.starts_with(OPERATING_SYSTEM)
        {
            gathered.distribution(&one.name, &one.version_info, one.description.as_deref());
            continue;
        }
        // What the document is about is no package of its own, unless it is one that an ecosystem knows.
        let purl = one
            .external_refs
            .iter()
            .find(|found| found.reference_type.ends_with("purl"))
            .map(|found| found.reference_locator.as_str());
        let is_root = described.contains(&one.id.as_str());
        if is_root {
            gathered.subject(purpose, &one.version_info);
        }
        if is_root
            && purl
                .is_none_or(|purl| purl.starts_with("pkg:oci/") || purl.starts_with("pkg:docker/"))
        {
            continue;
        }
        let licences = one
            .license_declared
            .as_deref()
            .map(|declared| restore(declared, &document.has_extracted_licensing_infos))
            .unwrap_or_default();
        gathered.package(Component {
            name: one.name,
            version: one.version_info,
            purl,
            licences,
            supplier: one.supplier.as_deref().and_then(unwrap_supplier),
            homepage: one.homepage,
            description: one.description,
            locations: Vec::new(),
        });
    }
    Ok(gathered.finish())
}

/// The statements behind a declared expression: references become their words again. A conjunction is taken apart only
/// where each of its terms stands alone.
fn restore(declared: &str, extracted: &[SpdxExtracted]) -> Vec<Licence> {
    let words_of = |term: &str| {
        let found = extracted.iter().find(|one| one.license_id == term)?;
        let words = found.name.as_ref().unwrap_or(&found.extracted_text);
        Some(Licence::parse(words))
    };
    let mut list = Vec::new();
    for term in declared.split(" AND ") {
        match words_of(term).unwrap_or_else(|| Licence::parse(term)) {
            Some(Licence::Named(_)) if words_of(term).is_none() => {
                return Licence::parse(declared).into_iter().collect();
            }
            found => list.extend(found),
        }
    }
    list
}

/// `Person: Name (address)` to `Name <address>`.
fn unwrap_supplier(text: &str) -> Option<String> {
    let rest = text
        .strip_prefix("Person:")
        .or_else(|| text.strip_prefix("Organization:"))?
        .trim();
    Some(match rest.rsplit_once(" (") {
        Some((name, address)) if address.ends_with(')') => {
            format!("{name} <{}>", address.trim_end_matches(')'))
        }
        _ => rest.to_owned(),
    })
}

#[derive(Deserialize)]
struct CdxDocument {
    metadata: Option<CdxMetadata>,
    #[serde(default)]
    components: Vec<CdxComponent>,
}

#[derive(Deserialize)]
struct CdxMetadata {
    component: Option<CdxComponent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CdxComponent {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    publisher: Option<String>,
    description: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    licenses: Vec<CdxLicence>,
    #[serde(default)]
    external_references: Vec<CdxReference>,
    #[serde(default)]
    properties: Vec<CdxProperty>,
    #[serde(default)]
    components: Vec<CdxComponent>,
}

#[derive(Deserialize)]
struct CdxLicence {
    expression: Option<String>,
    license: Option<CdxLicenceName>,
}

#[derive(Deserialize)]
struct CdxLicenceName {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct CdxReference {
    #[serde(default)]
    url: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct CdxProperty {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

fn cyclonedx(document: CdxDocument) -> Result<Inventory> {
    let root = document.metadata.and_then(|metadata| metadata.component);
    let name = root.as_ref().map(|root| root.name.as_str());
    let mut gathered = Gathered::new(name.unwrap_or_default());
    if let Some(root) = &root {
        gathered.subject(&root.kind, &root.version);
    }
    let mut queue: Vec<_> = document
        .components
        .into_iter()
        .map(|component| (0, component))
        .collect();
    while let Some((depth, mut one)) = queue.pop() {
        if gathered.packages.len() > PACKAGES {
            return Err(too_many());
        }
        if depth < DEPTH {
            let inner = std::mem::take(&mut one.components);
            queue.extend(inner.into_iter().map(|component| (depth + 1, component)));
        }
        match one.kind.as_str() {
            "operating-system" => {
                gathered.distribution(&one.name, &one.version, one.description.as_deref());
            }
            "file" | "cryptographic-asset" | "data" => {}
            _ => gathered.package(from_cyclonedx(&one)),
        }
    }
    Ok(gathered.finish())
}

fn from_cyclonedx(one: &CdxComponent) -> Component<'_> {
    let licences = one
        .licenses
        .iter()
        .filter_map(|choice| {
            let named = choice.license.as_ref();
            let text = choice.expression.as_deref().or_else(|| {
                named.and_then(|found| found.id.as_deref().or(found.name.as_deref()))
            })?;
            Licence::parse(text)
        })
        .collect();
    let path = |name: &str| {
        let ours = name.starts_with("undercurrent:location:") || name.starts_with("syft:location:");
        ours && name.ends_with(":path")
    };
    Component {
        name: if one.group.is_empty() {
            one.name.clone()
        } else {
            format!("{}/{}", one.group, one.name)
        },
        version: one.version.clone(),
        purl: one.purl.as_deref(),
        licences,
        supplier: one.publisher.clone(),
        homepage: one
            .external_references
            .iter()
            .find(|reference| reference.kind == "website")
            .map(|reference| reference.url.clone()),
        description: one.description.clone(),
        locations: one
            .properties
            .iter()
            .filter(|property| path(&property.name))
            .map(|property| property.value.trim_start_matches('/').to_owned())
            .collect(),
    }
}

/// A package as either format lists it.
struct Component<'a> {
    name: String,
    version: String,
    purl: Option<&'a str>,
    licences: Vec<Licence>,
    supplier: Option<String>,
    homepage: Option<String>,
    description: Option<String>,
    locations: Vec<String>,
}

/// What a document yields.
struct Gathered {
    subject: Subject,
    distribution: Option<Distribution>,
    packages: Vec<Package>,
    warnings: Vec<Warning>,
}

impl Gathered {
    fn new(name: &str) -> Self {
        Self {
            subject: Subject {
                name: name.to_owned(),
                ..Subject::default()
            },
            distribution: None,
            packages: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What the document is about, by its purpose or type; images and files have a digest for a version.
    fn subject(&mut self, kind: &str, version: &str) {
        self.subject.kind = match kind {
            "FILE" | "file" => SubjectKind::File,
            "SOURCE" | "application" => SubjectKind::Directory,
            _ => SubjectKind::Image,
        };
        self.subject.digest = version.parse().ok();
    }

    fn distribution(&mut self, id: &str, version: &str, pretty_name: Option<&str>) {
        self.distribution.get_or_insert_with(|| Distribution {
            id: id.to_ascii_lowercase(),
            version_id: (!version.is_empty()).then(|| version.to_owned()),
            pretty_name: pretty_name.map(str::to_owned),
            ..Distribution::default()
        });
    }

    /// A package without a usable package URL is kept as one of no known ecosystem: a scan must not lose it.
    fn package(&mut self, component: Component<'_>) {
        let parsed = component
            .purl
            .map(|written| (written, Purl::parse(written)));
        let mut package = match parsed {
            Some((written, Ok(purl))) => {
                self.distribution_of(&purl);
                let mut package = purl.to_package(written);
                // Package URLs have Python's names in one form for all spellings; documents have the real one.
                if package.kind == PackageKind::Pypi && normal_pypi(&component.name) == package.name
                {
                    package.name = component.name;
                }
                package
            }
            Some((_, Err(problem))) => {
                let path = text::shown(&component.name);
                self.warnings.push(Warning::new(&path, None, &problem));
                Package::new(PackageKind::Other, component.name, component.version)
            }
            None => Package::new(PackageKind::Other, component.name, component.version),
        };
        package.licences = component.licences;
        package.supplier = component
            .supplier
            .and_then(|text| text::line(text.as_bytes()));
        package.homepage = component
            .homepage
            .and_then(|text| text::line(text.as_bytes()));
        package.description = component
            .description
            .and_then(|text| text::line(text.as_bytes()));
        package.locations = component
            .locations
            .into_iter()
            .map(|path| Location { path, layer: None })
            .collect();
        self.packages.push(package);
    }

    /// Documents without a component for the distribution name it in their package URLs.
    fn distribution_of(&mut self, purl: &Purl) {
        if self.distribution.is_some() {
            return;
        }
        let (Some(id), Some(qualifier)) = (&purl.namespace, purl.qualifier("distro")) else {
            return;
        };
        let version = qualifier.strip_prefix(id.as_str()).unwrap_or(qualifier);
        let version = version.trim_start_matches('-');
        self.distribution(id, version, None);
    }

    fn finish(self) -> Inventory {
        Inventory::new(
            self.subject,
            self.distribution,
            self.packages,
            Vec::new(),
            self.warnings,
        )
    }
}
