//! Artifacts made from files: anything with a type of its own, Helm charts, Wasm programs, SBOMs.
//!
//! Equal files give equal artifacts: no times, no random names.

mod chart;
mod chart_yaml;
mod wasm;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Cursor, Read},
    path::{Component, Path, PathBuf},
};

use uc_model::{Problem, Result};

pub use chart::Chart;

use crate::{
    bounds,
    image::BlobSource,
    media, parallel,
    registry::{FetchedManifest, referrer_entry},
    spec::{self, Descriptor, Manifest},
    transfer::Destination,
    verify::{Hasher, digest_of},
};

/// The configuration of an artifact that needs none, and what it says.
pub const EMPTY: (&str, &[u8]) = ("application/vnd.oci.empty.v1+json", b"{}");
/// The annotation that carries a file's name.
pub const TITLE: &str = "org.opencontainers.image.title";
/// An SPDX document.
pub const SPDX: &str = "application/spdx+json";
/// A CycloneDX document.
pub const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// The most files of one artifact.
const FILES: usize = 1000;
/// Blobs that are sent at the same time.
const BLOBS: usize = 4;
/// How much of a file is looked at to find out what it is, in bytes.
const HEAD_BYTES: u64 = 64 << 10;

/// An artifact that is ready to be pushed.
#[derive(Debug)]
pub struct Artifact {
    manifest: Manifest,
    contents: BTreeMap<String, Content>,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A file that becomes a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayer {
    /// Where it is.
    pub path: PathBuf,
    /// Its media type; by its name where that is not given.
    pub media_type: Option<String>,
}

impl Artifact {
    /// An artifact of a type with files as layers. Without files it has one empty layer, as the specification asks.
    ///
    /// # Errors
    /// Invalid for what is no media type and for two files of one name; not found for a file that is not there.
    pub fn files(artifact_type: &str, files: &[FileLayer]) -> Result<Self> {
        check_media_type(artifact_type)?;
        if files.len() > FILES {
            return Err(Problem::refused("too many files for one artifact")
                .limit(FILES)
                .found(files.len()));
        }
        let mut artifact = Self::empty(Some(artifact_type));
        let mut titles = BTreeSet::new();
        for file in files {
            let title = title(&file.path)?;
            let media_type = match &file.media_type {
                Some(media_type) => media_type.clone(),
                None => media_type_by_name(&title).to_owned(),
            };
            check_media_type(&media_type).map_err(|problem| problem.within(file.path.display()))?;
            let mut layer = artifact.add_file(&media_type, &file.path)?;
            if !titles.insert(title.clone()) {
                return Err(
                    Problem::invalid("two files of an artifact have the same name")
                        .found(&title)
                        .remedy("name them by different relative paths"),
                );
            }
            layer.annotations.insert(TITLE.into(), title);
            artifact.manifest.layers.push(layer);
        }
        if artifact.manifest.layers.is_empty() {
            let layer = artifact.manifest.config.clone();
            artifact.manifest.layers.push(layer);
        }
        Ok(artifact)
    }

    /// An SBOM document. What it is, is told by its content.
    ///
    /// # Errors
    /// Invalid for what is neither SPDX nor CycloneDX in JSON; not found for a file that is not there.
    pub fn sbom(path: &Path) -> Result<Self> {
        let head = head(path)?;
        let text = String::from_utf8_lossy(&head);
        let media_type = if text.contains("\"spdxVersion\"") {
            SPDX
        } else if text.contains("\"bomFormat\"") && text.contains("CycloneDX") {
            CYCLONEDX
        } else {
            return Err(Problem::invalid("not an SBOM that is known")
                .at(path.display())
                .limit("SPDX or CycloneDX in JSON")
                .remedy("name its type with --artifact-type"));
        };
        let file = FileLayer {
            path: path.to_owned(),
            media_type: Some(media_type.into()),
        };
        Self::files(media_type, &[file])
    }

    /// A Wasm module or component, as the CNCF describes it.
    ///
    /// # Errors
    /// Invalid for what is no Wasm; not found for a file that is not there.
    pub fn wasm(path: &Path) -> Result<Self> {
        let bytes = read(path, wasm::WASM_BYTES)?;
        let layer_digest = digest_of(&bytes);
        let config = wasm::config(&bytes, &layer_digest)
            .map_err(|problem| problem.within(path.display()))?;
        let mut artifact = Self::empty(None);
        artifact.manifest.config = artifact.add_bytes(media::WASM_CONFIG, config);
        let mut layer = artifact.add_bytes(media::WASM, bytes);
        layer.annotations.insert(TITLE.into(), title(path)?);
        artifact.manifest.layers.push(layer);
        Ok(artifact)
    }

    /// A packed Helm chart, as Helm 3 pushes it, with its provenance file where one lies beside it.
    ///
    /// # Errors
    /// Invalid for what is no chart; not found for a file that is not there.
    pub fn helm(path: &Path) -> Result<(Self, Chart)> {
        let chart = Chart::read(path)?;
        let mut artifact = Self::empty(None);
        artifact.manifest.config = artifact.add_bytes(chart::CONFIG, chart.config()?);
        let layer = artifact.add_file(chart::CONTENT, path)?;
        artifact.manifest.layers.push(layer);
        let mut provenance = path.as_os_str().to_owned();
        provenance.push(".prov");
        let provenance = PathBuf::from(provenance);
        if provenance.is_file() {
            let layer = artifact.add_file(chart::PROVENANCE, &provenance)?;
            artifact.manifest.layers.push(layer);
        }
        artifact.manifest.annotations = chart.annotations();
        Ok((artifact, chart))
    }

    /// Attaches the artifact to a manifest.
    #[must_use]
    pub fn with_subject(mut self, subject: Descriptor) -> Self {
        self.manifest.subject = Some(Descriptor::new(
            &subject.media_type,
            subject.digest,
            subject.size,
        ));
        self
    }

    /// Adds annotations to the manifest; they replace those of the same name.
    #[must_use]
    pub fn with_annotations(
        mut self,
        annotations: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        self.manifest.annotations.extend(annotations);
        self
    }

    /// The manifest as it will be pushed.
    ///
    /// # Errors
    /// Refused where it is too large for a registry.
    pub fn manifest(&self) -> Result<FetchedManifest> {
        let bytes = spec::to_json(&self.manifest)?;
        if bytes.len() as u64 > bounds::MANIFEST_BYTES {
            return Err(Problem::refused("the manifest is too large for a registry")
                .limit(bounds::shown(bounds::MANIFEST_BYTES))
                .found(bounds::shown(bytes.len() as u64)));
        }
        let mut descriptor =
            Descriptor::new(media::OCI_MANIFEST, digest_of(&bytes), bytes.len() as u64);
        descriptor
            .artifact_type
            .clone_from(&self.manifest.artifact_type);
        Ok(FetchedManifest { descriptor, bytes })
    }

    /// Pushes it, under a tag or by its digest alone, and lists it at its subject. Gives its descriptor.
    ///
    /// # Errors
    /// Those of the destination; invalid where a file has changed meanwhile.
    pub fn push(&self, destination: &dyn Destination, tag: Option<&str>) -> Result<Descriptor> {
        let mut seen = BTreeSet::new();
        let blobs: Vec<&Descriptor> = self
            .manifest
            .layers
            .iter()
            .chain([&self.manifest.config])
            .filter(|blob| seen.insert(&blob.digest))
            .collect();
        parallel::for_each(&blobs, BLOBS, |blob| destination.put_blob(blob, self))?;
        let manifest = self.manifest()?;
        let is_listed = destination.put_manifest(&manifest, tag)?;
        if let Some(subject) = &self.manifest.subject
            && !is_listed
        {
            let (entry, _) = referrer_entry(media::OCI_MANIFEST, &manifest.bytes)?;
            destination.list_referrers(&[entry], &subject.digest)?;
        }
        Ok(manifest.descriptor)
    }

    fn empty(artifact_type: Option<&str>) -> Self {
        let mut artifact = Self {
            manifest: Manifest {
                schema_version: 2,
                media_type: Some(media::OCI_MANIFEST.into()),
                artifact_type: artifact_type.map(str::to_owned),
                config: Descriptor::new(EMPTY.0, digest_of(EMPTY.1), EMPTY.1.len() as u64),
                layers: Vec::new(),
                subject: None,
                annotations: BTreeMap::new(),
            },
            contents: BTreeMap::new(),
        };
        artifact.add_bytes(EMPTY.0, EMPTY.1.to_vec());
        artifact
    }

    fn add_bytes(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::new(media_type, digest_of(&bytes), bytes.len() as u64);
        let name = descriptor.digest.to_string();
        self.contents.insert(name, Content::Bytes(bytes));
        descriptor
    }

    fn add_file(&mut self, media_type: &str, path: &Path) -> Result<Descriptor> {
        let mut file = open(path)?;
        let mut hasher = HashingSink {
            hasher: Hasher::sha256(),
            size: 0,
        };
        io::copy(&mut file, &mut hasher).map_err(|error| unreadable(path, error))?;
        let descriptor = Descriptor::new(media_type, hasher.hasher.finish()?, hasher.size);
        let name = descriptor.digest.to_string();
        self.contents.insert(name, Content::File(path.to_owned()));
        Ok(descriptor)
    }
}

impl BlobSource for Artifact {
    fn open_unverified(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        match self.contents.get(descriptor.digest.as_str()) {
            Some(Content::Bytes(bytes)) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Some(Content::File(path)) => Ok(Box::new(open(path)?)),
            None => {
                Err(Problem::internal("an artifact lacks a part of itself").at(&descriptor.digest))
            }
        }
    }

    fn place(&self) -> String {
        "the files to push".into()
    }
}

struct HashingSink {
    hasher: Hasher,
    size: u64,
}

impl io::Write for HashingSink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.hasher.update(buffer);
        self.size += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        _ => Err(Problem::invalid("not a regular file")
            .at(path.display())
            .remedy("name files; pack a directory first")),
    }
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    let problem = if error.kind() == io::ErrorKind::NotFound {
        Problem::not_found("no such file")
            .remedy("check the path: it is relative to the working directory")
    } else {
        Problem::invalid("cannot read the file").found(&error)
    };
    problem.at(path.display()).caused_by(error)
}

/// A whole file of at most `limit` bytes.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Problem::refused("the file is too large")
            .at(path.display())
            .limit(bounds::shown(limit)));
    }
    Ok(bytes)
}

/// The start of a file.
fn head(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?
        .take(HEAD_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, error))?;
    Ok(bytes)
}

/// The name a file gets in an artifact: its path where that leads downwards alone, else its own name. Who unpacks an
/// artifact writes to that path.
fn title(path: &Path) -> Result<String> {
    let leads_down = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let title: PathBuf = if leads_down {
        path.components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    } else {
        path.file_name().map(PathBuf::from).unwrap_or_default()
    };
    match title.to_str() {
        Some(title) if !title.is_empty() => Ok(title.to_owned()),
        _ => Err(Problem::invalid("the name of the file is not UTF-8 text").at(path.display())),
    }
}

/// What is commonly meant by a name.
fn media_type_by_name(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let types = [
        (".spdx.json", SPDX),
        (".cdx.json", CYCLONEDX),
        (".json", "application/json"),
        (".yaml", "application/yaml"),
        (".yml", "application/yaml"),
        (".txt", "text/plain"),
        (".md", "text/markdown"),
        (".wasm", media::WASM),
        (".tar.gz", "application/gzip"),
        (".tgz", "application/gzip"),
        (".tar", "application/x-tar"),
    ];
    types
        .iter()
        .find(|(end, _)| name.ends_with(end))
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// RFC 6838, section 4.2, with parameters as bundles have them.
fn check_media_type(text: &str) -> Result<()> {
    let name = |part: &str| {
        part.len() <= 127
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (whole, parameters) = text.split_once(';').unwrap_or((text, ""));
    let well_formed = whole
        .split_once('/')
        .is_some_and(|(kind, subtype)| name(kind) && name(subtype));
    if well_formed
        && parameters.len() <= 127
        && parameters.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Ok(());
    }
    Err(Problem::invalid("not a media type")
        .limit("TYPE/SUBTYPE, such as application/vnd.example.config.v1+json")
        .found(format!("{text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_lead_downwards() {
        for (path, expected) in [
            ("a.txt", "a.txt"),
            ("./dir/a.txt", "dir/a.txt"),
            ("/etc/a.txt", "a.txt"),
            ("../a.txt", "a.txt"),
            ("dir/../../a.txt", "a.txt"),
        ] {
            assert_eq!(title(Path::new(path)).expect(path), expected);
        }
        assert!(title(Path::new("..")).is_err());
    }

    #[test]
    fn media_types_are_checked() {
        for yes in [
            "text/plain",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.dev.sigstore.bundle+json;version=0.1",
        ] {
            check_media_type(yes).expect(yes);
        }
        for no in ["", "text", "/", "text/", "a b/c", "text/pl\nain", "a/b; c"] {
            assert!(check_media_type(no).is_err(), "{no:?}");
        }
    }

    #[test]
    fn types_are_known_by_name() {
        for (name, expected) in [
            ("x.spdx.json", SPDX),
            ("bom.CDX.json", CYCLONEDX),
            ("a.json", "application/json"),
            ("unknown", "application/octet-stream"),
        ] {
            assert_eq!(media_type_by_name(name), expected);
        }
    }
}
