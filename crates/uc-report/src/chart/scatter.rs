//! Points, and paths through them.

use super::{FRAME, HEIGHT, axes, data, finish};
use crate::{
    Chart, MAX_ITEMS, Mark, Point, Table,
    markup::{Anchor, Svg},
    number::short,
    scale::Scale,
};

/// Beyond so many points, only those that mean something are named.
const NAMED: usize = 40;
/// The size of a name, for keeping names apart.
const NAME_HEIGHT: f64 = 15.0;
const CHARACTER: f64 = 7.4;
const NAME_CHARACTERS: usize = 22;

pub(super) fn draw(
    chart: &Chart,
    id: &str,
    points: &[Point],
    (log_x, log_y): (bool, bool),
    is_path: bool,
) -> (String, Table, String) {
    let points = &points[..points.len().min(MAX_ITEMS)];
    let scale = |is_log: bool, values: Vec<f64>, from: f64, to: f64| {
        if is_log {
            Scale::logarithmic(values, from, to)
        } else {
            Scale::linear(values, from, to, 6)
        }
    };
    let xs: Vec<f64> = points.iter().map(|point| point.x).collect();
    let ys: Vec<f64> = points.iter().map(|point| point.y).collect();
    let x = scale(log_x, xs, FRAME.left, FRAME.right);
    let y = scale(log_y, ys, FRAME.bottom, FRAME.top);
    let mut svg = Svg::default();
    axes(&mut svg, &FRAME, &x, &y, chart);
    let places: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (x.place(point.x), y.place(point.y)))
        .collect();
    if is_path {
        svg.path("curve s0", &[steps(&places)]);
    }
    let mut names = Names::default();
    for (point, place) in points.iter().zip(&places) {
        let title = format!("{}: {}, {}", point.label, short(point.x), short(point.y));
        svg.shape(
            &format!("point {}", point.mark.class()),
            shape(point.mark),
            *place,
            6.0,
            &title,
        );
        names.occupy((place.0 - 7.0, place.1 - 7.0), (14.0, 14.0));
    }
    for (point, place) in points.iter().zip(&places) {
        if points.len() <= NAMED || point.mark != Mark::Plain {
            names.write(&mut svg, &point.label, *place);
        }
    }
    let rows = points
        .iter()
        .map(|point| vec![point.label.clone(), short(point.x), short(point.y)]);
    let table = data(
        &[
            ("", false),
            (chart.unit_x.as_str(), true),
            (chart.unit_y.as_str(), true),
        ],
        rows.collect(),
    );
    (finish(svg, id, HEIGHT, chart), table, String::new())
}

/// A frontier holds its value until the next point.
fn steps(places: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut path = Vec::new();
    for (at, place) in places.iter().enumerate() {
        if at > 0 {
            path.push((place.0, places[at - 1].1));
        }
        path.push(*place);
    }
    path
}

/// Meanings have shapes, so that they are told apart without colour.
fn shape(mark: Mark) -> usize {
    match mark {
        Mark::Plain | Mark::Good | Mark::Quiet => 0,
        Mark::Attention => 1,
        Mark::Bad => 3,
    }
}

/// What is taken already, so that names do not cover each other.
#[derive(Debug, Default)]
struct Names {
    taken: Vec<((f64, f64), (f64, f64))>,
}

impl Names {
    fn occupy(&mut self, corner: (f64, f64), size: (f64, f64)) {
        self.taken.push((corner, size));
    }

    fn is_free(&self, corner: (f64, f64), size: (f64, f64)) -> bool {
        let is_inside = corner.0 >= FRAME.left
            && corner.0 + size.0 <= FRAME.right + 20.0
            && corner.1 >= 0.0
            && corner.1 + size.1 <= FRAME.bottom;
        is_inside
            && self.taken.iter().all(|(other, other_size)| {
                corner.0 + size.0 <= other.0
                    || other.0 + other_size.0 <= corner.0
                    || corner.1 + size.1 <= other.1
                    || other.1 + other_size.1 <= corner.1
            })
    }

    /// Writes a name beside, above or below its point, or not at all: its title and the table have it.
    fn write(&mut self, svg: &mut Svg, name: &str, (x, y): (f64, f64)) {
        let width = name.chars().count().min(NAME_CHARACTERS) as f64 * CHARACTER;
        let size = (width, NAME_HEIGHT);
        let corners = [
            (x + 10.0, y - 7.0),
            (x - 10.0 - width, y - 7.0),
            (x - width / 2.0, y - 25.0),
            (x - width / 2.0, y + 10.0),
            (x + 8.0, y - 22.0),
            (x + 8.0, y + 8.0),
            (x - 8.0 - width, y - 22.0),
            (x - 8.0 - width, y + 8.0),
        ];
        if let Some(corner) = corners
            .into_iter()
            .find(|corner| self.is_free(*corner, size))
        {
            self.occupy(corner, size);
            svg.text(
                "pointlabel",
                Anchor::Start,
                (corner.0, corner.1 + 12.0),
                name,
                NAME_CHARACTERS,
            );
        }
    }
}
