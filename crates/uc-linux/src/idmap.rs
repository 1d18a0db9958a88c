//! Which host ids stand behind the ids of a container (mission M3.1: the host UID is never 0).

use std::fs;

use uc_model::{Problem, Result};

/// Ids a container gets when the host grants a whole range.
const RANGE: u32 = 65_536;

/// First host id of the range used when root has no entry in /etc/subuid: just above the ids systemd sets aside for
/// containers (524288-1879048191, systemd's "Users, Groups, UIDs and GIDs"), so that nobody else is given it.
const ROOT_RANGE_START: u32 = 1_879_048_192;

/// A run of consecutive ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First id in the container.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// How the kernel is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapWriter {
    /// Root writes the map files itself.
    Direct,
    /// `newuidmap` and `newgidmap` write them, bounded by /etc/subuid and /etc/subgid.
    Helper,
    /// The caller's own id is all there is; supplementary groups cannot be set.
    OwnIdOnly,
}

/// User and group ids of a container and what they are on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMapping {
    /// User ids.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
    /// How the map is written.
    pub writer: MapWriter,
}

impl IdMapping {
    /// The mapping for whoever runs this process: for root a range of its own that leaves root out, for others
    /// their own id as 0 and their subordinate ids above it, and only their own id where none are granted.
    pub fn for_caller() -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        if uid == 0 {
            return Self::for_root();
        }
        let name = user_name(uid);
        let sub_uids = subordinate("/etc/subuid", name.as_deref(), uid);
        let sub_gids = subordinate("/etc/subgid", name.as_deref(), uid);
        match (sub_uids, sub_gids) {
            (Some(sub_uids), Some(sub_gids)) if helpers_installed() => Ok(Self {
                uids: own_id_then(uid, sub_uids),
                gids: own_id_then(gid, sub_gids),
                writer: MapWriter::Helper,
            }),
            _ => Ok(Self {
                uids: vec![Extent {
                    inside: 0,
                    outside: uid,
                    count: 1,
                }],
                gids: vec![Extent {
                    inside: 0,
                    outside: gid,
                    count: 1,
                }],
                writer: MapWriter::OwnIdOnly,
            }),
        }
    }

    fn for_root() -> Result<Self> {
        let range = |file: &str, map: &str| -> Result<Vec<Extent>> {
            let (outside, count) = subordinate(file, Some("root"), 0)
                .or_else(|| free_range_in(&fs::read_to_string(map).unwrap_or_default()))
                .ok_or_else(|| {
                    Problem::host("this root user has no ids to give to a container")
                        .at(map)
                        .limit("at least one id besides 0")
                        .remedy(format!("add a line root:100000:65536 to {file}"))
                })?;
            Ok(vec![Extent {
                inside: 0,
                outside,
                count: count.min(RANGE),
            }])
        };
        Ok(Self {
            uids: range("/etc/subuid", "/proc/self/uid_map")?,
            gids: range("/etc/subgid", "/proc/self/gid_map")?,
            writer: MapWriter::Direct,
        })
    }

    /// The host's user id behind a user id of the container.
    pub fn host_uid(&self, inside: u32) -> Option<u32> {
        outside(&self.uids, inside)
    }

    /// The host's group id behind a group id of the container.
    pub fn host_gid(&self, inside: u32) -> Option<u32> {
        outside(&self.gids, inside)
    }

    /// The highest id up to which the container has every user and every group.
    pub fn highest_id(&self) -> Option<u32> {
        highest(&self.uids)?.min(highest(&self.gids)?).into()
    }

    /// Whether files of an image must all belong to one id.
    pub fn is_own_id_only(&self) -> bool {
        self.writer == MapWriter::OwnIdOnly
    }

    /// A name for this mapping, for caches of files whose owners depend on it.
    pub fn key(&self) -> String {
        let part = |extents: &[Extent]| {
            let parts: Vec<String> = extents
                .iter()
                .map(|extent| format!("{}.{}", extent.outside, extent.count))
                .collect();
            parts.join("+")
        };
        format!("u{}-g{}", part(&self.uids), part(&self.gids))
    }

    /// The text of a `uid_map` or `gid_map` file.
    pub fn map_text(extents: &[Extent]) -> String {
        use std::fmt::Write as _;
        extents.iter().fold(String::new(), |mut text, extent| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{} {} {}",
                extent.inside, extent.outside, extent.count
            );
            text
        })
    }

    /// Checks that the container can have this user, and says what to do if it cannot.
    pub fn require(&self, uid: u32, gid: u32) -> Result<()> {
        if self.host_uid(uid).is_some() && self.host_gid(gid).is_some() {
            return Ok(());
        }
        let problem = Problem::host("no host id is set aside for this user of the container")
            .found(format!("uid {uid}, gid {gid}"))
            .limit(format!(
                "{} user ids from 0",
                self.uids.iter().map(|e| u64::from(e.count)).sum::<u64>()
            ));
        Err(if self.is_own_id_only() {
            problem.remedy(
                "give yourself a range: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER, \
                 and install newuidmap (Debian, Ubuntu: apt install uidmap)",
            )
        } else {
            problem.remedy("choose a smaller runAsUser and runAsGroup")
        })
    }
}

impl IdMapping {
    /// Checks that the container's processes can be in these groups.
    pub fn require_groups(&self, groups: &[u32]) -> Result<()> {
        let foreign = |group: &&u32| self.host_gid(**group).is_none();
        match groups.iter().find(foreign) {
            None => Ok(()),
            Some(group) => self
                .require(0, *group)
                .map_err(|problem| problem.within("supplementalGroups and fsGroup")),
        }
    }
}

fn outside(extents: &[Extent], inside: u32) -> Option<u32> {
    extents.iter().find_map(|extent| {
        let offset = inside.checked_sub(extent.inside)?;
        (offset < extent.count).then_some(extent.outside + offset)
    })
}

/// The end of the unbroken run of ids that begins with 0; extents may join and come in any order.
fn highest(extents: &[Extent]) -> Option<u32> {
    let mut end = None;
    while let Some(extent) = extents
        .iter()
        .find(|extent| extent.count > 0 && extent.inside == end.map_or(0, |end: u32| end + 1))
    {
        end = Some(extent.inside.checked_add(extent.count - 1)?);
        if end == Some(u32::MAX) {
            break;
        }
    }
    end
}

fn own_id_then(own: u32, (start, count): (u32, u32)) -> Vec<Extent> {
    vec![
        Extent {
            inside: 0,
            outside: own,
            count: 1,
        },
        Extent {
            inside: 1,
            outside: start,
            count: count.min(RANGE),
        },
    ]
}

/// The user's name in /etc/passwd.
fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The largest range a file such as /etc/subuid grants to a user, by name or number, as start and count.
fn subordinate(file: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    let text = fs::read_to_string(file).ok()?;
    largest_range(&text, name, uid)
}

fn largest_range(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    let number = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let start: u32 = fields.next()?.parse().ok()?;
            let count: u32 = fields.next()?.parse().ok()?;
            let ours = Some(owner) == name || owner == number;
            // Root (0) and the overflow end of the range must never be granted.
            (ours && start > 0 && count > 0 && start.checked_add(count).is_some())
                .then_some((start, count))
        })
        .max_by_key(|&(_, count)| count)
}

/// A range for root's containers out of the ids that exist in the namespace root runs in.
fn free_range_in(map: &str) -> Option<(u32, u32)> {
    let extents: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?))
        })
        .collect();
    let covers_default = extents.iter().any(|&(start, count)| {
        start <= ROOT_RANGE_START
            && u64::from(start) + u64::from(count) >= u64::from(ROOT_RANGE_START) + u64::from(RANGE)
    });
    if covers_default {
        return Some((ROOT_RANGE_START, RANGE));
    }
    extents
        .into_iter()
        .filter_map(|(start, count)| {
            let first = start.max(1);
            let end = u64::from(start) + u64::from(count);
            let usable = u32::try_from(end.saturating_sub(u64::from(first))).ok()?;
            (usable > 0).then_some((first, usable))
        })
        .max_by_key(|&(_, count)| count)
}

fn helpers_installed() -> bool {
    find_program("newuidmap").is_some() && find_program("newgidmap").is_some()
}

/// A program on PATH.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_never_appears_outside() {
        let mapping = IdMapping::for_caller().expect("this host has ids");
        if rustix::process::geteuid().is_root() {
            assert!(
                mapping.uids.iter().all(|extent| extent.outside > 0),
                "{mapping:?}"
            );
        }
        assert_ne!(mapping.host_uid(0), Some(0));
    }

    #[test]
    fn subordinate_ranges_go_by_name_or_number_and_never_contain_root() {
        let text = "alice:100000:65536\n1000:300000:131072\nroot:0:65536\nbob:oops:1\n";
        assert_eq!(
            largest_range(text, Some("alice"), 1000),
            Some((300_000, 131_072))
        );
        assert_eq!(
            largest_range(text, Some("alice"), 7),
            Some((100_000, 65_536))
        );
        assert_eq!(largest_range(text, Some("root"), 0), None);
        assert_eq!(largest_range(text, Some("bob"), 8), None);
    }

    #[test]
    fn root_in_a_small_namespace_takes_what_is_there_but_not_zero() {
        assert_eq!(
            free_range_in("         0          0 4294967295\n"),
            Some((ROOT_RANGE_START, RANGE))
        );
        assert_eq!(free_range_in("0 100000 65536\n"), Some((1, 65_535)));
        assert_eq!(free_range_in("0 1000 1\n"), None);
    }

    #[test]
    fn the_highest_id_is_where_the_unbroken_run_of_both_maps_ends() {
        let of = |uids: &[(u32, u32)], gids: &[(u32, u32)]| {
            let extents = |runs: &[(u32, u32)]| {
                let extent = |&(inside, count)| Extent {
                    inside,
                    outside: 100_000 + inside,
                    count,
                };
                runs.iter().map(extent).collect()
            };
            let mapping = IdMapping {
                uids: extents(uids),
                gids: extents(gids),
                writer: MapWriter::Helper,
            };
            mapping.highest_id()
        };
        let own_then_range = [(0, 1), (1, 65_536)];
        assert_eq!(of(&own_then_range, &own_then_range), Some(65_536));
        assert_eq!(of(&own_then_range, &[(0, 1), (1, 100)]), Some(100));
        assert_eq!(of(&[(1, 9), (0, 1)], &[(0, 65_536)]), Some(9));
        assert_eq!(of(&[(0, 1), (5, 9)], &[(0, 65_536)]), Some(0));
        assert_eq!(of(&[(0, u32::MAX)], &[(0, u32::MAX)]), Some(u32::MAX - 1));
        assert_eq!(of(&[(1, 9)], &[(0, 9)]), None);
    }

    #[test]
    fn ids_map_through_several_extents() {
        let mapping = IdMapping {
            uids: own_id_then(1000, (100_000, 65_536)),
            gids: own_id_then(1000, (100_000, 65_536)),
            writer: MapWriter::Helper,
        };
        assert_eq!(mapping.host_uid(0), Some(1000));
        assert_eq!(mapping.host_uid(1), Some(100_000));
        assert_eq!(mapping.host_uid(65_536), Some(165_535));
        assert_eq!(mapping.host_uid(65_537), None);
        assert!(mapping.require(70_000, 0).is_err());
        assert_eq!(
            IdMapping::map_text(&mapping.uids),
            "0 1000 1\n1 100000 65536\n"
        );
    }
}
