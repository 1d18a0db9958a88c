//! Pausing a workload: its containers are held, and what the engine does for them waits.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{RwLock, RwLockReadGuard, watch};
use uc_model::{Problem, Result, RuntimeKind};
use uc_sandbox::Sandbox;

use crate::{lifecycle::Pod, record::Phase, stopper::StopLevel};

/// Whether a workload is paused.
pub(crate) struct Pausing {
    /// Held alone by whoever pauses or resumes, and together by those who make containers anew.
    making: RwLock<()>,
    paused: watch::Sender<bool>,
}

impl Default for Pausing {
    fn default() -> Self {
        Self {
            making: RwLock::new(()),
            paused: watch::Sender::new(false),
        }
    }
}

impl Pausing {
    /// Waits until the workload is not paused; it will not be as long as the answer is kept.
    pub(crate) async fn unpaused(&self) -> RwLockReadGuard<'_, ()> {
        loop {
            let making = self.making.read().await;
            if !*self.paused.borrow() {
                return making;
            }
            drop(making);
            self.resumed().await;
        }
    }

    /// Waits until the workload is not paused.
    pub(crate) async fn resumed(&self) {
        let mut paused = self.watch();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = paused.wait_for(|paused| !paused).await;
    }

    /// Sees every change from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }
}

impl Pod {
    /// Holds every container that runs, or none.
    ///
    /// # Errors
    /// Invalid, where the workload does not run or is paused; that of the sandbox that cannot hold a container.
    pub(crate) async fn pause(&self) -> Result<()> {
        let _alone = self.pausing.making.write().await;
        self.require_pausable()?;
        // Probes first: what they find from now on says nothing.
        self.pausing.paused.send_replace(true);
        let mut held: Vec<(Arc<dyn Sandbox>, Vec<String>)> = Vec::new();
        for (sandbox, containers) in self.running().into_values() {
            if let Err(problem) = sandbox.pause_all(containers.clone()).await {
                for (sandbox, containers) in held {
                    let _ = sandbox.resume_all(containers).await;
                }
                self.pausing.paused.send_replace(false);
                return Err(problem.within(&self.owned.record().id));
            }
            held.push((sandbox, containers));
        }
        self.owned.change(|record| record.phase = Phase::Paused);
        self.save();
        Ok(())
    }

    /// Lets every container go on.
    ///
    /// # Errors
    /// Invalid, where the workload is not paused; that of the sandbox that cannot let a container go, after the others.
    pub(crate) async fn resume(&self) -> Result<()> {
        let _alone = self.pausing.making.write().await;
        if self.owned.record().phase != Phase::Paused {
            return Err(Problem::invalid("the workload is not paused").at(self.owned.record().id));
        }
        let mut result = Ok(());
        for (sandbox, containers) in self.running().into_values() {
            let resumed = sandbox.resume_all(containers).await;
            result = result.and(resumed.map_err(|problem| {
                problem
                    .within(&self.owned.record().id)
                    .remedy("uc stop --now ends it")
            }));
        }
        self.is_paused_no_more();
        result
    }

    /// Notes that it goes on, or is being ended, which lets a paused container go as well.
    pub(crate) fn is_paused_no_more(&self) {
        self.owned.change(|record| {
            if record.phase == Phase::Paused {
                record.phase = Phase::Running;
            }
        });
        self.pausing.paused.send_replace(false);
        self.save();
    }

    fn require_pausable(&self) -> Result<()> {
        let record = self.owned.record();
        let refused = match record.phase {
            Phase::Running if self.stopper.level() == StopLevel::None => return Ok(()),
            Phase::Paused => Problem::invalid("the workload is paused already")
                .remedy(format!("uc resume {} lets it go on", record.id)),
            Phase::Creating => Problem::invalid("the workload does not run yet")
                .remedy("try again once uc ps says that it is running"),
            _ => Problem::invalid("the workload is being ended"),
        };
        Err(refused.at(record.id))
    }

    /// The sandboxes, each with the names that the containers which run have in it.
    fn running(&self) -> BTreeMap<RuntimeKind, (Arc<dyn Sandbox>, Vec<String>)> {
        let record = self.owned.record();
        let mut running = BTreeMap::new();
        for (index, kind) in self.runtimes.iter().enumerate() {
            let Ok((container, _)) = self.container(index) else {
                continue;
            };
            let runs = record.containers.get(&container.name);
            if let (true, Ok(sandbox), Some(name)) = (
                runs.is_some_and(|record| record.running),
                self.sandbox(index),
                self.name_inside(index),
            ) {
                let (_, names) = running.entry(*kind).or_insert((sandbox, Vec::new()));
                names.push(name);
            }
        }
        running
    }

    /// The name that a container has in its sandbox now: that of the manifest, with a number behind it after a restart.
    pub(crate) fn name_inside(&self, index: usize) -> Option<String> {
        let (container, _) = self.container(index).ok()?;
        let record = self.owned.record();
        let restarts = record
            .containers
            .get(&container.name)
            .map_or(0, |record| record.restarts);
        Some(attempt_name(&container.name, restarts))
    }
}

/// The name of a container that has been restarted so often, in its sandbox.
pub(crate) fn attempt_name(container: &str, restarts: u32) -> String {
    match restarts {
        0 => container.to_owned(),
        _ => format!("{container}-r{restarts}"),
    }
}
