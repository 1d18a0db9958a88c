//! Pausing a container: its agent freezes it, and the machine goes on.
//!
//! Stopping the machine would hold all of its containers, the agent that others ask and the guest's clock, and each monitor
//! does it in another way. In the guest the freezer that containers have outside holds one of them, and nothing needs to be
//! set right afterwards. A machine whose programs stand still takes next to no time of a processor.

use std::{sync::atomic::Ordering, time::Duration};

use uc_guest_protocol::Call;
use uc_model::{Problem, Result};

use super::MicrovmSandbox;

/// How long an agent may take to hold a container. Its freezer gives up after 5 s.
const PATIENCE: Duration = Duration::from_secs(30);

impl MicrovmSandbox {
    /// Holds a container, or lets it go on.
    pub(super) async fn hold(&self, name: String, hold: bool) -> Result<()> {
        let container = self.find(&name)?;
        // A function's runner is started before it is called.
        if !container.started.load(Ordering::Acquire) || container.exit.borrow().is_some() {
            return Err(Problem::invalid("the container is not running").found(&name));
        }
        let running = self.running().await?;
        let call = |hold| Call::Pause {
            container: name.clone(),
            hold,
        };
        let asked = match hold {
            // Held later, it would stand still while the engine takes it to run.
            true => {
                let (pause, resume) = (call(true), call(false));
                running.guest.ask_or_undo(pause, resume, PATIENCE).await
            }
            false => running.guest.ask(call(false)).await,
        };
        match asked {
            Ok(_) => Ok(()),
            Err(problem) => Err(self.explained(&running, problem).await),
        }
    }
}
