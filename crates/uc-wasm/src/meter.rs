//! Counts the memory of one program against its limit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use wasmtime::ResourceLimiter;

/// The most linear memory a program may declare at its start: what 32-bit addresses reach.
pub const MEMORY_LIMIT_BYTES: u64 = 4 << 30;

/// The most elements of one table.
const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// What one table element costs, in bytes: a pointer.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// The most instances, memories and tables of one program. Components are made of many small modules.
const PARTS_MAX: usize = 1_000;

/// What a program uses, readable from other threads.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Linear memories and tables now, in bytes.
    pub(crate) memory_bytes: AtomicU64,
    /// The most so far, in bytes.
    pub(crate) memory_peak_bytes: AtomicU64,
    /// Whether growth was denied because of the limit.
    pub(crate) denied: AtomicBool,
}

impl Usage {
    fn plus(&self, added_bytes: u64) -> u64 {
        self.memory_bytes
            .load(Ordering::Relaxed)
            .saturating_add(added_bytes)
    }

    /// Only one thread writes, so loads and stores need no further order.
    fn add(&self, added_bytes: u64) {
        let total_bytes = self.plus(added_bytes);
        self.memory_bytes.store(total_bytes, Ordering::Relaxed);
        self.memory_peak_bytes
            .fetch_max(total_bytes, Ordering::Relaxed);
    }
}

/// Grants or denies growth to the memories and tables of one program.
pub(crate) struct Meter {
    usage: Arc<Usage>,
    /// What it uses together with others that run at the same time.
    together: Arc<Usage>,
    limit_bytes: u64,
}

impl Meter {
    /// A meter that denies what would bring the total above `limit_bytes`.
    pub(crate) fn new(usage: Arc<Usage>, limit_bytes: Option<u64>) -> Self {
        Self::together(usage, limit_bytes, Arc::default())
    }

    /// A meter of one of several instances, which denies what would bring the total of all above `limit_bytes`. What this one
    /// uses is given back when the meter is dropped.
    pub(crate) fn together(
        usage: Arc<Usage>,
        limit_bytes: Option<u64>,
        together: Arc<Usage>,
    ) -> Self {
        Self {
            usage,
            together,
            limit_bytes: limit_bytes.unwrap_or(u64::MAX),
        }
    }

    fn grow(&self, current_bytes: u64, desired_bytes: u64) -> bool {
        let added_bytes = desired_bytes.saturating_sub(current_bytes);
        if self.together.plus(added_bytes) > self.limit_bytes {
            self.usage.denied.store(true, Ordering::Relaxed);
            return false;
        }
        self.together.add(added_bytes);
        self.usage.add(added_bytes);
        true
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let own_bytes = self.usage.memory_bytes.load(Ordering::Relaxed);
        self.together
            .memory_bytes
            .fetch_sub(own_bytes, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let desired_bytes = desired as u64;
        // Beyond its own maximum the growth fails anyway and must not be charged.
        let possible =
            maximum.is_none_or(|maximum| desired <= maximum) && desired_bytes <= MEMORY_LIMIT_BYTES;
        Ok(possible && self.grow(current as u64, desired_bytes))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let possible =
            maximum.is_none_or(|maximum| desired <= maximum) && desired <= TABLE_ELEMENTS_MAX;
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(possible && self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let usage = Arc::new(Usage::default());
        let mut meter = Meter::new(Arc::clone(&usage), Some(1_000));
        assert!(meter.memory_growing(0, 600, None).expect("answers"));
        assert!(meter.table_growing(0, 40, None).expect("answers"));
        assert!(!usage.denied.load(Ordering::Relaxed));
        assert!(!meter.memory_growing(600, 700, None).expect("answers"));
        assert!(usage.denied.load(Ordering::Relaxed));
        assert_eq!(usage.memory_bytes.load(Ordering::Relaxed), 920);
        assert_eq!(usage.memory_peak_bytes.load(Ordering::Relaxed), 920);
    }

    #[test]
    fn instances_share_one_limit_and_give_back() {
        let all = Arc::new(Usage::default());
        let meter = || Meter::together(Arc::default(), Some(1_000), Arc::clone(&all));
        let (mut first, mut second) = (meter(), meter());
        assert!(first.memory_growing(0, 600, None).expect("answers"));
        assert!(!second.memory_growing(0, 600, None).expect("answers"));
        assert!(second.usage.denied.load(Ordering::Relaxed));
        assert!(!first.usage.denied.load(Ordering::Relaxed));
        drop(first);
        assert!(second.memory_growing(0, 600, None).expect("answers"));
        drop(second);
        assert_eq!(all.memory_bytes.load(Ordering::Relaxed), 0);
        assert_eq!(all.memory_peak_bytes.load(Ordering::Relaxed), 600);
    }

    #[test]
    fn growth_beyond_the_programs_own_maximum_is_not_the_limits_doing() {
        let usage = Arc::new(Usage::default());
        let mut meter = Meter::new(Arc::clone(&usage), None);
        assert!(!meter.memory_growing(10, 20, Some(15)).expect("answers"));
        assert!(!usage.denied.load(Ordering::Relaxed));
    }
}
