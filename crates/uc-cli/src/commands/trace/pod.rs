//! A Pod with the least privileges under which a traced program can run.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use uc_model::{Problem, Result};

use super::Run;

/// Directories that a container has of its own, in memory.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The user of programs that need none in particular.
const USER: u32 = 1000;

/// Files that the manifest's comment names.
const NAMED: usize = 10;

/// Where a Pod and its profile are written.
pub(super) struct Destination {
    pub(super) pod: PathBuf,
    pub(super) profile: PathBuf,
    /// The profile as the Pod names it.
    reference: String,
}

impl Destination {
    /// The profile stands beside the Pod, or where `--seccomp` says, which must be below the Pod's directory.
    pub(super) fn of(pod: &Path, profile: Option<&Path>) -> Result<Self> {
        let directory = pod.parent().unwrap_or(Path::new(""));
        let profile = match profile {
            Some(profile) => profile.to_owned(),
            None => pod.with_extension("seccomp.json"),
        };
        let reference = profile
            .strip_prefix(directory)
            .ok()
            .filter(|below| below.is_relative() && !below.starts_with(".."))
            .and_then(Path::to_str);
        match reference {
            Some(reference) => Ok(Self {
                pod: pod.to_owned(),
                reference: reference.to_owned(),
                profile,
            }),
            None => Err(
                Problem::invalid("a Pod can only name a profile below its own directory")
                    .at("--seccomp")
                    .limit(directory.display())
                    .found(profile.display())
                    .remedy("write both to one directory, or leave --seccomp out"),
            ),
        }
    }
}

/// The manifest, for `uc run`.
pub(super) fn manifest(
    destination: &Destination,
    image: &str,
    command: &[OsString],
    run: &Run,
) -> String {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let lasting = lasting(run);
    let uses_network = !run.deeds.bound.is_empty() || !run.deeds.connected.is_empty();
    let mut text = String::from("# What one traced run needed, and no more; see `uc trace`.\n");
    if !lasting.is_empty() {
        text.push_str("# It wrote outside of temporary directories, so its root file system is not read-only. Volumes for these\n# would allow that:\n");
        for path in lasting.iter().take(NAMED) {
            let _ = writeln!(text, "#   {}", one_line(path));
        }
    }
    text.push_str("apiVersion: v1\nkind: Pod\nmetadata:\n");
    let _ = writeln!(text, "  name: {}", name(&words));
    let network = if uses_network { "user" } else { "none" };
    let _ = writeln!(
        text,
        "  annotations:\n    undercurrent.dev/network: {network}"
    );
    let _ = write!(
        text,
        "spec:
  restartPolicy: Never
  securityContext:
    runAsNonRoot: true
    runAsUser: {USER}
    runAsGroup: {USER}
    fsGroup: {USER}
  containers:
    - name: main
      image: {image}
      command: [{command}]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: {read_only}
        capabilities:
          drop: [ALL]
        seccompProfile:
          type: Localhost
          localhostProfile: {profile}
      resources:
        limits:
          memory: {memory}Mi
",
        image = quoted(image),
        command = words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(", "),
        read_only = lasting.is_empty(),
        profile = quoted(&destination.reference),
        memory = memory(run.peak_memory),
    );
    let ports: Vec<&u16> = run.deeds.bound.iter().filter(|port| **port != 0).collect();
    if !ports.is_empty() {
        text.push_str("      # hostPort: N beside a port opens it on this host.\n      ports:\n");
        for port in ports {
            let _ = writeln!(text, "        - containerPort: {port}");
        }
    }
    text.push_str(&volumes(run));
    text
}

/// The temporary directories that it wrote to.
fn volumes(run: &Run) -> String {
    let used: Vec<&str> = TEMPORARY
        .into_iter()
        .filter(|directory| {
            run.deeds
                .changed
                .iter()
                .any(|path| path.starts_with(directory))
        })
        .collect();
    if used.is_empty() {
        return String::new();
    }
    let mut mounts = String::from("      volumeMounts:\n");
    let mut volumes = String::from("  volumes:\n");
    for directory in used {
        let name = directory.trim_start_matches('/').replace('/', "-");
        let _ = write!(
            mounts,
            "        - name: {name}\n          mountPath: {directory}\n"
        );
        let _ = write!(volumes, "    - name: {name}\n      emptyDir: {{}}\n");
    }
    mounts + &volumes
}

/// What it changed that a read-only root file system would not allow.
fn lasting(run: &Run) -> Vec<&Path> {
    run.deeds
        .changed_files()
        .filter(|path| {
            !TEMPORARY
                .iter()
                .any(|directory| path.starts_with(directory))
        })
        .collect()
}

/// Half as much again as was seen, and room for the page tables and buffers that the kernel counts too.
fn memory(peak: u64) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    (peak.saturating_add(peak / 2).div_ceil(MEBIBYTE) + 16).next_multiple_of(16)
}

/// The program's name as a Pod's.
fn name(words: &[String]) -> String {
    let file = words
        .first()
        .map_or("", |word| word.rsplit('/').next().unwrap_or(word));
    let name: String = file
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    match name.trim_matches('-') {
        "" => "traced".into(),
        name => name.into(),
    }
}

/// A YAML string in double quotes: JSON's form is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn one_line(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_stands_below_the_pod() {
        let of = |pod: &str, profile: Option<&str>| {
            Destination::of(Path::new(pod), profile.map(Path::new)).map(|found| found.reference)
        };
        assert_eq!(of("a/pod.yaml", None).expect("beside"), "pod.seccomp.json");
        assert_eq!(
            of("pod.yaml", Some("p/min.json")).expect("below"),
            "p/min.json"
        );
        of("a/pod.yaml", Some("b/min.json")).expect_err("elsewhere");
        of("pod.yaml", Some("/tmp/min.json")).expect_err("elsewhere");
        of("pod.yaml", Some("../min.json")).expect_err("above");
    }

    #[test]
    fn names_and_limits_are_ones_that_pods_accept() {
        assert_eq!(name(&["/usr/bin/Redis_Server".into()]), "redis-server");
        assert_eq!(name(&["/".into()]), "traced");
        assert_eq!(memory(0), 16);
        assert_eq!(memory(100 << 20), 176);
        assert_eq!(quoted("a\"b\n"), r#""a\"b\n""#);
    }
}
