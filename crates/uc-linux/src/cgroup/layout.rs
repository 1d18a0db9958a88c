//! Where this process may make control groups: version 1, version 2, or both (hybrid).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A controller that a limit or a statistic needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory, page cache included.
    Memory,
    /// Shares and quotas of CPU time.
    Cpu,
    /// CPU time used.
    CpuAccount,
    /// Processes and threads.
    Pids,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::CpuAccount, Self::Pids];

    /// The name in /proc/self/cgroup (version 1).
    fn name_v1(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAccount => "cpuacct",
            Self::Pids => "pids",
        }
    }

    /// The name in `cgroup.controllers` (version 2), where accounting belongs to `cpu`.
    pub fn name_v2(self) -> &'static str {
        match self {
            Self::CpuAccount => "cpu",
            other => other.name_v1(),
        }
    }
}

/// The version of the hierarchy a controller lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// Where groups for one controller can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The version of its hierarchy.
    pub version: Version,
    /// The directory to make groups in.
    pub parent: PathBuf,
}

/// All places of this host for this process.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    places: Vec<(Controller, Place)>,
}

impl Layout {
    /// Reads the layout of the running system.
    pub fn of_this_host() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::from_texts(&own, &mounts)
    }

    /// From the texts of /proc/self/cgroup and /proc/self/mountinfo; directories are then checked on the spot.
    pub fn from_texts(own: &str, mountinfo: &str) -> Self {
        let mounts: Vec<CgroupMount> = mountinfo.lines().filter_map(CgroupMount::parse).collect();
        let mut places = Vec::new();
        for controller in Controller::ALL {
            if let Some(place) = place_v1(controller.name_v1(), own, &mounts)
                .or_else(|| place_v2(controller, own, &mounts))
            {
                places.push((controller, place));
            }
        }
        Self { places }
    }

    /// Where groups that freeze can be made on the running system, the best first.
    pub(super) fn freezer_places_of_this_host() -> Vec<Place> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::freezer_places(&own, &mounts)
    }

    /// The same from the texts of both files. Version 2 first: what it holds can be killed.
    pub(super) fn freezer_places(own: &str, mountinfo: &str) -> Vec<Place> {
        let mounts: Vec<CgroupMount> = mountinfo.lines().filter_map(CgroupMount::parse).collect();
        let unified = own_group_v2(own, &mounts).filter(|(_, group)| writable(group));
        let unified = unified.map(|(_, parent)| Place {
            version: Version::V2,
            parent,
        });
        unified
            .into_iter()
            .chain(place_v1("freezer", own, &mounts))
            .collect()
    }

    /// Where groups with this controller can be made.
    pub fn place(&self, controller: Controller) -> Option<&Place> {
        self.places
            .iter()
            .find(|(name, _)| *name == controller)
            .map(|(_, place)| place)
    }
}

/// A line of mountinfo that mounts a cgroup hierarchy.
struct CgroupMount {
    root: String,
    point: PathBuf,
    version: Version,
    options: String,
}

impl CgroupMount {
    /// proc(5): id parent major:minor root mount-point options [tags] - type source super-options.
    fn parse(line: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let root = mount.next()?.to_owned();
        let point = PathBuf::from(mount.next()?.replace("\\040", " "));
        let mut filesystem = filesystem.split(' ');
        let version = match filesystem.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default().to_owned();
        Some(Self {
            root,
            point,
            version,
            options,
        })
    }

    /// The directory of a cgroup path, if it is visible through this mount.
    fn directory(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        // A path that leaves the cgroup namespace starts with /.. and cannot be reached.
        let inside = !path.contains("/..");
        inside.then(|| self.point.join(below))
    }
}

fn place_v1(controller: &str, own: &str, mounts: &[CgroupMount]) -> Option<Place> {
    let has = |list: &str| list.split(',').any(|name| name == controller);
    let mount = mounts
        .iter()
        .find(|mount| mount.version == Version::V1 && has(&mount.options))?;
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        has(fields.nth(1)?).then(|| fields.next()).flatten()
    })?;
    let parent = mount.directory(path)?;
    writable(&parent).then_some(Place {
        version: Version::V1,
        parent,
    })
}

/// In version 2 a group either holds processes or gives controllers to its children. So the place is the nearest
/// ancestor that is ours to write, passes the controller on or can be made to, and is free of processes or the root.
fn place_v2(controller: Controller, own: &str, mounts: &[CgroupMount]) -> Option<Place> {
    let (mount, start) = own_group_v2(own, mounts)?;
    start
        .ancestors()
        .take_while(|directory| directory.starts_with(&mount.point))
        .find(|directory| writable(directory) && can_delegate(directory, controller.name_v2()))
        .map(|directory| Place {
            version: Version::V2,
            parent: directory.to_owned(),
        })
}

/// This process's group in the hierarchy of version 2.
fn own_group_v2<'a>(own: &str, mounts: &'a [CgroupMount]) -> Option<(&'a CgroupMount, PathBuf)> {
    let mount = mounts.iter().find(|mount| mount.version == Version::V2)?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some((mount, mount.directory(path)?))
}

fn can_delegate(directory: &Path, controller: &str) -> bool {
    let lists = |file: &str| {
        fs::read_to_string(directory.join(file))
            .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
    };
    lists("cgroup.controllers")
        && (lists("cgroup.subtree_control")
            || fs::write(
                directory.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )
            .is_ok())
}

fn writable(directory: &Path) -> bool {
    rustix::fs::access(
        directory,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
    )
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let file = root.join(name);
            fs::create_dir_all(file.parent().expect("has a parent")).expect("made");
            fs::write(file, text).expect("written");
        }
    }

    #[test]
    fn hybrid_prefers_the_hierarchy_that_holds_the_controller() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = temporary.path();
        fs::create_dir_all(root.join("memory/own")).expect("made");
        fs::create_dir_all(root.join("pids")).expect("made");
        fake(
            root,
            &[
                ("unified/cgroup.controllers", "hugetlb"),
                ("unified/cgroup.subtree_control", ""),
            ],
        );
        let mounts = format!(
            "30 25 0:26 / {0}/memory rw - cgroup cgroup rw,memory\n31 25 0:27 / {0}/pids rw - cgroup cgroup rw,pids\n\
             32 25 0:28 / {0}/unified rw - cgroup2 cgroup2 rw\n",
            root.display()
        );
        let layout = Layout::from_texts("4:memory:/own\n8:pids:/\n0::/\n", &mounts);
        assert_eq!(
            layout.place(Controller::Memory),
            Some(&Place {
                version: Version::V1,
                parent: root.join("memory/own")
            })
        );
        assert_eq!(
            layout
                .place(Controller::Pids)
                .map(|place| place.parent.clone()),
            Some(root.join("pids/"))
        );
        assert_eq!(layout.place(Controller::Cpu), None);
    }

    #[test]
    fn version_2_takes_the_nearest_delegated_ancestor() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = temporary.path();
        fake(
            root,
            &[
                ("cgroup.controllers", "cpu memory pids"),
                ("cgroup.subtree_control", "cpu memory pids"),
                ("user/cgroup.controllers", "memory pids"),
                ("user/cgroup.subtree_control", "memory pids"),
                ("user/scope/cgroup.controllers", "memory pids"),
            ],
        );
        let mounts = format!(
            "30 25 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n",
            root.display()
        );
        let layout = Layout::from_texts("0::/user/scope\n", &mounts);
        // A fake directory takes any write, so the scope itself would do; a real one with processes answers EBUSY.
        let memory = layout.place(Controller::Memory).expect("delegated");
        assert!(memory.parent.starts_with(root.join("user")));
        let cpu = layout.place(Controller::Cpu).expect("at the root");
        assert_eq!(cpu.parent, root);
        assert_eq!(cpu.version, Version::V2);
    }

    #[test]
    fn a_path_outside_the_namespace_is_no_place() {
        let mounts = "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert!(
            Layout::from_texts("0::/../../other\n", mounts)
                .place(Controller::Memory)
                .is_none()
        );
    }
}
