//! What a starting container tells the launcher: which step failed, on what, with which error.

use rustix::io::Errno;
use uc_model::{Problem, ProblemKind};

macro_rules! steps {
    ($($name:ident = $number:literal, $words:literal;)*) => {
        /// A step of starting a container. The numbers travel between two processes of the same binary only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Step { $(#[doc = $words] $name = $number),* }

        impl Step {
            fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            fn words(self) -> &'static str {
                match self { $(Self::$name => $words),* }
            }
        }
    };
}

steps! {
    Handshake = 1, "waiting for the launcher";
    JoinNamespaces = 2, "joining the sandbox's namespaces";
    CloneProcess = 3, "cloning into new namespaces";
    OpenLayer = 4, "opening an image layer";
    OpenScratch = 5, "opening the writable layer";
    OpenMountSource = 6, "opening the source of a mount";
    OpenDevice = 7, "opening a device node";
    BecomeRootInside = 8, "taking on user 0 of the user namespace";
    MakeMountsPrivate = 9, "making mounts private";
    MountRoot = 10, "mounting the root file system (overlay)";
    MakeMountPoint = 11, "making a mount point";
    MountProc = 12, "mounting /proc";
    MountDev = 13, "mounting /dev";
    MountVolume = 14, "mounting a volume";
    MaskPath = 15, "masking a path";
    PivotRoot = 16, "changing the root directory";
    ConfigureNetwork = 17, "bringing loopback up";
    SetHostname = 18, "setting the host name";
    DropPrivileges = 19, "giving up privileges";
    InstallSeccomp = 20, "installing the system-call filter";
    ChangeDirectory = 21, "entering the working directory";
    FindProgram = 22, "finding the program";
    ExecuteProgram = 23, "executing the program";
    ConnectStreams = 24, "connecting standard streams";
    MakeRootReadOnly = 25, "making the root file system read-only";
    UnshareCgroup = 26, "unsharing the cgroup namespace";
    JoinCgroup = 27, "joining a control group";
}

/// One message from the child: eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// Everything but the execution has been done.
    Ready,
    /// The sibling that was cloned on the launcher's behalf has this process id.
    Sibling(u32),
    /// A step failed.
    Failed {
        /// The step.
        step: Step,
        /// Which of several (layer, mount, path).
        index: u16,
        /// The error number.
        errno: i32,
    },
}

/// Size of an encoded [`Report`].
pub(crate) const REPORT_SIZE: usize = 8;

impl Report {
    pub(crate) fn encode(self) -> [u8; REPORT_SIZE] {
        let mut bytes = [0; REPORT_SIZE];
        match self {
            Self::Ready => bytes[0] = b'R',
            Self::Sibling(pid) => {
                bytes[0] = b'P';
                bytes[4..].copy_from_slice(&pid.to_ne_bytes());
            }
            Self::Failed { step, index, errno } => {
                bytes[0] = b'F';
                bytes[1] = step as u8;
                bytes[2..4].copy_from_slice(&index.to_ne_bytes());
                bytes[4..].copy_from_slice(&errno.to_ne_bytes());
            }
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REPORT_SIZE] = bytes.try_into().ok()?;
        let number = [bytes[4], bytes[5], bytes[6], bytes[7]];
        match bytes[0] {
            b'R' => Some(Self::Ready),
            b'P' => Some(Self::Sibling(u32::from_ne_bytes(number))),
            b'F' => Some(Self::Failed {
                step: Step::from_number(bytes[1])?,
                index: u16::from_ne_bytes([bytes[2], bytes[3]]),
                errno: i32::from_ne_bytes(number),
            }),
            _ => None,
        }
    }
}

/// The names a failure's index refers to.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    pub(crate) program: String,
    pub(crate) working_directory: String,
    pub(crate) layers: Vec<String>,
    pub(crate) mounts: Vec<(String, String)>,
    pub(crate) masked: Vec<String>,
}

impl Subjects {
    /// A child's failure in a user's terms.
    pub(crate) fn problem(&self, step: Step, index: u16, errno: i32) -> Problem {
        let error = Errno::from_raw_os_error(errno);
        let index = usize::from(index);
        let text = std::io::Error::from(error);
        match (step, error) {
            (Step::FindProgram | Step::ExecuteProgram, Errno::NOENT | Errno::NOTDIR) => {
                Problem::new(ProblemKind::CommandNotFound, "the program is not in the image")
                    .found(&self.program)
                    .remedy("check command and args, and PATH in env; a script's interpreter must be there too")
            }
            (Step::FindProgram | Step::ExecuteProgram, _) => {
                Problem::new(ProblemKind::NotExecutable, "the program cannot be executed")
                    .found(format!("{}: {text}", self.program))
                    .remedy("check its permission bits, its architecture and the user it runs as")
            }
            (Step::ChangeDirectory, _) => Problem::invalid("the working directory cannot be entered")
                .found(format!("{}: {text}", self.working_directory))
                .remedy("set workingDir to a directory that the user may enter"),
            (Step::OpenMountSource | Step::MountVolume, _) => {
                let (source, target) = self.mounts.get(index).cloned().unwrap_or_default();
                Problem::host(format!("cannot mount {source}"))
                    .at(target)
                    .found(text)
                    .remedy("the source must exist, be reachable by you, and be readable by the container's user")
            }
            (Step::OpenLayer, _) => Problem::storage("an unpacked image layer cannot be opened")
                .at(self.layers.get(index).cloned().unwrap_or_default())
                .found(text)
                .remedy("remove the image and let it be unpacked again"),
            (Step::MakeMountPoint, Errno::LOOP) => {
                Problem::refused("a mount point in the image is a symbolic link that leads elsewhere")
                    .found(text)
                    .remedy("use an image whose /proc, /dev and mount points are real directories")
            }
            (Step::MountRoot, _) => Problem::host("cannot mount overlayfs in a user namespace")
                .found(text)
                .remedy("Linux 5.11 or newer is needed; see `uc doctor`"),
            (Step::MaskPath, _) => Problem::host("cannot mask a path")
                .at(self.masked.get(index).cloned().unwrap_or_default())
                .found(text),
            _ => Problem::host(format!("the container could not be set up while {}", step.words()))
                .found(text)
                .remedy("`uc doctor` shows what this host lacks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_wire() {
        for report in [
            Report::Ready,
            Report::Sibling(4_000_000),
            Report::Failed {
                step: Step::MountVolume,
                index: 300,
                errno: 13,
            },
        ] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(Report::decode(b"short"), None);
        assert_eq!(Report::decode(&[b'F', 250, 0, 0, 0, 0, 0, 0]), None);
    }
}
