//! Advances the engine's epoch while somebody needs it, so that running programs look up from their loops.
//!
//! No thread exists while nobody holds the ticker: an idle program costs nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use wasmtime::Engine;

/// How often running programs look up while the ticker is held.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// A source of epochs that runs while it is held.
#[derive(Clone)]
pub(crate) struct Ticker {
    engine: Engine,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    holders: u32,
    running: bool,
}

/// Keeps the ticker running.
pub(crate) struct Hold(Ticker);

impl Ticker {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            state: Arc::default(),
        }
    }

    /// Advances the epoch now, and every [`TICK`] until the hold is dropped.
    pub(crate) fn hold(&self) -> Hold {
        self.engine.increment_epoch();
        let mut state = self.lock();
        state.holders += 1;
        if !state.running {
            let ticker = self.clone();
            // Where no thread can be made, the next hold tries again.
            state.running = std::thread::Builder::new()
                .name("uc-wasm-ticker".into())
                .stack_size(64 << 10)
                .spawn(move || ticker.tick())
                .is_ok();
        }
        drop(state);
        Hold(self.clone())
    }

    fn tick(&self) {
        loop {
            std::thread::sleep(TICK);
            self.engine.increment_epoch();
            let mut state = self.lock();
            if state.holders == 0 {
                state.running = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.holders = state.holders.saturating_sub(1);
    }
}
