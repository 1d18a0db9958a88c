//! Volumes: directories and files of this machine, filled from archives that the host sends.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;
use uc_guest_protocol::{GuestMount, Link, Source};
use uc_model::{Problem, Result, Telling};
use uc_sandbox::{HostMount, Mount, MountSource};

use crate::archive;

/// Where volumes lie.
const PLACE: &str = "/run/volumes";

/// The name of a volume's own entry, below a directory of its name.
const ENTRY: &str = "volume";

/// Most volumes of a machine.
const MAX_VOLUMES: usize = 256;

/// The volumes of a machine.
#[derive(Default)]
pub(crate) struct Volumes(Mutex<BTreeMap<String, Filling>>);

/// A volume that is being filled, and how that went.
type Filling = watch::Receiver<Option<std::result::Result<(), Telling>>>;

impl Volumes {
    /// Begins to fill a volume from a stream.
    pub(crate) fn fill(&self, link: &Link, name: &str, stream: u16) -> Result<()> {
        let directory = directory(name)?;
        let mut stream = link.reader(stream)?;
        let (tell, filling) = watch::channel(None);
        let mut volumes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if volumes.len() >= MAX_VOLUMES {
            return Err(Problem::refused("a microVM has too many volumes").limit(MAX_VOLUMES));
        }
        volumes.insert(name.to_owned(), filling);
        drop(volumes);
        tokio::spawn(async move {
            let filled = match make(&directory) {
                Ok(()) => archive::unpack(&mut stream, &directory).await,
                Err(problem) => Err(problem),
            };
            let _ = tell.send(Some(filled.map_err(|problem| Telling::of(&problem))));
        });
        Ok(())
    }

    /// Waits until a container's volumes are filled; its mounts come back as mounts of this machine's files.
    pub(crate) async fn mounts(&self, mounts: &[GuestMount]) -> Result<Vec<Mount>> {
        let mut made = Vec::new();
        for mount in mounts {
            let source = match &mount.source {
                Source::Memory { size_limit } => MountSource::Memory {
                    size_limit: *size_limit,
                },
                Source::Volume {
                    name,
                    sub_path,
                    owned,
                    group,
                } => MountSource::Host(HostMount {
                    path: self.filled(name).await?,
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

    fn filling(&self, name: &str) -> Option<Filling> {
        let volumes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        volumes.get(name).cloned()
    }

    async fn filled(&self, name: &str) -> Result<PathBuf> {
        let volume = directory(name)?.join(ENTRY);
        match self.filling(name) {
            None => make(&volume)?,
            Some(mut filling) => {
                let filled = filling.wait_for(Option::is_some).await;
                let broken = || Problem::internal("the filling of a volume broke off");
                let filled = filled.map_err(|_| broken())?.clone().ok_or_else(broken)?;
                filled.map_err(Telling::into_problem)?;
            }
        }
        Ok(volume)
    }
}

fn directory(name: &str) -> Result<PathBuf> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.is_empty() || !name.bytes().all(sound) {
        return Err(Problem::internal("a volume's name is not sound").found(name));
    }
    Ok(Path::new(PLACE).join(name))
}

fn make(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| {
        Problem::storage("cannot make a volume in the microVM")
            .remedy("the volumes' content must fit in half of its memory: raise limits.memory")
            .caused_by(error)
    })
}
