//! When a change to a tag is safe from other writers, on registries that know no conditional write.
//!
//! A registry keeps whatever was written last. A writer reads, adds its own entry, and writes; the time from the start of
//! its read to the end of its write is its *window*. Whoever read before our write and writes after it drops our entry,
//! and nobody but us will notice. So each writer waits, and reads again.
//!
//! The rule: a change has settled once the same content, ours included, was seen at two moments that are further apart
//! than any writer's window, where the end of our own write is the first such moment. Then every write still under way
//! began with a read of content that had our entry, and so has everything written after it. Seeing our entry just once,
//! however late, proves less: another writer may have read while it was gone, and be about to write.
//!
//! (Could the content have changed and come back in between? Writers append, so that content ends with its writer's own
//! entry. To write it again, that writer must have read again what it read before, which then had come back as well,
//! and so on down to the content that ends with our entry, which only we write.)
//!
//! Windows are kept short, pauses are a multiple of the longest window we had, and never shorter than [`PAUSE_LEAST`].
//! What no client can prevent: a writer that is stopped for longer than that between its read and its write.

use std::time::Duration;

use uc_model::Digest;

/// The shortest pause. Whoever needed half of it to read and merge reads again before writing.
pub(super) const PAUSE_LEAST: Duration = Duration::from_millis(40);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(4);
/// How many of our windows one pause has: the others may be slower than we are.
const WINDOWS: u32 = 4;
/// After so many looks in a row that found our entry, it is taken for settled although others keep adding theirs.
const LOOKS: u32 = 24;
/// The widest spread of waits, in pauses.
const SPREAD: u32 = 6;

/// The state of one change.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// Content with our entry, and since when it is known to be there.
    held: Option<(Digest, Duration)>,
    /// The longest window so far.
    window: Duration,
    /// How often others dropped our entry.
    losses: u32,
    looks: u32,
    /// Whether anything was sent.
    has_tried: bool,
}

impl Settling {
    /// We are about to write.
    pub(super) fn trying(&mut self) {
        self.has_tried = true;
    }

    /// Whether we may have written: what was there before we came has long settled, or somebody else sees to it.
    pub(super) fn has_tried(&self) -> bool {
        self.has_tried
    }

    /// Whether a write that starts now has a short window. `round_trip` is the quickest answer of this registry so far:
    /// where it is far away, no window is shorter.
    pub(super) fn may_write(&self, since_read: Duration, round_trip: Duration) -> bool {
        since_read <= (PAUSE_LEAST / 2).max(round_trip * 3)
    }

    /// We wrote this content; `window` is the time since the read began, `ended` when the answer to the write was here.
    pub(super) fn wrote(&mut self, content: Digest, window: Duration, ended: Duration) {
        if self.held.is_some() {
            self.losses += 1;
        }
        self.held = Some((content, ended));
        self.window = self.window.max(window);
        self.looks = 0;
    }

    /// A read found this content, ours included. Says whether it has settled.
    pub(super) fn saw(&mut self, content: &Digest, started: Duration, ended: Duration) -> bool {
        self.looks += 1;
        match &self.held {
            Some((held, since)) if held == content => {
                started.saturating_sub(*since) >= self.pause() || self.looks >= LOOKS
            }
            _ => {
                self.held = Some((content.clone(), ended));
                self.looks >= LOOKS
            }
        }
    }

    /// How long content has to stay the same.
    fn pause(&self) -> Duration {
        (self.window * WINDOWS).clamp(PAUSE_LEAST, PAUSE_MOST)
    }

    /// How long to wait before the next look, for a `chance` between 0 and 1: at least the pause, and spread further apart
    /// the more often others came between.
    pub(super) fn wait(&self, chance: f64) -> Duration {
        let spread = f64::from(self.losses.min(SPREAD)) + 0.1;
        self.pause().mul_f64(1.0 + spread * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests;
