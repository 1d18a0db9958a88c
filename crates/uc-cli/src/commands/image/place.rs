//! Where images and artifacts are: in a registry, a layout or an archive.

use std::path::{Path, PathBuf};

use uc_image::{
    Reference,
    layout::{LayoutArchive, LayoutDirectory, LayoutOrigin},
    origin::Origin,
    registry::{Credentials, FetchedManifest, Registry},
};
use uc_model::{Problem, Result, workload::ImageSource};

use crate::progress::Bars;

/// A place as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Registry {
        reference: Reference,
        /// Whether a tag was given: where none is, `latest` may not be meant.
        has_tag: bool,
    },
    Layout {
        directory: PathBuf,
        tag: Option<String>,
    },
    Archive {
        file: PathBuf,
        tag: Option<String>,
    },
}

impl Place {
    /// Reads `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or a registry reference.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match uc_manifest::parse_image(text, Path::new("."))? {
            ImageSource::Registry { reference } => Ok(Self::Registry {
                reference: reference.parse()?,
                has_tag: has_tag(text),
            }),
            ImageSource::OciLayout { directory, tag } => Ok(Self::Layout { directory, tag }),
            ImageSource::OciArchive { file, tag } => Ok(Self::Archive { file, tag }),
            ImageSource::WasmFile { file } => Err(Problem::invalid("a file is no image")
                .found(file.display())
                .remedy("push it first: uc image push FILE.wasm REFERENCE")),
        }
    }

    /// Reads a registry reference, for what needs one.
    pub(super) fn parse_reference(text: &str) -> Result<(Reference, bool)> {
        match Self::parse(text)? {
            Self::Registry { reference, has_tag } => Ok((reference, has_tag)),
            _ => Err(Problem::invalid("not a registry reference")
                .found(text)
                .remedy("name it as HOST[:PORT]/PATH[:TAG]")),
        }
    }

    /// The tag, where one is named.
    pub(super) fn tag(&self) -> Option<&str> {
        match self {
            Self::Registry { reference, .. } => reference.tag(),
            Self::Layout { tag, .. } | Self::Archive { tag, .. } => tag.as_deref(),
        }
    }

    /// Opens it for reading, with what it names.
    pub(super) fn open<'a>(
        &self,
        credentials: &'a Credentials,
        bars: &'a Bars,
    ) -> Result<(Box<dyn Origin + 'a>, FetchedManifest)> {
        match self {
            Self::Registry { reference, .. } => {
                let registry = Registry::new(reference, credentials, bars);
                let named = registry.manifest(reference.manifest_name())?;
                Ok((Box::new(registry), named))
            }
            Self::Layout { directory, tag } => {
                let origin = LayoutOrigin::new(LayoutDirectory::open(directory)?)?;
                let named = origin.manifest(tag.as_deref())?;
                Ok((Box::new(origin), named))
            }
            Self::Archive { file, tag } => {
                let origin = LayoutOrigin::new(LayoutArchive::open(file)?)?;
                let named = origin.manifest(tag.as_deref())?;
                Ok((Box::new(origin), named))
            }
        }
    }
}

fn has_tag(text: &str) -> bool {
    let name = text.split('@').next().unwrap_or_default();
    name.rsplit('/')
        .next()
        .is_some_and(|last| last.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_not_there_is_known() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("localhost:5000/a/b:v1", true),
            ("localhost:5000/a/b", false),
            ("busybox", false),
            ("busybox:1", true),
            (&format!("a.example/b@{digest}"), false),
            (&format!("a.example/b:v1@{digest}"), true),
        ] {
            assert_eq!(has_tag(text), expected, "{text}");
        }
    }
}
