//! From image and manifest to the process a container executes.

use std::path::PathBuf;

use uc_image::{unpack::LayerStack, user};
use uc_linux::IdMapping;
use uc_model::{
    Problem, Result,
    workload::{Container, Security, Workload},
};
use uc_sandbox::{HostUser, Process, User};

use crate::resolve::{Content, ResolvedContainer};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The process of a container.
///
/// # Errors
/// Where the user does not exist in the image, or is root against the manifest's word.
pub(crate) fn process(
    workload: &Workload,
    container: &Container,
    resolved: &ResolvedContainer,
) -> Result<Process> {
    let (user, home) = match &resolved.content {
        Content::Wasm { .. } => (user_without_image(&container.security), None),
        Content::Rootfs { layers } => {
            user_of(&container.security, resolved.config.user.as_deref(), layers)?
        }
    };
    let cwd = container
        .working_dir
        .clone()
        .or_else(|| resolved.config.working_dir.clone());
    Ok(Process {
        argv: argv(container, resolved),
        env: environment(workload, container, resolved, home.as_deref()),
        cwd: cwd.unwrap_or_else(|| "/".into()),
        user,
    })
}

/// Kubernetes' rule: `command` replaces entrypoint and arguments of the image, `args` alone only the arguments.
fn argv(container: &Container, resolved: &ResolvedContainer) -> Vec<String> {
    let given = container.args.clone().unwrap_or_default();
    if let Some(command) = &container.command {
        return command.iter().cloned().chain(given).collect();
    }
    let config = &resolved.config;
    let arguments = container.args.as_ref().unwrap_or(&config.cmd);
    let mut argv: Vec<String> = config.entrypoint.iter().chain(arguments).cloned().collect();
    if let Content::Wasm { file, .. } = &resolved.content
        && config.entrypoint.is_empty()
        && !argv.is_empty()
    {
        // A module has no path of its own inside; its file's name stands for it.
        let name = file.file_name().map_or_else(
            || "main".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        argv.insert(0, name);
    }
    argv
}

fn environment(
    workload: &Workload,
    container: &Container,
    resolved: &ResolvedContainer,
    home: Option<&str>,
) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((name.to_owned(), value.to_owned())),
    };
    if matches!(resolved.content, Content::Rootfs { .. }) {
        set("PATH", DEFAULT_PATH);
        set("HOSTNAME", &workload.hostname);
        set("HOME", home.unwrap_or("/"));
    }
    for variable in &resolved.config.env {
        if let Some((name, value)) = variable.split_once('=') {
            set(name, value);
        }
    }
    for variable in &container.env {
        set(&variable.name, &variable.value);
    }
    env
}

/// The user of the manifest for a program that has no users: user 0 stands for nobody in particular, so `runAsNonRoot` has
/// nothing to object to. On the host it is never user 0; see [`host_user`].
fn user_without_image(security: &Security) -> User {
    let mut groups = security.supplemental_groups.clone();
    groups.sort_unstable();
    groups.dedup();
    User {
        uid: security.run_as_user.unwrap_or(0),
        gid: security.run_as_group.unwrap_or(0),
        groups,
    }
}

/// Whose rights a WebAssembly program has on the host's files: those that a container's program of the same Pod would
/// have. `None` where that is the caller.
///
/// # Errors
/// Host, for another user where the caller is not root, since only root can act as somebody else.
pub(crate) fn host_user(user: &User, mapping: &IdMapping) -> Result<Option<HostUser>> {
    if !rustix::process::geteuid().is_root() {
        return if *user == User::default() {
            Ok(None)
        } else {
            Err(
                Problem::host("a WebAssembly program cannot act as another user here")
                    .at("securityContext")
                    .limit(
                        "your own user: no runAsUser, runAsGroup, fsGroup and supplementalGroups",
                    )
                    .found(format!(
                        "uid {}, gid {}, groups {:?}",
                        user.uid, user.gid, user.groups
                    ))
                    .remedy("leave them out, run uc as root, or run the program as a container"),
            )
        };
    }
    mapping.require(user.uid, user.gid)?;
    mapping.require_groups(&user.groups)?;
    let host_gid = |group| mapping.host_gid(group);
    Ok(mapping
        .host_uid(user.uid)
        .zip(host_gid(user.gid))
        .map(|(uid, gid)| HostUser {
            uid,
            gid,
            groups: user.groups.iter().copied().filter_map(host_gid).collect(),
        }))
}

/// The user of the manifest, else of the image, with the group and home the image knows for it.
fn user_of(
    security: &Security,
    image_user: Option<&str>,
    layers: &[PathBuf],
) -> Result<(User, Option<String>)> {
    let name = match (security.run_as_user, security.run_as_group) {
        (Some(uid), Some(gid)) => format!("{uid}:{gid}"),
        (Some(uid), None) => uid.to_string(),
        (None, _) => image_user.unwrap_or_default().to_owned(),
    };
    let account = user::resolve(&name, &LayerStack::open(layers)?)
        .map_err(|problem| problem.within("the image's user"))?;
    if security.run_as_non_root && account.uid == 0 {
        return Err(
            Problem::refused("runAsNonRoot is set, but the container would run as user 0")
                .at("securityContext.runAsNonRoot")
                .remedy("set runAsUser to another user, or choose an image with one"),
        );
    }
    let mut groups = account.groups;
    groups.extend(&security.supplemental_groups);
    groups.sort_unstable();
    groups.dedup();
    let gid = security.run_as_group.unwrap_or(account.gid);
    Ok((
        User {
            uid: account.uid,
            gid,
            groups,
        },
        account.home,
    ))
}
