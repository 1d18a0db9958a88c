//! Work on many things by a few threads.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use uc_model::{Problem, Result};

/// Does something with each item, at most `workers` at once, the first ones first. After a failure nothing new is begun.
///
/// # Errors
/// One of those that came up.
pub(crate) fn for_each<T: Sync>(
    items: &[T],
    workers: usize,
    act: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    if workers <= 1 || items.len() <= 1 {
        return items.iter().try_for_each(act);
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let done = act(item);
            if done.is_err() {
                // Nobody needs the rest any more.
                next.store(items.len(), Ordering::Relaxed);
            }
            done?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers.min(items.len()))
            .map(|_| scope.spawn(work))
            .collect();
        // All of them are waited for, whatever the first one says.
        let outcomes: Vec<Result<()>> = workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(Problem::internal("a working thread panicked")))
            })
            .collect();
        outcomes.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn everything_is_done_once_and_a_failure_ends_it() {
        let items: Vec<usize> = (0..100).collect();
        for workers in [0, 1, 7, 200] {
            let done = Mutex::new(Vec::new());
            for_each(&items, workers, |item| {
                done.lock().expect("not poisoned").push(*item);
                Ok(())
            })
            .expect("works");
            let mut done = done.into_inner().expect("not poisoned");
            done.sort_unstable();
            assert_eq!(done, items);
        }
        let begun = AtomicUsize::new(0);
        let failed = for_each(&items, 2, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            match item {
                3 => Err(Problem::invalid("three")),
                _ => Ok(()),
            }
        });
        assert!(failed.is_err());
        assert!(begun.load(Ordering::Relaxed) < items.len());
    }
}
