//! A workload's volumes on disk, and where containers mount them.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use uc_model::{
    Problem, Result,
    workload::{
        Container, HostPathType, Network, ProjectedFile, Volume, VolumeMount, VolumeSource,
        Workload,
    },
};
use uc_sandbox::{HostMount, Mount, MountSource};

use crate::{
    decide::all_containers,
    home::{cannot_write, make_private},
};

/// Makes what the workload's volumes need in its storage.
///
/// # Errors
/// Storage, and not found for host paths that are not there.
pub(crate) fn make(workload: &Workload, storage: &Path) -> Result<()> {
    for volume in &workload.volumes {
        let place = place(storage, volume);
        match &volume.source {
            VolumeSource::EmptyDir => {
                make_private(storage)?;
                fs::create_dir(&place)
                    .and_then(|()| set_mode(&place, 0o777 | shared_directory(workload)))
                    .map_err(|error| cannot_write(&place, error))?;
            }
            VolumeSource::Files { files } => {
                make_private(storage)?;
                write_files(files, &place, workload)?;
            }
            VolumeSource::HostPath { path, must_be } => {
                check_host_path(&volume.name, path, *must_be)?;
            }
            VolumeSource::Memory { .. } => check_not_shared(workload, &volume.name)?,
        }
    }
    make_sub_paths(workload, storage)
}

fn place(storage: &Path, volume: &Volume) -> PathBuf {
    storage.join(&volume.name)
}

/// What a group that shares a volume adds to a directory's mode: what is made in it belongs to the group, too.
fn shared_directory(workload: &Workload) -> u32 {
    workload.fs_group.map_or(0, |_| 0o2070)
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn write_files(files: &[ProjectedFile], place: &Path, workload: &Workload) -> Result<()> {
    let open_to_all = |path: &Path| set_mode(path, 0o755 | shared_directory(workload));
    // As in Kubernetes, the group may read whatever the mode says.
    let shared_file = workload.fs_group.map_or(0, |_| 0o440);
    fs::create_dir_all(place)
        .and_then(|()| open_to_all(place))
        .map_err(|error| cannot_write(place, error))?;
    for file in files {
        let path = place.join(&file.path);
        let mut parents: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .take_while(|parent| *parent != place)
            .collect();
        parents.reverse();
        for parent in parents {
            fs::create_dir_all(parent)
                .and_then(|()| open_to_all(parent))
                .map_err(|error| cannot_write(parent, error))?;
        }
        // The content may be a secret: nobody else may read it before its mode is set.
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut opened| {
                opened.write_all(&file.content)?;
                opened.set_permissions(fs::Permissions::from_mode(file.mode | shared_file))
            })
            .map_err(|error| cannot_write(&path, error))?;
    }
    Ok(())
}

fn check_host_path(volume: &str, path: &Path, must_be: HostPathType) -> Result<()> {
    let found = fs::metadata(path).map_err(|error| {
        Problem::not_found("the host path of a volume is not there")
            .at(format!("volume {volume}"))
            .found(format!("{}: {error}", path.display()))
            .remedy("make it first; uc never makes anything on the host")
    })?;
    let kind = found.file_type();
    let (right, expected) = match must_be {
        HostPathType::Any => (true, ""),
        HostPathType::Directory => (kind.is_dir(), "a directory"),
        HostPathType::File => (kind.is_file(), "a regular file"),
        HostPathType::Socket => (kind.is_socket(), "a Unix socket"),
    };
    if right {
        return Ok(());
    }
    Err(
        Problem::invalid("the host path of a volume is something else")
            .at(format!("volume {volume}"))
            .limit(expected)
            .found(path.display()),
    )
}

/// A file system in memory lives in the mount namespace of one container.
fn check_not_shared(workload: &Workload, volume: &str) -> Result<()> {
    let mounted_by =
        |container: &&Container| container.mounts.iter().any(|mount| mount.volume == volume);
    let users = all_containers(workload).filter(mounted_by).count();
    if users <= 1 {
        return Ok(());
    }
    Err(
        Problem::refused("a volume with medium: Memory can be mounted by one container only")
            .at(format!("volume {volume}"))
            .found(format!("{users} containers"))
            .remedy("leave medium out: the volume is then a directory on disk"),
    )
}

/// Sub-paths of directories made for the workload exist when they are mounted, as in Kubernetes.
fn make_sub_paths(workload: &Workload, storage: &Path) -> Result<()> {
    for mount in all_containers(workload).flat_map(|container| &container.mounts) {
        let volume = find(workload, mount)?;
        if let (VolumeSource::EmptyDir, Some(sub_path)) = (&volume.source, &mount.sub_path) {
            let path = place(storage, volume).join(sub_path);
            fs::create_dir_all(&path).map_err(|error| cannot_write(&path, error))?;
            let mut below = path.as_path();
            while below != place(storage, volume) {
                set_mode(below, 0o777 | shared_directory(workload))
                    .map_err(|error| cannot_write(below, error))?;
                below = below.parent().unwrap_or(storage);
            }
        }
    }
    Ok(())
}

fn find<'a>(workload: &'a Workload, mount: &VolumeMount) -> Result<&'a Volume> {
    workload
        .volumes
        .iter()
        .find(|volume| volume.name == mount.volume)
        .ok_or_else(|| Problem::invalid("no such volume").found(&mount.volume))
}

/// What a container mounts, in order.
pub(crate) fn mounts(
    workload: &Workload,
    container: &Container,
    storage: &Path,
) -> Result<Vec<Mount>> {
    container
        .mounts
        .iter()
        .map(|mount| {
            let volume = find(workload, mount)?;
            let sub_path = mount.sub_path.as_ref().map(PathBuf::from);
            let host = |path: PathBuf, owned: bool| {
                MountSource::Host(HostMount {
                    path,
                    sub_path: sub_path.clone(),
                    owned,
                    group: workload.fs_group.unwrap_or(0),
                })
            };
            let source = match &volume.source {
                VolumeSource::EmptyDir | VolumeSource::Files { .. } => {
                    host(place(storage, volume), true)
                }
                VolumeSource::HostPath { path, .. } => host(path.clone(), false),
                VolumeSource::Memory { size_limit } => MountSource::Memory {
                    size_limit: *size_limit,
                },
            };
            Ok(Mount {
                source,
                target: mount.path.clone(),
                read_only: mount.read_only,
            })
        })
        .collect()
}

/// The files that every Linux container is given: names of its own network, and the host's resolver where it has one.
///
/// # Errors
/// Storage.
pub(crate) fn network_files(workload: &Workload, directory: &Path) -> Result<Vec<Mount>> {
    let hosts = directory.join("hosts");
    let text = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\t{}\n",
        workload.hostname
    );
    fs::write(&hosts, text).map_err(|error| cannot_write(&hosts, error))?;
    let mount = |path: PathBuf, target: &str| Mount {
        source: MountSource::Host(HostMount {
            path,
            sub_path: None,
            owned: false,
            group: 0,
        }),
        target: target.into(),
        read_only: true,
    };
    let mut mounts = vec![mount(hosts, "/etc/hosts")];
    let resolver = Path::new("/etc/resolv.conf");
    if matches!(workload.network, Network::Host | Network::User) && resolver.exists() {
        mounts.push(mount(resolver.to_owned(), "/etc/resolv.conf"));
    }
    Ok(mounts)
}
