//! Disks: found by their serial number or place, mounted once, read-only.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::Mode,
    io::Errno,
    mount::{MountFlags, mount},
};
use uc_guest_protocol::Disk;
use uc_model::{Problem, Result};

/// Where disks are mounted.
const PLACE: &str = "/run/disks";

/// How long a disk may take to appear.
const PATIENCE: Duration = Duration::from_secs(5);

/// Mounts a disk, unless it is mounted already.
pub(crate) fn mounted(disk: &Disk) -> Result<PathBuf> {
    let place = Path::new(PLACE).join(disk.index.to_string());
    if place.exists() {
        return Ok(place);
    }
    let device = device(disk)?;
    fs::create_dir_all(PLACE)
        .map_err(|error| Problem::storage("cannot make a mount point").caused_by(error))?;
    rustix::fs::mkdir(&place, Mode::from_raw_mode(0o755))
        .map_err(|errno| cannot_mount(disk, errno))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount(&device, &place, c"erofs", flags, None).map_err(|errno| {
        let _ = fs::remove_dir(&place);
        cannot_mount(disk, errno)
    })?;
    Ok(place)
}

fn cannot_mount(disk: &Disk, errno: Errno) -> Problem {
    Problem::host("the microVM cannot mount its root file system")
        .at(format!("disk {}", disk.index))
        .found(std::io::Error::from(errno))
        .remedy("the guest's kernel needs EROFS, built in or as a module; `uc doctor` names kernels that have it")
}

fn device(disk: &Disk) -> Result<PathBuf> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(name) = find(disk) {
            return Ok(Path::new("/dev").join(name));
        }
        if Instant::now() > until {
            return Err(Problem::host("the microVM does not see a disk")
                .at(format!("disk {}", disk.index))
                .remedy("the guest's kernel needs virtio-blk"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn find(disk: &Disk) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir("/sys/block")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("vd"))
        .collect();
    names.sort();
    let serial = |name: &String| {
        fs::read_to_string(format!("/sys/block/{name}/serial"))
            .is_ok_and(|serial| serial.trim() == disk.serial)
    };
    names
        .iter()
        .find(|name| serial(name))
        .or_else(|| names.get(usize::from(disk.index)))
        .cloned()
}
