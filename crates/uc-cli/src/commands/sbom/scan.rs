//! `uc sbom scan`: packages against known vulnerabilities, offline.

use std::{cmp::Reverse, path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use serde::Serialize;
use uc_engine::sbom::{self, Scanned};
use uc_model::Result;
use uc_sbom::{
    Distribution, Subject,
    vulnerability::{Assessment, Match, Rating, Verdict},
};

use super::{Source, observer::Patient};
use crate::{
    cli::Format,
    printing::{self, Mark, json, marked},
    table::Table,
};

/// The exit code of `--fail-on`.
const VULNERABLE: u8 = 20;
/// The most unreadable records that are said one by one.
const UNREADABLE: usize = 20;

/// Match packages against known vulnerabilities, without any network but the image's registry
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  uc sbom scan oci:app:latest --osv ~/osv
  uc sbom scan app.spdx.json --osv ~/osv --fail-on high --only-matched

The records are those of osv.dev, one archive for each ecosystem, fetched wherever there is a network:
  https://osv-vulnerabilities.storage.googleapis.com/Debian/all.zip   to ~/osv/Debian/all.zip; likewise PyPI, npm, …

Every package ends as matched, clean or unknown; unknown says why. A damaged record is counted and named.

Exit codes:
  0   scanned; with --fail-on, nothing at or above that severity
  20  a vulnerability at or above --fail-on")]
pub(super) struct ScanArgs {
    #[command(flatten)]
    source: Source,
    /// The records: a directory of NAME.json and all.zip files at any depth, or one such file
    #[arg(long, value_name = "DIR")]
    osv: PathBuf,
    /// End with code 20 if there is a vulnerability of this severity or a higher one; `low` counts also those without a
    /// severity, which are most of Debian's
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<Level>,
    /// Leave out packages that are clean or unknown; the summary still counts them
    #[arg(long)]
    only_matched: bool,
}

/// A severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Low,
    Medium,
    High,
    Critical,
}

impl Level {
    fn rating(self) -> Rating {
        match self {
            Self::Low => Rating::Low,
            Self::Medium => Rating::Medium,
            Self::High => Rating::High,
            Self::Critical => Rating::Critical,
        }
    }

    fn is_reached(self, found: &Match) -> bool {
        match found.rating {
            Some(rating) => rating >= self.rating(),
            None => self == Self::Low,
        }
    }
}

/// Counts of verdicts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    packages: usize,
    matched: usize,
    clean: usize,
    unknown: usize,
    vulnerabilities: usize,
    without_severity: usize,
}

#[derive(Serialize)]
struct View<'a> {
    subject: &'a Subject,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<&'a Distribution>,
    summary: Counts,
    #[serde(flatten)]
    scanned: &'a Scanned,
}

/// Runs the command.
pub(super) fn scan(args: &ScanArgs, format: Format) -> Result<ExitCode> {
    let bill = args.source.bill(false)?;
    let observer = Patient::new("records");
    let scanned = sbom::scan(&bill.inventory, &args.osv, &observer);
    observer.clear();
    let mut scanned = scanned?;
    let assessments = &mut scanned.report.assessments;
    let summary = Counts::of(assessments);
    let fails = |level: Level| matches(assessments).any(|found| level.is_reached(found));
    let is_vulnerable = args.fail_on.is_some_and(fails);
    if args.only_matched {
        assessments.retain(|one| matches!(one.verdict, Verdict::Matched { .. }));
    }
    match format {
        Format::Json => json(&View {
            subject: &bill.inventory.subject,
            distribution: bill.inventory.distribution.as_ref(),
            summary,
            scanned: &scanned,
        })?,
        Format::Text => printing::result(&table(&scanned.report.assessments))?,
    }
    say(&scanned, summary);
    if let Some(level) = args.fail_on.filter(|level| *level != Level::Low)
        && summary.without_severity > 0
        && !is_vulnerable
    {
        printing::say(&format!(
            "note: {} vulnerabilities have no severity and do not count for --fail-on {}; --fail-on low counts them",
            summary.without_severity,
            level
                .to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned())
        ));
    }
    Ok(if is_vulnerable {
        ExitCode::from(VULNERABLE)
    } else {
        ExitCode::SUCCESS
    })
}

fn matches(assessments: &[Assessment]) -> impl Iterator<Item = &Match> {
    assessments.iter().flat_map(|one| match &one.verdict {
        Verdict::Matched { matches } => matches.as_slice(),
        Verdict::Clean | Verdict::Unknown { .. } => &[],
    })
}

impl Counts {
    fn of(assessments: &[Assessment]) -> Self {
        let mut counts = Self {
            packages: assessments.len(),
            vulnerabilities: matches(assessments).count(),
            without_severity: matches(assessments)
                .filter(|found| found.rating.is_none())
                .count(),
            ..Self::default()
        };
        for one in assessments {
            match one.verdict {
                Verdict::Matched { .. } => counts.matched += 1,
                Verdict::Clean => counts.clean += 1,
                Verdict::Unknown { .. } => counts.unknown += 1,
            }
        }
        counts
    }
}

/// Where a row stands: by its verdict, then by its severity.
type Rank = (u8, Reverse<Option<Rating>>);

/// A row for each match, the worst first; then the packages without one, those that are unknown first.
fn table(assessments: &[Assessment]) -> String {
    let mut rows: Vec<(Rank, [String; 7])> = Vec::new();
    for one in assessments {
        let start = [one.kind.to_string(), one.name.clone(), one.version.clone()];
        let row = |rest: [String; 4]| {
            let [kind, name, version] = start.clone();
            let [verdict, severity, vulnerability, fixed] = rest;
            [kind, name, version, verdict, severity, vulnerability, fixed]
        };
        match &one.verdict {
            Verdict::Matched { matches } => rows.extend(matches.iter().map(|found| {
                let cells = [
                    marked(Mark::Bad, "matched"),
                    severity(found.rating),
                    found.id.clone(),
                    found.fixed.join(", "),
                ];
                ((0, Reverse(found.rating)), row(cells))
            })),
            Verdict::Unknown { reason } => {
                let word = marked(Mark::Attention, "unknown");
                let cells = [word, "-".into(), reason.clone(), String::new()];
                rows.push(((1, Reverse(None)), row(cells)));
            }
            Verdict::Clean => {
                let cells = [
                    marked(Mark::Good, "clean"),
                    String::new(),
                    String::new(),
                    String::new(),
                ];
                rows.push(((2, Reverse(None)), row(cells)));
            }
        }
    }
    // Stable: within each group packages keep their order.
    rows.sort_by_key(|(rank, _)| *rank);
    let mut table = Table::new(&[
        "TYPE",
        "PACKAGE",
        "VERSION",
        "VERDICT",
        "SEVERITY",
        "VULNERABILITY",
        "FIXED IN",
    ]);
    for (_, row) in rows {
        table.row(row);
    }
    table.text()
}

fn severity(rating: Option<Rating>) -> String {
    match rating {
        Some(Rating::Critical) => marked(Mark::Bad, "critical"),
        Some(Rating::High) => marked(Mark::Bad, "high"),
        Some(Rating::Medium) => marked(Mark::Attention, "medium"),
        Some(Rating::Low) => "low".to_owned(),
        Some(Rating::None) => "none".to_owned(),
        None => "unrated".to_owned(),
    }
}

/// Says on standard error what the verdicts rest on.
fn say(scanned: &Scanned, summary: Counts) {
    for one in scanned.unreadable_records.iter().take(UNREADABLE) {
        printing::say(&format!("warning: {}: {}", one.place, one.what));
    }
    let report = &scanned.report;
    let named = scanned.unreadable_records.len().min(UNREADABLE) as u64;
    if report.unreadable > named {
        printing::say(&format!("warning: and {} more", report.unreadable - named));
    }
    let mut records = format!("{} records", report.records);
    if report.withdrawn > 0 {
        records.push_str(&format!(", {} withdrawn", report.withdrawn));
    }
    if report.unreadable > 0 {
        records.push_str(&format!(", {} unreadable", report.unreadable));
    }
    printing::say(&format!(
        "{} packages: {} matched by {} vulnerabilities, {} clean, {} unknown ({records})",
        summary.packages, summary.matched, summary.vulnerabilities, summary.clean, summary.unknown
    ));
}
