//! Every figure of a result, found by its shape in the result's JSON: one list for text, CSV and reports, so that none of
//! them leaves out what another shows.

use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use uc_model::{Figure, Problem, Result};
use uc_report::{Block, Fact, Section};

use crate::{
    csv,
    printing::{Mark, marked},
    table::Table,
    words::amount,
};

/// A figure with its place in the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The result's part that it belongs to.
    pub(crate) group: String,
    /// What it is.
    pub(crate) label: String,
    pub(crate) figure: Figure,
}

/// Fields that name an entry of a list, the best first.
const NAMES: [&str; 6] = ["title", "name", "work", "id", "year", "parameter"];
/// Results nest by hand, never this deep.
const MAX_DEPTH: usize = 16;

/// All figures of a result, in its order.
pub(crate) fn rows(result: &impl Serialize) -> Result<Vec<Row>> {
    let value = serde_json::to_value(result)
        .map_err(|error| Problem::internal("cannot write JSON").caused_by(error))?;
    let mut rows = Vec::new();
    if let Value::Object(groups) = &value {
        for (group, value) in groups {
            walk(value, &words(group), &mut Vec::new(), &mut rows);
        }
    }
    Ok(rows)
}

fn walk(value: &Value, group: &str, path: &mut Vec<String>, rows: &mut Vec<Row>) {
    if path.len() > MAX_DEPTH {
        return;
    }
    if let Ok(figure) = Figure::deserialize(value) {
        rows.push(Row {
            group: group.to_owned(),
            label: if path.is_empty() {
                group.to_owned()
            } else {
                path.join(": ")
            },
            figure,
        });
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(words(name));
                walk(value, group, path, rows);
                path.pop();
            }
        }
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                let name = NAMES.iter().find_map(|name| entry.get(name));
                path.push(match name {
                    Some(Value::String(name)) => words(name),
                    Some(Value::Number(number)) => number.to_string(),
                    _ => (at + 1).to_string(),
                });
                walk(entry, group, path, rows);
                path.pop();
            }
        }
        _ => {}
    }
}

/// A field's name as words.
fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A figure with its unit.
pub(crate) fn with_unit(figure: &Figure) -> String {
    let value = amount(figure.value);
    if figure.unit.is_empty() {
        value
    } else {
        format!("{value} {}", figure.unit)
    }
}

/// A table for each group.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for group in groups(rows) {
        let mut table = Table::new(&["  FIGURE", "VALUE", "FROM"]);
        for row in rows.iter().filter(|row| row.group == group) {
            // Figures of a list entry are told apart by the last word: "current: figure" says nothing more than "current".
            let label = row.label.strip_suffix(": figure").unwrap_or(&row.label);
            table.row([
                format!("  {label}"),
                with_unit(&row.figure),
                row.figure.provenance.to_string(),
            ]);
        }
        text.push_str(&format!(
            "{}\n{}",
            marked(Mark::Strong, &capital(group)),
            table.text()
        ));
        text.push('\n');
    }
    text
}

/// The same for spreadsheets.
pub(crate) fn to_csv(rows: &[Row]) -> String {
    let headings = ["group", "figure", "value", "unit", "provenance", "basis"];
    let mut text = csv::row(headings.map(str::to_owned));
    for row in rows {
        text.push_str(&csv::row([
            row.group.clone(),
            row.label.clone(),
            csv::number(Some(row.figure.value)),
            row.figure.unit.clone(),
            row.figure.provenance.kind().to_owned(),
            row.figure.provenance.basis().to_owned(),
        ]));
    }
    text
}

/// A section of a report for each group.
pub(crate) fn sections(rows: &[Row]) -> Vec<Section> {
    groups(rows)
        .into_iter()
        .map(|group| Section {
            id: group.replace(' ', "-"),
            heading: capital(group),
            blocks: vec![Block::Facts(
                rows.iter()
                    .filter(|row| row.group == group)
                    .map(|row| Fact {
                        label: row
                            .label
                            .strip_suffix(": figure")
                            .unwrap_or(&row.label)
                            .into(),
                        value: with_unit(&row.figure),
                        provenance: Some(row.figure.provenance.clone()),
                    })
                    .collect(),
            )],
        })
        .collect()
}

fn groups(rows: &[Row]) -> Vec<&str> {
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(&row.group);
        }
    }
    groups
}

/// With a capital at its beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_wherever_they_are_and_named_by_their_path() {
        let result = serde_json::json!({
            "line": { "cooling_per_day": Figure::modelled(144.0, "CNY/day", "sum"), "note": "text" },
            "inputs": [{ "title": "current", "figure": Figure::assumed(100.0, "A", "source") }],
        });
        let rows = rows(&result).expect("is JSON");
        let labels: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (row.group.as_str(), row.label.as_str()))
            .collect();
        assert!(labels.contains(&("line", "cooling per day")), "{labels:?}");
        assert!(
            labels.contains(&("inputs", "current: figure")),
            "{labels:?}"
        );
        assert!(to_csv(&rows).contains("line,cooling per day,144,CNY/day,modelled,sum\r\n"));
    }
}
