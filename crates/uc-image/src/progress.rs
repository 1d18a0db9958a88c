//! How a pull tells what it does; the command line renders it.

use uc_model::Digest;

/// Hears of a pull. Called from several threads; it must not block for long.
pub trait Progress: Sync {
    /// A blob will be downloaded: `total` bytes, of which `done` are already here from an earlier attempt.
    fn started(&self, blob: &Digest, done: u64, total: u64);

    /// More of it has arrived: `done` of `total` bytes so far.
    fn advanced(&self, blob: &Digest, done: u64, total: u64);

    /// It is stored and verified. A blob that was there already is only finished, never started.
    fn finished(&self, blob: &Digest, total: u64);

    /// A request failed and is tried again after a pause.
    fn retrying(&self, what: &str, reason: &str, pause_ms: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn started(&self, _: &Digest, _: u64, _: u64) {}
    fn advanced(&self, _: &Digest, _: u64, _: u64) {}
    fn finished(&self, _: &Digest, _: u64) {}
    fn retrying(&self, _: &str, _: &str, _: u64) {}
}
