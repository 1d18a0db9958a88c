//! From single calls to a footprint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use uc_select::{Architecture, Footprint, Method, syscall_name, variant};

use crate::{deeds::Deeds, listener::Call, tracee::Memory};

/// Puts calls together.
pub(crate) struct Recorder {
    pub(crate) footprint: Footprint,
    pub(crate) deeds: Deeds,
    /// Calls made in another convention than the processor's own, by its name.
    foreign: BTreeMap<&'static str, u64>,
}

/// A call that has been looked at.
pub(crate) enum Examined {
    Known(&'static str, Option<String>),
    /// One that this release has no name for.
    Unknown(u32),
    /// One of another convention, by that one's name.
    Foreign(&'static str),
}

/// The numbers that the kernel gives to conventions of system calls (`AUDIT_ARCH_…`).
const X86_64: u32 = 0xc000_003e;
const AARCH64: u32 = 0xc000_00b7;
const I386: u32 = 0x4000_0003;
const ARM: u32 = 0x4000_0028;
/// The bit of x32's numbers.
const X32: u32 = 0x4000_0000;

/// Where a call has a path that it changes: the argument of the directory's descriptor, if it takes one, and of the path.
type Place = (Option<usize>, usize);

impl Recorder {
    pub(crate) fn new(architecture: Architecture) -> Self {
        Self {
            footprint: Footprint::new(architecture, Method::Traced),
            deeds: Deeds::default(),
            foreign: BTreeMap::new(),
        }
    }

    /// Looks at a call, whose thread must still wait in it while this runs.
    pub(crate) fn examine(&mut self, call: &Call, memory: &impl Memory) -> Examined {
        if let Some(convention) = self.foreign(call) {
            return Examined::Foreign(convention);
        }
        match syscall_name(self.footprint.architecture, call.number.into()) {
            Some(name) => Examined::Known(name, self.variant(name, &call.arguments, memory)),
            None => Examined::Unknown(call.number),
        }
    }

    /// Counts a call that goes on.
    pub(crate) fn count(&mut self, call: Examined) {
        match call {
            Examined::Known(name, variant) => self.footprint.add(name, variant),
            Examined::Unknown(number) => self.footprint.add(&format!("syscall_{number}"), None),
            Examined::Foreign(convention) => *self.foreign.entry(convention).or_default() += 1,
        }
    }

    fn foreign(&self, call: &Call) -> Option<&'static str> {
        match (self.footprint.architecture, call.convention) {
            (Architecture::X86_64, X86_64) if call.number & X32 != 0 && call.number != u32::MAX => {
                Some("x32")
            }
            (Architecture::X86_64, X86_64) | (Architecture::Aarch64, AARCH64) => None,
            (_, I386) => Some("32-bit x86"),
            (_, ARM) => Some("32-bit Arm"),
            _ => Some("unknown"),
        }
    }

    /// What decides in a call's arguments and in what they point to; notes deeds on the way.
    fn variant(&mut self, name: &str, of: &[u64; 6], memory: &impl Memory) -> Option<String> {
        let architecture = self.footprint.architecture;
        let by_flags = |call, arguments: &[u64; 6]| variant(architecture, call, arguments);
        let [first, second, third, ..] = *of;
        match name {
            "open" => {
                let opened = self.opened((None, 0), second, of, memory);
                return opened.or_else(|| by_flags(name, of));
            }
            "openat" => {
                let opened = self.opened((Some(0), 1), third, of, memory);
                return opened.or_else(|| by_flags(name, of));
            }
            "openat2" => {
                let flags = memory.integer(third).unwrap_or(0);
                let opened = self.opened((Some(0), 1), flags, of, memory);
                return opened.or_else(|| by_flags("openat", &[first, second, flags, 0, 0, 0]));
            }
            "clone3" => {
                let flags = memory.integer(first)?;
                return by_flags("clone", &[flags, 0, 0, 0, 0, 0]);
            }
            "bind" | "connect" => return self.address(name, of, memory),
            "setxattr" | "lsetxattr" | "fsetxattr" => {
                self.change(name, of, memory);
                return attribute_class(&memory.path(second)?);
            }
            "execve" => self.executed((None, 0), of, memory),
            "execveat" => self.executed((Some(0), 1), of, memory),
            _ => self.change(name, of, memory),
        }
        by_flags(name, of)
    }

    fn change(&mut self, name: &str, of: &[u64; 6], memory: &impl Memory) {
        for place in changed_places(name) {
            if let Some(path) = absolute(*place, of, memory) {
                self.deeds.change(&path);
            }
        }
    }

    fn executed(&mut self, place: Place, of: &[u64; 6], memory: &impl Memory) {
        if let Some(path) = absolute(place, of, memory) {
            self.deeds.execute(&path);
        }
    }

    fn opened(
        &mut self,
        place: Place,
        flags: u64,
        of: &[u64; 6],
        memory: &impl Memory,
    ) -> Option<String> {
        const WRITES: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;
        let path = memory.path(*of.get(place.1)?)?;
        if flags & WRITES as u64 != 0
            && let Some(path) = placed(place, path.clone(), of, memory)
        {
            self.deeds.change(&path);
        }
        kernel_path(&path)
    }

    /// The family of an address, and for the Internet its port.
    fn address(&mut self, name: &str, of: &[u64; 6], memory: &impl Memory) -> Option<String> {
        let mut bytes = [0; 112];
        let length = usize::try_from(*of.get(2)?)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let read = memory.read(*of.get(1)?, bytes.get_mut(..length)?);
        let address = bytes.get(..read)?;
        let family = u16::from_ne_bytes([*address.first()?, *address.get(1)?]);
        let rest = address.get(2..)?;
        match i32::from(family) {
            libc::AF_INET | libc::AF_INET6 => {
                let port = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
                let is_here = match i32::from(family) {
                    libc::AF_INET => rest.get(2) == Some(&127),
                    _ => rest.get(6..22) == Some(&std::net::Ipv6Addr::LOCALHOST.octets()[..]),
                };
                if name == "bind" {
                    self.deeds.bind(port);
                } else if !is_here {
                    self.deeds.connect(port);
                }
            }
            libc::AF_UNIX if name == "bind" => {
                // Abstract names begin with a zero and unnamed sockets have none: neither is a file.
                let end = rest
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(rest.len());
                let path = String::from_utf8_lossy(rest.get(..end)?).into_owned();
                if !path.is_empty()
                    && let Some(path) = placed((None, 0), path.into(), of, memory)
                {
                    self.deeds.change(&path);
                }
            }
            _ => {}
        }
        let arguments = [family.into(), 1, 0, 0, 0, 0];
        let socket = variant(self.footprint.architecture, "socket", &arguments)?;
        let family_name = socket.split(':').next()?;
        // Behind two bytes of padding and the port there is a bit for each group of messages to be heard.
        let hears_groups = i32::from(family) == libc::AF_NETLINK
            && rest.get(6..10).is_some_and(|groups| groups != [0; 4]);
        Some(match hears_groups {
            true => format!("{family_name}:GROUPS"),
            false => family_name.to_owned(),
        })
    }

    /// The footprint, with a gap for each thing that hides calls.
    pub(crate) fn finish(mut self) -> (Footprint, Deeds) {
        for (convention, times) in std::mem::take(&mut self.foreign) {
            self.footprint.gaps.push(format!(
                "{times} calls in the {convention} convention, whose numbers mean other calls, are not in the footprint"
            ));
        }
        let own_filters = ["seccomp", "prctl"].iter().any(|call| {
            self.footprint.calls.get(*call).is_some_and(|usage| {
                usage.variants.keys().any(|variant| {
                    variant.starts_with("SECCOMP_SET_MODE") || variant == "PR_SET_SECCOMP"
                })
            })
        });
        if own_filters {
            self.footprint.gaps.push(
                "the program installed a system-call filter of its own: calls that it refuses were not seen".into(),
            );
        }
        if self.footprint.calls.contains_key("io_uring_enter") {
            self.footprint.gaps.push(
                "the program used io_uring, whose operations are no system calls: they were not seen".into(),
            );
        }
        (self.footprint, self.deeds)
    }
}

/// A path as the caller sees it.
fn absolute(place: Place, of: &[u64; 6], memory: &impl Memory) -> Option<PathBuf> {
    let path = memory.path(*of.get(place.1)?)?;
    placed(place, path, of, memory)
}

/// A path below the directory that it starts from; an empty one means that directory.
fn placed(
    (directory, _): Place,
    path: PathBuf,
    of: &[u64; 6],
    memory: &impl Memory,
) -> Option<PathBuf> {
    if path.is_absolute() {
        return Some(path);
    }
    let descriptor = match directory {
        None => None,
        // Descriptors are 32 bits wide; AT_FDCWD is below zero.
        Some(at) => Some(*of.get(at)? as u32 as i32).filter(|descriptor| *descriptor >= 0),
    };
    Some(memory.directory(descriptor)?.join(path))
}

/// The class of an extended attribute: `user`, `security`, `system`, `trusted`.
fn attribute_class(name: &Path) -> Option<String> {
    let (class, _) = name.to_str()?.split_once('.')?;
    let is_word = class.len() <= 16 && class.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word.then(|| class.to_owned())
}

/// Devices, the kernel's settings and its figures decide, since sandboxes have few of them; other files do not.
fn kernel_path(path: &Path) -> Option<String> {
    const LONGEST: usize = 64;
    let parts = if path.starts_with("/dev") {
        3
    } else if path.starts_with("/proc/sys") {
        5
    } else if path.starts_with("/sys") {
        4
    } else if path.starts_with("/proc") && !is_of_process(path) {
        3
    } else {
        return None;
    };
    let kept: PathBuf = path.components().take(parts).collect();
    let text = kept.to_str()?;
    (text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_graphic())).then(|| text.to_owned())
}

/// Whether a path below `/proc` is of one process, or its list of networks, which every sandbox has.
fn is_of_process(path: &Path) -> bool {
    let name = path.components().nth(2);
    let name = name.and_then(|name| name.as_os_str().to_str());
    name.is_none_or(|name| {
        matches!(name, "self" | "thread-self" | "net" | "mounts")
            || name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The paths that a call changes.
fn changed_places(call: &str) -> &'static [Place] {
    match call {
        "creat" | "mkdir" | "rmdir" | "unlink" | "truncate" | "chmod" | "chown" | "lchown"
        | "mknod" | "utime" | "utimes" | "setxattr" | "lsetxattr" | "removexattr" => &[(None, 0)],
        "link" | "symlink" => &[(None, 1)],
        "rename" => &[(None, 0), (None, 1)],
        "mkdirat" | "unlinkat" | "fchmodat" | "fchmodat2" | "fchownat" | "mknodat"
        | "utimensat" | "futimesat" => &[(Some(0), 1)],
        "symlinkat" => &[(Some(1), 2)],
        "linkat" => &[(Some(2), 3)],
        "renameat" | "renameat2" => &[(Some(0), 1), (Some(2), 3)],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that holds one thing at each address.
    struct Fake(Vec<(u64, Vec<u8>)>);

    impl Memory for Fake {
        fn read(&self, address: u64, into: &mut [u8]) -> usize {
            let Some((_, bytes)) = self.0.iter().find(|(at, _)| *at == address) else {
                return 0;
            };
            let length = bytes.len().min(into.len());
            into[..length].copy_from_slice(&bytes[..length]);
            length
        }

        fn directory(&self, descriptor: Option<i32>) -> Option<PathBuf> {
            Some(match descriptor {
                None => "/work".into(),
                Some(descriptor) => format!("/fd{descriptor}").into(),
            })
        }
    }

    fn recorded(name: &str, arguments: &[u64], memory: &[(u64, &[u8])]) -> Recorder {
        let mut recorder = Recorder::new(Architecture::X86_64);
        let number = uc_select::syscall_number(Architecture::X86_64, name).expect("a call");
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let memory = memory.iter().map(|(at, bytes)| (*at, bytes.to_vec()));
        let call = Call::for_test(number as u32, X86_64, all);
        let examined = recorder.examine(&call, &Fake(memory.collect()));
        recorder.count(examined);
        recorder
    }

    fn only_variant(recorder: &Recorder, call: &str) -> Option<String> {
        let usage = &recorder.footprint.calls[call];
        assert_eq!(usage.count, 1);
        usage.variants.keys().next().cloned()
    }

    #[test]
    fn devices_and_kernel_settings_decide_for_open() {
        let open = |path: &[u8], flags| {
            let recorder = recorded("openat", &[-100i64 as u64, 8, flags], &[(8, path)]);
            (only_variant(&recorder, "openat"), recorder.deeds.changed)
        };
        assert_eq!(open(b"/dev/kvm\0", 2).0.as_deref(), Some("/dev/kvm"));
        assert_eq!(open(b"/dev/pts/3\0", 0).0.as_deref(), Some("/dev/pts"));
        assert_eq!(open(b"/etc/passwd\0", 0), (None, [].into()));
        assert_eq!(
            open(b"/sys/fs/cgroup/a/b\0", 0).0.as_deref(),
            Some("/sys/fs/cgroup")
        );
        let created = libc::O_CREAT as u64;
        assert_eq!(open(b"x\0", created).1, ["/work/x".into()].into());
        assert_eq!(
            open(b"/proc/vmstat\0", 0).0.as_deref(),
            Some("/proc/vmstat")
        );
        assert_eq!(
            open(b"/proc/sysvipc/shm\0", 0).0.as_deref(),
            Some("/proc/sysvipc")
        );
        for of_process in [&b"/proc/self/maps\0"[..], b"/proc/12/stat\0", b"/proc\0"] {
            assert_eq!(open(of_process, 0).0, None);
        }
        let (variant, _) = open(b"/a\0", 0o40_000);
        assert_eq!(variant.as_deref(), Some("O_DIRECT"));
        // Without an end it is no path.
        assert_eq!(open(&[b'a'; 4096], created), (None, [].into()));
    }

    #[test]
    fn addresses_and_structures_are_read() {
        let bound = recorded("bind", &[3, 8, 16], &[(8, b"\x02\0\x1f\x90\0\0\0\0")]);
        assert_eq!(only_variant(&bound, "bind").as_deref(), Some("AF_INET"));
        assert_eq!(bound.deeds.bound, [8080].into());
        let local = recorded("connect", &[3, 8, 16], &[(8, b"\x02\0\0\x50\x7f\0\0\x01")]);
        assert!(local.deeds.connected.is_empty());
        let netlink = |groups| {
            let address = [16, 0, 0, 0, 7, 0, 0, 0, groups, 0, 0, 0];
            only_variant(&recorded("bind", &[3, 8, 12], &[(8, &address)]), "bind")
        };
        assert_eq!(netlink(0).as_deref(), Some("AF_NETLINK"));
        assert_eq!(netlink(1).as_deref(), Some("AF_NETLINK:GROUPS"));
        let names = [(8, &b"/work/a\0"[..]), (9, b"user.origin\0")];
        let attribute = recorded("setxattr", &[8, 9], &names);
        assert_eq!(
            only_variant(&attribute, "setxattr").as_deref(),
            Some("user")
        );
        assert_eq!(attribute.deeds.changed, ["/work/a".into()].into());
        let flags = (libc::CLONE_NEWUSER as u64).to_ne_bytes();
        let cloned = recorded("clone3", &[8, 88], &[(8, &flags)]);
        assert_eq!(
            only_variant(&cloned, "clone3").as_deref(),
            Some("CLONE_NEWUSER")
        );
        let renamed = recorded("renameat", &[3, 8, 4, 9], &[(8, b"a\0"), (9, b"/b\0")]);
        assert_eq!(renamed.deeds.changed, ["/fd3/a".into(), "/b".into()].into());
    }

    #[test]
    fn hostile_arguments_decide_nothing() {
        for name in [
            "openat",
            "openat2",
            "bind",
            "connect",
            "clone3",
            "execve",
            "renameat2",
            "fsetxattr",
        ] {
            let recorder = recorded(name, &[u64::MAX; 6], &[]);
            assert_eq!(recorder.footprint.calls[name].count, 1);
        }
        let short = recorded("bind", &[3, 8, 1], &[(8, &[2])]);
        assert_eq!(only_variant(&short, "bind"), None);
    }

    #[test]
    fn other_conventions_are_gaps() {
        let mut recorder = Recorder::new(Architecture::X86_64);
        for (number, convention) in [(4, I386), (4, I386), (X32 | 1, X86_64)] {
            let call = Call::for_test(number, convention, [0; 6]);
            let examined = recorder.examine(&call, &Fake(vec![]));
            recorder.count(examined);
        }
        let (footprint, _) = recorder.finish();
        assert!(footprint.calls.is_empty());
        let gaps = footprint.gaps.join("\n");
        assert!(gaps.contains("2 calls in the 32-bit x86") && gaps.contains("1 calls in the x32"));
    }

    #[test]
    fn hosts_of_the_sixth_version_are_told_from_this_one() {
        let address = |host: std::net::Ipv6Addr| {
            let mut bytes = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            bytes.extend(443u16.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(host.octets());
            bytes.extend([0; 4]);
            bytes
        };
        let ports = |host: &str| {
            let bytes = address(host.parse().expect("an address"));
            let arguments = [3, 0x1000, bytes.len() as u64];
            recorded("connect", &arguments, &[(0x1000, &bytes)])
                .deeds
                .connected
        };
        assert!(ports("::1").is_empty());
        assert_eq!(ports("2001:db8:ffff:ffff:ffff:ffff:ffff:1"), [443].into());
    }
}
