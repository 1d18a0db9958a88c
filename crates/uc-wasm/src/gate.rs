//! Holds a program between two polls of its future, where it looks up or waits for the host; or a thread, with all that runs
//! on it.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use crate::ticker::{TICK, Ticker};

/// How long a program may take to look up: one operation on its whole memory is the longest that it does without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between a program and its thread.
#[derive(Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    /// Whether the program is executing, or the host for it.
    busy: AtomicBool,
    /// Wakes whoever passes when the gate opens or closes.
    passing: Mutex<Option<Waker>>,
    opened: Condvar,
}

impl Gate {
    /// Whether a program that looks up is to let its thread have a look at the gate.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Closes the gate, and waits until the program stands still.
    ///
    /// # Errors
    /// Invalid, where it is closed already; host, where the program does not look up. It goes on then.
    pub(crate) async fn close(&self, ticker: &Ticker) -> Result<()> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(Problem::invalid("the container is paused already"));
        }
        self.wake();
        // A program that has just looked up must look up again.
        let _ticking = ticker.hold();
        let until = Instant::now() + PATIENCE;
        while self.busy.load(Ordering::SeqCst) {
            if !self.is_closed() {
                return Err(Problem::invalid("the container has been resumed meanwhile"));
            }
            if Instant::now() > until {
                let _ = self.open();
                return Err(Problem::host("the container cannot be paused")
                    .limit(format!("{} s", PATIENCE.as_secs()))
                    .found("its program does not look up")
                    .remedy("try again: it goes on until then"));
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    /// Lets the program go on.
    ///
    /// # Errors
    /// Invalid, where the gate is open.
    pub(crate) fn open(&self) -> Result<()> {
        if !self.closed.swap(false, Ordering::SeqCst) {
            return Err(Problem::invalid("the container is not paused"));
        }
        self.wake();
        Ok(())
    }

    /// Runs a program that only goes on while the gate is open.
    pub(crate) async fn pass<T>(&self, program: impl Future<Output = T>) -> T {
        let mut program = pin!(program);
        poll_fn(|context| self.poll(program.as_mut(), context)).await
    }

    fn poll<T>(
        &self,
        program: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<T> {
        // First busy, then the look: whoever closes does it the other way round, so one of the two sees the other.
        self.busy.store(true, Ordering::SeqCst);
        if !self.is_closed() {
            let polled = program.poll(context);
            self.busy.store(false, Ordering::SeqCst);
            return polled;
        }
        self.busy.store(false, Ordering::SeqCst);
        *self.waker() = Some(context.waker().clone());
        // It may have been opened before there was anybody to wake.
        if !self.is_closed() {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Holds the calling thread whenever the gate is closed.
    pub(crate) async fn hold_thread(&self) -> Infallible {
        loop {
            // First busy, then the look, as above.
            self.busy.store(true, Ordering::SeqCst);
            if !self.is_closed() {
                self.closed_again().await;
            }
            self.busy.store(false, Ordering::SeqCst);
            let mut waiting = self.waker();
            while self.is_closed() {
                let woken = self.opened.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    async fn closed_again(&self) {
        poll_fn(|context| {
            *self.waker() = Some(context.waker().clone());
            match self.is_closed() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn wake(&self) {
        let waker = self.waker().take();
        self.opened.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_passes_while_the_gate_is_open_and_no_further_when_it_is_closed() {
        let gate = Gate::default();
        let ticker = Ticker::new(wasmtime::Engine::default());
        let steps = AtomicBool::new(false);
        let program = async {
            loop {
                steps.store(true, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        };
        let story = async {
            for _ in 0..3 {
                gate.open().expect_err("it is open");
                gate.close(&ticker).await.expect("closed");
                gate.close(&ticker).await.expect_err("it is closed");
                steps.store(false, Ordering::SeqCst);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                assert!(!steps.load(Ordering::SeqCst), "it goes on");
                gate.open().expect("it was closed");
                while !steps.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::select! {
            () = gate.pass(program) => unreachable!("it does not end"),
            () = story => {}
        }
    }
}
