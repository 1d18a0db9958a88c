//! Asking a workload to end.

use std::sync::Arc;

use tokio::sync::watch;

/// How urgently a workload is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopLevel {
    /// Not at all.
    None,
    /// With the grace period.
    Graceful,
    /// At once.
    Now,
}

/// Asks a workload to end. Clones ask the same one.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<StopLevel>>);

impl Default for Stopper {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(StopLevel::None)))
    }
}

impl Stopper {
    /// Asks; a level once reached is never taken back.
    pub fn ask(&self, level: StopLevel) {
        self.0.send_if_modified(|current| {
            let higher = level > *current;
            *current = level.max(*current);
            higher
        });
    }

    /// Asks for an end with grace, and at the second time for one at once.
    pub fn ask_again(&self) {
        let next = if self.level() == StopLevel::None {
            StopLevel::Graceful
        } else {
            StopLevel::Now
        };
        self.ask(next);
    }

    /// What has been asked so far.
    pub fn level(&self) -> StopLevel {
        *self.0.borrow()
    }

    /// Waits until a level has been asked for.
    pub async fn reached(&self, level: StopLevel) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|current| *current >= level).await;
    }
}
