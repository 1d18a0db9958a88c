//! Hearing the system calls of a workload's containers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

use uc_model::{Problem, Result};
use uc_sandbox::CallListener;
use uc_select::Footprint;

type Heard = Result<Footprint>;

/// The listeners of a workload, each on a thread of its own.
#[derive(Debug, Default)]
pub(crate) struct Tracing(Mutex<Vec<(usize, JoinHandle<Heard>)>>);

impl Tracing {
    /// A listener for a container, by its index.
    pub(crate) fn listener(self: &std::sync::Arc<Self>, index: usize) -> CallListener {
        let tracing = std::sync::Arc::clone(self);
        CallListener(Box::new(move |descriptor| {
            let thread = std::thread::spawn(move || {
                uc_trace::collect(descriptor, &|| false).map(|(footprint, _)| footprint)
            });
            tracing.lock().push((index, thread));
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, JoinHandle<Heard>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard, by container, once all have ended.
    ///
    /// # Errors
    /// Those of the listeners.
    pub(crate) fn finish(&self) -> Result<BTreeMap<usize, Footprint>> {
        let mut heard: BTreeMap<usize, Footprint> = BTreeMap::new();
        for (index, thread) in std::mem::take(&mut *self.lock()) {
            let footprint = thread
                .join()
                .unwrap_or_else(|_| Err(Problem::internal("a listener broke off")))?;
            match heard.get_mut(&index) {
                Some(known) => known.merge(footprint)?,
                None => drop(heard.insert(index, footprint)),
            }
        }
        Ok(heard)
    }
}
