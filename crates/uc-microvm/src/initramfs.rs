//! The first files of a guest: a cpio archive of the form "newc", which the kernel unpacks into its memory
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;

use uc_model::{Problem, Result};

const MAGIC: &[u8] = b"070701";
const TRAILER: &str = "TRAILER!!!";
const DIRECTORY: u32 = libc::S_IFDIR;
const FILE: u32 = libc::S_IFREG;
const LINK: u32 = libc::S_IFLNK;
const CHARACTER_DEVICE: u32 = libc::S_IFCHR;

/// An archive that is being put together. Its bytes depend on what it holds alone: no times, no order of adding.
///
/// Paths count from the root, with or without a leading slash. Directories that nobody added come with mode 0755. What is
/// added under a path that is taken replaces it.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// Sorted by path: a directory's path is a prefix of what is in it, so parents come first.
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    device: (u32, u32),
    bytes: Vec<u8>,
}

impl Archive {
    /// An archive without entries.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a directory; `mode` is its permissions.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.add(path, DIRECTORY, mode, (0, 0), Vec::new());
    }

    /// Adds a file with these bytes, of which there may be 4 GiB less one.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.add(path, FILE, mode, (0, 0), bytes.into());
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, LINK, 0o777, (0, 0), target.into());
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.add(path, CHARACTER_DEVICE, mode, (major, minor), Vec::new());
    }

    /// Gives what is under a path to a user and a group.
    pub(crate) fn give(&mut self, path: &str, uid: u32, gid: u32) {
        if let Some(entry) = self.entries.get_mut(path.trim_matches('/')) {
            entry.owner = (uid, gid);
        }
    }

    fn add(&mut self, path: &str, kind: u32, mode: u32, device: (u32, u32), bytes: Vec<u8>) {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entries
                .entry(path[..end].to_owned())
                .or_insert_with(|| Entry {
                    mode: DIRECTORY | 0o755,
                    owner: (0, 0),
                    device: (0, 0),
                    bytes: Vec::new(),
                });
        }
        let mode = kind | (mode & 0o7777);
        let entry = Entry {
            mode,
            owner: (0, 0),
            device,
            bytes,
        };
        self.entries.insert(path.to_owned(), entry);
    }

    /// The bytes of the archive.
    ///
    /// # Errors
    /// Refused where a file is larger than the format can say.
    pub(crate) fn finish(&self) -> Result<Vec<u8>> {
        let data: usize = self.entries.values().map(|entry| entry.bytes.len()).sum();
        let mut out = Vec::with_capacity(data + (self.entries.len() + 1) * 256);
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            entry.write(number, path, &mut out)?;
        }
        let trailer = Entry {
            owner: (0, 0),
            mode: 0,
            device: (0, 0),
            bytes: Vec::new(),
        };
        trailer.write(0, TRAILER, &mut out)?;
        Ok(out)
    }
}

impl Entry {
    /// Header, name and bytes, each padded to four bytes.
    fn write(&self, number: u32, path: &str, out: &mut Vec<u8>) -> Result<()> {
        let too_large = || {
            Problem::refused("a file of the guest's first file system is too large")
                .at(path)
                .limit("less than 4 GiB")
                .found(format!("{} bytes", self.bytes.len()))
        };
        let size = u32::try_from(self.bytes.len()).map_err(|_| too_large())?;
        let name_size = u32::try_from(path.len() + 1).map_err(|_| too_large())?;
        let links = if self.mode & libc::S_IFMT == DIRECTORY {
            2
        } else {
            1
        };
        let (major, minor) = self.device;
        let (uid, gid) = self.owner;
        // Inode, mode, owner, group, links, time, size, device, special device, length of the name, checksum (not used).
        let fields = [
            number, self.mode, uid, gid, links, 0, size, 0, 0, major, minor, name_size, 0,
        ];
        out.extend_from_slice(MAGIC);
        for field in fields {
            out.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        out.extend_from_slice(path.as_bytes());
        out.push(0);
        pad(out);
        out.extend_from_slice(&self.bytes);
        pad(out);
        Ok(())
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::new();
        archive.file("/lib/modules/a.ko", 0o644, b"abc".as_slice());
        archive.file("init", 0o755, vec![7; 4097]);
        archive.device("dev/console", 0o600, 5, 1);
        archive.symlink("bin", "usr/bin");
        archive.directory("proc", 0o555);
        archive
    }

    #[test]
    fn bytes_do_not_depend_on_the_order_of_adding() {
        let mut other = Archive::new();
        other.directory("proc", 0o555);
        other.symlink("bin", "usr/bin");
        other.device("/dev/console", 0o600, 5, 1);
        other.file("init", 0o755, vec![7; 4097]);
        other.file("lib/modules/a.ko", 0o644, b"abc".as_slice());
        let bytes = sample().finish().expect("fits");
        assert_eq!(bytes, other.finish().expect("fits"));
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.starts_with(b"070701"));
    }

    #[test]
    fn the_cpio_program_lists_it_with_parents_first() {
        let child = Command::new("cpio")
            .args(["--list", "--verbose", "--quiet", "--numeric-uid-gid"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: no cpio program");
            return;
        };
        let bytes = sample().finish().expect("fits");
        let mut input = child.stdin.take().expect("piped");
        input.write_all(&bytes).expect("written");
        drop(input);
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let names: Vec<&str> = lines
            .iter()
            .map(|line| match line.iter().position(|part| *part == "->") {
                Some(arrow) => line[arrow - 1],
                None => line[line.len() - 1],
            })
            .collect();
        assert_eq!(
            names,
            [
                "bin",
                "dev",
                "dev/console",
                "init",
                "lib",
                "lib/modules",
                "lib/modules/a.ko",
                "proc"
            ]
        );
        let modes: Vec<&str> = lines.iter().map(|line| line[0]).collect();
        assert_eq!(
            modes,
            [
                "lrwxrwxrwx",
                "drwxr-xr-x",
                "crw-------",
                "-rwxr-xr-x",
                "drwxr-xr-x",
                "drwxr-xr-x",
                "-rw-r--r--",
                "dr-xr-xr-x"
            ]
        );
        assert_eq!(lines[3][4], "4097");
        assert_eq!(&lines[2][4..6], ["5,", "1"]);
    }
}
