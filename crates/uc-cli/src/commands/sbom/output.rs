//! An inventory as a document or a table, to standard output or a file.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use clap::ValueEnum;
use uc_engine::sbom::Bill;
use uc_model::{Problem, Result};
use uc_sbom::document;

use crate::{cli::Format, printing, table::Table};

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// SPDX 2.3
    #[value(alias = "spdx", alias = "spdxjson")]
    SpdxJson,
    /// CycloneDX 1.6
    #[value(alias = "cyclonedx")]
    CyclonedxJson,
    /// A row for each package; with `--format json` the inventory as uc keeps it
    Table,
}

impl Output {
    /// What was asked for, or what suits the place that it goes to.
    pub(super) fn choose(asked: Option<Self>, to_file: bool, format: Format) -> Self {
        let for_people = !to_file && format == Format::Text && io::stdout().is_terminal();
        asked.unwrap_or(if for_people {
            Self::Table
        } else {
            Self::SpdxJson
        })
    }
}

/// The time that reproducible builds give to what they make, in seconds since 1970.
pub(super) fn source_date_epoch() -> Result<Option<i64>> {
    const NAME: &str = "SOURCE_DATE_EPOCH";
    let Some(value) = env::var_os(NAME).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seconds = value
        .to_str()
        .and_then(|text| text.parse().ok())
        .filter(|seconds| *seconds >= 0);
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Problem::invalid("not a time")
            .at(NAME)
            .limit("seconds since 1970")
            .found(value.display())),
    }
}

pub(super) fn write(
    bill: &Bill,
    output: Output,
    file: Option<&Path>,
    format: Format,
) -> Result<()> {
    let inventory = &bill.inventory;
    let mut bytes = match output {
        Output::SpdxJson => document::spdx(inventory, bill.created_s)?,
        Output::CyclonedxJson => document::cyclonedx(inventory, bill.created_s)?,
        Output::Table if format == Format::Json => serde_json::to_vec_pretty(inventory)
            .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?,
        Output::Table => table(bill).into_bytes(),
    };
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    match file {
        Some(file) => replace(file, &bytes)?,
        None => printing::bytes(&bytes)?,
    }
    if file.is_some() || output == Output::Table && format == Format::Text {
        printing::say(&summary(bill));
    }
    Ok(())
}

fn table(bill: &Bill) -> String {
    let mut table = Table::new(&["TYPE", "NAME", "VERSION", "LICENCES", "PATH"]);
    for row in document::rows(&bill.inventory) {
        table.row([
            row.kind.to_owned(),
            row.name,
            row.version,
            shortened(row.licences),
            row.path,
        ]);
    }
    table.text()
}

/// Some packages have dozens of licences; documents have them all.
fn shortened(text: String) -> String {
    const CHARACTERS: usize = 40;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// How many packages of each kind there are.
fn summary(bill: &Bill) -> String {
    let packages = &bill.inventory.packages;
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for package in packages {
        let kind = package.kind.purl_type();
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match (packages.len(), kinds.as_slice()) {
        (0, _) => "no packages".to_owned(),
        (1, _) => "1 package".to_owned(),
        (count, [_]) => format!("{count} packages"),
        (count, kinds) => format!("{count} packages: {}", kinds.join(", ")),
    }
}

/// Replaces a file at once: nobody reads half a document. What is no regular file, such as a pipe, is written to.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: io::Error| {
        Problem::storage("cannot write the file")
            .at(path.display())
            .caused_by(error)
    };
    let is_special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    if is_special {
        return std::fs::write(path, bytes).map_err(failed);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(directory)
        .map_err(failed)?;
    temporary.write_all(bytes).map_err(failed)?;
    temporary
        .persist(path)
        .map(drop)
        .map_err(|error| failed(error.error))
}
