//! Whether a container is paused. Holding it, letting it go and ending it come one after the other.

use tokio::sync::Mutex;
use uc_model::{Problem, Result};

/// A container's state.
#[derive(Debug, Default)]
pub struct Pausing(Mutex<State>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Running,
    Paused,
    Ending,
}

impl Pausing {
    /// Pauses it by `hold`.
    ///
    /// # Errors
    /// Invalid, where it is paused or is being ended; that of `hold`.
    pub async fn pause(&self, hold: impl Future<Output = Result<()>>) -> Result<()> {
        let mut state = self.0.lock().await;
        match *state {
            State::Running => hold.await?,
            State::Paused => return Err(Problem::invalid("the container is paused already")),
            State::Ending => return Err(Problem::invalid("the container is being ended")),
        }
        *state = State::Paused;
        Ok(())
    }

    /// Lets it go on by `let_go`.
    ///
    /// # Errors
    /// Invalid, where it is not paused; that of `let_go`.
    pub async fn resume(&self, let_go: impl Future<Output = Result<()>>) -> Result<()> {
        let mut state = self.0.lock().await;
        if *state != State::Paused {
            return Err(Problem::invalid("the container is not paused"));
        }
        let_go.await?;
        *state = State::Running;
        Ok(())
    }

    /// Lets it go by `let_go` if it is paused, and does not pause it any more: it is to end.
    pub async fn end(&self, let_go: impl Future<Output = Result<()>>) {
        let mut state = self.0.lock().await;
        if *state == State::Paused {
            // What cannot be let go is killed instead.
            let _ = let_go.await;
        }
        *state = State::Ending;
    }

    /// Refuses what only a running container can do.
    ///
    /// # Errors
    /// Invalid, where it is paused.
    pub async fn require_running(&self) -> Result<()> {
        match *self.0.lock().await {
            State::Paused => {
                Err(Problem::invalid("the container is paused").remedy("resume it first"))
            }
            State::Running | State::Ending => Ok(()),
        }
    }
}
