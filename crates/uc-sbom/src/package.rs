//! A package, and where it was found.

use std::{fmt, str::FromStr};

use serde::Serialize;
use uc_model::{Digest, Problem};

use crate::licence::Licence;

/// The world a package comes from: it decides how its name, its version and its package URL are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PackageKind {
    /// Alpine and its relatives.
    Apk,
    /// Rust crates.
    Cargo,
    /// Debian and its relatives.
    Deb,
    /// Ruby gems.
    Gem,
    /// Go modules.
    Go,
    /// Java archives, by Maven coordinates.
    Maven,
    /// Node.js packages.
    Npm,
    /// Python distributions.
    Pypi,
    /// RPM packages.
    Rpm,
    /// A program that no package manager installed, or what a foreign SBOM lists and none of the above fits.
    Other,
}

impl PackageKind {
    /// Every kind, in order.
    pub const ALL: [Self; 10] = [
        Self::Apk,
        Self::Cargo,
        Self::Deb,
        Self::Gem,
        Self::Go,
        Self::Maven,
        Self::Npm,
        Self::Pypi,
        Self::Rpm,
        Self::Other,
    ];

    /// The type in a package URL; `generic` where there is none of its own.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Deb => "deb",
            Self::Gem => "gem",
            Self::Go => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Pypi => "pypi",
            Self::Rpm => "rpm",
            Self::Other => "generic",
        }
    }

    /// Whether a distribution's package manager installs it, so that its version is the distribution's own.
    pub fn is_of_distribution(self) -> bool {
        matches!(self, Self::Apk | Self::Deb | Self::Rpm)
    }
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.purl_type())
    }
}

/// The kind of a package URL's type.
impl FromStr for PackageKind {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.purl_type() == text)
            .ok_or_else(|| Problem::invalid("not a known package type").found(text))
    }
}

/// The source package that a distribution built a package from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version, which may differ from the built package's.
    pub version: String,
}

/// A file that a package was found in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Location {
    /// Relative to the root; for a nested archive the outer path, `!/`, and the inner one.
    pub path: String,
    /// The layer that holds it, if there are layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Where it comes from.
    pub kind: PackageKind,
    /// As its ecosystem writes it: `@scope/name` for npm, `group:artifact` for Maven, the module path for Go.
    pub name: String,
    /// As its ecosystem writes it, with the epoch of an RPM in front; empty if unknown.
    pub version: String,
    /// As its ecosystem writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The source package, for packages of distributions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Sorted, without duplicates: all of them apply.
    pub licences: Vec<Licence>,
    /// Who maintains or made it, as `Name <address>` or a name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// One line on what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its package URL; set when the inventory is made, since it names the distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purl: Option<String>,
    /// Sorted, without duplicates.
    pub locations: Vec<Location>,
}

impl Package {
    /// A package of which only the name and the version are known.
    pub fn new(kind: PackageKind, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            architecture: None,
            source: None,
            licences: Vec::new(),
            supplier: None,
            homepage: None,
            description: None,
            purl: None,
            locations: Vec::new(),
        }
    }

    /// The bytes that its text takes in memory, for the bound on what a scan keeps.
    pub(crate) fn weight(&self) -> usize {
        let optional = [
            &self.architecture,
            &self.supplier,
            &self.homepage,
            &self.description,
            &self.purl,
        ];
        size_of::<Self>()
            + self.name.len()
            + self.version.len()
            + optional
                .iter()
                .filter_map(|text| text.as_ref().map(String::len))
                .sum::<usize>()
            + self
                .source
                .as_ref()
                .map_or(0, |source| source.name.len() + source.version.len())
            + self
                .licences
                .iter()
                .map(|licence| size_of::<Licence>() + licence.as_str().len())
                .sum::<usize>()
            + self
                .locations
                .iter()
                .map(|location| size_of::<Location>() + location.path.len())
                .sum::<usize>()
    }

    /// What makes two finds the same package.
    pub(crate) fn identity(&self) -> (PackageKind, &str, &str, Option<&str>) {
        (
            self.kind,
            &self.name,
            &self.version,
            self.architecture.as_deref(),
        )
    }

    /// Adds what another find of the same package knows.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.locations.extend(other.locations);
        self.licences.extend(other.licences);
        self.source = self.source.take().or(other.source);
        self.supplier = self.supplier.take().or(other.supplier);
        self.homepage = self.homepage.take().or(other.homepage);
        self.description = self.description.take().or(other.description);
        self.purl = self.purl.take().or(other.purl);
    }

    pub(crate) fn tidy(&mut self) {
        self.locations.sort_unstable();
        self.locations.dedup();
        self.licences.sort_unstable();
        self.licences.dedup();
    }
}
