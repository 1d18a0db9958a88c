//! The command line, defined once: parser, help, completions and man pages come from here.

use clap::{Parser, Subcommand, ValueEnum};

use uc_model::{Problem, Result};

use crate::commands;

/// Exit codes, for the end of every help text.
const EXIT_CODES: &str = "Exit codes:
  0        success; `uc run` passes the workload's own code on
  2        wrong usage
  10 12    not signed; signed, but not by those who must have signed
  65 66    malformed input; input not found
  69       a registry or an owner does not answer
  70       a defect of uc
  73       a file of uc's cannot be written
  77       refused: a red line, a policy, or no sandbox both able and safe
  78       this host lacks something (see `uc doctor`)
  124      stopped after its deadline
  126 127  the program cannot be executed; is not in the image
  128+N    ended by signal N; 134 trapped (WebAssembly), 137 killed or out of memory";

/// Run one workload file in the lightest sandbox that is safe for it.
#[derive(Debug, Parser)]
#[command(name = "uc", version, after_help = EXIT_CODES, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// How results are printed; csv and html are for the decision models (plan, energy, offload)
    #[arg(long, global = true, value_enum, default_value_t = Presentation::Text)]
    pub(crate) format: Presentation,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every way in which some command prints its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Presentation {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
    /// A report in one file, with charts
    Html,
}

impl Presentation {
    /// The way in which a command prints that knows text and JSON alone.
    pub(crate) fn format(self) -> Result<Format> {
        match self {
            Self::Text => Ok(Format::Text),
            Self::Json => Ok(Format::Json),
            Self::Csv | Self::Html => Err(Problem::invalid(
                "this command prints text or JSON: csv and html are for plan, energy and offload",
            )
            .at("--format")
            .remedy("use --format json")),
        }
    }

    /// The way in which problems are told.
    pub(crate) fn of_problems(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Text | Self::Csv | Self::Html => Format::Text,
        }
    }
}

/// The ways in which every command prints its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(commands::run::RunArgs),
    Explain(commands::explain::ExplainArgs),
    Doctor(commands::doctor::DoctorArgs),
    Compat(commands::compat::CompatArgs),
    Trace(commands::trace::TraceArgs),
    Ps(commands::ps::PsArgs),
    Logs(commands::logs::LogsArgs),
    Stats(commands::stats::StatsArgs),
    Pause(commands::pause::PauseArgs),
    #[command(visible_alias = "unpause")]
    Resume(commands::resume::ResumeArgs),
    Stop(commands::stop::StopArgs),
    Rm(commands::rm::RmArgs),
    Bench(commands::bench::BenchArgs),
    Image(commands::image::ImageArgs),
    Key(commands::key::KeyArgs),
    Sign(commands::sign::SignArgs),
    Attest(commands::attest::AttestArgs),
    Verify(commands::verify::VerifyArgs),
    Sbom(commands::sbom::SbomArgs),
    Plan(commands::plan::PlanArgs),
    Energy(commands::energy::EnergyArgs),
    Offload(commands::offload::OffloadArgs),
    Watch(commands::watch::WatchArgs),
    Foresight(commands::foresight::ForesightArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}
