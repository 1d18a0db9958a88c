//! The live view: one line for each subject, the tensest first.

use uc_foresight::eviction::Phase;
use uc_model::Bytes;

use super::guard::Guard;
use crate::{
    printing::{Mark, paint},
    table::Table,
};

/// Subjects shown at most.
const MOST_LINES: usize = 40;
/// Lines that are no subjects: title, headings, what is left off, and those between.
const OTHER_LINES: usize = 6;
/// Cells of the sparkline, and of the band behind it.
const SPARKS: usize = 24;
const BAND: usize = 16;

/// What the terminal shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    pub(super) is_coloured: bool,
    /// Columns and rows; nothing where it does not tell.
    pub(super) size: Option<(usize, usize)>,
}

/// One subject, as it is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    name: String,
    sparks: Vec<f64>,
    level_bytes: Option<f64>,
    limit_bytes: Option<u64>,
    /// Quantiles of memory in ten minutes.
    forecast: Option<[f64; 5]>,
    to_limit_s: Option<f64>,
    leak_probability: f64,
    phase: Option<Phase>,
}

/// Everything that is watched, the tensest first.
pub(super) fn lines(guard: &Guard) -> Vec<Line> {
    let mut lines: Vec<Line> = guard
        .watched
        .iter()
        .map(|(name, watched)| {
            let verdict = watched.verdict();
            let known = guard.fleet.workloads.get(name);
            Line {
                name: name.clone(),
                sparks: watched.sparks.iter().copied().collect(),
                level_bytes: verdict.map(|verdict| verdict.level_bytes),
                limit_bytes: verdict.and_then(|verdict| verdict.limit_bytes),
                forecast: verdict
                    .and_then(|verdict| verdict.forecast)
                    .map(|forecast| forecast.end.0),
                to_limit_s: verdict.and_then(|verdict| verdict.pace_to_limit_s()),
                leak_probability: verdict.map_or(0.0, |verdict| verdict.leak_probability()),
                phase: known.map(|workload| workload.phase),
            }
        })
        .collect();
    lines.sort_by(|one, other| {
        let by_tension = other.tension().total_cmp(&one.tension());
        by_tension.then_with(|| one.name.cmp(&other.name))
    });
    lines
}

/// The whole screen as text.
pub(super) fn screen(lines: &[Line], clock: &str, news: &[String], terminal: Terminal) -> String {
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
    let most = terminal.size.map_or(MOST_LINES, |(_, rows)| {
        rows.saturating_sub(OTHER_LINES + news.len())
            .clamp(1, MOST_LINES)
    });
    for line in lines.iter().take(most) {
        table.row(line.cells(terminal.is_coloured));
    }
    let left_off = lines.len().saturating_sub(most);
    let more = if left_off > 0 {
        format!("and {left_off} more\n")
    } else {
        String::new()
    };
    let text = format!(
        "{}  {} watched  {clock}  (Ctrl-C ends)\n\n{}{more}\n{}\n",
        paint(terminal.is_coloured, Mark::Strong, "uc watch"),
        lines.len(),
        table.text(),
        news.join("\n")
    );
    match terminal.size {
        Some((columns, _)) => text.lines().map(|line| cut(line, columns) + "\n").collect(),
        None => text,
    }
}

/// A line up to the terminal's edge: what is longer would make two of it.
fn cut(line: &str, columns: usize) -> String {
    let mut shown = String::new();
    let (mut width, mut is_escape) = (0, false);
    for character in line.chars() {
        if character == '\u{1b}' {
            is_escape = true;
        }
        // Colours beyond the edge still end.
        if is_escape || width < columns {
            shown.push(character);
        }
        width += usize::from(!is_escape);
        if character == 'm' {
            is_escape = false;
        }
    }
    shown
}

impl Line {
    fn tension(&self) -> f64 {
        let level = self.level_bytes.unwrap_or(0.0);
        let share = self
            .limit_bytes
            .map_or(0.0, |limit| level / (limit as f64).max(1.0));
        self.leak_probability * 10.0 + share
    }

    fn cells(&self, is_coloured: bool) -> [String; 8] {
        let dash = || "-".to_owned();
        let mark = match self.leak_probability {
            0.8.. => Mark::Bad,
            0.3.. => Mark::Attention,
            _ => Mark::Quiet,
        };
        let probability = format!("{:.0} %", 100.0 * self.leak_probability);
        let bytes = |bytes: u64| Bytes(bytes).to_string();
        [
            shortened(&self.name),
            sparkline(self.sparks.iter().copied()),
            self.level_bytes
                .map_or_else(dash, |level| bytes(level as u64)),
            self.limit_bytes.map_or_else(dash, bytes),
            self.forecast
                .and_then(|quantiles| Some(band(quantiles, self.limit_bytes?)))
                .unwrap_or_else(dash),
            self.to_limit_s.map_or_else(dash, time),
            paint(is_coloured, mark, &probability),
            self.phase.map_or_else(dash, |phase| word(phase).to_owned()),
        ]
    }
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

    fn sample() -> Vec<Line> {
        let line = |name: &str, level: f64, phase| Line {
            name: name.to_owned(),
            sparks: (0..30).map(|minute| level * f64::from(minute)).collect(),
            level_bytes: Some(level),
            limit_bytes: Some(100 << 20),
            phase: Some(phase),
            ..Line::default()
        };
        let warned = Line {
            forecast: Some([90e6, 95e6, 99e6, 110e6, 120e6]),
            to_limit_s: Some(420.0),
            leak_probability: 0.91,
            ..line("leaky/main", 80e6, Phase::Warned)
        };
        let suspected = Line {
            forecast: Some([20e6, 30e6, 40e6, 50e6, 60e6]),
            to_limit_s: Some(7_000.0),
            leak_probability: 0.4,
            ..line(
                "cgroup/kubepods/burstable/pod-with-a-long-name/0123456789abcdef",
                40e6,
                Phase::Suspected,
            )
        };
        let new = Line {
            name: "process/web/7".to_owned(),
            ..Line::default()
        };
        vec![
            warned,
            suspected,
            line("db/main", 10e6, Phase::Healthy),
            new,
        ]
    }

    fn shown(is_coloured: bool, size: Option<(usize, usize)>) -> String {
        let terminal = Terminal { is_coloured, size };
        let news = ["leaky/main probably leaks: it grows".to_owned()];
        let screen = screen(&sample(), "12:00:00 UTC", &news, terminal);
        screen.replace('\u{1b}', "ESC")
    }

    #[test]
    fn the_view_as_it_is_seen() {
        insta::assert_snapshot!("plain", shown(false, None));
        insta::assert_snapshot!("coloured", shown(true, Some((132, 40))));
    }

    #[test]
    fn a_small_terminal_shows_the_tensest_and_says_how_many_are_left_off() {
        let small = shown(true, Some((60, 9)));
        insta::assert_snapshot!("small", small);
        assert!(small.lines().count() <= 9, "{small}");
        let wide = |line: &&str| {
            let plain = line.replace("ESC[1m", "").replace("ESC[0m", "");
            plain
                .replace("ESC[31m", "")
                .replace("ESC[33m", "")
                .chars()
                .count()
                > 60
        };
        assert_eq!(small.lines().find(wide), None);
    }
}
