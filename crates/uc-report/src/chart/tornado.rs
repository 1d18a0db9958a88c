//! Bars from a centre to both sides.

use super::{WIDTH, data, finish};
use crate::{
    Chart, MAX_ITEMS, Swing, Table,
    markup::{Anchor, Svg},
    number::short,
    scale::Scale,
};

const LEFT: f64 = 270.0;
const RIGHT: f64 = WIDTH - 70.0;
const ROW: f64 = 32.0;
const TOP: f64 = 8.0;

pub(super) fn draw(
    chart: &Chart,
    id: &str,
    centre: f64,
    bars: &[Swing],
) -> (String, Table, String) {
    let bars = &bars[..bars.len().min(MAX_ITEMS)];
    let ends = bars.iter().flat_map(|bar| [bar.low, bar.high]);
    let x = Scale::linear(ends.chain([centre]), LEFT, RIGHT, 4);
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = Svg::default();
    for &tick in &x.ticks {
        svg.line("grid", (x.place(tick), TOP), (x.place(tick), bottom));
        svg.text(
            "tick",
            Anchor::Middle,
            (x.place(tick), bottom + 20.0),
            &short(tick),
            12,
        );
    }
    for (at, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        svg.text(
            "label",
            Anchor::End,
            (LEFT - 56.0, y + 20.0),
            &bar.label,
            30,
        );
        for (end, class, text) in [
            (bar.low, "swing low", &bar.low_text),
            (bar.high, "swing high", &bar.high_text),
        ] {
            let (from, to) = (x.place(centre), x.place(end));
            svg.rectangle(
                class,
                from.min(to),
                y + 6.0,
                (to - from).abs(),
                19.0,
                &format!("{}: {text}", bar.label),
            );
            let (anchor, beside) = if to < from {
                (Anchor::End, to - 5.0)
            } else {
                (Anchor::Start, to + 5.0)
            };
            svg.text("detail", anchor, (beside, y + 20.0), text, 9);
        }
    }
    svg.line("axis", (x.place(centre), TOP), (x.place(centre), bottom));
    svg.text(
        "name",
        Anchor::Middle,
        (f64::midpoint(LEFT, RIGHT), bottom + 44.0),
        &chart.unit_x,
        80,
    );
    let rows = bars.iter().map(|bar| {
        vec![
            bar.label.clone(),
            bar.low_text.clone(),
            bar.high_text.clone(),
        ]
    });
    let table = data(
        &[("", false), ("At P10", true), ("At P90", true)],
        rows.collect(),
    );
    let key = "<p class=\"key\"><span class=\"sw lowsw\"></span> at the 10th percentile (outlined) &#160; \
               <span class=\"sw highsw\"></span> at the 90th (filled)</p>";
    (finish(svg, id, bottom + 56.0, chart), table, key.to_owned())
}
