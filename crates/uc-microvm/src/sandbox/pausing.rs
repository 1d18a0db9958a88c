//! Pausing a container: its agent freezes it, and the machine goes on.
//!
//! Stopping the machine would hold all of its containers, the agent that others ask and the guest's clock, and each monitor
//! does it in another way. In the guest the freezer that containers have outside holds one of them, and nothing needs to be
//! set right afterwards. A machine whose programs stand still takes next to no time of a processor.

use std::sync::atomic::Ordering;

use uc_guest_protocol::Call;
use uc_model::{Problem, Result};

use super::MicrovmSandbox;

impl MicrovmSandbox {
    /// Holds a container, or lets it go on.
    pub(super) async fn hold(&self, name: String, hold: bool) -> Result<()> {
        let container = self.find(&name)?;
        // A function's runner is started before it is called.
        if !container.started.load(Ordering::Acquire) || container.exit.borrow().is_some() {
            return Err(Problem::invalid("the container is not running").found(&name));
        }
        let running = self.running().await?;
        let call = Call::Pause {
            container: name,
            hold,
        };
        match running.guest.ask(call).await {
            Ok(_) => Ok(()),
            Err(problem) => Err(self.explained(&running, problem).await),
        }
    }
}
