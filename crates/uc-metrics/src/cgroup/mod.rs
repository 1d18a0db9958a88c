//! The memory of control groups, on hosts of version 1, of version 2 and of both (hybrid).

mod mounts;
mod walk;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use uc_foresight::Sample;
use uc_model::{Problem, Result};

use self::mounts::CgroupMount;
pub use self::{mounts::Version, walk::Groups};
use crate::{
    kernel_file::{is_gone, keyed, read_if_present, unreadable},
    pressure,
};

/// Version 1 shows "no limit" as the largest multiple of the page size.
const UNLIMITED_FROM: u64 = 1 << 60;
/// How often a group that is made anew while it is read is tried again.
const ATTEMPTS: usize = 3;

/// The hierarchy of control groups that accounts for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryHierarchy {
    mount: CgroupMount,
    /// On hybrid hosts the hierarchy of version 2, which alone has pressure.
    unified: Option<CgroupMount>,
}

impl MemoryHierarchy {
    /// The hierarchy of this host; nothing where no memory controller is mounted.
    ///
    /// # Errors
    /// Where the mounts cannot be read.
    pub fn find() -> Result<Option<Self>> {
        let path = Path::new("/proc/self/mountinfo");
        let text = read_if_present(path)?.unwrap_or_default();
        Ok(Self::from_mountinfo(&text, Path::new("/")))
    }

    /// From the text of /proc/self/mountinfo, whose mount points are below `root`; which controllers version 2 has is then
    /// looked up on the spot.
    pub fn from_mountinfo(text: &str, root: &Path) -> Option<Self> {
        let mounts: Vec<CgroupMount> = mounts::parse(text, root);
        let unified = mounts.iter().find(|mount| mount.version == Version::V2);
        if let Some(memory) = mounts.iter().find(|mount| mount.has_memory_v1()) {
            return Some(Self {
                mount: memory.clone(),
                unified: unified.cloned(),
            });
        }
        let unified = unified.filter(|mount| mount.has_memory_v2())?;
        Some(Self {
            mount: unified.clone(),
            unified: Some(unified.clone()),
        })
    }

    /// The version of the hierarchy that memory is in.
    pub fn version(&self) -> Version {
        self.mount.version
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &Path {
        &self.mount.point
    }

    /// A group by its path in the hierarchy, as /proc/PID/cgroup writes it.
    ///
    /// # Errors
    /// Invalid where the path is none; not found where there is no such group, or this process cannot see it.
    pub fn open(&self, path: &str) -> Result<Group> {
        let directory = self.directory(path)?;
        match fs::metadata(&directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if !is_gone(&error) => return Err(unreadable(&directory, error)),
            _ => {
                return Err(Problem::not_found("there is no such control group")
                    .at(path)
                    .found(format!("no directory {}", directory.display()))
                    .remedy("name it as /proc/PID/cgroup of one of its processes does"));
            }
        }
        let unified = self.unified.as_ref();
        let pressure_file = unified
            .and_then(|mount| mount.directory(path))
            .map(|directory| directory.join("memory.pressure"));
        Ok(Group {
            path: path.to_owned(),
            directory,
            version: self.mount.version,
            mount_point: self.mount.point.clone(),
            pressure_file,
        })
    }

    /// The path in this hierarchy of the group that the text of a /proc/PID/cgroup names.
    pub fn path_of_process<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().find_map(|line| {
            // hierarchy:controllers:path, and the path may hold colons.
            let mut fields = line.splitn(3, ':');
            let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let ours = match self.mount.version {
                Version::V1 => controllers.split(',').any(|name| name == "memory"),
                Version::V2 => id == "0" && controllers.is_empty(),
            };
            ours.then_some(path)
        })
    }

    /// The groups at and below `under` that hold processes and have no group with processes below them, at most `at_most`,
    /// in the order of their paths.
    ///
    /// # Errors
    /// Not found where there is no group `under`; groups that vanish meanwhile are left out.
    pub fn groups(&self, under: &str, at_most: usize) -> Result<Groups> {
        let group = self.open(under)?;
        walk::leaves(&group.path, &group.directory, at_most)
    }

    fn directory(&self, path: &str) -> Result<PathBuf> {
        let is_plain = path.starts_with('/')
            && !path.contains('\0')
            && Path::new(path)
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !is_plain {
            return Err(Problem::invalid("this is no path of a control group")
                .at(path.escape_debug())
                .limit("an absolute path without `..`, such as /system.slice/nginx.service"));
        }
        self.mount.directory(path).ok_or_else(|| {
            Problem::not_found("the control group is outside of what this process can see")
                .at(path)
                .limit(format!("a group below {}", self.mount.root))
                .remedy("run in the control group namespace of the host")
        })
    }
}

/// One control group.
#[derive(Debug, Clone)]
pub struct Group {
    path: String,
    directory: PathBuf,
    version: Version,
    mount_point: PathBuf,
    pressure_file: Option<PathBuf>,
}

impl Group {
    /// Its path in the hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What it is now, the groups below it included; nothing once it has vanished.
    ///
    /// `oom_kills` of version 1 counts the kills in the group itself alone, as the kernel does.
    ///
    /// # Errors
    /// Where the group is there but does not tell its memory.
    pub fn read(&self, now_s: f64) -> Result<Option<Sample>> {
        for _ in 0..ATTEMPTS {
            let Some(life) = self.life()? else {
                return Ok(None);
            };
            let sample = self.sample(now_s, life);
            // What vanished or was made anew meanwhile explains both a failure and a mixture of two groups.
            if self.life()? == Some(life) {
                return sample.map(Some);
            }
        }
        Err(Problem::host("the control group is made anew all the time").at(&self.path))
    }

    /// The smallest limit of the group and all above it, in bytes; nothing where none has one.
    ///
    /// # Errors
    /// Where a limit is there but cannot be read.
    pub fn limit_bytes(&self) -> Result<Option<u64>> {
        match self.version {
            Version::V1 => Ok(self.file("memory.stat")?.as_deref().and_then(limit_v1)),
            Version::V2 => self.limit_v2(),
        }
    }

    /// The processes in the group itself, not those of groups below it; at most as many as a mebibyte of text lists.
    ///
    /// # Errors
    /// Where the list cannot be read, as that of a threaded group. A group that has vanished has no processes.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let text = self.file("cgroup.procs")?.unwrap_or_default();
        // Each is ended by a line break: what is not was cut off.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        Ok(whole.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// The inode of the directory: a group that is made anew has another.
    fn life(&self) -> Result<Option<u64>> {
        match fs::metadata(&self.directory) {
            Ok(metadata) => Ok(Some(metadata.ino())),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(unreadable(&self.directory, error)),
        }
    }

    fn sample(&self, now_s: f64, life: u64) -> Result<Sample> {
        let stat = self.file("memory.stat")?.ok_or_else(|| {
            Problem::host("memory is not accounted for in this control group")
                .at(&self.path)
                .limit("the memory controller")
                .remedy("enable it in cgroup.subtree_control of the group above")
        })?;
        let (anonymous, limit_bytes, kills) = match self.version {
            Version::V1 => (
                keyed(&stat, "total_rss").or_else(|| keyed(&stat, "rss")),
                limit_v1(&stat),
                self.file("memory.oom_control")?,
            ),
            Version::V2 => (
                keyed(&stat, "anon"),
                self.limit_v2()?,
                self.file("memory.events")?,
            ),
        };
        let rss_bytes = anonymous.ok_or_else(|| {
            Problem::host("the control group does not tell its anonymous memory")
                .at(self.directory.join("memory.stat").display())
                .limit("`anon` (version 2) or `total_rss` (version 1)")
        })?;
        let pressure = match &self.pressure_file {
            Some(file) => pressure::of_file(file)?,
            None => None,
        };
        Ok(Sample {
            t_s: now_s,
            rss_bytes,
            limit_bytes,
            life,
            oom_kills: kills.as_deref().and_then(|text| keyed(text, "oom_kill")),
            pressure,
        })
    }

    fn limit_v2(&self) -> Result<Option<u64>> {
        let mut smallest: Option<u64> = None;
        // The path is bounded by the kernel's own bound on paths.
        for directory in self.directory.ancestors() {
            let text = read_if_present(&directory.join("memory.max"))?;
            // "max" is no number, and no limit.
            let limit = text.and_then(|text| text.trim().parse::<u64>().ok());
            smallest = [smallest, limit].into_iter().flatten().min();
            if directory == self.mount_point {
                break;
            }
        }
        Ok(smallest)
    }

    fn file(&self, name: &str) -> Result<Option<String>> {
        read_if_present(&self.directory.join(name))
    }
}

/// The kernel has looked at the groups above already.
fn limit_v1(stat: &str) -> Option<u64> {
    keyed(stat, "hierarchical_memory_limit").filter(|limit| *limit < UNLIMITED_FROM)
}

/// Directory entries by name, or nothing where the directory has vanished.
fn child_directories(directory: &Path, at_most: usize) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if names.len() == at_most {
            break;
        }
        // A path in /proc is text; a group whose name is none cannot be named there either.
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
