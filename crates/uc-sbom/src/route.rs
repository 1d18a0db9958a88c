//! Which files are looked into, and how much of each is needed.

use crate::collector::Want;

/// The reader that a file's path calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    OsRelease,
    Copyright,
    Dpkg,
    Apk,
}

impl Route {
    /// The route of a normalised path, if anything can be found there.
    pub(crate) fn of(path: &str, _size: u64, _declared: bool) -> Option<Self> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match (parent, name) {
            ("etc" | "usr/lib", "os-release") => Some(Self::OsRelease),
            ("var/lib/dpkg", "status") => Some(Self::Dpkg),
            ("var/lib/dpkg/status.d", _) if !name.ends_with(".md5sums") => Some(Self::Dpkg),
            ("lib/apk/db" | "usr/lib/apk/db", "installed") => Some(Self::Apk),
            (_, "copyright") if parent.starts_with("usr/share/doc/") => Some(Self::Copyright),
            _ => None,
        }
    }

    pub(crate) fn want(self) -> Want {
        Want::Whole
    }

    pub(crate) fn is_seekable(self) -> bool {
        false
    }

    /// What is wanted after the first bytes; `None` where they are all that the reader needs.
    pub(crate) fn after_head(self, _head: &[u8], _size: u64) -> Option<Want> {
        None
    }

    /// The largest file that is looked into, in bytes.
    pub(crate) fn size_limit(self) -> u64 {
        match self {
            Self::OsRelease => 64 << 10,
            Self::Copyright => 4 << 20,
            Self::Dpkg | Self::Apk => 64 << 20,
        }
    }
}
