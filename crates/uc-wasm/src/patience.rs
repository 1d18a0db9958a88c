//! Patience that lasts while this process, or the thread that it is on, is held.
//!
//! The kernel's clock goes on meanwhile, and who holds a process need not tell it. So it is counted in steps: however long
//! a hold takes, it is one step at most.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt;
use tokio::time::{Instant, Sleep, sleep};

/// The most that a hold counts. Each step wakes the thread once.
const STEP: Duration = Duration::from_secs(1);

/// Ends when it has been waited for so long.
pub(crate) struct Patience {
    /// What comes after the step that is waited for.
    left: Duration,
    step: Pin<Box<Sleep>>,
}

impl Patience {
    pub(crate) fn new(duration: Duration) -> Self {
        let first = duration.min(STEP);
        Self {
            left: duration - first,
            step: Box::pin(sleep(first)),
        }
    }
}

impl Future for Patience {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.step.as_mut().poll(context));
            if self.left.is_zero() {
                return Poll::Ready(());
            }
            let next = self.left.min(STEP);
            self.left -= next;
            self.step.as_mut().reset(Instant::now() + next);
        }
    }
}

/// The same for hyper.
#[derive(Clone, Copy)]
pub(crate) struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Patience::new(duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

impl rt::Sleep for Patience {}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use tokio::time::advance;

    use super::*;

    async fn is_over(patience: &mut Pin<&mut impl Future>) -> bool {
        poll_fn(|context| Poll::Ready(patience.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_as_long_as_it_is_told_to() {
        for millis in [0, 1, 400, 1_000, 2_500, 60_000] {
            let duration = Duration::from_millis(millis);
            let begun = Instant::now();
            Patience::new(duration).await;
            let late = begun.elapsed() - duration;
            // A timer of the runtime is late by a millisecond at most.
            let steps = u32::try_from(millis / 1_000 + 1).expect("few");
            assert!(late <= steps * Duration::from_millis(1), "{late:?}");
        }
    }

    /// Whoever is held finds the clock to have gone on when it looks next.
    async fn spares_a_step(patience: impl Future) {
        let mut patience = pin!(patience);
        for _ in 0..3 {
            assert!(!is_over(&mut patience).await);
            advance(Duration::from_secs(3_600)).await;
        }
        assert!(!is_over(&mut patience).await, "a step is left");
        advance(2 * STEP).await;
        assert!(is_over(&mut patience).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_one_step_at_most() {
        use rt::Timer as _;
        spares_a_step(Patience::new(4 * STEP)).await;
        spares_a_step(Timer.sleep(4 * STEP)).await;
        spares_a_step(Timer.sleep_until(Timer.now() + 4 * STEP)).await;
    }
}
