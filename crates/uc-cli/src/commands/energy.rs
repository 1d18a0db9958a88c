//! `uc energy`: superconductors under liquid nitrogen against copper.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use uc_model::{Problem, Provenance, Result};
use uc_plan::energy::{
    BreakEven, Energy, Parameter, Scenario, energy as model,
    material::{State, Suitability},
};
use uc_report::{Block, Chart, Mark, Plot, Point, Report, Section, Series};

use super::plan::{json, output};
use crate::{
    cli::Presentation,
    figures::{self, Row},
    words::amount,
};

/// Work out what a superconducting line costs against copper, and where it breaks even
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = format!("Examples:
  uc energy                                         the source's line of 500 m at 100 A
  uc energy --set current=400 --set electricity-price=0.9
  uc energy --conductor YBCO --format html --file energy.html

Inputs for --set, with the source's values:
{}", inputs_help()))]
pub(crate) struct EnergyArgs {
    /// Replace an input of the model
    #[arg(long, value_name = "INPUT=VALUE")]
    set: Vec<String>,
    /// The material of the line
    #[arg(long, value_name = "NAME")]
    conductor: Option<String>,
    /// Write the result to a file instead of standard output
    #[arg(long)]
    file: Option<PathBuf>,
}

fn inputs_help() -> String {
    let line = |parameter: &Parameter| {
        format!(
            "  {:22} {} {}",
            parameter.name(),
            parameter.stated(),
            parameter.unit("CNY")
        )
        .trim_end()
        .to_owned()
    };
    let lines: Vec<String> = Parameter::ALL.iter().map(line).collect();
    lines.join("\n")
}

/// Runs the command.
pub(crate) fn energy(args: &EnergyArgs, presentation: Presentation) -> Result<ExitCode> {
    let answer = model(&scenario(args)?)?;
    let rows = figures::rows(&answer)?;
    let text = match presentation {
        Presentation::Json => json(&answer)?,
        Presentation::Csv => figures::to_csv(&rows),
        Presentation::Html => report(&answer, &rows).to_html(),
        Presentation::Text => text(&answer, &rows),
    };
    output(args.file.as_deref(), &text)?;
    Ok(ExitCode::SUCCESS)
}

fn scenario(args: &EnergyArgs) -> Result<Scenario> {
    let mut scenario = Scenario::default();
    for setting in &args.set {
        let malformed = || {
            Problem::invalid("the setting is malformed")
                .at("--set")
                .limit("INPUT=VALUE, such as current=400")
                .found(setting)
        };
        let (name, value) = setting.split_once('=').ok_or_else(malformed)?;
        let value: f64 = value.trim().parse().map_err(|_| malformed())?;
        let parameter = Parameter::by_name(name.trim()).map_err(|problem| problem.at("--set"))?;
        scenario
            .set(parameter, value, Provenance::Assumed("--set".into()))
            .map_err(|problem| problem.within("--set"))?;
    }
    if let Some(conductor) = &args.conductor {
        scenario.conductor.clone_from(conductor);
    }
    Ok(scenario)
}

fn break_evens(list: &[BreakEven]) -> Vec<String> {
    list.iter()
        .map(|one| match (&one.value, &one.why_none) {
            (Some(value), _) => format!("{}: {}", one.title, figures::with_unit(value)),
            (None, why) => format!(
                "{}: none from {} to {}: {}",
                one.title,
                one.from,
                one.to,
                why.as_deref().unwrap_or("not found")
            ),
        })
        .collect()
}

/// What each material is good for, one line each.
fn materials(answer: &Energy) -> Vec<String> {
    let state = |state: State| match state {
        State::Unconfirmed => "claimed and not confirmed",
        State::Laboratory => "shown in laboratories",
        State::Production => "in production",
    };
    let use_of = |suitability: Suitability| match suitability {
        Suitability::Conductor => "makes a line",
        Suitability::Unconfirmed => "nothing is built on it",
        Suitability::NeedsPressure => "superconducts under pressure alone: no line",
    };
    answer
        .materials
        .iter()
        .map(|one| {
            format!(
                "{}: {}, {}",
                one.name,
                state(one.state),
                use_of(one.suitability)
            )
        })
        .collect()
}

fn verdict(answer: &Energy) -> String {
    match &answer.line.ratio {
        Some(ratio) => format!(
            "Cooling costs {} times what copper loses (modelled). The source claims {} (assumed, without a derivation).",
            amount(ratio.value),
            answer.line.source_ratio.value
        ),
        None => "Copper loses nothing here, so there is nothing to save.".into(),
    }
}

fn text(answer: &Energy, rows: &[Row]) -> String {
    let mut text = format!("{}\n\n", verdict(answer));
    for (title, list) in [
        ("Break-even, each input for itself", &answer.break_even),
        ("What would make the source's 1.2 true", &answer.claim),
    ] {
        text.push_str(&format!("{title}\n"));
        for line in break_evens(list) {
            text.push_str(&format!("  {line}\n"));
        }
        text.push('\n');
    }
    for line in materials(answer) {
        text.push_str(&format!("{line}\n"));
    }
    text.push('\n');
    for line in &answer.red_lines {
        text.push_str(&format!(
            "Red line {}: {}: {}\n",
            line.id,
            line.constraint,
            if line.is_crossed { "crossed" } else { "kept" }
        ));
    }
    text.push('\n');
    let shown: Vec<Row> = rows
        .iter()
        .filter(|row| row.group != "break even" && row.group != "claim")
        .cloned()
        .collect();
    text.push_str(&figures::text(&shown));
    for note in &answer.notes {
        text.push_str(&format!("Note: {note}.\n"));
    }
    text
}

fn report(answer: &Energy, rows: &[Row]) -> Report {
    let mut blocks = vec![Block::Note(Mark::Attention, verdict(answer))];
    blocks.push(Block::Chart(ratio_chart(answer)));
    for (title, list) in [
        ("Break-even, each input for itself: ", &answer.break_even),
        ("What would make the source's 1.2 true: ", &answer.claim),
    ] {
        blocks.push(Block::Paragraph(format!(
            "{title}{}.",
            break_evens(list).join("; ")
        )));
    }
    blocks.push(Block::Paragraph(materials(answer).join("; ") + "."));
    blocks.push(Block::Chart(trend_chart(answer)));
    blocks.extend(
        answer
            .notes
            .iter()
            .map(|note| Block::Paragraph(figures::capital(note) + ".")),
    );
    let mut sections = vec![Section {
        id: "verdict".into(),
        heading: "Nitrogen against copper".into(),
        blocks,
    }];
    sections.extend(figures::sections(rows));
    Report {
        title: "Energy: superconductors against copper".into(),
        subtitle:
            "A line under liquid nitrogen, its break-even, and the trend of the energy ticket."
                .into(),
        sections,
    }
}

fn ratio_chart(answer: &Energy) -> Chart {
    let point = |label: &str, current_a: f64, ratio: f64, mark: Mark| Point {
        label: label.into(),
        x: current_a,
        y: ratio,
        mark,
    };
    let last = answer.curve.len().saturating_sub(1);
    let points = answer
        .curve
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 6 == 0 || *at == last)
        .map(|(_, one)| {
            point(
                &format!("{} A", amount(one.current_a)),
                one.current_a,
                one.ratio,
                Mark::Plain,
            )
        });
    Chart {
        title: "Cooling against copper over the current".into(),
        alt: "The ratio of cooling cost to copper loss falls with the square of the current; at 1 both cost the same.".into(),
        unit_x: "current, A".into(),
        unit_y: "cooling / copper".into(),
        plot: Plot::Scatter {
            points: points.collect(),
            log_x: true,
            log_y: true,
            is_path: false,
        },
    }
}

fn trend_chart(answer: &Energy) -> Chart {
    let milestones = &answer.ticket.milestones;
    let series = |label: &str, value: fn(&uc_plan::energy::Milestone) -> f64| Series {
        label: label.into(),
        points: milestones
            .iter()
            .map(|one| (one.year, Some(value(one))))
            .collect(),
        best: None,
    };
    Chart {
        title: "Energy ticket".into(),
        alt: format!(
            "The share of energy saved by year: as the source states it, and as fitted to its three points; {} is forecast at {}, \
             nine in ten between {} and {}.",
            answer.ticket.forecast_year,
            amount(answer.ticket.forecast.value),
            amount(answer.ticket.forecast_low.value),
            amount(answer.ticket.forecast_high.value),
        ),
        unit_x: "year".into(),
        unit_y: "share saved".into(),
        plot: Plot::Lines {
            series: vec![
                series("stated by the source", |one| one.ticket.value),
                series("fitted", |one| one.fitted.value),
            ],
        },
    }
}
