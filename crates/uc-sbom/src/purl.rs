//! Package URLs: `pkg:type/namespace/name@version?qualifiers`.

use uc_model::{Problem, Result};

use crate::{
    distribution::Distribution,
    package::{Package, PackageKind, SourcePackage},
    text,
};

/// The longest package URL that is read, in bytes.
const PURL_BYTES: usize = 4096;

/// The parts of a package URL, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purl {
    /// `deb`, `npm`, …
    pub kind: String,
    /// The part before the name, parts joined by `/`.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// The version.
    pub version: Option<String>,
    /// Keys and values, in order of the keys.
    pub qualifiers: Vec<(String, String)>,
}

impl Purl {
    /// Reads a package URL.
    ///
    /// # Errors
    /// Invalid if it lacks the scheme, a type or a name, or is encoded wrongly.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |what: &str| {
            Problem::invalid(format!("the package URL {what}"))
                .limit("pkg:type/namespace/name@version?qualifiers")
                .found(text::shown(text))
        };
        if text.len() > PURL_BYTES {
            return Err(bad("is too long"));
        }
        let rest = text
            .strip_prefix("pkg:")
            .ok_or_else(|| bad("does not begin with pkg:"))?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let (kind, path) = path.split_once('/').ok_or_else(|| bad("has no name"))?;
        let (path, version) = match path.rsplit_once('@') {
            // An unencoded scope of npm looks like a version.
            Some((path, version)) if !path.is_empty() && !version.contains('/') => {
                (path, Some(version))
            }
            _ => (path, None),
        };
        let decoded = |part: &str| decode(part).ok_or_else(|| bad("is encoded wrongly"));
        let mut parts = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decoded)
            .collect::<Result<Vec<_>>>()?;
        let name = parts.pop().ok_or_else(|| bad("has no name"))?;
        let mut qualifiers = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| Ok((key.to_ascii_lowercase(), decoded(value)?)))
            .collect::<Result<Vec<_>>>()?;
        qualifiers.sort_unstable();
        Ok(Self {
            kind: kind.to_ascii_lowercase(),
            namespace: (!parts.is_empty()).then(|| parts.join("/")),
            name,
            version: version.map(decoded).transpose()?,
            qualifiers,
        })
    }

    /// The value of a qualifier.
    pub fn qualifier(&self, key: &str) -> Option<&str> {
        self.qualifiers
            .iter()
            .find(|(found, _)| found == key)
            .map(|(_, value)| value.as_str())
    }

    /// The package that it names.
    pub fn to_package(&self, written: &str) -> Package {
        let kind = self.kind.parse().unwrap_or(PackageKind::Other);
        let name = match (&self.namespace, kind) {
            (Some(group), PackageKind::Maven) => format!("{group}:{}", self.name),
            (Some(scope), PackageKind::Npm | PackageKind::Go) => format!("{scope}/{}", self.name),
            _ => self.name.clone(),
        };
        let mut version = self.version.clone().unwrap_or_default();
        if kind == PackageKind::Rpm
            && let Some(epoch) = self.qualifier("epoch")
        {
            version = format!("{epoch}:{version}");
        }
        let mut package = Package::new(kind, name, version);
        package.architecture = self.qualifier("arch").map(str::to_owned);
        package.source = self
            .qualifier("upstream")
            .and_then(|upstream| source_of(kind, upstream, &package.version));
        package.purl = Some(written.to_owned());
        package
    }
}

/// The source package that the qualifier `upstream` names: `name`, `name@version`, or an RPM's file name.
fn source_of(kind: PackageKind, upstream: &str, version: &str) -> Option<SourcePackage> {
    if kind == PackageKind::Rpm {
        return crate::catalog::rpm::source_package(upstream, version);
    }
    let (name, version) = upstream.split_once('@').unwrap_or((upstream, version));
    Some(SourcePackage {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

/// The package URL of a package; `generic` where no other type fits.
pub fn of_package(package: &Package, distribution: Option<&Distribution>) -> String {
    let mut out = format!("pkg:{}/", package.kind.purl_type());
    let mut qualifiers: Vec<(&str, String)> = Vec::new();
    let mut version = package.version.as_str();
    match package.kind {
        PackageKind::Apk | PackageKind::Deb | PackageKind::Rpm => {
            if let Some(found) = distribution {
                out.push_str(&encode(&found.id));
                out.push('/');
                qualifiers.push(("distro", found.qualifier()));
            }
            if let Some(architecture) = &package.architecture {
                qualifiers.push(("arch", architecture.clone()));
            }
            if package.kind == PackageKind::Rpm
                && let Some((epoch, rest)) = version.split_once(':')
            {
                qualifiers.push(("epoch", epoch.to_owned()));
                version = rest;
            }
            qualifiers.extend(upstream(package).map(|value| ("upstream", value)));
            out.push_str(&encode(&package.name));
        }
        PackageKind::Maven => match package.name.split_once(':') {
            Some((group, artifact)) => {
                out.push_str(&format!("{}/{}", encode(group), encode(artifact)));
            }
            None => out.push_str(&encode(&package.name)),
        },
        PackageKind::Pypi => out.push_str(&encode(&normal_pypi(&package.name))),
        PackageKind::Go | PackageKind::Npm => {
            let parts: Vec<_> = package.name.split('/').map(encode).collect();
            out.push_str(&parts.join("/"));
        }
        PackageKind::Cargo | PackageKind::Gem | PackageKind::Other => {
            out.push_str(&encode(&package.name));
        }
    }
    if !version.is_empty() {
        out.push('@');
        out.push_str(&encode(version));
    }
    qualifiers.sort_unstable();
    for (number, (key, value)) in qualifiers.iter().enumerate() {
        out.push(if number == 0 { '?' } else { '&' });
        out.push_str(&format!("{key}={}", encode(value)));
    }
    out
}

/// What scanners need to find the source package again; only where it differs.
fn upstream(package: &Package) -> Option<String> {
    let source = package.source.as_ref()?;
    match package.kind {
        PackageKind::Rpm => {
            let bare = source
                .version
                .split_once(':')
                .map_or(source.version.as_str(), |(_, rest)| rest);
            Some(format!("{}-{bare}.src.rpm", source.name))
        }
        _ if source.version != package.version => {
            Some(format!("{}@{}", source.name, source.version))
        }
        _ if source.name != package.name => Some(source.name.clone()),
        _ => None,
    }
}

/// The normal form of a Python distribution's name (PEP 503).
pub(crate) fn normal_pypi(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.push(character.to_ascii_lowercase());
        }
    }
    out
}

/// Percent-encoding: everything but what the specification leaves alone.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Distribution {
        Distribution {
            id: "debian".into(),
            version_id: Some("12".into()),
            ..Distribution::default()
        }
    }

    #[test]
    fn each_kind_is_written_as_its_type_asks() {
        let written = |kind, name: &str, version: &str| {
            of_package(&Package::new(kind, name, version), Some(&debian()))
        };
        for (kind, name, version, expected) in [
            (
                PackageKind::Npm,
                "@babel/core",
                "7.0.0",
                "pkg:npm/%40babel/core@7.0.0",
            ),
            (
                PackageKind::Pypi,
                "Foo_Bar.baz",
                "1.0+local",
                "pkg:pypi/foo-bar-baz@1.0%2Blocal",
            ),
            (
                PackageKind::Go,
                "golang.org/x/text",
                "v0.3.0",
                "pkg:golang/golang.org/x/text@v0.3.0",
            ),
            (
                PackageKind::Maven,
                "org.apache:commons",
                "1",
                "pkg:maven/org.apache/commons@1",
            ),
            (
                PackageKind::Cargo,
                "serde",
                "1.0.0",
                "pkg:cargo/serde@1.0.0",
            ),
            (
                PackageKind::Deb,
                "libstdc++6",
                "1:12.2-14~x",
                "pkg:deb/debian/libstdc%2B%2B6@1:12.2-14~x?distro=debian-12",
            ),
            (
                PackageKind::Rpm,
                "bash",
                "1:5.1-2",
                "pkg:rpm/debian/bash@5.1-2?distro=debian-12&epoch=1",
            ),
        ] {
            assert_eq!(written(kind, name, version), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut package = Package::new(PackageKind::Deb, "libc6", "2.36-9+deb12u9");
        package.architecture = Some("amd64".into());
        package.source = Some(SourcePackage {
            name: "glibc".into(),
            version: "2.36-9".into(),
        });
        let written = of_package(&package, Some(&debian()));
        assert_eq!(
            written,
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12&upstream=glibc%402.36-9"
        );
        package.purl = Some(written.clone());
        let read = Purl::parse(&written).expect("valid");
        assert_eq!(read.to_package(&written), package);
        assert_eq!(read.qualifier("distro"), Some("debian-12"));
    }

    #[test]
    fn wrong_ones_are_refused() {
        for wrong in [
            "",
            "pkg:",
            "pkg:npm",
            "npm/a@1",
            "pkg:npm/%zz",
            "pkg:npm/%",
            "pkg:npm/@",
        ] {
            let read = Purl::parse(wrong);
            assert!(read.is_err() || wrong == "pkg:npm/@", "{wrong}: {read:?}");
        }
        let scoped = Purl::parse("pkg:npm/@babel/core@7").expect("lenient");
        assert_eq!(scoped.namespace.as_deref(), Some("@babel"));
    }
}
