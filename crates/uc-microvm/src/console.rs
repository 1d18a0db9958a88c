//! The last lines that a machine, or its monitor, has said: what an error shows.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use uc_guest_protocol::Descriptor;

/// Lines that are kept.
const LINES: usize = 100;

/// Lines that an error shows.
const SHOWN: usize = 12;

/// What a kernel says that cannot go on.
pub(crate) const PANIC: &str = "Kernel panic";

/// Longest line that is kept, in bytes; the rest of it is dropped.
const LINE_BYTES: usize = 300;

/// Bytes that one read takes.
const READ_BYTES: usize = 4 << 10;

/// A console that is read to its end, whether or not anybody looks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Console(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    /// The line that has not ended.
    last: Vec<u8>,
}

impl Console {
    /// Reads a descriptor to its end, in a task of its own.
    pub(crate) fn of(descriptor: Descriptor) -> Self {
        let console = Self::default();
        let lines = console.clone();
        tokio::spawn(async move {
            let mut buffer = [0; READ_BYTES];
            while let Ok(count @ 1..) = descriptor.read(&mut buffer).await {
                lines.push(buffer.get(..count).unwrap_or_default());
            }
        });
        console
    }

    fn push(&self, bytes: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            match byte {
                b'\n' => lines.end_line(),
                b'\r' => {}
                _ if lines.last.len() < LINE_BYTES => lines.last.push(*byte),
                _ => {}
            }
        }
    }

    /// The last lines, at most [`LINES`] and an unfinished one, the newest last; control characters are left out.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = lines.whole.iter().cloned().collect();
        all.extend(printable(&lines.last));
        all
    }

    /// Whether a text is in one of the lines that are kept.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.last_lines().iter().any(|line| line.contains(text))
    }

    /// The last lines as one text, or what stands for none. Those of a kernel that panicked are the ones around the panic:
    /// the state of its processor, which comes after, is longer than what anybody is shown.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.last_lines();
        let panic = lines.iter().position(|line| line.contains(PANIC));
        let end = panic.map_or(lines.len(), |panic| lines.len().min(panic + SHOWN / 4));
        match lines.get(end.saturating_sub(SHOWN)..end) {
            Some(shown) if !shown.is_empty() => shown.join(" | "),
            _ => "it said nothing".to_owned(),
        }
    }
}

impl Lines {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.last);
        let Some(line) = printable(&line) else { return };
        if self.whole.len() >= LINES {
            self.whole.pop_front();
        }
        self.whole.push_back(line);
    }
}

fn printable(line: &[u8]) -> Option<String> {
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let text = text.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_shown_with_what_came_before_it_and_not_with_what_follows() {
        let console = Console::default();
        for number in 0..20 {
            console.push(format!("line {number}\n").as_bytes());
        }
        assert!(!console.has_said(PANIC));
        assert!(console.last_words().ends_with("line 19"));
        console.push(b"Kernel panic - not syncing: Attempted to kill init!\n");
        for number in 0..40 {
            console.push(format!("register {number}\n").as_bytes());
        }
        let said = console.last_words();
        assert!(console.has_said(PANIC) && said.contains(PANIC), "{said}");
        assert!(said.contains("line 19") && said.contains("register 1"));
        assert!(!said.contains("register 5") && said.split(" | ").count() == SHOWN);
    }

    #[test]
    fn a_flood_leaves_the_last_lines() {
        let console = Console::default();
        for number in 0..10_000 {
            console.push(format!("line {number}\r\n\u{1b}\n").as_bytes());
        }
        console.push(&[b'x'; 100_000]);
        let lines = console.last_lines();
        assert_eq!(lines.len(), LINES + 1);
        assert_eq!(lines[LINES - 1], "line 9999");
        assert_eq!(lines[LINES].len(), LINE_BYTES);
    }
}
