//! Views to one HTML file: text, tables and charts, without scripts and without anything from elsewhere.
//!
//! The file can be read on a phone, printed, and shown light or dark. Every chart is SVG with a title, a description and its
//! data as a table. This crate knows nothing of what it shows.

use uc_model::{Date, Provenance};

mod chart;
mod document;
mod markup;
mod number;
mod scale;

/// The most rows of a table, points of a chart, bars and bins that are shown; what is left out is said.
pub const MAX_ITEMS: usize = 2_000;

/// A report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The heading of the whole.
    pub title: String,
    /// One sentence below it.
    pub subtitle: String,
    /// In the order of reading.
    pub sections: Vec<Section>,
}

/// A part of a report.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its anchor: letters, digits and hyphens.
    pub id: String,
    /// Its heading.
    pub heading: String,
    /// What it says.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// Running text.
    Paragraph(String),
    /// A sentence that stands out.
    Note(Mark, String),
    /// A table.
    Table(Table),
    /// A chart.
    Chart(Chart),
    /// Single figures with where they come from.
    Facts(Vec<Fact>),
}

/// A single figure.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// The figure with its unit.
    pub value: String,
    /// Where it comes from.
    pub provenance: Option<Provenance>,
}

/// A meaning. It is shown by a sign or a pattern as well as by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// None.
    Plain,
    /// As one would wish.
    Good,
    /// As one would not wish.
    Bad,
    /// To be looked at.
    Attention,
    /// Of little weight.
    Quiet,
}

impl Mark {
    /// Its class in the style sheet.
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Attention => "attention",
            Self::Quiet => "quiet",
        }
    }
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub heading: String,
    /// Numbers stand at the right.
    pub is_number: bool,
}

/// A cell of a table.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What it means.
    pub mark: Mark,
}

impl Cell {
    /// A cell without a meaning of its own.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::marked(Mark::Plain, text)
    }

    /// A cell with a meaning.
    pub fn marked(mark: Mark, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            mark,
        }
    }
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its caption.
    pub title: String,
    /// What it shows, for whoever cannot see it.
    pub alt: String,
    /// The name and unit of the horizontal axis.
    pub unit_x: String,
    /// The name and unit of the vertical axis.
    pub unit_y: String,
    /// Its data.
    pub plot: Plot,
}

/// The data of a chart.
#[derive(Debug, Clone)]
pub enum Plot {
    /// Bars over time.
    Timeline {
        /// The day that is marked as the present.
        as_of: Date,
        /// From above.
        rows: Vec<Bar>,
    },
    /// Curves.
    Lines {
        /// Each with a dash pattern and a colour of its own.
        series: Vec<Series>,
    },
    /// Points.
    Scatter {
        /// In any order; along the path if there is one.
        points: Vec<Point>,
        /// Whether the horizontal axis is logarithmic; what is not positive is drawn at its beginning.
        log_x: bool,
        /// Whether the vertical axis is.
        log_y: bool,
        /// Whether the points are joined by steps, as those of a frontier.
        is_path: bool,
    },
    /// Bars from a centre to both sides.
    Tornado {
        /// Where all bars meet.
        centre: f64,
        /// From above.
        bars: Vec<Swing>,
    },
    /// A distribution.
    Histogram {
        /// Side by side.
        bins: Vec<Bin>,
        /// Lines across.
        markers: Vec<Marker>,
    },
}

/// A bar of a timeline.
#[derive(Debug, Clone)]
pub struct Bar {
    /// At the left.
    pub label: String,
    /// Beside the bar.
    pub detail: String,
    /// First day.
    pub start: Date,
    /// The day after the last.
    pub end: Date,
    /// A bad one is hatched.
    pub mark: Mark,
    /// Diamonds, with what happens.
    pub milestones: Vec<(Date, String)>,
}

/// A curve.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub label: String,
    /// By rising x; a gap where there is no y.
    pub points: Vec<(f64, Option<f64>)>,
    /// The x of a point that is marked.
    pub best: Option<f64>,
}

/// A point.
#[derive(Debug, Clone)]
pub struct Point {
    /// Its name.
    pub label: String,
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// Decides its shape.
    pub mark: Mark,
}

/// A bar of a tornado.
#[derive(Debug, Clone)]
pub struct Swing {
    /// At the left.
    pub label: String,
    /// One end.
    pub low: f64,
    /// The other end; may be smaller.
    pub high: f64,
    /// The number at one end.
    pub low_text: String,
    /// The number at the other.
    pub high_text: String,
}

/// A bin of a histogram.
#[derive(Debug, Clone)]
pub struct Bin {
    /// Its left edge.
    pub from: f64,
    /// Its right edge.
    pub to: f64,
    /// Its height.
    pub count: f64,
}

/// A line across a histogram.
#[derive(Debug, Clone)]
pub struct Marker {
    /// Its name.
    pub label: String,
    /// Where it stands.
    pub at: f64,
}

impl Report {
    /// The file.
    pub fn to_html(&self) -> String {
        document::html(self)
    }
}
