//! Recordings of one workload: `t_s,rss_bytes`.

use uc_model::{Problem, Result};

use crate::Sample;

/// The columns of a recording: no other is read (red line 5.2).
pub const HEADER: &str = "t_s,rss_bytes";
/// Longest recording: five years at ten seconds.
const MOST_SAMPLES: usize = 16_000_000;
/// More memory than this is no measurement: 2^53 is also where whole numbers end in JSON readers.
const MOST_BYTES: f64 = 9_007_199_254_740_992.0;

/// A recording as read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its samples, in order of time.
    pub samples: Vec<Sample>,
    /// How many lines repeated the time of the line before; the last of such lines counts.
    pub repeated: usize,
    /// The longest time without a sample, in seconds.
    pub longest_gap_s: f64,
}

/// Reads a recording. Every sample gets the limit.
///
/// # Errors
/// When the limit is zero, the header is another, or a line is not a time and a number of bytes in order of time.
pub fn read_recording(text: &str, limit_bytes: u64) -> Result<Recording> {
    if limit_bytes == 0 {
        return Err(
            Problem::invalid("a limit of zero bytes leaves no room for any program")
                .at("--limit")
                .limit("at least 1 byte")
                .found(0),
        );
    }
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim_end());
    if header != HEADER {
        return Err(Problem::invalid("not a recording of memory")
            .at("line 1")
            .limit(format!("the header {HEADER}"))
            .found(shortened(header)));
    }
    let mut recording = Recording {
        samples: Vec::new(),
        repeated: 0,
        longest_gap_s: 0.0,
    };
    for (index, line) in lines {
        let at = |problem: Problem| problem.at(format!("line {}", index + 1));
        if line.trim().is_empty() {
            continue;
        }
        let sample = read_line(line, limit_bytes).map_err(at)?;
        recording.push(sample).map_err(at)?;
    }
    if recording.samples.is_empty() {
        return Err(Problem::invalid("the recording holds no samples").at("line 2"));
    }
    Ok(recording)
}

impl Recording {
    fn push(&mut self, sample: Sample) -> Result<()> {
        if self.samples.len() >= MOST_SAMPLES {
            return Err(Problem::invalid("the recording is too long")
                .limit(format!("{MOST_SAMPLES} samples")));
        }
        if let Some(last) = self.samples.last_mut() {
            if sample.t_s < last.t_s {
                return Err(Problem::invalid("time runs backwards")
                    .limit(format!(
                        "at least {} s, the time of the line before",
                        last.t_s
                    ))
                    .found(format!("{} s", sample.t_s))
                    .remedy("sort the lines by their first column"));
            }
            if sample.t_s == last.t_s {
                self.repeated += 1;
                *last = sample;
                return Ok(());
            }
            self.longest_gap_s = self.longest_gap_s.max(sample.t_s - last.t_s);
        }
        self.samples.push(sample);
        Ok(())
    }
}

fn read_line(line: &str, limit_bytes: u64) -> Result<Sample> {
    let mut fields = line.trim_end().split(',');
    let (Some(time), Some(bytes), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Problem::invalid("not two numbers with a comma between").found(shortened(line)));
    };
    let t_s = number(time, "the time", f64::MAX)?;
    let rss = number(bytes, "the memory", MOST_BYTES)?;
    Ok(Sample::new(t_s, rss as u64, Some(limit_bytes)))
}

fn number(field: &str, what: &str, most: f64) -> Result<f64> {
    let wrong = || {
        Problem::invalid(format!("{what} is not a number that can be used"))
            .limit(if most == f64::MAX {
                "from 0 on".to_owned()
            } else {
                format!("from 0 to {most}")
            })
            .found(shortened(field))
    };
    let value: f64 = field.trim().parse().map_err(|_| wrong())?;
    if value.is_finite() && (0.0..=most).contains(&value) {
        Ok(value)
    } else {
        Err(wrong())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_repeated_times_are_told_and_lose_nothing() {
        let text = "t_s,rss_bytes\n0,5\n10,6\n10,7\n500,8\n\n";
        let recording = read_recording(text, 100).unwrap();
        assert_eq!(
            recording
                .samples
                .iter()
                .map(|sample| sample.rss_bytes)
                .collect::<Vec<_>>(),
            [5, 7, 8]
        );
        assert_eq!((recording.repeated, recording.longest_gap_s), (1, 490.0));
    }

    #[test]
    fn what_is_no_measurement_is_refused_with_its_line() {
        for bad in [
            "10,NaN", "10,-1", "10,lots", "10,inf", "x,1", "-3,1", "10", "10,1,2", "10,1e300",
            "5,1",
        ] {
            let problem = read_recording(&format!("{HEADER}\n9,1\n{bad}\n"), 100).unwrap_err();
            assert_eq!(problem.place(), Some("line 3"), "{bad}: {problem}");
        }
        assert_eq!(
            read_recording("time,rss\n1,2\n", 100).unwrap_err().place(),
            Some("line 1")
        );
        assert_eq!(
            read_recording("t_s,rss_bytes\n1,2\n", 0)
                .unwrap_err()
                .place(),
            Some("--limit")
        );
        assert!(
            read_recording("t_s,rss_bytes\n", 100).is_err() && read_recording("", 100).is_err()
        );
    }
}
