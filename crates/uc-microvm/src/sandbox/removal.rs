//! The end of containers, and of the machine with all that it has on the host.

use std::{path::PathBuf, sync::Arc};

use uc_guest_protocol::Call;
use uc_linux::cgroup;
use uc_model::{Problem, Result};

use super::{MicrovmSandbox, locked};

impl MicrovmSandbox {
    pub(super) async fn remove_container(&self, name: &str) -> Result<()> {
        let container = self.find(name)?;
        if container.exit.borrow().is_none() {
            return Err(Problem::invalid("the container has not ended").found(name));
        }
        let running = self.running().await?;
        let call = Call::Remove {
            container: name.to_owned(),
        };
        running.guest.settle(name, None);
        locked(&self.containers).remove(name);
        // Whoever makes another of this name waits for it; the others need not.
        let removing = running.reactor.handle().spawn({
            let running = Arc::downgrade(&running);
            async move {
                if let Some(running) = running.upgrade() {
                    let _ = running.guest.ask(call).await;
                }
            }
        });
        locked(&self.removing).insert(name.to_owned(), removing);
        Ok(())
    }

    pub(super) async fn destroy_all(&self) -> Result<()> {
        let running = self.machine.lock().await.take();
        if let Some(running) = &running {
            running.kill().await;
            running.bounds.remove();
        }
        locked(&self.containers).clear();
        drop(running);
        cgroup::reclaim(&self.request.directory)?;
        for place in [&self.request.storage, &self.request.directory] {
            remove(place)?;
        }
        Ok(())
    }
}

fn remove(place: &PathBuf) -> Result<()> {
    match std::fs::remove_dir_all(place) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::storage("cannot remove a sandbox's directory")
                .at(place.display())
                .caused_by(error))
        }
        _ => Ok(()),
    }
}
