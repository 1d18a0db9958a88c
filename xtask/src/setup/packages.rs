//! The system packages that building, running and testing use, by their names in Debian and Ubuntu.

use super::Options;

/// A package.
#[derive(Debug, Clone, Copy)]
pub(super) struct Package {
    pub(super) name: &'static str,
    pub(super) proof: Proof,
    pub(super) need: Need,
    /// Printed behind "NAME is missing: ".
    pub(super) purpose: &'static str,
}

/// What shows that a package's content is there, wherever it came from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof {
    /// A program on PATH or in the administrator's folders.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A shared library, by its name without version, wherever LLVM or the system keeps it.
    Library(&'static str),
}

/// Who cannot do without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The build: without it nothing works.
    Build,
    /// A feature of the product or an example.
    Run,
    /// A comparison in the tests, which else print that they were skipped.
    Test,
}

impl Package {
    pub(super) fn is_wanted(&self, options: Options) -> bool {
        self.need != Need::Test || options.for_tests
    }
}

const fn program(
    name: &'static str,
    program: &'static str,
    need: Need,
    purpose: &'static str,
) -> Package {
    Package {
        name,
        proof: Proof::Program(program),
        need,
        purpose,
    }
}

pub(super) const PACKAGES: &[Package] = &[
    program(
        "gcc",
        "cc",
        Need::Build,
        "it links every program and compiles the assembly of the TLS library",
    ),
    Package {
        name: "libc6-dev",
        proof: Proof::File("/usr/include/stdio.h"),
        need: Need::Build,
        purpose: "the C library's headers and start files, needed to link",
    },
    program(
        "g++",
        "c++",
        Need::Run,
        "it compiles HiGHS, with which uc plan finds the best portfolio",
    ),
    program(
        "cmake",
        "cmake",
        Need::Run,
        "it builds HiGHS, with which uc plan finds the best portfolio",
    ),
    program(
        "make",
        "make",
        Need::Run,
        "it builds HiGHS, with which uc plan finds the best portfolio",
    ),
    Package {
        name: "libclang-dev",
        proof: Proof::Library("libclang"),
        need: Need::Run,
        purpose: "it reads the headers of HiGHS while building; nothing of it stays in the program",
    },
    Package {
        name: "ca-certificates",
        proof: Proof::File("/etc/ssl/certs/ca-certificates.crt"),
        need: Need::Run,
        purpose: "without it no registry's certificate can be checked",
    },
    program(
        "uidmap",
        "newuidmap",
        Need::Run,
        "without it a user other than root has one user id in a container",
    ),
    program(
        "passt",
        "pasta",
        Need::Run,
        "the user-mode network of containers; slirp4netns does as well",
    ),
    program(
        "slirp4netns",
        "slirp4netns",
        Need::Run,
        "the user-mode network of containers where passt is not to be had",
    ),
    program(
        "busybox-static",
        "busybox",
        Need::Run,
        "examples/hello makes its container image of it",
    ),
    program(
        "qemu-system-x86",
        "qemu-system-x86_64",
        Need::Test,
        "tests run microVMs with it",
    ),
    program(
        "cpio",
        "cpio",
        Need::Test,
        "tests list the first file systems of microVMs with it",
    ),
    program(
        "erofs-utils",
        "fsck.erofs",
        Need::Test,
        "tests check the disks of microVMs with it",
    ),
    program(
        "xz-utils",
        "xz",
        Need::Test,
        "tests compress kernels with it as their build does",
    ),
    program(
        "skopeo",
        "skopeo",
        Need::Test,
        "tests compare pulled images with its, and read our layouts with it",
    ),
    program(
        "umoci",
        "umoci",
        Need::Test,
        "tests compare unpacked layers with its",
    ),
    program(
        "docker-registry",
        "docker-registry",
        Need::Test,
        "tests pull from a real registry",
    ),
    program(
        "crun",
        "crun",
        Need::Test,
        "benchmarks measure the container driver against it",
    ),
    program(
        "runc",
        "runc",
        Need::Test,
        "benchmarks measure the container driver against it",
    ),
    program(
        "rpm",
        "rpm",
        Need::Test,
        "tests compare the order of RPM versions with its",
    ),
    program(
        "ruby",
        "ruby",
        Need::Test,
        "tests compare the order of gem versions with its",
    ),
    program(
        "chromium",
        "chromium",
        Need::Test,
        "tests look at reports with it",
    ),
    program(
        "redis-server",
        "redis-server",
        Need::Test,
        "recordings of Redis",
    ),
    program(
        "prometheus",
        "prometheus",
        Need::Test,
        "tests of the Prometheus client",
    ),
    program("zip", "zip", Need::Test, "tests make Java archives with it"),
    Package {
        name: "python3-venv",
        proof: Proof::File("/usr/share/doc/python3-venv"),
        need: Need::Test,
        purpose: "tests validate SPDX and CycloneDX documents with tools from PyPI",
    },
];
