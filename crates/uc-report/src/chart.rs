//! A chart: a figure with its caption, its drawing and its data as a table.

mod histogram;
mod lines;
mod scatter;
mod timeline;
mod tornado;

use crate::{
    Cell, Chart, Column, Plot, Table, document,
    markup::{Anchor, Svg, escaped},
    number::short,
    scale::Scale,
};

/// The width of every drawing; its text is 14 of these units high.
const WIDTH: f64 = 720.0;
/// Colours, dash patterns and shapes repeat after so many.
const STYLES: usize = 8;

/// The room of a drawing with axes.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const FRAME: Frame = Frame {
    left: 84.0,
    right: WIDTH - 24.0,
    top: 16.0,
    bottom: 330.0,
};
const HEIGHT: f64 = 390.0;

/// The figure of a chart; `id` is unique in the document.
pub(crate) fn figure(chart: &Chart, id: &str) -> String {
    let (drawing, data, key) = match &chart.plot {
        Plot::Timeline { as_of, rows } => timeline::draw(chart, id, *as_of, rows),
        Plot::Lines { series } => lines::draw(chart, id, series),
        Plot::Scatter {
            points,
            log_x,
            log_y,
            is_path,
        } => scatter::draw(chart, id, points, (*log_x, *log_y), *is_path),
        Plot::Tornado { centre, bars } => tornado::draw(chart, id, *centre, bars),
        Plot::Histogram { bins, markers } => histogram::draw(chart, id, bins, markers),
    };
    format!(
        "<figure><figcaption>{}</figcaption><div class=\"chart\" tabindex=\"0\" role=\"group\" aria-label=\"{}\">{drawing}</div>{key}\
         <details><summary>Data of this chart</summary>{}</details></figure>",
        escaped(&chart.title),
        escaped(&chart.title),
        document::table(&data)
    )
}

/// Grid, ticks and names of both axes.
fn axes(svg: &mut Svg, frame: &Frame, x: &Scale, y: &Scale, chart: &Chart) {
    for &tick in &y.ticks {
        let at = y.place(tick);
        svg.line("grid", (frame.left, at), (frame.right, at));
        svg.text(
            "tick",
            Anchor::End,
            (frame.left - 8.0, at + 4.5),
            &short(tick),
            12,
        );
    }
    for &tick in &x.ticks {
        let at = x.place(tick);
        svg.line("axis", (at, frame.bottom), (at, frame.bottom + 5.0));
        svg.text(
            "tick",
            Anchor::Middle,
            (at, frame.bottom + 21.0),
            &short(tick),
            12,
        );
    }
    svg.line(
        "axis",
        (frame.left, frame.bottom),
        (frame.right, frame.bottom),
    );
    names(svg, frame, chart);
}

/// The names of the axes: below, and above the vertical one.
fn names(svg: &mut Svg, frame: &Frame, chart: &Chart) {
    let middle = f64::midpoint(frame.left, frame.right);
    svg.text(
        "name",
        Anchor::Middle,
        (middle, frame.bottom + 46.0),
        &chart.unit_x,
        80,
    );
}

/// The name of the vertical axis, above the drawing so that it reads level.
fn above(chart: &Chart) -> String {
    if chart.unit_y.is_empty() {
        String::new()
    } else {
        format!("<p class=\"unit\">↑ {}</p>", escaped(&chart.unit_y))
    }
}

fn finish(svg: Svg, id: &str, height: f64, chart: &Chart) -> String {
    let unit = above(chart);
    unit + &svg.finish(id, (WIDTH, height), &chart.title, &chart.alt)
}

fn columns(headings: &[(&str, bool)]) -> Vec<Column> {
    headings
        .iter()
        .map(|&(heading, is_number)| Column {
            heading: heading.into(),
            is_number,
        })
        .collect()
}

fn data(headings: &[(&str, bool)], rows: Vec<Vec<String>>) -> Table {
    Table {
        columns: columns(headings),
        rows: rows
            .into_iter()
            .map(|row| row.into_iter().map(Cell::plain).collect())
            .collect(),
    }
}
