//! Security contexts: the Pod's and a container's, merged; what would weaken the sandbox is refused.

use std::path::{Component, Path, PathBuf};

use uc_model::{Figure, Problem, Result, workload::Security};

use crate::{name::shortened, view::View, yaml::as_integer};

/// Largest user or group id that Kubernetes accepts.
const MAX_ID: u32 = i32::MAX as u32;

/// `fsGroup` of the Pod's security context.
pub(crate) fn fs_group(pod: Option<&View<'_>>) -> Result<Option<u32>> {
    pod.map_or(Ok(None), |view| view.unsigned("fsGroup", 0..=MAX_ID))
}

/// The effective security context of a container.
pub(crate) fn merge(pod: Option<&View<'_>>, own: Option<&View<'_>>) -> Result<Security> {
    let id = |name: &str| -> Result<Option<u32>> {
        match own
            .map(|view| view.unsigned(name, 0..=MAX_ID))
            .transpose()?
        {
            Some(Some(id)) => Ok(Some(id)),
            _ => Ok(pod
                .map(|view| view.unsigned(name, 0..=MAX_ID))
                .transpose()?
                .flatten()),
        }
    };
    let non_root = own
        .and_then(|view| view.boolean("runAsNonRoot"))
        .or_else(|| pod.and_then(|view| view.boolean("runAsNonRoot")));
    let mut seccomp_profile = None;
    for view in [pod, own].into_iter().flatten() {
        if let Some(profile) = view.object("seccompProfile") {
            seccomp_profile = seccomp(&profile)?;
        }
        if let Some(profile) = view.object("appArmorProfile") {
            apparmor(&profile)?;
        }
    }
    let security = Security {
        run_as_user: id("runAsUser")?,
        run_as_group: id("runAsGroup")?,
        run_as_non_root: non_root.unwrap_or_default(),
        supplemental_groups: pod.map(groups).transpose()?.unwrap_or_default(),
        read_only_root: own
            .and_then(|view| view.boolean("readOnlyRootFilesystem"))
            .unwrap_or_default(),
        seccomp_profile,
    };
    if let Some(capabilities) = own.and_then(|view| view.object("capabilities")) {
        check_capabilities(&capabilities)?;
    }
    if let Some(view) = own.or(pod)
        && security.run_as_non_root
        && security.run_as_user == Some(0)
    {
        let problem = Problem::invalid("runAsNonRoot contradicts runAsUser: 0");
        return Err(view.blame_self(problem.remedy("set runAsUser to a user other than 0")));
    }
    Ok(security)
}

fn groups(pod: &View<'_>) -> Result<Vec<u32>> {
    let mut groups = Vec::new();
    for (index, node) in pod.items("supplementalGroups").iter().enumerate() {
        let text = node.scalar().unwrap_or_default();
        let group = as_integer(text)
            .and_then(|value| u32::try_from(value).ok())
            .filter(|group| *group <= MAX_ID);
        let Some(group) = group else {
            let problem = Problem::invalid("the number is out of range")
                .limit(format!("0 to {MAX_ID}"))
                .found(shortened(text));
            return Err(pod.blame_index("supplementalGroups", index, problem));
        };
        groups.push(group);
    }
    groups.extend(pod.unsigned("fsGroup", 0..=MAX_ID)?);
    groups.sort_unstable();
    groups.dedup();
    Ok(groups)
}

/// `RuntimeDefault` is the built-in allow-list, which is always there; `Localhost` comes on top of it.
fn seccomp(profile: &View<'_>) -> Result<Option<PathBuf>> {
    match profile.required("type")? {
        "RuntimeDefault" | "Localhost" => {}
        "Unconfined" => {
            return Err(profile.refuse(
                "type",
                "the system-call allow-list is always in force",
                "use RuntimeDefault, or Localhost for a narrower profile",
            ));
        }
        other => {
            let problem = Problem::invalid("unknown value")
                .limit("RuntimeDefault or Localhost")
                .found(shortened(other));
            return Err(profile.blame("type", problem));
        }
    }
    if profile.text("type") == Some("RuntimeDefault") {
        if profile.has("localhostProfile") {
            let problem = Problem::invalid("it goes with type Localhost only");
            return Err(profile.blame("localhostProfile", problem));
        }
        return Ok(None);
    }
    let text = profile.required("localhostProfile")?;
    let path = Path::new(text);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside {
        let problem = Problem::invalid("not a path below the manifest's directory")
            .limit("a relative path without ..")
            .found(shortened(text));
        return Err(profile.blame("localhostProfile", problem));
    }
    Ok(Some(profile.context.base.join(path)))
}

/// Nothing loads AppArmor profiles here: only the wish for none can be met.
fn apparmor(profile: &View<'_>) -> Result<()> {
    match profile.required("type")? {
        "Unconfined" => {
            if profile.has("localhostProfile") {
                let problem = Problem::invalid("it goes with type Localhost only");
                return Err(profile.blame("localhostProfile", problem));
            }
            Ok(())
        }
        "RuntimeDefault" | "Localhost" => Err(profile.refuse(
            "type",
            "a rootless container cannot apply an AppArmor profile",
            "remove it; namespaces, empty capability sets and seccomp stay in force",
        )),
        other => {
            let problem = Problem::invalid("unknown value")
                .limit("Unconfined")
                .found(shortened(other));
            Err(profile.blame("type", problem))
        }
    }
}

fn check_capabilities(capabilities: &View<'_>) -> Result<()> {
    for (index, name) in capabilities
        .texts("add")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        if bare == "NET_BIND_SERVICE" {
            capabilities.note(
                "add",
                "NET_BIND_SERVICE is not given: in a network of its own a workload may use ports below 1024 without it",
            );
            continue;
        }
        let path = format!("{}[{index}]", capabilities.path_of("add"));
        let place = capabilities
            .items("add")
            .get(index)
            .map_or(capabilities.place(), |n| n.place);
        let refusal = if bare == "SYS_ADMIN" {
            sys_admin(&path)
        } else {
            Problem::refused(format!(
                "{path} is not supported by uc: containers have no capabilities (red line 3.1)"
            ))
            .remedy("remove it; a program that needs it must run elsewhere or do without")
        };
        let refusal = refusal
            .at(place.in_file(capabilities.context.file))
            .limit("no added capability")
            .found(shortened(name));
        return Err(refusal);
    }
    // Everything is dropped in any case; reading the list says that it was seen.
    let _ = capabilities.texts("drop");
    Ok(())
}

fn sys_admin(path: &str) -> Problem {
    let cost = Figure::assumed(20.0, "person-days", "mission M3.4, deep use of SYS_ADMIN");
    Problem::refused(format!(
        "{path} is not supported by uc: SYS_ADMIN is dropped at start (red line 3.1; migration cost {cost})"
    ))
    .remedy("remove it; an image that starts systemd moves to a light init such as s6")
}
