//! `uc plan`: which technology to adopt, when, at what cost and risk.

mod answer;
mod calendar;
mod csv;
mod report;
mod selection;
mod solver;
mod supply_chain;
mod text;
mod uncertainty;

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use uc_model::{Date, Problem, Result};
use uc_plan::{
    Catalogue,
    catalogue::{MAX_CATALOGUE_BYTES, SCHEMA, SHIPPED},
    period::MAX_PERIODS,
};

use crate::{cli::Presentation, printing};

/// Decide which technologies to adopt, when, at what cost and risk
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    allow_negative_numbers = true,
    after_help = "Examples:
  uc plan                                         the eight technologies of the shipped catalogue, today
  uc plan --as-of 2025-10-22                      as its source saw them
  uc plan --budget 100 --people 2                 the best set under a monthly budget, for a team of two
  uc plan --catalog mine.toml --format html --file plan.html
  uc plan --calendar plan.ics                     the action timetable for a calendar (or .csv)
  uc plan --show portfolio,timetable              some sections only
  uc plan supply-chain --egress-gb 300            what unsigned images cost over your volumes
  uc plan schema > catalog.schema.json            for the editor in which you write a catalogue

Every figure is measured, modelled or assumed, and says so. Money is in the catalogue's currency."
)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    command: Option<PlanCommand>,
    #[command(flatten)]
    question: QuestionArgs,
    /// The sections that are printed as text [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTION")]
    show: Vec<Section>,
    /// Write the result to a file instead of standard output
    #[arg(long)]
    file: Option<PathBuf>,
    /// Write the action timetable to a file as well: iCalendar (.ics) or .csv
    #[arg(long, value_name = "FILE")]
    calendar: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum PlanCommand {
    SupplyChain(supply_chain::SupplyChainArgs),
    Schema(SchemaArgs),
}

/// Print the JSON schema of catalogue files
#[derive(Debug, Args)]
struct SchemaArgs {}

/// What is asked.
#[derive(Debug, Args)]
struct QuestionArgs {
    /// The day for which the question is answered, as YYYY-MM-DD [default: today]
    #[arg(long, value_name = "DATE")]
    as_of: Option<String>,
    /// A catalogue of technologies in TOML [default: the shipped one, 2025]
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// Money a month that the adopted technologies may cost together [default: no limit]
    #[arg(long, value_name = "AMOUNT")]
    budget: Option<f64>,
    /// People who do the adoptions
    #[arg(long, default_value_t = 1, value_name = "N")]
    people: usize,
    /// Days a week that each of them has for it, 1 to 5
    #[arg(long, default_value_t = 5, value_name = "N")]
    days_per_week: u32,
    /// Quarters in which adoptions may start, from that of the day asked for
    #[arg(long, default_value_t = 4, value_name = "N")]
    quarters: usize,
    /// The largest expected loss by failures that is accepted [default: no limit]
    #[arg(long, value_name = "AMOUNT")]
    risk_limit: Option<f64>,
    /// Technologies that must be adopted
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    require: Vec<String>,
    /// Technologies that must not be adopted
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    forbid: Vec<String>,
    /// Price of a person-day [default: the catalogue's]
    #[arg(long, value_name = "AMOUNT")]
    person_day_cost: Option<f64>,
    /// Discount rate a year, such as 0.05 [default: the catalogue's]
    #[arg(long, value_name = "RATE")]
    discount_rate: Option<f64>,
    /// Months over which benefits and costs count [default: the catalogue's]
    #[arg(long, value_name = "MONTHS")]
    horizon: Option<u32>,
    /// Samples of the uncertain figures, rounded up to a multiple of 65536, at least two of it; 0 for none
    #[arg(long, default_value_t = 1 << 20, value_name = "N")]
    samples: u64,
    /// Seed of the samples
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Seconds after which a portfolio is given as found, with its gap
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    time_limit: u64,
}

/// The parts of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    Technologies,
    Returns,
    Timing,
    Portfolio,
    Uncertainty,
    Timetable,
    Contradictions,
}

/// Runs the command.
pub(crate) fn plan(args: &PlanArgs, presentation: Presentation) -> Result<ExitCode> {
    match &args.command {
        Some(PlanCommand::SupplyChain(args)) => {
            return supply_chain::supply_chain(args, presentation.format()?);
        }
        Some(PlanCommand::Schema(_)) => {
            printing::result(SCHEMA)?;
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let catalogue = args.question.catalogue()?;
    let question = args.question.resolve(&catalogue)?;
    // Drawn after a second, on a terminal alone.
    let patience =
        ProgressBar::new_spinner().with_message("choosing, and sampling what is uncertain");
    patience.enable_steady_tick(Duration::from_secs(1));
    let answer = answer::Answer::new(&catalogue, &question);
    patience.finish_and_clear();
    let answer = answer?;
    let text = match presentation {
        Presentation::Json => json(&answer)?,
        Presentation::Text => text::text(&catalogue, &answer, &args.show),
        Presentation::Csv => csv::figures(&answer),
        Presentation::Html => report::report(&catalogue, &answer).to_html(),
    };
    if let Some(file) = &args.calendar {
        calendar::write(file, &catalogue, &answer)?;
    }
    output(args.file.as_deref(), &text)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))
}

/// Writes a result to a file, or to standard output.
pub(super) fn output(file: Option<&Path>, text: &str) -> Result<()> {
    let Some(file) = file else {
        return printing::result(text);
    };
    std::fs::write(file, text).map_err(|error| {
        Problem::storage("the result cannot be written")
            .at(file.display())
            .caused_by(error)
    })
}

/// What is asked, checked.
#[derive(Debug)]
struct Question {
    as_of: Date,
    budget: Option<f64>,
    risk_limit: Option<f64>,
    team: uc_plan::timetable::Team,
    quarters: usize,
    require: Vec<usize>,
    forbid: Vec<usize>,
    samples: u64,
    seed: u64,
    time_limit_s: u64,
}

impl QuestionArgs {
    fn catalogue(&self) -> Result<Catalogue> {
        let mut catalogue = match &self.catalog {
            None => Catalogue::read("catalog/2025.toml", SHIPPED)?,
            Some(file) => Catalogue::read(&file.to_string_lossy(), &read(file)?)?,
        };
        if let Some(cost) = self.person_day_cost {
            catalogue.person_day_cost = within("--person-day-cost", cost, 0.0, 1e9)?;
        }
        if let Some(rate) = self.discount_rate {
            catalogue.discount_rate = within("--discount-rate", rate, 0.0, 10.0)?;
        }
        if let Some(months) = self.horizon {
            catalogue.horizon_months = within("--horizon", f64::from(months), 1.0, 240.0)? as u32;
        }
        Ok(catalogue)
    }

    fn resolve(&self, catalogue: &Catalogue) -> Result<Question> {
        let as_of = match &self.as_of {
            Some(text) => text
                .parse::<Date>()
                .map_err(|problem| problem.at("--as-of"))?,
            None => today(),
        };
        let quarters = within("--quarters", self.quarters as f64, 1.0, MAX_PERIODS as f64)?;
        let positive = |name: &str, value: Option<f64>| {
            value
                .map(|value| within(name, value, 0.0, 1e15))
                .transpose()
        };
        let (require, forbid) = (
            positions("--require", &self.require, catalogue)?,
            positions("--forbid", &self.forbid, catalogue)?,
        );
        if let Some(&both) = require.iter().find(|at| forbid.contains(at)) {
            return Err(
                Problem::invalid("a technology is both required and forbidden")
                    .at("--require, --forbid")
                    .found(&catalogue.technologies[both].id),
            );
        }
        Ok(Question {
            as_of,
            budget: positive("--budget", self.budget)?,
            risk_limit: positive("--risk-limit", self.risk_limit)?,
            team: uc_plan::timetable::Team {
                people: within("--people", self.people as f64, 1.0, 1_000.0)? as usize,
                days_per_week: within("--days-per-week", f64::from(self.days_per_week), 1.0, 5.0)?
                    as u32,
                from: as_of,
            },
            quarters: quarters as usize,
            require,
            forbid,
            samples: self.samples,
            seed: self.seed,
            time_limit_s: within("--time-limit", self.time_limit as f64, 1.0, 86_400.0)? as u64,
        })
    }
}

fn within(name: &str, value: f64, low: f64, high: f64) -> Result<f64> {
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(Problem::invalid("the number is out of bounds")
            .at(name)
            .limit(format!("{low} to {high}"))
            .found(value))
    }
}

fn positions(name: &str, ids: &[String], catalogue: &Catalogue) -> Result<Vec<usize>> {
    let position = |id: &String| {
        let known = || {
            let ids: Vec<&str> = catalogue
                .technologies
                .iter()
                .map(|technology| technology.id.as_str())
                .take(20)
                .collect();
            ids.join(", ")
        };
        catalogue
            .technologies
            .iter()
            .position(|technology| technology.id == *id)
            .ok_or_else(|| {
                Problem::invalid("no technology has this id")
                    .at(name)
                    .found(id)
                    .limit(known())
            })
    };
    ids.iter().map(position).collect()
}

fn read(file: &Path) -> Result<String> {
    let fail = |error: std::io::Error| {
        let problem = if error.kind() == std::io::ErrorKind::NotFound {
            Problem::not_found("there is no such catalogue")
        } else {
            Problem::invalid("the catalogue cannot be read")
        };
        problem.at(file.display()).caused_by(error)
    };
    let mut text = String::new();
    File::open(file)
        .map_err(fail)?
        // One byte more shows that it is too large.
        .take(MAX_CATALOGUE_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .map_err(fail)?;
    Ok(text)
}

/// The day in UTC.
fn today() -> Date {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Date::from_days((seconds / 86_400) as i64)
}
