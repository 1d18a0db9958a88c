//! The live view: one line for each subject, the tensest first.

use uc_foresight::eviction::Phase;
use uc_model::Bytes;

use super::guard::{Guard, Watched};
use crate::{
    printing::{Mark, marked},
    table::Table,
};

/// Lines shown at most.
const MOST_LINES: usize = 40;
/// Cells of the sparkline, and of the band behind it.
const SPARKS: usize = 24;
const BAND: usize = 16;

/// The whole screen as text.
pub(super) fn screen(guard: &Guard, clock: &str, news: &[String]) -> String {
    let mut order: Vec<(&String, &Watched)> = guard.watched.iter().collect();
    order.sort_by(|one, other| {
        tension(other.1)
            .total_cmp(&tension(one.1))
            .then(one.0.cmp(other.0))
    });
    let mut table = Table::new(&[
        "NAME",
        "LAST HOUR",
        "NOW",
        "LIMIT",
        "IN 10 MIN (0 TO LIMIT)",
        "TO LIMIT",
        "LEAK",
        "STATE",
    ]);
    for (name, watched) in order.iter().take(MOST_LINES) {
        table.row(row(guard, name, watched));
    }
    let left_off = order.len().saturating_sub(MOST_LINES);
    let more = if left_off > 0 {
        format!("and {left_off} more\n")
    } else {
        String::new()
    };
    format!(
        "{}  {} watched  {clock}  (Ctrl-C ends)\n\n{}{more}\n{}\n",
        marked(Mark::Strong, "uc watch"),
        guard.watched.len(),
        table.text(),
        news.join("\n")
    )
}

fn tension(watched: &Watched) -> f64 {
    watched.verdict().map_or(0.0, |verdict| {
        let share = verdict
            .limit_bytes
            .map_or(0.0, |limit| verdict.level_bytes / (limit as f64).max(1.0));
        verdict.leak_probability() * 10.0 + share
    })
}

fn row(guard: &Guard, name: &str, watched: &Watched) -> [String; 8] {
    let dash = || "-".to_owned();
    let verdict = watched.verdict();
    let limit = verdict.and_then(|verdict| verdict.limit_bytes);
    let phase = guard
        .fleet
        .workloads
        .get(name)
        .map(|workload| workload.phase);
    let probability = verdict.map_or(0.0, |verdict| verdict.leak_probability());
    let mark = match probability {
        0.8.. => Mark::Bad,
        0.3.. => Mark::Attention,
        _ => Mark::Quiet,
    };
    [
        shortened(name),
        sparkline(watched.sparks.iter().copied()),
        verdict.map_or_else(dash, |verdict| {
            Bytes(verdict.level_bytes as u64).to_string()
        }),
        limit.map_or_else(dash, |limit| Bytes(limit).to_string()),
        verdict
            .and_then(|verdict| Some(band(verdict.forecast?.end.0, limit?)))
            .unwrap_or_else(dash),
        verdict
            .and_then(|verdict| verdict.pace_to_limit_s())
            .map_or_else(dash, time),
        marked(mark, &format!("{:.0} %", 100.0 * probability)),
        phase.map_or_else(dash, |phase| word(phase).to_owned()),
    ]
}

/// Values as blocks, scaled from their lowest to their highest.
fn sparkline(values: impl ExactSizeIterator<Item = f64>) -> String {
    let skipped = values.len().saturating_sub(SPARKS);
    let values: Vec<f64> = values.skip(skipped).collect();
    let low = values.iter().copied().fold(f64::MAX, f64::min);
    let high = values.iter().copied().fold(f64::MIN, f64::max);
    let blocks = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    values
        .iter()
        .map(|value| {
            // A change of less than a hundredth is no change to the eye.
            let span = (high - low).max(high * 0.01).max(1.0);
            blocks[((value - low) / span * 7.0).round().clamp(0.0, 7.0) as usize]
        })
        .collect()
}

/// The forecast on a ruler from nothing to the limit: the band of nine tenths, with the median in it.
fn band(quantiles: [f64; 5], limit: u64) -> String {
    let cell = |bytes: f64| {
        ((bytes / (limit as f64).max(1.0)) * BAND as f64).clamp(0.0, BAND as f64) as usize
    };
    let [lowest, _, median, _, highest] = quantiles.map(cell);
    let inside: String = (0..=BAND)
        .map(|at| match at {
            at if at == median => '●',
            at if (lowest..=highest).contains(&at) => '─',
            BAND => '│',
            _ => '·',
        })
        .collect();
    inside
}

/// The end of a long name: where paths differ.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    match length.checked_sub(40) {
        None | Some(0) => name.to_owned(),
        Some(left_off) => format!("…{}", name.chars().skip(left_off + 1).collect::<String>()),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        ..5_400.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => "days".to_owned(),
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Healthy => "healthy",
        Phase::Suspected => "suspected",
        Phase::Warned => "warned",
        Phase::Stopping { .. } => "stopping",
        Phase::Lingering { .. } => "lingering",
        Phase::PendingRestart { .. } => "to be restarted",
        Phase::Restarting { .. } => "restarting",
        Phase::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_rises_with_its_values_and_a_flat_one_stays_low() {
        assert_eq!(sparkline([1e6, 2e6, 3e6].into_iter()), "▁▅█");
        assert_eq!(sparkline([5e6, 5e6].into_iter()), "▁▁");
        assert_eq!(sparkline([].into_iter()), "");
    }

    #[test]
    fn the_band_stands_between_nothing_and_the_limit() {
        assert_eq!(
            band([25.0, 30.0, 50.0, 60.0, 75.0], 100),
            "····────●────···│"
        );
        assert_eq!(
            band([90.0, 95.0, 120.0, 130.0, 150.0], 100),
            "··············──●"
        );
    }
}
