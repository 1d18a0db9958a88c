//! The history of samples, and the states that must survive a restart, in one file whose size is bounded.
//!
//! Everything that a call has acknowledged is on disk: it survives `kill -9` and, as far as the disk keeps its promises, a loss
//! of power. What arrives in one call is there as a whole or not at all. A file that cannot be repaired is moved aside.

mod codec;
mod open;
mod store;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use uc_foresight::Sample;
use uc_model::{Problem, Result};

use self::store::{Fault, Store};

/// The longest key, in bytes.
pub const KEY_BYTES: usize = 1024;

/// How much a history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Samples of one series; then the oldest goes.
    pub samples_per_series: usize,
    /// Series; then the one goes that was written least recently.
    pub series: usize,
    /// States; one more is refused.
    pub states: usize,
    /// Bytes of one state; more are refused.
    pub state_bytes: usize,
}

impl Default for Bounds {
    /// A day of samples every 15 s, of a thousand series.
    fn default() -> Self {
        Self {
            samples_per_series: 5760,
            series: 1024,
            states: 4096,
            state_bytes: 64 << 10,
        }
    }
}

impl Bounds {
    /// More bytes than the file ever has.
    pub fn file_bytes(&self) -> u64 {
        // Pages are half full at worst, and those being replaced stay until the commit after next.
        const SLACK: u64 = 4;
        const HEAD_BYTES: u64 = 4 << 20;
        let chunk = store::HEAD_BATCHES as u64;
        let samples = (self.samples_per_series as u64).saturating_add(2 * chunk);
        let samples = samples.saturating_mul(self.series as u64);
        let states = (self.states as u64).saturating_mul((self.state_bytes + KEY_BYTES) as u64);
        let bytes = samples
            .saturating_mul(codec::SAMPLE_BYTES as u64)
            .saturating_add(states)
            .saturating_add(HEAD_BYTES);
        bytes.saturating_mul(SLACK)
    }
}

/// The embedded store of samples by series and of states by key. One process has it open at a time; its threads share it.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    bounds: Bounds,
    /// Nothing after a failure: then the file is the truth, and is loaded anew.
    store: Mutex<Option<Store>>,
}

impl History {
    /// Opens the file, or begins it; repairs it after a crash. Besides the history comes what to tell where the file was
    /// damaged beyond repair: it is then named NAME.corrupt-N, and a new one begun.
    ///
    /// # Errors
    /// Storage where another process has the file open, or it cannot be read or written, or is of another release.
    pub fn open(path: impl Into<PathBuf>, bounds: Bounds) -> Result<(Self, Option<Problem>)> {
        let path = path.into();
        let (store, moved_aside) = open::open_or_move_aside(&path)?;
        let history = Self {
            path,
            bounds,
            store: Mutex::new(Some(store)),
        };
        Ok((history, moved_aside))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds samples, all or none.
    ///
    /// # Errors
    /// As [`History::commit`].
    pub fn append(&self, samples: &[(&str, Sample)]) -> Result<()> {
        self.commit(samples, &[])
    }

    /// Adds samples and puts (or, without a value, removes) states, all or nothing, and returns when both are on disk.
    ///
    /// # Errors
    /// Invalid where a key is empty or too long, a time is not finite or a state too large; refused where there would be too
    /// many states; storage where the file cannot be written. Then nothing has changed, and a later call may succeed.
    pub fn commit(
        &self,
        samples: &[(&str, Sample)],
        states: &[(&str, Option<&[u8]>)],
    ) -> Result<()> {
        if samples.is_empty() && states.is_empty() {
            return Ok(());
        }
        self.check(samples, states)?;
        let bounds = &self.bounds;
        let count = self.with_store(|store| store.commit(samples, states, bounds))?;
        if count > bounds.states as u64 {
            return Err(Problem::refused("the history holds too many states")
                .at(self.path.display())
                .limit(format!("{} states", bounds.states))
                .remedy("remove the states of workloads that are gone"));
        }
        Ok(())
    }

    /// The samples of a series that are of `since_s` or later, by time. A series that is unknown has none.
    ///
    /// # Errors
    /// Storage where the file cannot be read.
    pub fn recent(&self, key: &str, since_s: f64) -> Result<Vec<Sample>> {
        let at_most = self.bounds.samples_per_series;
        let mut samples = self.with_store(|store| store.samples(key, at_most))?;
        samples.retain(|sample| sample.t_s >= since_s);
        // They are kept as they were written, and clocks are set back.
        samples.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
        Ok(samples)
    }

    /// The keys of all series, in order.
    ///
    /// # Errors
    /// Storage where the file cannot be read.
    pub fn keys(&self) -> Result<Vec<String>> {
        self.with_store(|store| Ok(store.keys()))
    }

    /// Puts a state in place of any before it, and returns when it is on disk.
    ///
    /// # Errors
    /// As [`History::commit`].
    pub fn put_state(&self, key: &str, state: &[u8]) -> Result<()> {
        self.commit(&[], &[(key, Some(state))])
    }

    /// Removes a state, if there is one.
    ///
    /// # Errors
    /// As [`History::commit`].
    pub fn remove_state(&self, key: &str) -> Result<()> {
        self.commit(&[], &[(key, None)])
    }

    /// All states.
    ///
    /// # Errors
    /// Storage where the file cannot be read.
    pub fn states(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        self.with_store(|store| store.states())
    }

    fn check(&self, samples: &[(&str, Sample)], states: &[(&str, Option<&[u8]>)]) -> Result<()> {
        let keys = samples.iter().map(|(key, _)| *key);
        let mut keys = keys.chain(states.iter().map(|(key, _)| *key));
        if let Some(key) = keys.find(|key| key.is_empty() || key.len() > KEY_BYTES) {
            return Err(Problem::invalid("this cannot be a key of the history")
                .at(self.path.display())
                .limit(format!("1 to {KEY_BYTES} bytes"))
                .found(format!("{} bytes", key.len())));
        }
        if let Some((key, sample)) = samples.iter().find(|(_, one)| !one.t_s.is_finite()) {
            return Err(Problem::invalid("a sample's time is no number")
                .at(key.escape_debug())
                .limit("finite seconds")
                .found(sample.t_s));
        }
        let sizes = states
            .iter()
            .map(|(key, state)| (key, state.map_or(0, <[u8]>::len)));
        for (key, size) in sizes {
            if size > self.bounds.state_bytes {
                return Err(Problem::invalid("a state is too large")
                    .at(key.escape_debug())
                    .limit(format!("{} bytes", self.bounds.state_bytes))
                    .found(format!("{size} bytes")));
            }
        }
        Ok(())
    }

    fn with_store<T>(&self, act: impl FnOnce(&mut Store) -> Result<T, Fault>) -> Result<T> {
        // A thread that panicked has taken the store with it, so there is nothing half done to see.
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut store = match slot.take() {
            Some(store) => store,
            None => open::reopen(&self.path)?,
        };
        let outcome = act(&mut store).map_err(|fault| open::problem(&self.path, fault));
        if outcome.is_ok() {
            *slot = Some(store);
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
