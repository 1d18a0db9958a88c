//! Programs of later Debian releases that tests compare with: unpacked below `target/peers`, never installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where tests look for them.
const FOLDER: &str = "target/peers";

/// A program, the release of Debian that has the version wanted, and its name here.
const PEERS: [(&str, &str, &str); 5] = [
    ("cosign", "trixie", "cosign2"),
    ("cosign", "sid", "cosign3"),
    ("oras", "trixie", "oras"),
    ("notation", "sid", "notation"),
    ("runsc", "bookworm-backports", "runsc"),
];

/// Brings what is missing where this is Debian and its mirror has it; otherwise says in a line what is left out. Nothing
/// depends on it: tests that want a peer print that they were skipped.
pub(super) fn provide(check: bool) -> Option<String> {
    let missing: Vec<_> = PEERS
        .into_iter()
        .filter(|(_, _, name)| !Path::new(FOLDER).join(name).is_file())
        .collect();
    if missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = missing.iter().map(|(_, _, name)| *name).collect();
    let left_out = |reason: &str| {
        Some(format!(
            "{} left out: {reason}; tests against it are skipped",
            names.join(" and ")
        ))
    };
    if check {
        return left_out("not brought yet");
    }
    let Some(mirror) = mirror() else {
        return left_out("no mirror of Debian is configured");
    };
    let Some(apt) = Apt::new(&mirror) else {
        return left_out("the mirror does not answer");
    };
    let failed: Vec<&str> = missing
        .iter()
        .filter(|(program, release, name)| apt.bring(program, release, name).is_none())
        .map(|(_, _, name)| *name)
        .collect();
    (!failed.is_empty()).then(|| {
        format!(
            "{} left out: the mirror does not have it; tests against it are skipped",
            failed.join(" and ")
        )
    })
}

/// The mirror that apt uses for Debian's own packages.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "Created-By: Packages",
            "--format",
            "$(ORIGIN) $(REPO_URI)",
        ])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let debian = text.lines().filter_map(|line| line.strip_prefix("Debian "));
    debian
        .map(|address| address.trim().to_owned())
        .find(|address| !address.contains("security"))
}

/// apt with lists and sources of its own, which leave the system's alone.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(mirror: &str) -> Option<Self> {
        let folder = env::current_dir().ok()?.join(FOLDER).join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part)).ok()?;
        }
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let mut releases: Vec<&str> = PEERS.iter().map(|(_, release, _)| *release).collect();
        releases.sort_unstable();
        releases.dedup();
        let sources: String = releases
            .iter()
            .map(|release| format!("deb [signed-by={keyring}] {mirror} {release} main\n"))
            .collect();
        fs::write(folder.join("sources.list"), sources).ok()?;
        let configuration = format!(
            "Dir::Etc::sourcelist \"{0}/sources.list\";\nDir::Etc::sourceparts \"-\";\nDir::State::lists \"{0}/lists\";\n\
             Dir::Cache \"{0}/cache\";\nAPT::Sandbox::User \"root\";\n",
            folder.display()
        );
        fs::write(folder.join("apt.conf"), configuration).ok()?;
        let apt = Self { folder };
        apt.succeeds("apt-get", &["-qq", "update"]).then_some(apt)
    }

    /// Unpacks a program of a release; `None` where that cannot be done.
    fn bring(&self, program: &str, release: &str, name: &str) -> Option<()> {
        let unpacked = self.folder.join(name);
        fs::create_dir_all(&unpacked).ok()?;
        // The folder is where apt-get leaves the archive.
        let wanted = format!("{program}/{release}");
        self.succeeds("apt-get", &["-qq", "download", &wanted])
            .then_some(())?;
        let archive = fs::read_dir(&self.folder)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))?;
        let to = unpacked.display().to_string();
        let extracted = self.succeeds("dpkg", &["-x", &archive.display().to_string(), &to]);
        let _ = fs::remove_file(archive);
        extracted.then_some(())?;
        fs::copy(
            unpacked.join("usr/bin").join(program),
            self.folder.with_file_name(name),
        )
        .ok()?;
        Some(())
    }

    fn succeeds(&self, program: &str, arguments: &[&str]) -> bool {
        Command::new(program)
            .args(arguments)
            .env("APT_CONFIG", self.folder.join("apt.conf"))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}
