//! Curves.

use super::{FRAME, HEIGHT, STYLES, axes, data, finish};
use crate::{
    Chart, MAX_ITEMS, Series, Table,
    markup::{Svg, escaped},
    number::short,
    scale::Scale,
};

/// The most points of a curve that are drawn.
const MAX_POINTS: usize = 600;

pub(super) fn draw(chart: &Chart, id: &str, series: &[Series]) -> (String, Table, String) {
    let series = &series[..series.len().min(MAX_ITEMS / 10)];
    let points = || series.iter().flat_map(|one| one.points.iter());
    let x = Scale::linear(points().map(|(x, _)| *x), FRAME.left, FRAME.right, 6);
    let y = Scale::linear(points().filter_map(|(_, y)| *y), FRAME.bottom, FRAME.top, 5);
    let mut svg = Svg::default();
    axes(&mut svg, &FRAME, &x, &y, chart);
    for (at, one) in series.iter().enumerate() {
        let style = at % STYLES;
        let step = one.points.len().div_ceil(MAX_POINTS).max(1);
        let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        for (from, to) in one.points.iter().step_by(step) {
            match to.filter(|value| value.is_finite()) {
                Some(value) => {
                    if let Some(piece) = pieces.last_mut() {
                        piece.push((x.place(*from), y.place(value)));
                    }
                }
                None => pieces.push(Vec::new()),
            }
        }
        svg.path(&format!("curve s{style}"), &pieces);
        if let Some((from, value)) = best(one) {
            let title = format!("{}: best at {}, {}", one.label, short(from), short(value));
            let place = (x.place(from), y.place(value));
            svg.shape(&format!("best f{style}"), at, place, 5.5, &title);
        }
    }
    (
        finish(svg, id, HEIGHT, chart),
        table(chart, series),
        key(series),
    )
}

/// The marked point, where the curve has it.
fn best(series: &Series) -> Option<(f64, f64)> {
    let at = series.best?;
    let (x, y) = series.points.iter().find(|(x, _)| *x == at)?;
    Some((*x, (*y)?))
}

fn key(series: &[Series]) -> String {
    let entries: Vec<String> = series
        .iter()
        .enumerate()
        .map(|(at, one)| {
            let style = at % STYLES;
            let mut sample = Svg::default();
            sample.path(&format!("curve s{style}"), &[vec![(0.0, 6.0), (30.0, 6.0)]]);
            sample.shape(&format!("best f{style}"), at, (15.0, 6.0), 4.0, "");
            format!(
                "<span>{} {}</span>",
                sample.decoration(30, 12),
                escaped(&one.label)
            )
        })
        .collect();
    format!("<p class=\"key\">{}</p>", entries.join(" "))
}

fn table(chart: &Chart, series: &[Series]) -> Table {
    let mut headings: Vec<(&str, bool)> = vec![(chart.unit_x.as_str(), true)];
    headings.extend(series.iter().map(|one| (one.label.as_str(), true)));
    let longest = series.iter().max_by_key(|one| one.points.len());
    let rows = longest
        .into_iter()
        .flat_map(|one| one.points.iter().enumerate())
        .map(|(at, (x, _))| {
            let mut row = vec![short(*x)];
            row.extend(series.iter().map(|one| {
                let value = one.points.get(at).and_then(|(_, y)| *y);
                value.map_or_else(|| "–".into(), short)
            }));
            row
        });
    data(&headings, rows.collect())
}
