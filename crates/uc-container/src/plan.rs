//! Everything a container's first process will do, prepared beforehand: strings with their final zero, arrays of
//! pointers, numbers of file descriptors. Between clone and exec nothing may be allocated.

use std::{
    ffi::CString,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    path::Path,
};

use seccompiler::BpfProgram;
use uc_linux::{
    c_strings::{PointerArray, c_string, path_c_string},
    idmap::{IdMapping, MapWriter},
    scratch,
};
use uc_model::{Problem, Result};
use uc_sandbox::{HostMount, Mount, MountSource, Process, Stdio, User};

use crate::report::Subjects;

/// Numbers left free below the planned ones, for descriptors the child holds for a moment.
const TEMPORARY_FDS: RawFd = 16;

/// What runs, as whom, with which streams: the last part of every launch, also of `exec`.
pub(crate) struct Program {
    /// Paths to try, in order.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: PointerArray,
    pub(crate) envp: PointerArray,
    pub(crate) cwd: CString,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `None` where the user namespace forbids setting groups.
    pub(crate) groups: Option<Vec<u32>>,
    /// Applied in order; each further one can only narrow.
    pub(crate) filters: Vec<BpfProgram>,
    /// Reports every call that these let through.
    pub(crate) report: Option<BpfProgram>,
    pub(crate) streams: Streams,
}

/// Standard input, output and error, all numbered above 2.
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// Whether output and error are pipes made for the container.
    owned: bool,
    /// Whether the child hands them to the program's user.
    pub(crate) given_by_child: bool,
}

impl Streams {
    /// Takes over a request's streams; a missing standard input is the null device.
    pub(crate) fn new(stdio: Stdio) -> Result<Self> {
        let stdin = match stdio.stdin {
            Some(stdin) => stdin,
            None => open_null()?,
        };
        Ok(Self {
            stdin: above_standard(stdin)?,
            stdout: above_standard(stdio.stdout)?,
            stderr: above_standard(stdio.stderr)?,
            owned: stdio.owned,
            given_by_child: false,
        })
    }

    /// Streams that read nothing and drop everything.
    pub(crate) fn null() -> Result<Self> {
        Ok(Self {
            stdin: above_standard(open_null()?)?,
            stdout: above_standard(open_null()?)?,
            stderr: above_standard(open_null()?)?,
            owned: false,
            given_by_child: false,
        })
    }

    /// Hands pipes that were made for the container to the program's user, or has the child do it. Their first owner is
    /// the caller, for whom a range's user is a stranger: it could write to them, but not open `/dev/stdout`.
    pub(crate) fn hand_over(&mut self, mapping: &IdMapping, user: &User) -> Result<()> {
        match mapping.writer {
            _ if !self.owned => {}
            // Only root of the host can; root inside is nobody to root's files.
            MapWriter::Direct => {
                for stream in [&self.stdout, &self.stderr] {
                    let (uid, gid) = (mapping.host_uid(user.uid), mapping.host_gid(user.gid));
                    std::os::unix::fs::fchown(stream, uid, gid).map_err(|error| {
                        Problem::host("cannot hand a pipe to the container's user").caused_by(error)
                    })?;
                }
            }
            // Root inside is the caller, and has the means to give away what the caller owns.
            MapWriter::Helper => self.given_by_child = true,
            // The program's user is the caller.
            MapWriter::OwnIdOnly => {}
        }
        Ok(())
    }

    fn highest(&self) -> RawFd {
        self.stdin
            .as_raw_fd()
            .max(self.stdout.as_raw_fd())
            .max(self.stderr.as_raw_fd())
    }
}

fn open_null() -> Result<OwnedFd> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| Problem::host("cannot open /dev/null").caused_by(error))
}

/// The same open file under a number above 2, so that connecting one stream cannot overwrite another.
fn above_standard(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, 3).map_err(|error| {
        Problem::host("too many open files").caused_by(std::io::Error::from(error))
    })
}

impl Program {
    /// Prepares a program for a container whose groups can be set or not.
    pub(crate) fn new(
        process: &Process,
        streams: Streams,
        filters: Vec<BpfProgram>,
        can_set_groups: bool,
    ) -> Result<Self> {
        let name = process
            .argv
            .first()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Problem::invalid("there is no program to run").remedy(
                    "the image has neither entrypoint nor command: set command in the manifest",
                )
            })?;
        let path = process
            .env
            .iter()
            .rev()
            .find(|(key, _)| key == "PATH")
            .map_or(
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                |(_, value)| value,
            );
        let candidates = if name.contains('/') {
            vec![c_string(name)?]
        } else {
            path.split(':')
                .filter(|directory| !directory.is_empty())
                .map(|directory| c_string(&format!("{directory}/{name}")))
                .collect::<Result<_>>()?
        };
        let argv = process
            .argv
            .iter()
            .map(|argument| c_string(argument))
            .collect::<Result<_>>()?;
        let envp = process
            .env
            .iter()
            .map(|(key, value)| c_string(&format!("{key}={value}")))
            .collect::<Result<_>>()?;
        Ok(Self {
            candidates,
            argv: PointerArray::new(argv),
            envp: PointerArray::new(envp),
            cwd: c_string(if process.cwd.is_empty() {
                "/"
            } else {
                &process.cwd
            })?,
            uid: process.user.uid,
            gid: process.user.gid,
            groups: can_set_groups.then(|| process.user.groups.clone()),
            filters,
            report: None,
            streams,
        })
    }
}

/// A place in the container's root, with the means to make what is missing of it.
pub(crate) struct Target {
    /// The path relative to the root.
    pub(crate) path: CString,
    /// Each proper prefix of the path, shortest first.
    pub(crate) parents: Vec<CString>,
}

impl Target {
    /// From an absolute, normalised path.
    pub(crate) fn new(path: &str) -> Result<Self> {
        let relative = path.trim_matches('/');
        let parents = relative
            .match_indices('/')
            .map(|(end, _)| c_string(&relative[..end]))
            .collect::<Result<_>>()?;
        let path = if relative.is_empty() { "." } else { relative };
        Ok(Self {
            path: c_string(path)?,
            parents,
        })
    }
}

/// One volume to mount.
pub(crate) struct VolumeMount {
    pub(crate) source: VolumeSource,
    pub(crate) target: Target,
    pub(crate) read_only: bool,
}

/// Where a volume comes from.
pub(crate) enum VolumeSource {
    /// A path of the host, opened under the number `fd` while the child still is its caller.
    Host {
        path: CString,
        sub_path: Option<CString>,
        fd: RawFd,
    },
    /// A new tmpfs with these options.
    Memory { options: CString },
}

/// The root file system and all mounts.
pub(crate) struct Filesystem {
    /// Everything the child inherits from here on is closed first.
    pub(crate) first_unused_fd: RawFd,
    /// Layers, opened under consecutive numbers from `first_layer_fd`.
    pub(crate) layers: Vec<CString>,
    pub(crate) first_layer_fd: RawFd,
    /// The directory with `upper` and `work`, opened as `scratch_fd`.
    pub(crate) scratch: CString,
    pub(crate) scratch_fd: RawFd,
    /// Where the root is mounted: `/proc/self/fd/<scratch_fd>/upper`, which needs no directory of its own. The overlay
    /// holds on to what it covers.
    pub(crate) root_path: CString,
    pub(crate) overlay_options: CString,
    pub(crate) volumes: Vec<VolumeMount>,
    pub(crate) read_only_root: bool,
    pub(crate) cwd: Target,
    /// The number under which a mount point is held while something is mounted on it.
    pub(crate) target_fd: RawFd,
    /// `/proc/self/fd/<target_fd>`.
    pub(crate) target_path: CString,
}

/// All of a container's launch.
pub(crate) struct Plan {
    pub(crate) filesystem: Filesystem,
    pub(crate) program: Program,
    pub(crate) hostname: CString,
    /// Whether the network namespace is the sandbox's own, and this container the first in it.
    pub(crate) configure_network: bool,
    pub(crate) subjects: Subjects,
}

/// The parts of a request a plan is made of.
pub(crate) struct PlanRequest<'a> {
    pub(crate) layers: &'a [std::path::PathBuf],
    pub(crate) scratch: &'a Path,
    pub(crate) mounts: &'a [Mount],
    pub(crate) read_only_root: bool,
    pub(crate) hostname: &'a str,
    pub(crate) configure_network: bool,
    /// The launcher's end of the control socket must stay below the planned numbers.
    pub(crate) control_fd: RawFd,
}

impl Plan {
    /// Prepares a launch.
    pub(crate) fn new(
        request: &PlanRequest<'_>,
        program: Program,
        process: &Process,
    ) -> Result<Self> {
        scratch::check_counts(request.layers.len(), request.mounts.len())?;
        let first_unused_fd = program.streams.highest().max(request.control_fd) + 1;
        let mut numbers = Numbers(first_unused_fd + TEMPORARY_FDS);
        let scratch_fd = numbers.take(1);
        let target_fd = numbers.take(1);
        let first_layer_fd = numbers.take(request.layers.len());
        let volumes = request
            .mounts
            .iter()
            .map(|mount| volume(mount, &mut numbers))
            .collect::<Result<Vec<_>>>()?;
        let filesystem = Filesystem {
            first_unused_fd,
            layers: request
                .layers
                .iter()
                .map(|layer| path_c_string(layer))
                .collect::<Result<_>>()?,
            first_layer_fd,
            scratch: path_c_string(request.scratch)?,
            scratch_fd,
            root_path: c_string(&format!("/proc/self/fd/{scratch_fd}/upper"))?,
            overlay_options: overlay_options(first_layer_fd, request.layers.len(), scratch_fd)?,
            volumes,
            read_only_root: request.read_only_root,
            cwd: Target::new(&process.cwd)?,
            target_fd,
            target_path: c_string(&format!("/proc/self/fd/{target_fd}"))?,
        };
        Ok(Self {
            subjects: subjects(request, process),
            filesystem,
            program,
            hostname: c_string(request.hostname)?,
            configure_network: request.configure_network,
        })
    }
}

/// Hands out consecutive descriptor numbers.
struct Numbers(RawFd);

impl Numbers {
    fn take(&mut self, count: usize) -> RawFd {
        let first = self.0;
        self.0 += RawFd::try_from(count).unwrap_or(RawFd::MAX / 2);
        first
    }
}

fn overlay_options(first_layer_fd: RawFd, layers: usize, scratch_fd: RawFd) -> Result<CString> {
    // overlayfs wants the topmost layer first; ours are numbered from the lowest.
    let lower: Vec<String> = (0..layers)
        .rev()
        .map(|index| format!("/proc/self/fd/{}", first_layer_fd as usize + index))
        .collect();
    let scratch = format!("/proc/self/fd/{scratch_fd}");
    // What is written ends with the container. Without `volatile` its end would wait until everything that anybody wrote
    // to that file system is on disk.
    c_string(&format!(
        "lowerdir={},upperdir={scratch}/upper,workdir={scratch}/work,userxattr,volatile",
        lower.join(":")
    ))
}

fn volume(mount: &Mount, numbers: &mut Numbers) -> Result<VolumeMount> {
    let source = match &mount.source {
        MountSource::Host(HostMount { path, sub_path, .. }) => VolumeSource::Host {
            path: path_c_string(path)?,
            sub_path: sub_path.as_deref().map(path_c_string).transpose()?,
            fd: numbers.take(1),
        },
        MountSource::Memory { size_limit } => {
            let size = size_limit.map_or(String::new(), |limit| format!(",size={}", limit.0));
            VolumeSource::Memory {
                options: c_string(&format!("mode=1777{size}"))?,
            }
        }
    };
    Ok(VolumeMount {
        source,
        target: Target::new(&mount.target)?,
        read_only: mount.read_only,
    })
}

fn subjects(request: &PlanRequest<'_>, process: &Process) -> Subjects {
    Subjects {
        program: process.argv.first().cloned().unwrap_or_default(),
        working_directory: process.cwd.clone(),
        layers: request
            .layers
            .iter()
            .map(|layer| layer.display().to_string())
            .collect(),
        mounts: request
            .mounts
            .iter()
            .map(|mount| {
                let source = match &mount.source {
                    MountSource::Host(host) => match &host.sub_path {
                        Some(sub_path) => host.path.join(sub_path).display().to_string(),
                        None => host.path.display().to_string(),
                    },
                    MountSource::Memory { .. } => "a file system in memory".to_owned(),
                };
                (source, mount.target.clone())
            })
            .collect(),
        masked: crate::child::masked_paths(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topmost_layer_comes_first() {
        let options = overlay_options(10, 2, 5).expect("fits");
        assert_eq!(
            options.to_str().expect("ascii"),
            "lowerdir=/proc/self/fd/11:/proc/self/fd/10,upperdir=/proc/self/fd/5/upper,workdir=/proc/self/fd/5/work,userxattr,volatile"
        );
    }

    #[test]
    fn a_target_lists_its_parents() {
        let target = Target::new("/var/lib/data").expect("valid");
        assert_eq!(target.path.to_str(), Ok("var/lib/data"));
        let parents: Vec<_> = target
            .parents
            .iter()
            .map(|parent| parent.to_str().expect("ascii"))
            .collect();
        assert_eq!(parents, ["var", "var/lib"]);
        assert_eq!(Target::new("/").expect("valid").path.to_str(), Ok("."));
    }
}
