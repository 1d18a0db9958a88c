//! Reports are well-formed whatever they are told, and show what they should.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use proptest::prelude::*;
use uc_model::{Date, Provenance};
use uc_report::{
    Bar, Bin, Block, Cell, Chart, Column, Fact, MAX_ITEMS, Mark, Marker, Plot, Point, Report,
    Section, Series, Swing, Table,
};

/// The drawings of a report, as XML.
fn drawings(html: &str) -> Vec<String> {
    let mut rest = html;
    let mut found = Vec::new();
    while let Some(start) = rest.find("<svg ") {
        let end = rest[start..].find("</svg>").expect("is closed") + start + "</svg>".len();
        found.push(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    found
}

fn check(html: &str) {
    for drawing in drawings(html) {
        let tree = roxmltree::Document::parse(&drawing).expect(&drawing);
        for node in tree.descendants() {
            for attribute in node.attributes() {
                let value = attribute.value();
                let is_geometry = [
                    "x", "y", "x1", "x2", "y1", "y2", "d", "points", "width", "height", "cx", "cy",
                    "r",
                ]
                .contains(&attribute.name());
                assert!(
                    !is_geometry || !(value.contains("NaN") || value.contains("inf")),
                    "{value}"
                );
            }
        }
        let is_sample = drawing.contains("aria-hidden");
        let titled = tree
            .root_element()
            .children()
            .any(|node| node.has_tag_name("title"));
        let described = tree
            .root_element()
            .children()
            .any(|node| node.has_tag_name("desc"));
        assert!(is_sample || (titled && described), "{drawing}");
    }
    for tag in [
        "table", "figure", "section", "div", "details", "span", "p", "main",
    ] {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(!html.contains("<script"));
    assert!(
        !html.contains("http://")
            || html.matches("http://").count()
                == html.matches("http://www.w3.org/2000/svg").count()
    );
}

fn chart(text: &str, plot: Plot) -> Block {
    Block::Chart(Chart {
        title: text.into(),
        alt: text.into(),
        unit_x: text.into(),
        unit_y: text.into(),
        plot,
    })
}

/// Texts and numbers that stand everywhere.
struct Filling<'a> {
    text: &'a str,
    numbers: &'a [f64],
}

const MARKS: [Mark; 5] = [
    Mark::Plain,
    Mark::Good,
    Mark::Bad,
    Mark::Attention,
    Mark::Quiet,
];

impl Filling<'_> {
    fn number(&self, at: usize) -> f64 {
        let count = self.numbers.len().max(1);
        self.numbers.get(at % count).copied().unwrap_or(f64::NAN)
    }

    fn date(&self, at: usize) -> Date {
        Date::from_days(self.number(at).clamp(-1e6, 1e7) as i64)
    }

    fn label(&self) -> String {
        self.text.to_owned()
    }

    /// One of something for each number.
    fn each<T>(&self, make: impl FnMut(usize) -> T) -> Vec<T> {
        (0..self.numbers.len()).map(make).collect()
    }

    fn timeline(&self) -> Plot {
        Plot::Timeline {
            as_of: self.date(0),
            rows: self.each(|at| Bar {
                label: self.label(),
                detail: self.label(),
                start: self.date(at),
                end: self.date(at + 1),
                mark: MARKS[at % 5],
                milestones: vec![(self.date(at + 2), self.label())],
            }),
        }
    }

    fn lines(&self) -> Plot {
        Plot::Lines {
            series: vec![Series {
                label: self.label(),
                points: self
                    .each(|at| (self.number(at), (at % 3 > 0).then(|| self.number(at + 1)))),
                best: Some(self.number(1)),
            }],
        }
    }

    fn scatter(&self) -> Plot {
        Plot::Scatter {
            points: self.each(|at| Point {
                label: self.label(),
                x: self.number(at),
                y: self.number(at + 1),
                mark: MARKS[at % 5],
            }),
            log_x: true,
            log_y: false,
            is_path: true,
        }
    }

    fn tornado(&self) -> Plot {
        Plot::Tornado {
            centre: self.number(0),
            bars: self.each(|at| Swing {
                label: self.label(),
                low: self.number(at),
                high: self.number(at + 1),
                low_text: self.label(),
                high_text: self.label(),
            }),
        }
    }

    fn histogram(&self) -> Plot {
        Plot::Histogram {
            bins: self.each(|at| Bin {
                from: self.number(at),
                to: self.number(at + 1),
                count: self.number(at + 2),
            }),
            markers: vec![Marker {
                label: self.label(),
                at: self.number(0),
            }],
        }
    }

    fn table(&self) -> Table {
        let column = |is_number| Column {
            heading: self.label(),
            is_number,
        };
        Table {
            columns: vec![column(true), column(false)],
            rows: self.each(|at| vec![Cell::marked(MARKS[at % 5], self.label())]),
        }
    }
}

/// One of each kind of block, with these texts and numbers everywhere.
fn everything(text: &str, numbers: &[f64]) -> Report {
    let filling = Filling { text, numbers };
    let label = || text.to_owned();
    let fact = Fact {
        label: label(),
        value: label(),
        provenance: Some(Provenance::Assumed(label())),
    };
    Report {
        title: label(),
        subtitle: label(),
        sections: vec![Section {
            id: label(),
            heading: label(),
            blocks: vec![
                Block::Paragraph(label()),
                Block::Note(Mark::Bad, label()),
                Block::Facts(vec![fact]),
                Block::Table(filling.table()),
                chart(text, filling.timeline()),
                chart(text, filling.lines()),
                chart(text, filling.scatter()),
                chart(text, filling.tornado()),
                chart(text, filling.histogram()),
            ],
        }],
    }
}

#[test]
fn odd_numbers_and_empty_charts_are_drawn_all_the_same() {
    for numbers in [
        vec![],
        vec![0.0],
        vec![f64::NAN],
        vec![f64::MAX, f64::MIN, f64::INFINITY],
        vec![-1e-300, 1e300, 5.0],
    ] {
        check(&everything("text", &numbers).to_html());
    }
}

#[test]
fn what_is_too_long_is_left_out_and_that_is_said() {
    let rows = (0..MAX_ITEMS + 3)
        .map(|at| vec![Cell::plain(at.to_string())])
        .collect();
    let mut report = everything("text", &[1.0, 2.0]);
    report.sections[0].blocks.push(Block::Table(Table {
        columns: vec![Column {
            heading: "n".into(),
            is_number: true,
        }],
        rows,
    }));
    let html = report.to_html();
    check(&html);
    assert!(html.contains("3 more are left out"));
    check(&everything("x", &vec![1.0; 5_000]).to_html());
}

#[test]
fn markup_in_texts_stays_text() {
    let html = everything(
        "<script>alert('x')</script> & \"quoted\" \u{1}",
        &[1.0, 2.0, 3.0],
    )
    .to_html();
    check(&html);
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn a_chart_has_its_data_as_a_table_and_a_mark_has_a_sign() {
    let html = support::sample().to_html();
    check(&html);
    assert_eq!(
        html.matches("<figure>").count(),
        html.matches("<summary>Data of this chart</summary>")
            .count()
    );
    assert!(html.contains("✕ shut"));
    assert!(html.contains("class=\"hatch\""));
    assert!(html.contains("prefers-color-scheme: dark"));
}

proptest! {
    #[test]
    fn any_text_and_any_numbers_make_a_report(text in "\\PC{0,60}", numbers in prop::collection::vec(any::<f64>(), 0..12)) {
        check(&everything(&text, &numbers).to_html());
    }
}
