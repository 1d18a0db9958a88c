//! Reading directories of the host into a tree, below a directory that nothing leads out of.

use std::{
    collections::HashMap,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use uc_model::{Problem, ProblemKind, Result};

use super::{
    format::device_number,
    tree::{Content, Kind, Node, NodeId, Owner, ROOT, Tree},
    xattrs::{self, Xattrs},
};

/// The mark of a directory that hides what lay below it; value `y`.
const OPAQUE: &str = "user.overlay.opaque";
/// Bytes for a list of attributes, and for a value: the kernel's own bounds.
const XATTR_BYTES: usize = 64 << 10;

/// A user or group, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    /// A user's id.
    User(u32),
    /// A group's id.
    Group(u32),
}

/// What a directory is, which decides what its files mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A layer, with whiteouts.
    Layer,
    /// A directory like any other.
    Host,
}

/// Lays a directory of the host on one of the tree.
pub(super) fn stack(
    tree: &mut Tree,
    onto: NodeId,
    directory: &Path,
    origin: Origin,
    ids: &dyn Fn(Id) -> u32,
) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(directory, flags, Mode::empty())
        .map_err(|errno| unreadable(errno).at(directory.display()))?;
    tree.roots.push(root);
    let root = tree.roots.len() - 1;
    let mut scan = Scan {
        tree,
        root,
        origin,
        ids,
        links: HashMap::new(),
        buffer: vec![0; XATTR_BYTES],
    };
    scan.run(onto)
        .map_err(|problem| problem.within(directory.display()))
}

/// Copies a file or directory of the host to a path of the tree.
pub(super) fn copy(
    tree: &mut Tree,
    path: &str,
    host: &Path,
    ids: &dyn Fn(Id) -> u32,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ProblemKind::NotFound,
            _ => ProblemKind::Invalid,
        };
        Problem::new(kind, "cannot read a file of the host")
            .at(host.display())
            .caused_by(error)
    };
    let real = std::fs::canonicalize(host).map_err(failed)?;
    if std::fs::metadata(&real).map_err(failed)?.is_dir() {
        let onto = match path.trim_matches('/') {
            "" => ROOT,
            path => tree.place(path, Node::empty_directory())?,
        };
        return stack(tree, onto, &real, Origin::Host, ids);
    }
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(Problem::invalid("not a file").at(host.display()));
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = fs::open(parent, flags, Mode::empty())
        .map_err(|errno| unreadable(errno).at(host.display()))?;
    let name = name.as_encoded_bytes().to_vec();
    let number = tree.roots.len();
    let mut scan = Scan {
        tree,
        root: number,
        origin: Origin::Host,
        ids,
        links: HashMap::new(),
        buffer: vec![0; XATTR_BYTES],
    };
    let node = fs::statat(&parent, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(unreadable)
        .and_then(|stat| scan.node(&parent, &name, &name, &stat))
        .map_err(|problem| problem.within(host.display()))?;
    tree.roots.push(parent);
    tree.place(path, node).map(|_| ())
}

struct Scan<'a> {
    tree: &'a mut Tree,
    /// The number of the root among the tree's.
    root: usize,
    origin: Origin,
    ids: &'a dyn Fn(Id) -> u32,
    /// Files with several names, by device and inode.
    links: HashMap<(u64, u64), NodeId>,
    buffer: Vec<u8>,
}

impl Scan<'_> {
    /// Walks the directory. Paths are resolved anew from its root each time, so that depth costs no open files; their
    /// length, 4096 bytes, bounds depth.
    fn run(&mut self, onto: NodeId) -> Result<()> {
        let mut pending = vec![(b".".to_vec(), onto)];
        while let Some((path, id)) = pending.pop() {
            self.directory(&path, id, &mut pending)
                .map_err(|problem| problem.within(String::from_utf8_lossy(&path)))?;
        }
        Ok(())
    }

    fn directory(
        &mut self,
        path: &[u8],
        id: NodeId,
        pending: &mut Vec<(Vec<u8>, NodeId)>,
    ) -> Result<()> {
        let directory =
            open_below(&self.tree.roots[self.root], path, OFlags::DIRECTORY).map_err(unreadable)?;
        let stat = fs::fstat(&directory).map_err(unreadable)?;
        let own_path = format!("/proc/self/fd/{}/.", directory.as_raw_fd());
        let (xattrs, opaque) = self.xattrs(own_path.as_bytes())?;
        let attributes = self.attributes(&stat, xattrs);
        let node = self.tree.node_mut(id);
        let children = match (&mut node.kind, opaque && self.origin == Origin::Layer) {
            (Kind::Directory(children), false) => std::mem::take(children),
            _ => Default::default(),
        };
        *node = Node {
            kind: Kind::Directory(children),
            ..attributes
        };
        for entry in Dir::read_from(&directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let mut below = path.to_vec();
            below.push(b'/');
            below.extend_from_slice(name);
            if let Some(next) = self
                .entry(&directory, name, &below, id)
                .map_err(|problem| problem.within(String::from_utf8_lossy(name)))?
            {
                pending.push((below, next));
            }
        }
        Ok(())
    }

    /// Takes one name into the tree; the node is returned if it is a directory, still to be read.
    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        parent: NodeId,
    ) -> Result<Option<NodeId>> {
        let stat = fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unreadable)?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if self.origin == Origin::Layer
            && file_type == FileType::CharacterDevice
            && stat.st_rdev == 0
        {
            self.tree.unlink(parent, name);
            return Ok(None);
        }
        if file_type == FileType::Directory {
            let below = self
                .tree
                .children(parent)
                .and_then(|names| names.get(name).copied());
            let id = match below.filter(|id| self.tree.children(*id).is_some()) {
                Some(id) => id,
                None => {
                    let id = self.tree.add(Node::empty_directory())?;
                    self.tree.link(parent, name, id)?;
                    id
                }
            };
            return Ok(Some(id));
        }
        let key = (stat.st_dev, stat.st_ino);
        let id = match self.links.get(&key) {
            Some(id) => *id,
            None => {
                let node = self.node(directory, name, path, &stat)?;
                let id = self.tree.add(node)?;
                if stat.st_nlink > 1 {
                    self.links.insert(key, id);
                }
                id
            }
        };
        self.tree.link(parent, name, id)?;
        Ok(None)
    }

    /// A node for anything but a directory.
    fn node(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<Node> {
        let device = || {
            if self.origin == Origin::Host {
                return Err(Problem::refused(
                    "a device of the host is not copied into an image",
                ));
            }
            Ok(device_number(
                fs::major(stat.st_rdev),
                fs::minor(stat.st_rdev),
            ))
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File(Content::Host {
                root: self.root,
                path: path.to_vec(),
                size: u64::try_from(stat.st_size).unwrap_or_default(),
            }),
            FileType::Symlink => {
                let target = fs::readlinkat(directory, name, Vec::new()).map_err(unreadable)?;
                Kind::Symlink(target.into_bytes())
            }
            FileType::CharacterDevice => Kind::CharacterDevice(device()?),
            FileType::BlockDevice => Kind::BlockDevice(device()?),
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            other => {
                return Err(Problem::invalid("a file of a kind that no image can hold")
                    .found(format!("{other:?}")));
            }
        };
        let xattrs = match kind {
            Kind::File(_) => {
                let mut place = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
                place.extend_from_slice(name);
                self.xattrs(&place)?.0
            }
            // The kernel allows none of those that are kept.
            _ => Xattrs::new(),
        };
        Ok(Node {
            kind,
            ..self.attributes(stat, xattrs)
        })
    }

    fn attributes(&self, stat: &Stat, xattrs: Xattrs) -> Node {
        Node {
            permissions: (stat.st_mode & 0o7777) as u16,
            owner: Owner {
                uid: (self.ids)(Id::User(stat.st_uid)),
                gid: (self.ids)(Id::Group(stat.st_gid)),
            },
            mtime: (
                stat.st_mtime,
                u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            ),
            xattrs,
            ..Node::empty_directory()
        }
    }

    /// The attributes that are kept, sorted, and whether overlayfs would call it opaque. `path` leads through a
    /// descriptor, as attributes have no calls that take a directory and a name.
    fn xattrs(&mut self, path: &[u8]) -> Result<(Xattrs, bool)> {
        let length = match fs::llistxattr(path, &mut self.buffer[..]) {
            Ok(length) => length,
            Err(Errno::NOTSUP) => 0,
            Err(errno) => return Err(unreadable(errno)),
        };
        let names: Vec<Vec<u8>> = self.buffer[..length]
            .split(|byte| *byte == 0)
            .filter(|name| xattrs::is_kept(name) || *name == OPAQUE.as_bytes())
            .map(<[u8]>::to_vec)
            .collect();
        let mut kept = Xattrs::new();
        let mut opaque = false;
        for name in names {
            let length =
                fs::lgetxattr(path, name.as_slice(), &mut self.buffer[..]).map_err(unreadable)?;
            let value = &self.buffer[..length];
            if name == OPAQUE.as_bytes() {
                opaque = value == b"y";
            } else {
                kept.push((name, value.to_vec()));
            }
        }
        kept.sort();
        xattrs::check(&kept)?;
        Ok((kept, opaque))
    }
}

/// Opens a file below a directory, through no symbolic link.
pub(super) fn open_below(
    root: &OwnedFd,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    rustix::io::retry_on_intr(|| {
        fs::openat2(
            root,
            path,
            flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        )
    })
}

pub(super) fn unreadable(errno: Errno) -> Problem {
    let problem = match errno {
        Errno::ACCESS | Errno::PERM => {
            Problem::refused("this user may not read a file of the image")
                .remedy("run uc as root, or as a user with subordinate ids")
        }
        Errno::NOENT => Problem::not_found("a file of the image is missing"),
        _ => Problem::invalid("cannot read a file of the image"),
    };
    problem.caused_by(std::io::Error::from(errno))
}
