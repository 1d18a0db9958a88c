//! A report with every kind of chart, as somebody would write it.

use uc_model::{Date, Provenance};
use uc_report::{
    Bar, Bin, Block, Cell, Chart, Column, Fact, Mark, Marker, Plot, Point, Report, Section, Series,
    Swing, Table,
};

fn chart(title: &str, plot: Plot) -> Block {
    Block::Chart(Chart {
        title: title.into(),
        alt: format!("{title}, as an example."),
        unit_x: "months".into(),
        unit_y: "money".into(),
        plot,
    })
}

fn day(days: i64) -> Date {
    Date::from_days(20_000 + days)
}

fn point(label: &str, x: f64, y: f64, mark: Mark) -> Point {
    Point {
        label: label.into(),
        x,
        y,
        mark,
    }
}

fn words() -> Section {
    let headings = [
        "Name",
        "Number",
        "State",
        "A long heading",
        "Another one",
        "And one more",
    ];
    let column = |heading: &str| Column {
        heading: heading.into(),
        is_number: heading == "Number",
    };
    Section {
        id: "words".into(),
        heading: "Words and tables".into(),
        blocks: vec![
            Block::Paragraph("Some running text.".into()),
            Block::Note(Mark::Attention, "Something to be looked at.".into()),
            Block::Facts(vec![Fact {
                label: "Value".into(),
                value: "26,881 CNY".into(),
                provenance: Some(Provenance::Modelled("benefit - cost".into())),
            }]),
            Block::Table(Table {
                columns: headings.map(column).to_vec(),
                rows: vec![vec![
                    Cell::plain("one"),
                    Cell::plain("12,345"),
                    Cell::marked(Mark::Bad, "shut"),
                    Cell::plain("a cell with several words"),
                    Cell::plain("a cell with several words"),
                    Cell::marked(Mark::Good, "yes"),
                ]],
            }),
        ],
    }
}

fn timeline() -> Block {
    let bar = |label: &str, to: i64, mark: Mark| Bar {
        label: label.into(),
        detail: format!("{to} days"),
        start: day(0),
        end: day(to),
        mark,
        milestones: vec![(day(20), "something happens".into())],
    };
    let rows = vec![
        bar("open", 400, Mark::Good),
        bar("shut", 90, Mark::Bad),
        bar(
            "a label that is far too long for its place",
            900,
            Mark::Plain,
        ),
    ];
    chart(
        "Timeline",
        Plot::Timeline {
            as_of: day(120),
            rows,
        },
    )
}

fn lines() -> Block {
    let series = |label: &str, slope: f64| Series {
        label: label.into(),
        points: (0..36)
            .map(|x| (f64::from(x), Some(100.0 - slope * f64::from(x))))
            .collect(),
        best: Some(0.0),
    };
    let series = vec![series("slow", 1.0), series("fast", 2.5)];
    chart("Lines", Plot::Lines { series })
}

fn scatter(title: &str, is_path: bool) -> Block {
    chart(
        title,
        Plot::Scatter {
            points: vec![
                point("nothing", 1.0, 10.0, Mark::Plain),
                point("near it", 1.1, 11.0, Mark::Attention),
                point("chosen", 900.0, 2_000.0, Mark::Good),
            ],
            log_x: !is_path,
            log_y: !is_path,
            is_path,
        },
    )
}

fn tornado() -> Block {
    let swing = |label: &str, low: f64, high: f64| Swing {
        label: label.into(),
        low,
        high,
        low_text: low.to_string(),
        high_text: high.to_string(),
    };
    let bars = vec![swing("benefit", 60.0, 140.0), swing("risk", 110.0, 90.0)];
    chart(
        "Tornado",
        Plot::Tornado {
            centre: 100.0,
            bars,
        },
    )
}

fn histogram() -> Block {
    let bin = |at: f64| Bin {
        from: at,
        to: at + 1.0,
        count: (-(at - 20.0) * (at - 20.0) / 80.0).exp(),
    };
    chart(
        "Histogram",
        Plot::Histogram {
            bins: (0..40).map(f64::from).map(bin).collect(),
            markers: vec![Marker {
                label: "P50".into(),
                at: 20.0,
            }],
        },
    )
}

/// The report.
pub(crate) fn sample() -> Report {
    Report {
        title: "An example with a rather long title that has to break on a telephone".into(),
        subtitle: "Every kind of block.".into(),
        sections: vec![
            words(),
            Section {
                id: "charts".into(),
                heading: "Charts".into(),
                blocks: vec![
                    timeline(),
                    lines(),
                    scatter("Scatter", false),
                    scatter("Frontier", true),
                    tornado(),
                    histogram(),
                ],
            },
        ],
    }
}
