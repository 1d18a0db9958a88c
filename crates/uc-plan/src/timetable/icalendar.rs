//! iCalendar (RFC 5545): whole-day events that any calendar imports.

use uc_model::Date;

/// A whole-day event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Stays the same when the plan is made anew, so that a calendar replaces the event.
    pub uid: String,
    /// First day.
    pub start: Date,
    /// Last day.
    pub end: Date,
    /// Title.
    pub summary: String,
    /// Text.
    pub description: String,
    /// `ADOPT`, `WATCH` or `DEADLINE`.
    pub category: &'static str,
}

/// Octets of a line without its end (RFC 5545, 3.1).
const LINE_OCTETS: usize = 75;

/// A calendar; `stamp` is the day on which the plan holds.
pub fn calendar(name: &str, stamp: Date, events: &[Event]) -> String {
    let mut text = String::new();
    line(&mut text, "BEGIN:VCALENDAR");
    line(&mut text, "VERSION:2.0");
    line(&mut text, "PRODID:-//Undercurrent//uc plan//EN");
    line(&mut text, "CALSCALE:GREGORIAN");
    line(&mut text, &format!("X-WR-CALNAME:{}", escaped(name)));
    for event in events {
        line(&mut text, "BEGIN:VEVENT");
        line(&mut text, &format!("UID:{}", escaped(&event.uid)));
        line(&mut text, &format!("DTSTAMP:{}T000000Z", basic(stamp)));
        line(
            &mut text,
            &format!("DTSTART;VALUE=DATE:{}", basic(event.start)),
        );
        // The end of a whole-day event is the day after its last.
        let end = event.end.plus_days(1);
        line(&mut text, &format!("DTEND;VALUE=DATE:{}", basic(end)));
        line(&mut text, &format!("SUMMARY:{}", escaped(&event.summary)));
        line(
            &mut text,
            &format!("DESCRIPTION:{}", escaped(&event.description)),
        );
        line(&mut text, &format!("CATEGORIES:{}", event.category));
        line(&mut text, "TRANSP:TRANSPARENT");
        line(&mut text, "END:VEVENT");
    }
    line(&mut text, "END:VCALENDAR");
    text
}

fn basic(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// Text as RFC 5545, 3.3.11, wants it; control characters are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            character if character.is_control() => {}
            character => escaped.push(character),
        }
    }
    escaped
}

/// A line, folded where it is too long.
fn line(text: &mut String, content: &str) {
    let mut octets = 0;
    for character in content.chars() {
        if octets + character.len_utf8() > LINE_OCTETS {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(character);
        octets += character.len_utf8();
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_folded_escaped_and_end_the_day_after() {
        let event = Event {
            uid: "signing@uc-plan".into(),
            start: Date::new(2025, 10, 22).expect("a day"),
            end: Date::new(2025, 10, 31).expect("a day"),
            summary: "Adopt; with, marks \\ and\r\nlines".into(),
            description: "漢字".repeat(40),
            category: "ADOPT",
        };
        let text = calendar("Plan", event.start, std::slice::from_ref(&event));
        assert!(text.contains("SUMMARY:Adopt\\; with\\, marks \\\\ and\\nlines\r\n"));
        assert!(text.contains("DTEND;VALUE=DATE:20251101\r\n"));
        for line in text.split("\r\n") {
            assert!(line.len() <= LINE_OCTETS, "{line}");
        }
        let unfolded = text.replace("\r\n ", "");
        assert!(unfolded.contains(&event.description));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }
}
