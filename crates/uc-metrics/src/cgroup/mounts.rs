//! Which hierarchies of control groups are mounted, and where.

use std::path::{Path, PathBuf};

use crate::kernel_file;

/// Mounts looked at; a host with more has its control groups among the first.
const MOUNTS: usize = 100_000;

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// A line of mountinfo that mounts a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupMount {
    /// The group that is seen at the mount point.
    pub(super) root: String,
    pub(super) point: PathBuf,
    pub(super) version: Version,
    options: String,
}

pub(super) fn parse(mountinfo: &str, root: &Path) -> Vec<CgroupMount> {
    let lines = mountinfo.lines().take(MOUNTS);
    lines
        .filter_map(|line| CgroupMount::parse(line, root))
        .collect()
}

impl CgroupMount {
    /// proc(5): id parent major:minor root mount-point options [tags] - type source super-options.
    fn parse(line: &str, below: &Path) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let version = match filesystem.next()? {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => return None,
        };
        let options = filesystem.nth(1).unwrap_or_default().to_owned();
        let mut mount = mount.split(' ').skip(3);
        let root = unescape(mount.next()?);
        let point = unescape(mount.next()?);
        Some(Self {
            root,
            point: below.join(point.trim_start_matches('/')),
            version,
            options,
        })
    }

    pub(super) fn has_memory_v1(&self) -> bool {
        self.version == Version::V1 && self.options.split(',').any(|name| name == "memory")
    }

    /// On hybrid hosts the controllers are in version 1, and this one is without.
    pub(super) fn has_memory_v2(&self) -> bool {
        self.version == Version::V2
            && kernel_file::read(&self.point.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"))
    }

    /// The directory of a group, if it is visible through this mount.
    pub(super) fn directory(&self, path: &str) -> Option<PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        // Joining nothing would add a slash.
        Some(if below.as_os_str().is_empty() {
            self.point.clone()
        } else {
            self.point.join(below)
        })
    }
}

/// proc(5): blank, tab, line break and backslash are written as three octal digits.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, behind)) = rest.split_once('\\') {
        text.push_str(before);
        let code = behind.get(..3);
        match code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            Some(code) if code.is_ascii() => {
                text.push(char::from(code));
                rest = &behind[3..];
            }
            _ => {
                text.push('\\');
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escaped_blanks_are_restored() {
        let line = r"30 25 0:26 /a\040b /mnt/\134x\0409 rw shared:1 - cgroup2 cgroup2 rw";
        let mounts = parse(line, Path::new("/"));
        assert_eq!(mounts[0].root, "/a b");
        assert_eq!(mounts[0].point, Path::new("/mnt/\\x 9"));
        assert_eq!(unescape(r"\9\04"), r"\9\04");
    }

    #[test]
    fn a_group_outside_of_the_mount_is_nowhere() {
        let line = "30 25 0:26 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        let mounts = parse(line, Path::new("/"));
        let mount = &mounts[0];
        assert!(mount.has_memory_v1());
        assert_eq!(mount.directory("/docker/abcd"), None);
        assert_eq!(
            mount.directory("/docker/abc").as_deref(),
            Some(Path::new("/sys/fs/cgroup/memory"))
        );
        assert_eq!(
            mount.directory("/docker/abc/x").as_deref(),
            Some(Path::new("/sys/fs/cgroup/memory/x"))
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", line in r"[0-9\\/ é-]{0,40} - cgroup2 x y") {
            parse(&text, Path::new("/"));
            parse(&line, Path::new("/"));
        }
    }
}
