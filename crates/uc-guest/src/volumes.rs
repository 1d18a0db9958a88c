//! Volumes: directories and files of this machine, filled from archives that the host sends.

use std::path::{Path, PathBuf};

use tokio::sync::Mutex;
use uc_guest_protocol::{GuestMount, Link, Source};
use uc_model::{Problem, Result};
use uc_sandbox::{HostMount, Mount, MountSource};

use crate::archive;

/// Where volumes lie.
const PLACE: &str = "/run/volumes";

/// The name of a volume's own entry, below a directory of its name.
const ENTRY: &str = "volume";

/// Makes what a container's mounts need; they come back as mounts of this machine's files. One container at a time, since
/// two may share a volume.
pub(crate) async fn prepare(
    one_at_a_time: &Mutex<()>,
    link: &Link,
    mounts: &[GuestMount],
) -> Result<Vec<Mount>> {
    let _one = one_at_a_time.lock().await;
    let mut made = Vec::new();
    for mount in mounts {
        let source = match &mount.source {
            Source::Memory { size_limit } => MountSource::Memory {
                size_limit: *size_limit,
            },
            Source::Volume {
                name,
                content,
                sub_path,
                owned,
                group,
            } => MountSource::Host(HostMount {
                path: fill(link, name, *content).await?,
                sub_path: sub_path.as_ref().map(PathBuf::from),
                owned: *owned,
                group: *group,
            }),
        };
        made.push(Mount {
            source,
            target: mount.target.clone(),
            read_only: mount.read_only,
        });
    }
    Ok(made)
}

async fn fill(link: &Link, name: &str, content: Option<u16>) -> Result<PathBuf> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(sound) {
        return Err(Problem::internal("a volume's name is not sound").found(name));
    }
    let directory = Path::new(PLACE).join(name);
    let volume = directory.join(ENTRY);
    let failed = |error| {
        Problem::storage("cannot fill a volume in the microVM")
            .remedy("the volumes' content must fit in half of its memory: raise limits.memory")
            .caused_by(error)
    };
    if let Some(stream) = content {
        std::fs::create_dir_all(&directory).map_err(failed)?;
        let mut stream = link.reader(stream)?;
        archive::unpack(&mut stream, &directory).await?;
    } else if !volume.exists() {
        std::fs::create_dir_all(&volume).map_err(failed)?;
    }
    Ok(volume)
}
