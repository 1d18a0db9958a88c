//! Processes that a runtime's command has lost: runc waits for ever for a word of one that its profile has killed.

use std::fs;

/// What is known of an ended process that its parent has not reaped.
#[derive(Debug, PartialEq, Eq)]
struct Dead {
    parent: i32,
    /// The signal that ended it; 0 for none.
    signal: i32,
}

/// Whether a child of a process was ended by a signal and has not been reaped.
pub(super) fn has_lost(parent: i32, signal: i32) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().bytes().all(|b| b.is_ascii_digit())
        })
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| dead(&stat))
        .any(|dead| dead == Dead { parent, signal })
}

/// Reads `/proc/PID/stat` (proc(5)); `None` for a process that is alive.
fn dead(stat: &str) -> Option<Dead> {
    // The name before may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if fields.next()? != "Z" {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    // Field 52, behind the fourth.
    let status: i32 = fields.nth(47)?.parse().ok()?;
    Some(Dead {
        parent,
        signal: status & 0x7f,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn lines_that_are_none_are_passed_over() {
        for stat in ["", "1 (x", "1 (x) S 1", "1 (x) Z", "1 (x) Z 7 1 1"] {
            assert_eq!(dead(stat), None, "{stat}");
        }
    }

    #[test]
    fn a_child_that_a_signal_has_ended_is_seen_until_it_is_reaped() {
        let me = i32::try_from(std::process::id()).expect("small");
        let mut child = Command::new("sh")
            .args(["-c", "read line"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("started");
        assert!(!has_lost(me, libc::SIGSYS));
        let pid = i32::try_from(child.id()).expect("small");
        // SAFETY: kill takes integers.
        unsafe { libc::kill(pid, libc::SIGSYS) };
        while !has_lost(me, libc::SIGSYS) {
            std::thread::yield_now();
        }
        assert!(!has_lost(me, libc::SIGKILL));
        child.wait().expect("reaped");
        assert!(!has_lost(me, libc::SIGSYS));
    }
}
