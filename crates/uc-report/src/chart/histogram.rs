//! Distributions.

use super::{FRAME, HEIGHT, axes, data, finish};
use crate::{
    Bin, Chart, MAX_ITEMS, Marker, Table,
    markup::{Anchor, Svg},
    number::short,
    scale::Scale,
};

pub(super) fn draw(
    chart: &Chart,
    id: &str,
    bins: &[Bin],
    markers: &[Marker],
) -> (String, Table, String) {
    let bins = &bins[..bins.len().min(MAX_ITEMS)];
    let markers = &markers[..markers.len().min(20)];
    let frame = super::Frame { top: 48.0, ..FRAME };
    let edges = bins.iter().flat_map(|bin| [bin.from, bin.to]);
    let marked = markers.iter().map(|marker| marker.at);
    let x = Scale::linear(edges.chain(marked), frame.left, frame.right, 6);
    let heights = bins.iter().map(|bin| bin.count).chain([0.0]);
    let y = Scale::linear(heights, frame.bottom, frame.top, 4);
    let mut svg = Svg::default();
    axes(&mut svg, &frame, &x, &y, chart);
    for bin in bins {
        let (from, to) = (x.place(bin.from), x.place(bin.to));
        let top = y.place(bin.count);
        let title = format!(
            "{} to {}: {}",
            short(bin.from),
            short(bin.to),
            short(bin.count)
        );
        svg.rectangle(
            "bin",
            from.min(to),
            top,
            (to - from).abs() - 1.0,
            frame.bottom - top,
            &title,
        );
    }
    for (at, marker) in markers.iter().enumerate() {
        let place = x.place(marker.at);
        // Labels of neighbours stand at two heights.
        let height = 18.0 + 17.0 * (at % 2) as f64;
        svg.line("marker", (place, height + 5.0), (place, frame.bottom));
        let label = format!("{} {}", marker.label, short(marker.at));
        svg.text(
            "nowlabel",
            Anchor::Middle,
            (place.clamp(frame.left + 40.0, frame.right - 40.0), height),
            &label,
            24,
        );
    }
    let rows = bins
        .iter()
        .map(|bin| vec![short(bin.from), short(bin.to), short(bin.count)]);
    let table = data(
        &[("From", true), ("To", true), (chart.unit_y.as_str(), true)],
        rows.collect(),
    );
    (finish(svg, id, HEIGHT, chart), table, String::new())
}
