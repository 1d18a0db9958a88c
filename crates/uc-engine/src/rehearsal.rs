//! A start without the start: whether a workload could begin, found by doing all that comes before.

use std::sync::Arc;

use uc_model::{Result, workload::Network};

use crate::{
    Engine, RunRequest,
    decide::check_together,
    lifecycle::{Pod, new_record},
    record::Owned,
};

impl Engine {
    /// Makes the volumes, sandboxes and containers of a workload, starts no program, and removes everything again. A network
    /// that is linked to the host's is left out, and so are ports: they may well be in use, by the very workload that is asked
    /// about.
    ///
    /// # Errors
    /// Those that a run would end with before its first program starts.
    pub async fn rehearse(&self, mut request: RunRequest) -> Result<()> {
        check_together(&request.resolved, &request.runtimes)?;
        request.detached = false;
        let workload = &mut request.resolved.workload;
        if workload.network == Network::User {
            workload.network = Network::None;
        }
        let containers = workload.init_containers.iter_mut();
        for container in containers.chain(&mut workload.containers) {
            container.ports.clear();
        }
        let owned = Owned::create(self.home(), new_record(&request))?;
        let (id, directory) = (owned.record().id, owned.directory().to_owned());
        let rehearsed = self.create_only(owned, request).await;
        self.erase(&id, &directory)?;
        rehearsed
    }

    async fn create_only(&self, owned: Owned, request: RunRequest) -> Result<()> {
        let pod: Arc<Pod> = Arc::new(self.prepare(owned, request).await?);
        let mut created = Vec::new();
        let mut result = Ok(());
        for index in 0..pod.container_count() {
            match pod.create(index, 0).await {
                Ok(container) => created.push(container),
                Err(problem) => {
                    result = Err(problem);
                    break;
                }
            }
        }
        let destroyed = pod.destroy().await;
        result.and(destroyed)
    }
}
