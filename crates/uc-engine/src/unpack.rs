//! Unpacking layers as the container's user, in a process that can harm nothing else.

use std::{
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use uc_image::unpack::{
    LayerUnpacker, Limits, Options, Ownership, UnpackJob, Unpacked, disk_bytes, graft, unpack_layer,
};
use uc_linux::{IdMapping, MapWriter, userns, worker};
use uc_model::{Problem, Result};

/// Unpacks in a forked worker that is user 0 of the containers' user namespace: a layer that got past every check
/// would still write with ids that own nothing on the host.
pub(crate) struct MappedUnpacker<'a> {
    pub(crate) mapping: &'a IdMapping,
}

impl MappedUnpacker<'_> {
    fn options(&self) -> Options {
        let ownership = match self.mapping.highest_id() {
            Some(highest_id) if !self.mapping.is_own_id_only() => Ownership::Keep { highest_id },
            _ => Ownership::Squash,
        };
        Options {
            limits: Limits::default(),
            ownership,
            sync: false,
        }
    }

    /// The directory becomes the containers' root's; only root must and can do this.
    fn hand_over(&self, directory: &Path) -> Result<()> {
        std::os::unix::fs::lchown(
            directory,
            self.mapping.host_uid(0),
            self.mapping.host_gid(0),
        )
        .map_err(|error| {
            Problem::storage("cannot hand a directory to the container's user")
                .at(directory.display())
                .caused_by(error)
        })
    }
}

impl LayerUnpacker for MappedUnpacker<'_> {
    fn unpack(&self, job: UnpackJob<'_>) -> Result<Unpacked> {
        self.hand_over(job.target)?;
        let options = self.options();
        worker::run(self.mapping, job.target, || {
            let here = open_here()?;
            unpack_layer(job.stream, here.as_fd(), Some(job.compression), &options)
        })
    }

    fn graft(&self, layer: &Path, lowers: &[PathBuf], implied: &[Vec<u8>]) -> Result<()> {
        let opened: Vec<std::fs::File> = lowers
            .iter()
            .map(|lower| open(lower))
            .collect::<Result<_>>()?;
        worker::run(self.mapping, layer, || {
            let here = open_here()?;
            let lowers: Vec<_> = opened.iter().map(|lower| lower.as_fd()).collect();
            graft(here.as_fd(), &lowers, implied)
        })
    }

    fn remove(&self, directory: &Path) -> Result<()> {
        userns::remove_tree(self.mapping, directory)
    }

    fn disk_bytes(&self, directory: &Path) -> u64 {
        // Only the containers' root may look everywhere; root of the host may anyway.
        match self.mapping.writer {
            MapWriter::Helper => {
                let count = || Ok(disk_bytes(Path::new(".")));
                worker::run(self.mapping, directory, count).unwrap_or_default()
            }
            MapWriter::Direct | MapWriter::OwnIdOnly => disk_bytes(directory),
        }
    }
}

fn open_here() -> Result<std::fs::File> {
    open(Path::new("."))
}

fn open(directory: &Path) -> Result<std::fs::File> {
    std::fs::File::open(directory).map_err(|error| {
        Problem::storage("cannot open a directory")
            .at(directory.display())
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use uc_linux::Extent;

    use super::*;

    #[test]
    fn files_keep_every_id_of_a_map_of_several_ranges() {
        let own_id_then_a_range = |own| {
            vec![
                Extent {
                    inside: 0,
                    outside: own,
                    count: 1,
                },
                Extent {
                    inside: 1,
                    outside: 300_000,
                    count: 65_536,
                },
            ]
        };
        let mapping = IdMapping {
            uids: own_id_then_a_range(1000),
            gids: own_id_then_a_range(1000),
            writer: MapWriter::Helper,
        };
        let options = MappedUnpacker { mapping: &mapping }.options();
        assert_eq!(options.ownership, Ownership::Keep { highest_id: 65_536 });
    }
}
