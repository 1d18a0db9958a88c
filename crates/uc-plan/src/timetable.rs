//! The action timetable: who does what when (M9.5).
//!
//! List scheduling: of the adoptions whose prerequisites are placed, the first in order goes to whoever is free first. One
//! adoption is one person's work.

use serde::Serialize;
use uc_model::{Date, Problem, Result};

pub mod icalendar;

/// The most people that are planned for.
pub const MAX_PEOPLE: usize = 1_000;

/// An adoption to be placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The technology's position in the catalogue.
    pub technology: usize,
    /// Not before this day.
    pub ready: Date,
    /// Effort.
    pub person_days: f64,
    /// Positions in the list of tasks of what must be finished before.
    pub requires: Vec<usize>,
}

/// Who works, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team {
    /// People.
    pub people: usize,
    /// Days a week that each has for this, from Monday on: 1 to 5.
    pub days_per_week: u32,
    /// The first day.
    pub from: Date,
}

/// An adoption with its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assignment {
    /// The technology's position in the catalogue.
    pub technology: usize,
    /// Who does it, from 1.
    pub person: usize,
    /// First day of work.
    pub start: Date,
    /// Last day of work.
    pub end: Date,
    /// Effort.
    pub person_days: f64,
    /// Such as `2025Q4`.
    pub quarter: String,
    /// First and last week within the quarter, counted from 1 at the quarter's or the plan's first day, whichever is later.
    pub weeks: (u32, u32),
}

/// Places the tasks, given in the order of their urgency.
///
/// # Errors
/// Invalid for a team without people or days, and for prerequisites that wait for each other.
pub fn timetable(tasks: &[Task], team: &Team) -> Result<Vec<Assignment>> {
    if !(1..=MAX_PEOPLE).contains(&team.people) || !(1..=5).contains(&team.days_per_week) {
        return Err(Problem::invalid("nobody can work like this")
            .limit(format!("1 to {MAX_PEOPLE} people on 1 to 5 days a week"))
            .found(format!(
                "{} people on {} days",
                team.people, team.days_per_week
            )));
    }
    let mut free = vec![0.0_f64; team.people];
    let mut ends: Vec<Option<f64>> = vec![None; tasks.len()];
    let mut assignments = Vec::with_capacity(tasks.len());
    for _ in tasks {
        let is_next = |(at, task): &(usize, &Task)| {
            ends[*at].is_none()
                && task
                    .requires
                    .iter()
                    .all(|&other| ends.get(other).copied().flatten().is_some())
        };
        let Some((at, task)) = tasks.iter().enumerate().find(is_next) else {
            return Err(Problem::invalid(
                "the prerequisites of the adoptions wait for each other",
            ));
        };
        let required = task
            .requires
            .iter()
            .filter_map(|&other| ends[other])
            .fold(0.0, f64::max);
        let earliest = team.workday_on_or_after(task.ready).max(required);
        let person = (0..team.people)
            .min_by(|&a, &b| {
                free[a]
                    .max(earliest)
                    .total_cmp(&free[b].max(earliest))
                    .then(a.cmp(&b))
            })
            .unwrap_or(0);
        let start = free[person].max(earliest);
        let end = start + task.person_days;
        free[person] = end;
        ends[at] = Some(end);
        assignments.push(team.assignment(task, person, start, end));
    }
    assignments.sort_by_key(|assignment| (assignment.start, assignment.person));
    Ok(assignments)
}

impl Team {
    /// Person-days from the first day until just before another.
    pub fn person_days_until(&self, day: Date) -> f64 {
        let days = self.workday_on_or_after(day) - self.workday_on_or_after(self.from);
        self.people as f64 * days.max(0.0)
    }

    /// The number of the first workday on or after a day, counted from the first Monday of the plan's first week.
    fn workday_on_or_after(&self, day: Date) -> f64 {
        let monday = self.monday();
        let days = day.max(self.from).days() - monday.days();
        let (week, weekday) = (days.div_euclid(7), days.rem_euclid(7));
        let per_week = i64::from(self.days_per_week);
        (week * per_week + weekday.min(per_week)) as f64
    }

    /// The day of a workday's number.
    fn day_of(&self, workday: f64) -> Date {
        let per_week = i64::from(self.days_per_week);
        let whole = workday.clamp(0.0, 4e6).floor() as i64;
        self.monday()
            .plus_days(whole.div_euclid(per_week) * 7 + whole.rem_euclid(per_week))
    }

    fn monday(&self) -> Date {
        self.from
            .plus_days(-i64::from(self.from.days_since_monday()))
    }

    fn assignment(&self, task: &Task, person: usize, start: f64, end: f64) -> Assignment {
        let first = self.day_of(start);
        // Work that ends at the beginning of a day ended the day before.
        let last = self.day_of((end - 1e-9).max(start)).max(first);
        Assignment {
            technology: task.technology,
            person: person + 1,
            start: first,
            end: last,
            person_days: task.person_days,
            quarter: quarter_label(first),
            weeks: (
                self.week_of_quarter(first, first),
                self.week_of_quarter(first, last),
            ),
        }
    }

    /// The week of `day` in the quarter of `first`.
    fn week_of_quarter(&self, first: Date, day: Date) -> u32 {
        let begin = quarter_start(first).max(self.from);
        (((day.days() - begin.days()).max(0)) / 7 + 1) as u32
    }
}

/// Such as `2025Q4`.
pub fn quarter_label(day: Date) -> String {
    format!("{}Q{}", day.year(), day.quarter())
}

/// The first day of a day's quarter.
pub fn quarter_start(day: Date) -> Date {
    let month = (day.quarter() - 1) * 3 + 1;
    Date::new(day.year(), month, 1).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect(text)
    }

    fn task(technology: usize, person_days: f64, requires: &[usize]) -> Task {
        Task {
            technology,
            ready: date("2025-10-22"),
            person_days,
            requires: requires.to_vec(),
        }
    }

    fn team(people: usize, days_per_week: u32) -> Team {
        Team {
            people,
            days_per_week,
            from: date("2025-10-22"),
        }
    }

    /// The source's two weeks for signing and rootless, then two for the scheduler and the fused runtime, at 2.5 days a week.
    #[test]
    fn m9_5_one_person_with_two_or_three_days_a_week_takes_the_source_s_four_weeks() {
        let tasks = [
            task(7, 2.0, &[]),
            task(3, 3.0, &[]),
            task(5, 2.0, &[]),
            task(1, 2.0, &[]),
        ];
        let plan = timetable(&tasks, &team(1, 3)).expect("plans");
        let places: Vec<(usize, String, (u32, u32))> = plan
            .iter()
            .map(|one| (one.technology, one.quarter.clone(), one.weeks))
            .collect();
        assert_eq!(places[0].1, "2025Q4");
        assert_eq!(
            places.iter().map(|place| place.0).collect::<Vec<_>>(),
            [7, 3, 5, 1]
        );
        assert!(places[1].2.1 <= 2, "{places:?}");
        assert!(places[3].2.1 <= 4, "{places:?}");
    }

    #[test]
    fn work_skips_weekends_and_waits_for_prerequisites() {
        // The 22nd of October 2025 is a Wednesday: three days are left of that week.
        let tasks = [task(0, 4.0, &[]), task(1, 1.0, &[0]), task(2, 1.0, &[])];
        let plan = timetable(&tasks, &team(2, 5)).expect("plans");
        let of = |technology| {
            plan.iter()
                .find(|one| one.technology == technology)
                .expect("is planned")
        };
        assert_eq!(of(0).start, date("2025-10-22"));
        assert_eq!(of(0).end, date("2025-10-27"));
        assert_eq!(of(1).start, date("2025-10-28"));
        assert_eq!(of(2).person, 2);
        assert_eq!(of(2).start, date("2025-10-22"));
    }

    #[test]
    fn what_waits_for_itself_and_teams_of_nobody_are_refused() {
        assert!(timetable(&[task(0, 1.0, &[1]), task(1, 1.0, &[0])], &team(1, 5)).is_err());
        assert!(timetable(&[task(0, 1.0, &[7])], &team(1, 5)).is_err());
        assert!(timetable(&[], &team(0, 5)).is_err());
        assert!(timetable(&[], &team(1, 6)).is_err());
    }
}
