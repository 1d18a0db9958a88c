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

/// The report.
pub(crate) fn sample() -> Report {
    let bar = |label: &str, from: i64, to: i64, mark: Mark| Bar {
        label: label.into(),
        detail: format!("{to} days"),
        start: day(from),
        end: day(to),
        mark,
        milestones: vec![(day(from + 20), "something happens".into())],
    };
    let series = |label: &str, slope: f64| Series {
        label: label.into(),
        points: (0..36)
            .map(|x| (f64::from(x), Some(100.0 - slope * f64::from(x))))
            .collect(),
        best: Some(0.0),
    };
    let point = |label: &str, x: f64, y: f64, mark: Mark| Point {
        label: label.into(),
        x,
        y,
        mark,
    };
    Report {
        title: "An example with a rather long title that has to break on a telephone".into(),
        subtitle: "Every kind of block.".into(),
        sections: vec![
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
                        columns: [
                            "Name",
                            "Number",
                            "State",
                            "A long heading",
                            "Another one",
                            "And one more",
                        ]
                        .map(|heading| Column {
                            heading: heading.into(),
                            is_number: heading == "Number",
                        })
                        .to_vec(),
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
            },
            Section {
                id: "charts".into(),
                heading: "Charts".into(),
                blocks: vec![
                    chart(
                        "Timeline",
                        Plot::Timeline {
                            as_of: day(120),
                            rows: vec![
                                bar("open", 0, 400, Mark::Good),
                                bar("shut", 0, 90, Mark::Bad),
                                bar(
                                    "a label that is far too long for its place",
                                    0,
                                    900,
                                    Mark::Plain,
                                ),
                            ],
                        },
                    ),
                    chart(
                        "Lines",
                        Plot::Lines {
                            series: vec![series("slow", 1.0), series("fast", 2.5)],
                        },
                    ),
                    chart(
                        "Scatter",
                        Plot::Scatter {
                            points: vec![
                                point("a", 1.0, 10.0, Mark::Good),
                                point("b", 1.1, 11.0, Mark::Attention),
                                point("c", 900.0, 2_000.0, Mark::Bad),
                            ],
                            log_x: true,
                            log_y: true,
                            is_path: false,
                        },
                    ),
                    chart(
                        "Frontier",
                        Plot::Scatter {
                            points: vec![
                                point("nothing", 0.0, 0.0, Mark::Plain),
                                point("some", 10.0, 60.0, Mark::Plain),
                                point("chosen", 40.0, 80.0, Mark::Good),
                            ],
                            log_x: false,
                            log_y: false,
                            is_path: true,
                        },
                    ),
                    chart(
                        "Tornado",
                        Plot::Tornado {
                            centre: 100.0,
                            bars: vec![
                                Swing {
                                    label: "benefit".into(),
                                    low: 60.0,
                                    high: 140.0,
                                    low_text: "60".into(),
                                    high_text: "140".into(),
                                },
                                Swing {
                                    label: "risk".into(),
                                    low: 110.0,
                                    high: 90.0,
                                    low_text: "110".into(),
                                    high_text: "90".into(),
                                },
                            ],
                        },
                    ),
                    chart(
                        "Histogram",
                        Plot::Histogram {
                            bins: (0..40)
                                .map(|at| f64::from(at))
                                .map(|at| Bin {
                                    from: at,
                                    to: at + 1.0,
                                    count: (-(at - 20.0) * (at - 20.0) / 80.0).exp(),
                                })
                                .collect(),
                            markers: vec![Marker {
                                label: "P50".into(),
                                at: 20.0,
                            }],
                        },
                    ),
                ],
            },
        ],
    }
}
