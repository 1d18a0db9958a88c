//! Machines of a cluster trace: `machine,t_s,mem_percent`.

use std::collections::BTreeMap;

use uc_model::{Problem, Result};

/// The columns a trace must have: no other is read. Training data are metrics, never business data (red line 5.2).
const HEADER: &str = "machine,t_s,mem_percent";
/// More points than any trace has that one machine could train on.
const MOST_POINTS: usize = 50_000_000;

/// One machine's memory over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Its name in the trace.
    pub name: String,
    /// Times in seconds and shares of its memory from 0 to 1, in order of time.
    pub points: Vec<(f64, f64)>,
}

impl Machine {
    /// A stretch of the given length, beginning at `place` (from 0 to 1) of where it may begin.
    pub(super) fn window(&self, length_s: f64, place: f64) -> Option<Vec<(f64, f64)>> {
        let (first, last) = (self.points.first()?.0, self.points.last()?.0);
        let room_s = last - first - length_s;
        if room_s < 0.0 {
            return None;
        }
        let from_s = first + room_s * place;
        let begin = self.points.partition_point(|(t_s, _)| *t_s < from_s);
        let end = self
            .points
            .partition_point(|(t_s, _)| *t_s <= from_s + length_s);
        (end > begin + 2).then(|| self.points[begin..end].to_vec())
    }

    /// Whether it is kept out of training. Every third machine by a hash of its name, so that adding machines moves none.
    pub fn is_held_out(&self) -> bool {
        let hash = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        hash % 3 == 0
    }
}

/// Reads a trace.
///
/// # Errors
/// When the header is another (red line 5.2), or a line is not a name, a time and a share from 0 to 100.
pub fn read_trace(text: &str) -> Result<Vec<Machine>> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().trim();
    if header != HEADER {
        return Err(
            Problem::refused("training reads metrics alone (red line 5.2)")
                .at("line 1")
                .limit(format!("the columns {HEADER}"))
                .found(header.chars().take(120).collect::<String>())
                .remedy("leave out every other column"),
        );
    }
    let mut machines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (index, line) in lines.enumerate() {
        if index >= MOST_POINTS {
            return Err(
                Problem::invalid("the trace is too long").limit(format!("{MOST_POINTS} points"))
            );
        }
        let (name, point) = read_line(line).ok_or_else(|| {
            Problem::invalid("not a point of a trace")
                .at(format!("line {}", index + 2))
                .limit("a name, seconds, per cent from 0 to 100")
                .found(line.chars().take(80).collect::<String>())
        })?;
        match machines.get_mut(name) {
            Some(points) => points.push(point),
            None => {
                machines.insert(name.to_owned(), vec![point]);
            }
        }
    }
    let in_order = |(name, mut points): (String, Vec<(f64, f64)>)| {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points.dedup_by(|later, earlier| later.0 == earlier.0);
        Machine { name, points }
    };
    Ok(machines.into_iter().map(in_order).collect())
}

fn read_line(line: &str) -> Option<(&str, (f64, f64))> {
    let mut fields = line.trim_end().split(',');
    let name = fields.next()?;
    let t_s: f64 = fields.next()?.parse().ok()?;
    let percent: f64 = fields.next()?.parse().ok()?;
    let is_sound = fields.next().is_none()
        && t_s.is_finite()
        && t_s >= 0.0
        && (0.0..=100.0).contains(&percent);
    is_sound.then_some((name, (t_s, percent / 100.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_by_machine_and_in_order_of_time() {
        let text = "machine,t_s,mem_percent\nb,20,50\na,0,10\nb,10,40\n";
        let machines = read_trace(text).unwrap();
        assert_eq!(machines[1].points, [(10.0, 0.4), (20.0, 0.5)]);
    }

    #[test]
    fn any_other_column_is_refused_by_its_red_line() {
        let problem = read_trace("machine,t_s,mem_percent,customer\na,0,1,me\n").unwrap_err();
        assert!(problem.to_string().contains("red line 5.2"), "{problem}");
        for bad in ["a,x,1", "a,1,101", "a,1,NaN", "a,-1,3", "a,1", "a,1,2,3"] {
            let problem = read_trace(&format!("{HEADER}\n{bad}\n")).unwrap_err();
            assert_eq!(problem.place(), Some("line 2"), "{bad}");
        }
    }
}
