//! The charts of the report. Each is none where it would be empty.

use uc_plan::{evaluation::Window, timing::Moment};
use uc_report::{Bar, Bin, Chart, Mark, Marker, Plot, Point, Series, Swing};

use super::super::{
    answer::{Answer, Subject},
    text::figure_name,
};
use crate::words::amount;

/// More curves in one chart cannot be told apart.
const CURVES: usize = 8;
/// The most bars of the tornado.
const SWINGS: usize = 12;

pub(super) fn windows(answer: &Answer) -> Option<Chart> {
    let from = answer.dated.min(answer.as_of);
    let bar = |subject: &Subject| {
        let standardised = subject.evaluation.standardised;
        let is_open = subject.evaluation.window == Window::Open;
        Bar {
            label: subject.id.clone(),
            detail: format!("until {standardised}"),
            start: from,
            end: standardised.max(from.plus_days(1)),
            mark: if is_open { Mark::Good } else { Mark::Bad },
            milestones: subject.milestones.clone(),
        }
    };
    let shut: Vec<&str> = answer
        .technologies
        .iter()
        .filter(|subject| subject.evaluation.window == Window::Shut)
        .map(|subject| subject.id.as_str())
        .collect();
    Some(Chart {
        title: "Windows until the standard".into(),
        alt: format!(
            "A bar for each technology from {from} to its standard. On {} {} of {} windows are shut{}.",
            answer.as_of,
            shut.len(),
            answer.technologies.len(),
            if shut.is_empty() {
                String::new()
            } else {
                format!(": {}", shut.join(", "))
            }
        ),
        unit_x: String::new(),
        unit_y: String::new(),
        plot: Plot::Timeline {
            as_of: answer.as_of,
            rows: answer.technologies.iter().map(bar).collect(),
        },
    })
}

pub(super) fn risk_and_benefit(answer: &Answer) -> Option<Chart> {
    let point = |subject: &Subject| Point {
        label: subject.id.clone(),
        x: subject.evaluation.risk,
        y: subject.figures.monthly_benefit.mean(),
        mark: if subject.figures.monthly_cost.mean() > 0.0 {
            Mark::Attention
        } else {
            Mark::Good
        },
    };
    Some(Chart {
        title: "Risk and benefit".into(),
        alt: "Each technology by its expected loss and its monthly benefit, both on logarithmic axes: the best are high on the left. \
              Free technologies are marked good, those that cost attention."
            .into(),
        unit_x: format!("risk, {}", answer.currency),
        unit_y: format!("benefit, {} a month", answer.currency),
        plot: Plot::Scatter {
            points: answer.technologies.iter().map(point).collect(),
            log_x: true,
            log_y: true,
            is_path: false,
        },
    })
}

/// Curves of at most so many technologies, those of the highest priority first.
fn curves(
    answer: &Answer,
    value: impl Fn(&Moment) -> Option<f64>,
    best: impl Fn(&Subject) -> u32,
) -> Vec<Series> {
    let mut subjects: Vec<&Subject> = answer.technologies.iter().collect();
    subjects.sort_by_key(|subject| subject.evaluation.priority);
    subjects
        .into_iter()
        .filter(|subject| {
            subject
                .timing
                .curve
                .iter()
                .any(|moment| value(moment).is_some())
        })
        .take(CURVES)
        .map(|subject| Series {
            label: subject.id.clone(),
            points: subject
                .timing
                .curve
                .iter()
                .map(|moment| (f64::from(moment.month), value(moment)))
                .collect(),
            best: Some(f64::from(best(subject))),
        })
        .collect()
}

pub(super) fn return_curves(answer: &Answer) -> Option<Chart> {
    let series = curves(
        answer,
        |moment| moment.net_return.map(|share| 100.0 * share),
        |subject| subject.timing.best_month,
    );
    (!series.is_empty()).then(|| Chart {
        title: "Return by month of adoption".into(),
        alt: "The return (B-C)/C of each technology that costs anything, by the month of its adoption; its best month t* is marked. \
              Free technologies have no bound and are not drawn."
            .into(),
        unit_x: "months from now".into(),
        unit_y: "return, %".into(),
        plot: Plot::Lines { series },
    })
}

pub(super) fn value_curves(answer: &Answer) -> Option<Chart> {
    let mut series = curves(
        answer,
        |moment| Some(moment.value),
        |subject| subject.timing.most_valuable_month,
    );
    // Technologies of very different size share one chart as shares of what each brings at best.
    series.retain_mut(|one| {
        let best = one
            .points
            .iter()
            .filter_map(|(_, value)| *value)
            .fold(0.0, f64::max);
        for (_, value) in &mut one.points {
            *value = value
                .map(|value| 100.0 * value / best)
                .filter(|share| *share >= -20.0);
        }
        best > 0.0
    });
    (!series.is_empty()).then(|| Chart {
        title: "What is left of the value by month of adoption".into(),
        alt: "The net present value of each technology that can be worth adopting, by the month of its adoption, in per cent of its \
              greatest; the most valuable month is marked."
            .into(),
        unit_x: "months from now".into(),
        unit_y: "value, % of the greatest".into(),
        plot: Plot::Lines { series },
    })
}

pub(super) fn frontier(answer: &Answer) -> Option<Chart> {
    let points: Vec<Point> = answer
        .selection
        .frontier
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let is_chosen = at + 1 == answer.selection.frontier.len();
            Point {
                label: if is_chosen {
                    "chosen".into()
                } else {
                    format!("{} adopted", point.adopted.len())
                },
                x: point.risk,
                y: point.value,
                mark: if is_chosen { Mark::Good } else { Mark::Plain },
            }
        })
        .collect();
    (points.len() > 1).then(|| Chart {
        title: "Efficient frontier".into(),
        alt: format!(
            "The most value that each amount of risk can buy, in {} steps up to the chosen portfolio, worth {} at a risk of {}.",
            points.len(),
            amount(answer.selection.portfolio.value),
            amount(answer.selection.portfolio.risk),
        ),
        unit_x: format!("risk, {}", answer.currency),
        unit_y: format!("value, {}", answer.currency),
        plot: Plot::Scatter {
            points,
            log_x: false,
            log_y: false,
            is_path: true,
        },
    })
}

pub(super) fn distribution(answer: &Answer) -> Option<Chart> {
    let value = &answer.uncertainty.as_ref()?.summary.portfolio.value;
    let shares = &value.chart.shares;
    let width = (value.chart.to - value.chart.from) / shares.len() as f64;
    let bins: Vec<Bin> = shares
        .iter()
        .enumerate()
        .map(|(at, share)| Bin {
            from: value.chart.from + width * at as f64,
            to: value.chart.from + width * (at + 1) as f64,
            count: 100.0 * share,
        })
        .collect();
    let marker = |label: &str, at: f64| Marker {
        label: label.into(),
        at,
    };
    (!bins.is_empty()).then(|| Chart {
        title: "Value of the portfolio".into(),
        alt: format!(
            "How the portfolio's value is spread: nine of ten samples lie between {} and {}, half below {}.",
            amount(value.p5),
            amount(value.p95),
            amount(value.p50),
        ),
        unit_x: format!("value, {}", answer.currency),
        unit_y: "share of samples, %".into(),
        plot: Plot::Histogram {
            bins,
            markers: vec![
                marker("P5", value.p5),
                marker("P50", value.p50),
                marker("P95", value.p95),
            ],
        },
    })
}

pub(super) fn tornado(answer: &Answer) -> Option<Chart> {
    let uncertainty = answer.uncertainty.as_ref()?;
    let bars: Vec<Swing> = uncertainty
        .tornado
        .iter()
        .take(SWINGS)
        .map(|swing| Swing {
            label: format!(
                "{}: {}",
                answer.label(swing.technology),
                figure_name(swing.figure)
            ),
            low: swing.at_p10,
            high: swing.at_p90,
            low_text: amount(swing.at_p10),
            high_text: amount(swing.at_p90),
        })
        .collect();
    let widest = bars.first()?.label.clone();
    Some(Chart {
        title: "What drives the portfolio's value".into(),
        alt: format!(
            "The portfolio's value when one figure takes its 10th or 90th percentile and all others their means; {widest} matters most."
        ),
        unit_x: format!("value, {}", answer.currency),
        unit_y: String::new(),
        plot: Plot::Tornado {
            centre: answer.selection.portfolio.value,
            bars,
        },
    })
}

pub(super) fn gantt(answer: &Answer) -> Option<Chart> {
    let rows: Vec<Bar> = answer
        .timetable
        .iter()
        .map(|one| Bar {
            label: answer.label(one.technology),
            detail: format!("person {}, {} days", one.person, amount(one.person_days)),
            start: one.start,
            end: one.end.plus_days(1),
            mark: Mark::Good,
            milestones: Vec::new(),
        })
        .collect();
    let last = rows.iter().map(|row| row.end).max()?;
    Some(Chart {
        title: "Who adopts what when".into(),
        alt: format!(
            "A bar for each of {} adoptions, from {} to {last}.",
            rows.len(),
            answer.as_of
        ),
        unit_x: String::new(),
        unit_y: String::new(),
        plot: Plot::Timeline {
            as_of: answer.as_of,
            rows,
        },
    })
}
