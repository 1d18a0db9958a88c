//! `uc sbom`: what is in an image, a directory or a file.

mod observer;
mod output;
mod scan;
mod target;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use uc_engine::{Home, sbom};
use uc_model::Result;
use uc_sbom::Options;

use crate::{cli::Format, printing};
use observer::Patient;
use output::Output;

/// List the packages in an image, a directory or a file: its software bill of materials
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  uc sbom localhost:5000/team/app:1.2               a table of what is in it
  uc sbom oci:app:latest --output spdx-json --file app.spdx.json
  uc sbom ./checkout --output cyclonedx-json        a directory
  uc sbom app.spdx.json --output cyclonedx-json     another format of the same
  uc sbom scan oci:app:latest --osv ~/osv           known vulnerabilities, offline

Equal content gives equal bytes: a document's time is SOURCE_DATE_EPOCH, or when the image was built.
What could not be read is a warning on standard error.
Files too large for memory pass through TMPDIR, by default /var/tmp."
)]
pub(crate) struct SbomArgs {
    #[command(subcommand)]
    command: Option<SbomCommand>,
    #[command(flatten)]
    source: Source,
    /// What to print [default: table on a terminal, else spdx-json]
    #[arg(long, value_enum)]
    output: Option<Output>,
    /// Write to a file instead of standard output
    #[arg(long)]
    file: Option<PathBuf>,
    /// List all files with their hashes too
    #[arg(long)]
    files: bool,
}

#[derive(Debug, Subcommand)]
enum SbomCommand {
    Scan(scan::ScanArgs),
}

/// What is looked into, and how.
#[derive(Debug, Args)]
struct Source {
    /// An image ([HOST/]NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG]), a directory, a WebAssembly file, a program,
    /// an archive, or an SBOM in SPDX or CycloneDX JSON
    #[arg(value_name = "TARGET", required = true)]
    target: Option<String>,
    /// The name that documents give it [default: the image's reference, or the last part of the path]
    #[arg(long)]
    name: Option<String>,
    /// List also what lock files name, installed or not [default: true for a directory that is no root file system]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    declared: Option<bool>,
}

/// Runs the command.
pub(crate) fn sbom(args: &SbomArgs, format: Format) -> Result<ExitCode> {
    if let Some(SbomCommand::Scan(args)) = &args.command {
        return scan::scan(args, format);
    }
    let bill = args.source.bill(args.files)?;
    let output = Output::choose(args.output, args.file.is_some(), format);
    output::write(&bill, output, args.file.as_deref(), format)?;
    Ok(ExitCode::SUCCESS)
}

impl Source {
    /// The inventory, its warnings said.
    fn bill(&self, files: bool) -> Result<sbom::Bill> {
        let text = self.target.as_deref().unwrap_or_default();
        let target = target::parse(text)?;
        let options = Options {
            declared: self
                .declared
                .unwrap_or_else(|| target::is_source_tree(&target)),
            files,
        };
        let home = Home::from_environment()?;
        let observer = Patient::new("files");
        let bill = sbom::bill(&home, &target, options, &observer);
        observer.clear();
        let mut bill = bill?;
        if let Some(name) = &self.name {
            bill.inventory.subject.name.clone_from(name);
        }
        if let Some(seconds) = output::source_date_epoch()? {
            bill.created_s = seconds;
        }
        warn(&bill);
        Ok(bill)
    }
}

/// The most warnings that are said one by one; JSON has them all.
const WARNINGS: usize = 50;

fn warn(bill: &sbom::Bill) {
    let warnings = &bill.inventory.warnings;
    for warning in warnings.iter().take(WARNINGS) {
        printing::say(&format!("warning: {}: {}", warning.path, warning.what));
    }
    if warnings.len() > WARNINGS {
        printing::say(&format!("warning: and {} more", warnings.len() - WARNINGS));
    }
}
