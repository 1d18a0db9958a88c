//! What a container mounts, and how its content gets into the machine.

use uc_guest_protocol::{Call, GuestMount, Source};
use uc_linux::IdMapping;
use uc_model::Result;
use uc_sandbox::{HostMount, Mount, MountSource};

use super::{MicrovmSandbox, locked};
use crate::{launch::Running, volumes};

impl MicrovmSandbox {
    /// The mounts as the guest has them. Volumes that it has not seen yet are on their way when this returns.
    pub(super) async fn mounts(
        &self,
        running: &Running,
        mounts: &[Mount],
    ) -> Result<Vec<GuestMount>> {
        let mut given = Vec::new();
        for mount in mounts {
            let source = match &mount.source {
                MountSource::Memory { size_limit } => Source::Memory {
                    size_limit: *size_limit,
                },
                MountSource::Host(host) => {
                    let name = volumes::name(host);
                    let is_new = locked(&self.volumes).insert(name.clone());
                    if is_new {
                        fill(running, name.clone(), host).await?;
                    }
                    let sub_path = host.sub_path.as_ref();
                    Source::Volume {
                        name,
                        sub_path: sub_path.map(|path| path.to_string_lossy().into_owned()),
                        owned: host.owned,
                        group: host.group,
                    }
                }
            };
            given.push(GuestMount {
                source,
                target: mount.target.clone(),
                read_only: mount.read_only,
            });
        }
        Ok(given)
    }
}

/// Sends a volume's content.
async fn fill(running: &Running, volume: String, host: &HostMount) -> Result<()> {
    let bytes = volumes::pack(host, &IdMapping::for_caller()?)?;
    let (stream, writer) = running.guest.writer()?;
    running.guest.ask(Call::Fill { volume, stream }).await?;
    running.reactor.handle().spawn(async move {
        if writer.write_all(&bytes).await.is_ok() {
            let _ = writer.finish().await;
        }
    });
    Ok(())
}
