//! The tree of files that an image will hold.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path};

use uc_model::{Problem, Result};

use super::{
    dirents::FileType,
    scan::{self, Id, Origin},
    xattrs::Xattrs,
};

/// Most inodes of a tree.
const INODES: usize = 2_000_000;
/// Most bytes of a name.
const NAME_BYTES: usize = 255;

/// Files and directories, put together piece by piece; what comes later replaces what was there.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Inodes; some may have lost their last name. The root is the first.
    nodes: Vec<Node>,
    /// Directories of the host that files are read from when the image is written.
    pub(super) roots: Vec<OwnedFd>,
}

/// The number of a node in its tree.
pub(super) type NodeId = usize;

/// The root's number.
pub(super) const ROOT: NodeId = 0;

/// Who owns a file in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Owner {
    /// The user's id.
    pub(crate) uid: u32,
    /// The group's id.
    pub(crate) gid: u32,
}

/// An inode to be.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Permissions, with set-id and sticky bits.
    pub(super) permissions: u16,
    pub(super) owner: Owner,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: Xattrs,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory(BTreeMap<Vec<u8>, NodeId>),
    File(Content),
    Symlink(Vec<u8>),
    CharacterDevice(u32),
    BlockDevice(u32),
    Fifo,
    Socket,
}

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file of the host, by its path below one of the roots.
    Host {
        root: usize,
        path: Vec<u8>,
        size: u64,
    },
}

impl Kind {
    pub(super) fn file_type(&self) -> FileType {
        match self {
            Self::Directory(_) => FileType::Directory,
            Self::File(_) => FileType::Regular,
            Self::Symlink(_) => FileType::Symlink,
            Self::CharacterDevice(_) => FileType::CharacterDevice,
            Self::BlockDevice(_) => FileType::BlockDevice,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }

    /// The bits of `st_mode` that say what it is.
    pub(super) fn mode_bits(&self) -> u16 {
        let bits = match self {
            Self::Directory(_) => libc::S_IFDIR,
            Self::File(_) => libc::S_IFREG,
            Self::Symlink(_) => libc::S_IFLNK,
            Self::CharacterDevice(_) => libc::S_IFCHR,
            Self::BlockDevice(_) => libc::S_IFBLK,
            Self::Fifo => libc::S_IFIFO,
            Self::Socket => libc::S_IFSOCK,
        };
        bits as u16
    }
}

impl Node {
    /// A directory of root's without entries, as it is made where nobody says how.
    pub(super) fn empty_directory() -> Self {
        Self::own(Kind::Directory(BTreeMap::new()), 0o755)
    }

    fn own(kind: Kind, permissions: u16) -> Self {
        Self {
            kind,
            permissions: permissions & 0o7777,
            owner: Owner::default(),
            mtime: (0, 0),
            xattrs: Xattrs::new(),
        }
    }
}

impl Tree {
    /// A tree of one empty directory, which is root's.
    pub(crate) fn new() -> Self {
        Self {
            nodes: vec![Node::empty_directory()],
            roots: Vec::new(),
        }
    }

    /// Lays an unpacked layer of an image on what is there, as overlayfs does with `userxattr`: character devices 0:0
    /// take names away, directories with `user.overlay.opaque=y` hide what lay below.
    ///
    /// # Errors
    /// Invalid where the layer cannot be read, refused beyond a limit.
    pub(crate) fn stack_layer(&mut self, layer: &Path, ids: &dyn Fn(Id) -> u32) -> Result<()> {
        scan::stack(self, ROOT, layer, Origin::Layer, ids)
    }

    /// Adds a file or directory of the host under a path. The last part of `host` may be a symbolic link; links further
    /// down stay links and are not followed. Device files are refused.
    ///
    /// # Errors
    /// As for [`Tree::stack_layer`]; not found where there is nothing.
    pub(crate) fn copy(&mut self, path: &str, host: &Path, ids: &dyn Fn(Id) -> u32) -> Result<()> {
        scan::copy(self, path, host, ids)
    }

    /// Adds a directory, or changes the one that is there.
    ///
    /// # Errors
    /// Invalid where the path is none or leads through something other than directories.
    pub(crate) fn directory(&mut self, path: &str, permissions: u16, owner: Owner) -> Result<()> {
        let id = self.make_directories(path)?;
        let node = &mut self.nodes[id];
        node.permissions = permissions & 0o7777;
        node.owner = owner;
        Ok(())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As for [`Tree::directory`].
    pub(crate) fn file(
        &mut self,
        path: &str,
        permissions: u16,
        owner: Owner,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<()> {
        let mut node = Node::own(Kind::File(Content::Bytes(bytes.into())), permissions);
        node.owner = owner;
        self.place(path, node).map(|_| ())
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As for [`Tree::directory`].
    pub(crate) fn symlink(&mut self, path: &str, target: &str, owner: Owner) -> Result<()> {
        let mut node = Node::own(Kind::Symlink(target.into()), 0o777);
        node.owner = owner;
        self.place(path, node).map(|_| ())
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    /// How many inodes there are, nameless ones included.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The names in a directory; none in anything else.
    pub(super) fn children(&self, id: NodeId) -> Option<&BTreeMap<Vec<u8>, NodeId>> {
        match &self.nodes[id].kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, node: Node) -> Result<NodeId> {
        if self.nodes.len() >= INODES {
            return Err(Problem::refused("the image would have too many files").limit(INODES));
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    /// Gives a node a name, in place of what had it.
    pub(super) fn link(&mut self, parent: NodeId, name: &[u8], id: NodeId) -> Result<()> {
        if name.is_empty() || name.len() > NAME_BYTES || name.contains(&0) {
            return Err(Problem::invalid("not a name for a file")
                .limit(format!("1 to {NAME_BYTES} bytes"))
                .found(String::from_utf8_lossy(name)));
        }
        match &mut self.nodes[parent].kind {
            Kind::Directory(children) => {
                children.insert(name.to_vec(), id);
                Ok(())
            }
            _ => Err(Problem::invalid(
                "the path leads through something that is no directory",
            )),
        }
    }

    /// Takes a name away.
    pub(super) fn unlink(&mut self, parent: NodeId, name: &[u8]) {
        if let Kind::Directory(children) = &mut self.nodes[parent].kind {
            children.remove(name);
        }
    }

    /// Adds a node under a path, with the directories that lead there.
    pub(super) fn place(&mut self, path: &str, node: Node) -> Result<NodeId> {
        let (parent, name) = path
            .trim_matches('/')
            .rsplit_once('/')
            .unwrap_or(("", path.trim_matches('/')));
        let parent = self.make_directories(parent)?;
        let id = self.add(node)?;
        self.link(parent, name.as_bytes(), id)
            .map_err(|problem| problem.within(path))?;
        Ok(id)
    }

    /// The directory of a path, made where it is missing.
    pub(super) fn make_directories(&mut self, path: &str) -> Result<NodeId> {
        let mut here = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let next = self
                .children(here)
                .and_then(|children| children.get(name.as_bytes()));
            here = match next {
                Some(next) => *next,
                None if name == "." || name == ".." => {
                    return Err(Problem::invalid("a path in an image must not go back").at(path));
                }
                None => {
                    let made = self.add(Node::empty_directory())?;
                    self.link(here, name.as_bytes(), made)
                        .map_err(|problem| problem.within(path))?;
                    made
                }
            };
        }
        match self.children(here) {
            Some(_) => Ok(here),
            None => Err(
                Problem::invalid("the path leads through something that is no directory").at(path),
            ),
        }
    }
}
