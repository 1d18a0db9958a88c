//! Removing what a workload has left, whoever made it and however it ended.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uc_model::{Result, RuntimeKind};

use crate::{Engine, process, record};

/// The part of a workload's storage that holds its volumes.
pub(crate) const VOLUMES: &str = "volumes";

impl Engine {
    /// Removes a workload's directory and storage, and what its sandboxes left outside them.
    ///
    /// # Errors
    /// Storage and host, naming what could not be removed; calling it again goes on where it stopped.
    pub fn erase(&self, id: &str, directory: &Path) -> Result<()> {
        // Their groups first: a freezer may hold a process of a paused one, and that could not be killed.
        for driver in &self.drivers {
            let sandbox = sandbox_directory(directory, driver.kind());
            if sandbox.exists() {
                driver.reclaim(&sandbox)?;
            }
        }
        for (pid, began) in record::processes(directory) {
            process::kill_if_same(pid, began)?;
        }
        for driver in &self.drivers {
            remove_tree(&self.home().storage_of(id, driver.kind().name()))?;
        }
        remove_tree(&self.home().storage_of(id, VOLUMES))?;
        // Last: as long as it is there, the rest can be found.
        remove_tree(directory)
    }
}

/// Removes a directory, whoever its files belong to.
fn remove_tree(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        // Somebody else was quicker.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => uc_linux::userns::remove_tree(&uc_linux::IdMapping::for_caller()?, directory),
    }
}

/// Where a sandbox keeps what is small.
pub(crate) fn sandbox_directory(workload: &Path, kind: RuntimeKind) -> PathBuf {
    workload.join(format!("sandbox-{kind}"))
}
