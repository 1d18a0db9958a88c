//! Bars over time.

use uc_model::Date;

use super::{WIDTH, data, finish};
use crate::{
    Bar, Chart, MAX_ITEMS, Mark, Table,
    markup::{Anchor, Svg},
};

const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 16.0;
const ROW: f64 = 34.0;
const TOP: f64 = 34.0;
/// Ticks are this far apart at least.
const TICK_WIDTH: f64 = 62.0;
/// Room that a detail needs, for each of its characters.
const CHARACTER: f64 = 7.4;

pub(super) fn draw(chart: &Chart, id: &str, as_of: Date, rows: &[Bar]) -> (String, Table, String) {
    let rows = &rows[..rows.len().min(MAX_ITEMS)];
    let days = |date: Date| date.days() as f64;
    let all = || {
        rows.iter().flat_map(|row| {
            let milestones = row.milestones.iter().map(|(date, _)| *date);
            [row.start, row.end].into_iter().chain(milestones)
        })
    };
    let first = all().min().unwrap_or(as_of).min(as_of);
    let last = all().max().unwrap_or(as_of).max(as_of.plus_days(14));
    let margin = 0.02 * (days(last) - days(first));
    let (low, high) = (days(first) - margin, days(last) + margin);
    let place = |date: Date| LEFT + (days(date) - low) / (high - low) * (RIGHT - LEFT);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut svg = Svg::default();
    for (date, label) in ticks(first, last, (RIGHT - LEFT) / (high - low)) {
        svg.line("grid", (place(date), TOP - 6.0), (place(date), bottom));
        svg.text(
            "tick",
            Anchor::Middle,
            (place(date), TOP - 14.0),
            &label,
            12,
        );
    }
    svg.line(
        "now",
        (place(as_of), TOP - 6.0),
        (place(as_of), bottom + 4.0),
    );
    for (at, row) in rows.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        svg.text(
            "label",
            Anchor::End,
            (LEFT - 10.0, y + 21.0),
            &row.label,
            18,
        );
        bar(&mut svg, row, y, (place(row.start), place(row.end)));
        for (date, what) in &row.milestones {
            let title = format!("{date}: {what}");
            svg.shape("milestone", 1, (place(*date), y + 16.0), 6.0, &title);
        }
    }
    svg.text(
        "nowlabel",
        Anchor::Middle,
        (place(as_of).clamp(LEFT, RIGHT - 30.0), bottom + 20.0),
        &as_of.to_string(),
        12,
    );
    (
        finish(svg, id, bottom + 30.0, chart),
        table(rows),
        key(rows),
    )
}

fn bar(svg: &mut Svg, row: &Bar, y: f64, (from, to): (f64, f64)) {
    let title = format!("{}: {} to {}", row.label, row.start, row.end);
    let (from, width) = (from.min(to), (to - from).abs().max(3.0));
    svg.rectangle(
        &format!("bar {}", row.mark.class()),
        from,
        y + 7.0,
        width,
        18.0,
        &title,
    );
    if row.mark == Mark::Bad {
        // Hatching, so that it is told apart without colour; a pattern would need an id in each chart.
        let mut at = from + 6.0;
        while at < from + width {
            svg.line("hatch", (at, y + 8.0), ((at - 5.0).max(from), y + 24.0));
            at += 8.0;
        }
    }
    let room = row.detail.chars().count() as f64 * CHARACTER;
    if from + width + room + 8.0 < RIGHT {
        svg.text(
            "detail",
            Anchor::Start,
            (from + width + 8.0, y + 21.0),
            &row.detail,
            40,
        );
    } else if from - room - 8.0 > LEFT {
        svg.text(
            "detail",
            Anchor::End,
            (from - 8.0, y + 21.0),
            &row.detail,
            40,
        );
    } else if room + 16.0 < width && row.mark != Mark::Bad {
        svg.text(
            "detail inside",
            Anchor::End,
            (from + width - 8.0, y + 21.0),
            &row.detail,
            40,
        );
    }
}

/// First days of weeks, months, quarters or years, as dense as there is room.
fn ticks(first: Date, last: Date, width_of_day: f64) -> Vec<(Date, String)> {
    let months = [1, 3, 6, 12, 24, 60, 120, 600, 1200]
        .into_iter()
        .find(|months| f64::from(*months) * 30.4 * width_of_day >= TICK_WIDTH)
        .unwrap_or(1200);
    if 7.0 * width_of_day >= TICK_WIDTH {
        let monday = first.plus_days(-i64::from(first.days_since_monday()));
        return (0..60)
            .map(|week| monday.plus_days(7 * week))
            .filter(|date| (first..=last).contains(date))
            .map(|date| (date, format!("{:02}-{:02}", date.month(), date.day())))
            .collect();
    }
    let start = Date::new(first.year(), 1, 1).unwrap_or(first);
    (0..=600)
        .map(|step| start.plus_months(step * i64::from(months)))
        .take_while(|date| *date <= last)
        .filter(|date| *date >= first)
        .map(|date| {
            let label = match (months, date.month()) {
                (12.., _) => date.year().to_string(),
                (3.., _) => format!("{} Q{}", date.year(), date.quarter()),
                _ => format!("{}-{:02}", date.year(), date.month()),
            };
            (date, label)
        })
        .collect()
}

fn key(rows: &[Bar]) -> String {
    let mut key = vec!["<span class=\"sw nowsw\"></span> as of"];
    if rows.iter().any(|row| row.mark == Mark::Bad) {
        key.push("<span class=\"sw badsw\"></span> shut (hatched)");
    }
    if rows.iter().any(|row| !row.milestones.is_empty()) {
        key.push("◆ milestone");
    }
    format!("<p class=\"key\">{}</p>", key.join(" &#160; "))
}

fn table(rows: &[Bar]) -> Table {
    let rows = rows.iter().map(|row| {
        let milestones: Vec<String> = row
            .milestones
            .iter()
            .map(|(date, what)| format!("{date}: {what}"))
            .collect();
        vec![
            row.label.clone(),
            row.start.to_string(),
            row.end.to_string(),
            row.detail.clone(),
            milestones.join("; "),
        ]
    });
    data(
        &[
            ("", false),
            ("From", false),
            ("To", false),
            ("", false),
            ("Milestones", false),
        ],
        rows.collect(),
    )
}
