//! Fields of a TOML document: every error names file, line, column and field.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use uc_model::{Date, Problem, Result};

/// A document and what it is called in errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// `FILE:LINE:COLUMN: FIELD`.
    pub(super) fn place(&self, offset: usize, field: &str) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).map_or(0, |line| line.chars().count()) + 1;
        let name = self.name;
        if field.is_empty() {
            format!("{name}:{line}:{column}")
        } else {
            format!("{name}:{line}:{column}: {field}")
        }
    }
}

/// A value with its path.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    source: Source<'a>,
    pub(super) path: String,
    span: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
}

impl<'a> Node<'a> {
    fn new(source: Source<'a>, path: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            source,
            path,
            span: value.span(),
            value: value.get_ref(),
        }
    }

    /// A problem at this value.
    pub(super) fn problem(&self, what: &str) -> Problem {
        Problem::invalid(what).at(self.source.place(self.span.start, &self.path))
    }

    /// A problem of a value that is not of the kind it should be.
    fn mismatch(&self, expected: &str) -> Problem {
        self.problem("the field is of the wrong kind")
            .limit(expected)
            .found(kind_of(self.value))
    }

    pub(super) fn number(&self) -> Result<f64> {
        let number = match self.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|integer| integer as f64),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => return Err(self.mismatch("a number")),
        };
        number
            .filter(|number| number.is_finite() && number.abs() <= MAX_NUMBER)
            .ok_or_else(|| {
                self.problem("the number is out of bounds")
                    .limit(format!("finite, at most {MAX_NUMBER:e} either way"))
            })
    }

    pub(super) fn number_within(&self, low: f64, high: f64) -> Result<f64> {
        let number = self.number()?;
        if (low..=high).contains(&number) {
            Ok(number)
        } else {
            Err(self
                .problem("the number is out of bounds")
                .limit(format!("{low} to {high}"))
                .found(number))
        }
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        match self.value {
            // They would reach the terminal of whoever reads the answer.
            DeValue::String(text) if text.chars().any(char::is_control) => {
                Err(self.problem("the text holds control characters"))
            }
            DeValue::String(text) if text.chars().count() <= MAX_TEXT_CHARS => Ok(text),
            DeValue::String(text) => Err(self
                .problem("the text is too long")
                .limit(format!("{MAX_TEXT_CHARS} characters"))
                .found(text.chars().count())),
            _ => Err(self.mismatch("a text in quotes")),
        }
    }

    /// A date, bare or in quotes.
    pub(super) fn date(&self) -> Result<Date> {
        let written = match self.value {
            DeValue::Datetime(datetime) => datetime.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => return Err(self.mismatch("a date as YYYY-MM-DD")),
        };
        written
            .parse::<Date>()
            .map_err(|problem| problem.at(self.source.place(self.span.start, &self.path)))
    }

    pub(super) fn list(&self, limit: usize) -> Result<Vec<Node<'a>>> {
        let DeValue::Array(list) = self.value else {
            return Err(self.mismatch("a list"));
        };
        if list.len() > limit {
            return Err(self
                .problem("the list is too long")
                .limit(format!("{limit} entries"))
                .found(list.len()));
        }
        let nodes = list.iter().enumerate();
        Ok(nodes
            .map(|(index, value)| Node::new(self.source, format!("{}[{index}]", self.path), value))
            .collect())
    }

    pub(super) fn fields(&self) -> Result<Fields<'a>> {
        match self.value {
            DeValue::Table(table) => Ok(Fields {
                source: self.source,
                path: self.path.clone(),
                at: self.span.start,
                table,
                known: Vec::new(),
            }),
            _ => Err(self.mismatch("a table")),
        }
    }
}

const MAX_NUMBER: f64 = 1e15;
const MAX_TEXT_CHARS: usize = 2_000;

/// The fields of a table. What nobody asked for is unknown.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    source: Source<'a>,
    path: String,
    at: usize,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of_document(source: Source<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            source,
            path: String::new(),
            at: 0,
            table,
            known: Vec::new(),
        }
    }

    pub(super) fn optional(&mut self, name: &'static str) -> Option<Node<'a>> {
        self.known.push(name);
        let value = self.table.get(name)?;
        Some(Node::new(self.source, self.path_of(name), value))
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<Node<'a>> {
        match self.optional(name) {
            Some(node) => Ok(node),
            None => Err(self
                .problem("a field is missing")
                .limit(format!("the field {name}"))),
        }
    }

    /// A problem of the table as a whole.
    pub(super) fn problem(&self, what: &str) -> Problem {
        Problem::invalid(what).at(self.source.place(self.at, &self.path))
    }

    /// Refuses what no call has asked for.
    pub(super) fn finish(&self) -> Result<()> {
        let unknown = self
            .table
            .iter()
            .find(|(name, _)| !self.known.contains(&name.get_ref().as_ref()));
        let Some((name, _)) = unknown else {
            return Ok(());
        };
        let short: String = name.get_ref().chars().take(60).collect();
        let place = self.source.place(name.span().start, &self.path_of(&short));
        let problem = Problem::invalid("the field is not known").at(place);
        let nearest = self
            .known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(&short, known), known))
            .min();
        Err(match nearest {
            Some((distance, known)) if distance <= 2 => {
                problem.remedy(format!("did you mean {known}?"))
            }
            _ => problem.limit(self.known.join(", ")),
        })
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
