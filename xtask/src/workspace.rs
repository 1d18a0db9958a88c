//! The repository as the rules see it: crates with their direct dependencies, and source files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use uc_model::{Problem, Result};

use crate::source::Source;

/// Deeper folders than this are not the repository's.
const DEPTH_LIMIT: usize = 16;
/// A larger source file is somebody's mistake.
const FILE_BYTES_LIMIT: u64 = 4 << 20;

/// All crates and files of the repository.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Members of the workspace.
    pub crates: Vec<Crate>,
    /// Every `.rs` file, whether a crate reaches it or not, by path.
    pub sources: Vec<Source>,
}

/// A member of the workspace.
#[derive(Debug, Clone)]
pub struct Crate {
    /// The package's name.
    pub name: String,
    /// Its folder from the repository's root, with `/`.
    pub folder: String,
    /// The text of its `Cargo.toml`.
    pub manifest: String,
    /// Its direct dependencies.
    pub dependencies: Vec<Dependency>,
}

/// A direct dependency.
#[derive(Debug, Clone, Deserialize)]
pub struct Dependency {
    /// The package's name, not what it is renamed to.
    pub name: String,
    /// What it is needed for.
    #[serde(default, deserialize_with = "null_is_normal")]
    pub kind: DependencyKind,
}

/// What a dependency is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyKind {
    /// For the crate itself.
    #[default]
    Normal,
    /// For its tests.
    Dev,
    /// For its build script.
    Build,
}

fn null_is_normal<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<DependencyKind, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

impl Workspace {
    /// Reads the workspace around the working directory, through `cargo metadata`.
    ///
    /// # Errors
    /// When cargo cannot be run or a file cannot be read.
    pub fn load() -> Result<Self> {
        let metadata = cargo_metadata()?;
        let root = &metadata.workspace_root;
        let mut crates = Vec::new();
        for package in metadata.packages {
            let folder = package.manifest_path.parent().unwrap_or(root);
            crates.push(Crate {
                name: package.name,
                folder: relative(root, folder),
                manifest: read(&package.manifest_path)?,
                dependencies: package.dependencies,
            });
        }
        let mut paths = Vec::new();
        collect_sources(root, DEPTH_LIMIT, &mut paths)?;
        paths.sort();
        let sources = paths
            .iter()
            .map(|path| Ok(Source::new(&relative(root, path), &read(path)?)))
            .collect::<Result<_>>()?;
        Ok(Self { crates, sources })
    }

    /// The files of one crate.
    pub fn sources_of<'a>(&'a self, owner: &'a Crate) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(|source| {
            source
                .path
                .strip_prefix(&owner.folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

fn cargo_metadata() -> Result<Metadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| Problem::host("cannot run cargo").caused_by(error))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Problem::invalid("`cargo metadata` failed").found(words));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Problem::internal("`cargo metadata` is not as expected").caused_by(error))
}

fn collect_sources(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |error| {
        Problem::storage("cannot list a folder")
            .at(folder.display())
            .caused_by(error)
    };
    if depth == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            let name = entry.file_name();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if !is_hidden && name != "target" {
                collect_sources(&path, depth - 1, paths)?;
            }
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let failed = |error| {
        Problem::storage("cannot read a file")
            .at(path.display())
            .caused_by(error)
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_LIMIT {
        return Err(Problem::invalid("a source file is too large")
            .at(path.display())
            .limit(format!("{FILE_BYTES_LIMIT} bytes"))
            .found(size));
    }
    fs::read_to_string(path).map_err(failed)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}
