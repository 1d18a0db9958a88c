//! What QEMU can reach: its libraries and firmware, what it inherits, three devices, and nothing else of the host's files.

use std::{
    ffi::CString,
    fs,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use uc_linux::c_strings::{PointerArray, c_string, path_c_string};
use uc_model::{Problem, Result};
use uc_sandbox::PortForward;

use super::Qemu;
use crate::{
    jail::{Device, Identity, MAX_DESCRIPTORS, Mount, Names, Plan, Root, Streams, VmmUser},
    machine::Accelerator,
};

/// Where hosts have programs, libraries and firmware; not each has all.
const PROGRAMS: [&str; 5] = ["/usr", "/lib", "/lib64", "/nix", "/gnu"];

/// Where libraries are, for the loader.
const LIBRARIES: &str = "/etc/ld.so.cache";

/// The name servers that a network of user mode leads to.
const NAME_SERVERS: &str = "/etc/resolv.conf";

/// Ports below may be root's alone.
const PRIVILEGED_BELOW: u16 = 1024;

/// How QEMU is shut in, and the names behind the indices of its failure.
pub(super) fn plan<'a>(
    qemu: &Qemu,
    ports: Option<&[PortForward]>,
    argv: &[String],
    descriptors: Vec<BorrowedFd<'a>>,
    output: OwnedFd,
) -> Result<(Plan<'a>, Names)> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Problem::refused("the microVM has too many disks").limit(MAX_DESCRIPTORS - 8));
    }
    let program = fs::canonicalize(&qemu.program).map_err(|error| {
        Problem::host("QEMU's program cannot be found")
            .at(qemu.program.display())
            .caused_by(error)
    })?;
    let root = root(&program, qemu.accelerator, ports.is_some())?;
    let names = Names::of(program.display(), &root);
    let argv: Result<Vec<CString>> = argv.iter().map(|text| c_string(text)).collect();
    let plan = Plan {
        root,
        identity: Identity::of(VmmUser::of_caller()?)?,
        program: path_c_string(&program)?,
        arguments: PointerArray::new(argv?),
        environment: PointerArray::new(Vec::new()),
        descriptors,
        streams: Streams::into(output)?,
        has_low_ports: ports
            .unwrap_or_default()
            .iter()
            .any(|port| port.container_port < PRIVILEGED_BELOW),
    };
    Ok((plan, names))
}

fn root(program: &Path, accelerator: Accelerator, has_network: bool) -> Result<Root> {
    let mut directories = ["dev", "etc", "run"].map(PathBuf::from).to_vec();
    let mut mounts = Vec::new();
    for place in PROGRAMS {
        // Where /usr has all, these are links into it.
        let Ok(source) = fs::canonicalize(place) else {
            continue;
        };
        mounts.push(Mount::programs(
            path_c_string(&source)?,
            inside(Path::new(place))?,
            true,
        ));
    }
    if let Some(own) = own_directory(program) {
        let parents = own.ancestors().skip(1).filter(|parent| parent.has_root());
        let mut parents: Vec<PathBuf> = parents.map(relative).collect();
        parents.retain(|parent| !parent.as_os_str().is_empty());
        directories.extend(parents.into_iter().rev());
        mounts.push(Mount::programs(path_c_string(own)?, inside(own)?, true));
    }
    let settings = [LIBRARIES, NAME_SERVERS].into_iter();
    for file in settings.filter(|file| *file != NAME_SERVERS || has_network) {
        if let Ok(source) = fs::canonicalize(file) {
            let target = inside(Path::new(file))?;
            mounts.push(Mount::file(path_c_string(&source)?, target, false));
        }
    }
    let kvm = (accelerator == Accelerator::Kvm).then_some("/dev/kvm");
    let devices = ["/dev/null", "/dev/urandom"].into_iter().chain(kvm);
    let devices = devices.map(|device| {
        let device = Path::new(device);
        Device::of(device, inside(device)?)
    });
    let directories = directories.iter().map(|path| path_c_string(path));
    Ok(Root {
        // Every host has it, and nothing is taken from it.
        place: c"/sys".to_owned(),
        directories: directories.collect::<Result<_>>()?,
        mounts,
        // What it inherits it opens again by the numbers in there.
        has_proc: true,
        devices: devices.collect::<Result<_>>()?,
    })
}

/// The directory of a program that is not where programs are: with what lies beside `bin`, its firmware.
fn own_directory(program: &Path) -> Option<&Path> {
    if PROGRAMS.iter().any(|place| program.starts_with(place)) {
        return None;
    }
    let directory = program.parent()?;
    let prefix = directory.parent().filter(|_| directory.ends_with("bin"));
    prefix
        .filter(|prefix| prefix.parent().is_some())
        .or(Some(directory))
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn inside(path: &Path) -> Result<CString> {
    path_c_string(&relative(path))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use uc_linux::cgroup::Entrances;

    use super::*;
    use crate::jail::{self, Surroundings};

    /// What a shell in QEMU's place prints.
    async fn seen_by_a_shell(script: &str) -> Result<String> {
        let qemu = Qemu {
            program: "/bin/sh".into(),
            accelerator: Accelerator::Tcg,
        };
        let (mut read, write) = std::io::pipe().expect("a pipe");
        let argv = ["sh", "-c", script].map(str::to_owned);
        let (plan, names) = plan(&qemu, None, &argv, Vec::new(), write.into())?;
        let surroundings = Surroundings {
            mapping: plan.identity.mapping(),
            host_network: false,
            ports: None,
            groups: &Entrances::default(),
        };
        let started = jail::start(&surroundings, |control| jail::enter(&plan, control))?;
        drop(plan);
        let jailed = started.executed(&names).await?;
        let exit = jailed.ending.wait().await?;
        let mut text = String::new();
        read.read_to_string(&mut text).expect("text");
        assert_eq!(exit.code, 0, "{text}");
        Ok(text)
    }

    #[tokio::test]
    async fn it_sees_its_libraries_and_can_write_nothing() {
        let script = "cd /; echo *; echo etc/*; echo dev/*; echo proc/[0-9]*; grep -c . proc/net/dev; \
                      grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' proc/self/status | head -1; \
                      for place in . run etc usr tmp; do \
                          ( : > $place/written ) 2> dev/null && echo wrote $place; done; true";
        let text = match seen_by_a_shell(script).await {
            Ok(text) => text,
            Err(problem) => {
                println!("skipped: no namespaces here: {problem}");
                return;
            }
        };
        let lines: Vec<&str> = text.lines().collect();
        let places = lines[0].split(' ');
        let unknown = places.filter(|place| {
            ![
                "dev", "etc", "gnu", "lib", "lib64", "nix", "proc", "run", "usr",
            ]
            .contains(place)
        });
        assert_eq!(unknown.count(), 0, "{text}");
        assert_eq!(lines[1], "etc/ld.so.cache");
        assert_eq!(lines[2], "dev/null dev/urandom");
        if matches!(
            Identity::of(VmmUser::of_caller().expect("ids")),
            Ok(Identity::Host(_))
        ) {
            // Other monitors are of the same user: it must not see them.
            assert_eq!(lines[3], "proc/1");
        }
        // Two lines of titles, and the loopback.
        assert_eq!(lines[4], "3");
        assert!(lines[5].ends_with("\t0000000000000000"), "{text}");
        assert_eq!(lines.len(), 6, "{text}");
    }

    #[test]
    fn a_program_elsewhere_brings_what_lies_beside_it_and_no_more() {
        let own = |program: &str| own_directory(Path::new(program)).map(Path::to_owned);
        assert_eq!(own("/usr/bin/qemu-system-x86_64"), None);
        assert_eq!(own("/opt/qemu/bin/qemu"), Some("/opt/qemu".into()));
        assert_eq!(own("/opt/qemu/qemu"), Some("/opt/qemu".into()));
        assert_eq!(own("/bin/qemu"), Some("/bin".into()));
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let root = root(Path::new("/srv/x/qemu/bin/q"), Accelerator::Tcg, false).expect("made");
        let names: Vec<&str> = root
            .directories
            .iter()
            .map(|name| name.to_str().expect("text"))
            .collect();
        assert_eq!(names, ["dev", "etc", "run", "srv", "srv/x"]);
        let given = root
            .mounts
            .iter()
            .any(|mount| mount.target.as_bytes() == b"srv/x/qemu");
        assert!(given && root.devices.len() == 2);
    }
}
