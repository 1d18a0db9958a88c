//! The quarters in which adoptions may start, and the work that a team can do in them.

use serde::Serialize;
use uc_model::Date;

use crate::timetable::{Team, quarter_label, quarter_start};

/// The most quarters that are planned.
pub const MAX_PERIODS: usize = 16;

/// A quarter, the first one from the day of the question on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Period {
    /// Such as `2025Q4`.
    pub label: String,
    /// Its first day, or the day of the question.
    pub start: Date,
    /// Whole months from the day of the question to its first day.
    pub start_month: u32,
    /// Person-days that the team has from the day of the question to the end of this quarter.
    pub person_days_until_end: f64,
}

/// So many quarters from the team's first day on, at most [`MAX_PERIODS`].
pub fn periods(team: &Team, count: usize) -> Vec<Period> {
    let mut start = team.from;
    let mut periods = Vec::new();
    for _ in 0..count.min(MAX_PERIODS) {
        let next = quarter_start(start).plus_months(3);
        periods.push(Period {
            label: quarter_label(start),
            start,
            start_month: team.from.whole_months_until(start).max(0) as u32,
            person_days_until_end: team.person_days_until(next),
        });
        start = next;
    }
    periods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_begin_with_the_rest_of_the_current_one() {
        let team = Team {
            people: 2,
            days_per_week: 5,
            from: Date::new(2025, 12, 22).expect("a day"),
        };
        let periods = periods(&team, 3);
        let labels: Vec<&str> = periods.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(labels, ["2025Q4", "2026Q1", "2026Q2"]);
        // Two weeks with three days of the second: 22nd to 31st of December are eight working days.
        assert_eq!(periods[0].person_days_until_end, 16.0);
        assert_eq!(periods[1].start_month, 0);
        assert_eq!(periods[2].start_month, 3);
        assert_eq!(periods[2].start.to_string(), "2026-04-01");
    }
}
