//! `uc plan supply-chain`: what unsigned images cost over one's own volumes.

use std::process::ExitCode;

use clap::Args;
use uc_model::{Figure, Result};
use uc_plan::supply_chain::{Policy, Volumes, cost};

use crate::{cli::Format, printing, table::Table};

/// Work out what unsigned images cost over your volumes: egress, pull time, signing anew
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:
  uc plan supply-chain                                    the source's volumes: 100 GB a month, images of 1 GB
  uc plan supply-chain --egress-gb 2000 --image-mb 350 --pulls 400 --old-images 120
  uc plan supply-chain --allowance-gb 100                 with 100 GB a month free of charge"
)]
pub(super) struct SupplyChainArgs {
    /// GB that leave the registry each month
    #[arg(long, default_value_t = 100.0, value_name = "GB")]
    egress_gb: f64,
    /// Size of a pulled image in MB
    #[arg(long, default_value_t = 1000.0, value_name = "MB")]
    image_mb: f64,
    /// Pulls a month
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    pulls: f64,
    /// Speed of your link in megabits per second
    #[arg(long, default_value_t = 1000.0, value_name = "MBPS")]
    link_mbps: f64,
    /// Images that must be signed anew
    #[arg(long, default_value_t = 100.0, value_name = "N")]
    old_images: f64,
    /// Price of a GB of unsigned egress
    #[arg(long, default_value_t = Policy::default().price_per_gb, value_name = "AMOUNT")]
    price_per_gb: f64,
    /// GB a month that are free of charge even if unsigned
    #[arg(long, default_value_t = Policy::default().allowance_gb, value_name = "GB")]
    allowance_gb: f64,
    /// Speed of unsigned pulls in megabits per second
    #[arg(long, default_value_t = Policy::default().unsigned_mbps, value_name = "MBPS")]
    unsigned_mbps: f64,
    /// Minutes to sign an image anew
    #[arg(long, default_value_t = Policy::default().resign_minutes, value_name = "MINUTES")]
    resign_minutes: f64,
    /// Code of the currency
    #[arg(long, default_value = "CNY", value_name = "CODE")]
    currency: String,
}

pub(super) fn supply_chain(args: &SupplyChainArgs, format: Format) -> Result<ExitCode> {
    let volumes = Volumes {
        egress_gb_per_month: args.egress_gb,
        image_mb: args.image_mb,
        pulls_per_month: args.pulls,
        link_mbps: args.link_mbps,
        old_images: args.old_images,
    };
    let policy = Policy {
        price_per_gb: args.price_per_gb,
        allowance_gb: args.allowance_gb,
        unsigned_mbps: args.unsigned_mbps,
        resign_minutes: args.resign_minutes,
    };
    let cost = cost(&volumes, &policy, &args.currency)?;
    if format == Format::Json {
        printing::json(&cost)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["WITHOUT SIGNATURES", "", "FROM"]);
    let mut row = |name: &str, figure: &Figure| {
        let amount = format!("{} {}", crate::words::amount(figure.value), figure.unit);
        table.row([name.to_owned(), amount, figure.provenance.to_string()]);
    };
    row("egress a month", &cost.egress_per_month);
    row("egress a year", &cost.egress_per_year);
    row("one pull", &cost.unsigned_pull_s);
    row("one pull, signed", &cost.signed_pull_s);
    row("waiting saved a month", &cost.waiting_saved_h_per_month);
    row("signing anew", &cost.resigning_h);
    row("signing anew", &cost.resigning_person_days);
    printing::result(&format!(
        "{}\nPrices, speeds and minutes are the source's unless given; signed egress is free. The source allows 100 GB a month free of\n\
         charge and yet charges 50 for them: --allowance-gb 100 takes it by its word.\n",
        table.text()
    ))?;
    Ok(ExitCode::SUCCESS)
}
