//! What a child process needs to become Firecracker, made before the clone: its root, its arguments, the names of its files.

use std::{
    ffi::{CString, OsString},
    fs,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use uc_linux::c_strings::{PointerArray, c_string, path_c_string};
use uc_model::{Problem, Result};

use super::{
    jailer::{self, Jailer},
    launch::{
        API_SOCKET, CONFIGURATION, Confinement, GivenFile, Launch, VmmUser, given_path, hand_over,
        make_directory,
    },
};
use crate::{
    jail::{self, Device, Identity, Mount, Names, Root, Streams},
    kernel::is_dynamic,
};

/// What a child is told, and the names behind the indices of its failure.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) names: Names,
    /// The directory that is `/run` to Firecracker.
    pub(crate) run: PathBuf,
}

/// What the child does.
pub(crate) enum Plan {
    Namespaces(Box<jail::Plan<'static>>),
    Jailer(Box<jailer::Plan>),
}

impl Prepared {
    /// Makes the directories, places the files, and puts the arguments together.
    ///
    /// # Errors
    /// What is missing or cannot be handed over.
    pub(crate) fn new(
        launch: &Launch,
        user: VmmUser,
        configured: bool,
        streams: Streams,
    ) -> Result<Self> {
        let own = own_arguments(configured);
        match &launch.confinement {
            Confinement::Namespaces => in_namespaces(launch, user, &own, configured, streams),
            Confinement::Jailer(jailer) => {
                by_jailer(launch, jailer, user, &own, configured, streams)
            }
        }
    }
}

/// Prepares a root of namespaces.
fn in_namespaces(
    launch: &Launch,
    user: VmmUser,
    own: &[OsString],
    configured: bool,
    streams: Streams,
) -> Result<Prepared> {
    let root = launch.directory.join("root");
    let run = launch.directory.join("run");
    make_directory(&root)?;
    make_directory(&run)?;
    hand_over(&run, user)?;
    let program = canonical(&launch.program)?;
    let mut directories = vec![c"dev".to_owned(), c"files".to_owned()];
    let mut mounts = vec![
        Mount::writable_directory(path_c_string(&run)?, c"run".to_owned()),
        Mount::programs(path_c_string(&program)?, c"firecracker".to_owned(), false),
    ];
    if is_dynamic(&program) {
        mounts.extend(libraries(&mut directories)?);
    }
    for file in given(launch, configured) {
        if file.writable {
            hand_over(&file.source, user)?;
        }
        let source = path_c_string(&canonical(&file.source)?)?;
        mounts.push(Mount::file(source, inside(&file.name)?, file.writable));
    }
    let devices = devices(launch, &mut directories)?;
    let root = Root {
        place: path_c_string(&canonical(&root)?)?,
        directories,
        mounts,
        has_proc: false,
        devices,
    };
    let names = Names::of(program.display(), &root);
    let mut arguments = vec![
        "firecracker".into(),
        "--id".into(),
        launch.id.clone().into(),
    ];
    arguments.extend(own.iter().cloned());
    let plan = jail::Plan {
        root,
        identity: Identity::of(user)?,
        descriptors: Vec::new(),
        has_low_ports: false,
        program: c"/firecracker".to_owned(),
        arguments: pointers(arguments)?,
        environment: PointerArray::new(Vec::new()),
        streams,
    };
    let plan = Plan::Namespaces(Box::new(plan));
    Ok(Prepared { plan, names, run })
}

/// The host's shared libraries, where its loader looks for them.
fn libraries(directories: &mut Vec<CString>) -> Result<Vec<Mount>> {
    directories.push(c"usr".to_owned());
    let places = [
        ("/lib", c"lib"),
        ("/lib64", c"lib64"),
        ("/usr/lib", c"usr/lib"),
    ];
    places
        .into_iter()
        .filter_map(|(host, inside)| Some((fs::canonicalize(host).ok()?, inside)))
        .map(|(host, inside)| {
            Ok(Mount::programs(
                path_c_string(&host)?,
                inside.to_owned(),
                true,
            ))
        })
        .collect()
}

fn devices(launch: &Launch, directories: &mut Vec<CString>) -> Result<Vec<Device>> {
    let mut devices = vec![Device::of(&launch.kvm, c"dev/kvm".to_owned())?];
    if launch.host_network {
        directories.push(c"dev/net".to_owned());
        let tun = Path::new("/dev/net/tun");
        devices.push(Device::of(tun, c"dev/net/tun".to_owned())?);
    }
    Ok(devices)
}

/// Prepares a jail that the jailer enters.
fn by_jailer(
    launch: &Launch,
    jailer: &Jailer,
    user: VmmUser,
    own: &[OsString],
    configured: bool,
    streams: Streams,
) -> Result<Prepared> {
    if !rustix::process::geteuid().is_root() {
        return Err(Problem::host("only root can use Firecracker's jailer")
            .remedy("leave it out: Firecracker then runs in user namespaces"));
    }
    if launch.kvm != Path::new("/dev/kvm") {
        return Err(Problem::invalid("the jailer gives /dev/kvm alone").found(launch.kvm.display()));
    }
    if is_dynamic(&launch.program) {
        return Err(Problem::host(
            "the jailer cannot run a Firecracker that needs shared libraries",
        )
        .at(launch.program.display())
        .remedy("use the program of a release, which needs none, or leave the jailer out"));
    }
    let root = jailer::root(launch)?;
    let (run, files) = (root.join("run"), root.join("files"));
    for directory in [&run, &files] {
        fs::create_dir_all(directory).map_err(|error| {
            Problem::storage("cannot make a jail")
                .at(directory.display())
                .caused_by(error)
        })?;
    }
    hand_over(&run, user)?;
    for file in given(launch, configured) {
        let target = files.join(&file.name);
        jailer::place(&file.source, &target, file.writable, user)?;
        if file.writable {
            hand_over(&target, user)?;
        }
    }
    let arguments = jailer::arguments(jailer, launch, user, own);
    let plan = jailer::Plan {
        program: path_c_string(&jailer.program)?,
        arguments: pointers(arguments)?,
        environment: PointerArray::new(Vec::new()),
        streams,
    };
    let names = Names::of_program(jailer.program.display());
    let plan = Plan::Jailer(Box::new(plan));
    Ok(Prepared { plan, names, run })
}

/// What Firecracker is given, its configuration among it.
fn given(launch: &Launch, configured: bool) -> Vec<GivenFile> {
    let configuration = configured
        .then(|| GivenFile::read_only(CONFIGURATION, launch.directory.join(CONFIGURATION)));
    launch.files.iter().cloned().chain(configuration).collect()
}

/// Firecracker's arguments but its id, which the jailer passes on.
fn own_arguments(configured: bool) -> Vec<OsString> {
    // Only the start of a configured guest is told at the level of information.
    let level = if configured { "Info" } else { "Warning" };
    let mut arguments: Vec<OsString> = ["--api-sock", API_SOCKET, "--level", level]
        .map(OsString::from)
        .to_vec();
    if configured {
        arguments.push("--config-file".into());
        arguments.push(given_path(CONFIGURATION).into());
    }
    arguments
}

fn inside(name: &str) -> Result<CString> {
    c_string(&format!("files/{name}"))
}

fn pointers(arguments: Vec<OsString>) -> Result<PointerArray> {
    let strings: Result<Vec<CString>, _> = arguments
        .into_iter()
        .map(|argument| CString::new(argument.into_vec()))
        .collect();
    strings
        .map(PointerArray::new)
        .map_err(|_| Problem::invalid("a zero byte in a path or name"))
}

fn canonical(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).map_err(|error| {
        Problem::not_found("a file of a microVM is missing")
            .at(path.display())
            .caused_by(error)
    })
}
