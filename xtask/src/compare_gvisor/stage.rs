//! Where a program runs twice: on this kernel under the recorder, and under gVisor by `uc`, with the same files, user and
//! environment, and without capabilities in both.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::{
    Gid, Uid, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use uc_model::{Digest, Problem, Result, RuntimeKind};
use uc_select::{Footprint, Rehearsed};
use uc_trace::{Conditions, Options, Refusals, Wish};

use super::programs::{self, PATH, Program};
use crate::example_image::layout;

/// After this time a native run is ended.
const LONGEST_NATIVE: Duration = Duration::from_secs(40);
/// And one under gVisor, where system calls take longer.
const LONGEST_GVISOR: Duration = Duration::from_secs(90);
/// What the guest's first program writes when the script has ended.
const MARK: &str = "the script has ended with ";
/// The user `nobody`, whom both runs know.
const USER: u32 = 65534;

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// As a shell has it; nothing where the script did not come to its end.
    pub(super) code: Option<i32>,
    pub(super) output: String,
    pub(super) errors: String,
}

impl Ended {
    /// What it said last, in one line.
    pub(super) fn last_words(&self) -> String {
        let line = |text: &str| {
            text.lines()
                .rev()
                .map(str::trim)
                .find(|line| !line.is_empty())
                .map(str::to_owned)
        };
        let words = line(&self.errors)
            .or_else(|| line(&self.output))
            .unwrap_or_default();
        let code = match self.code {
            Some(code) => format!("exit code {code}"),
            None => "no end".to_owned(),
        };
        match words.is_empty() {
            true => code,
            false => format!("{code}: {}", words.chars().take(160).collect::<String>()),
        }
    }
}

/// What a run here showed.
pub(super) struct Native {
    pub(super) ended: Ended,
    pub(super) footprint: Footprint,
    digest: Digest,
}

/// Folder, image and programs for the runs.
pub(super) struct Stage {
    uc: PathBuf,
    runsc: PathBuf,
    folder: PathBuf,
}

impl Stage {
    /// Prepares `folder`; compiled programs that lie there are made anew.
    ///
    /// # Errors
    /// Host, where busybox is missing; storage, where nothing can be written.
    pub(super) fn prepare(uc: PathBuf, runsc: PathBuf, folder: &Path) -> Result<Self> {
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).map_err(|error| unwritable(&bin, error))?;
        let folder = folder
            .canonicalize()
            .map_err(|error| unwritable(folder, error))?;
        layout::write(&folder.join("root"), &root_file_system()?)?;
        let stage = Self { uc, runsc, folder };
        let sources = programs::folder();
        for entry in fs::read_dir(&sources).into_iter().flatten().flatten() {
            let target = stage.bin().join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(|error| unwritable(&target, error))?;
        }
        Ok(stage)
    }

    fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Compiles a program that has a source; what the compiler says where it fails.
    pub(super) fn compile(&self, program: &Program) -> Result<(), String> {
        if !program.is_compiled {
            return Ok(());
        }
        let ended = Command::new("cc")
            .args(["-O1", "-pthread", "-w", "-D_GNU_SOURCE", "-o"])
            .arg(self.bin().join(&program.name))
            .arg(self.bin().join(format!("{}.c", program.name)))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&ended.stderr)
                .lines()
                .find(|line| line.contains("error"))
                .unwrap_or("cc failed")
                .to_owned()),
        }
    }

    /// Runs a program here under the recorder.
    ///
    /// # Errors
    /// Host, where this kernel's calls cannot be recorded.
    pub(super) fn native(&self, program: &Program) -> Result<Native> {
        let mut command = self.command(program)?;
        let log = |name: &str| {
            let file = self.folder.join(name);
            fs::File::create(&file).map_err(|error| unwritable(&file, error))
        };
        command.stdout(log("output")?).stderr(log("errors")?);
        let options = Options {
            longest: Some(LONGEST_NATIVE),
            ..Options::default()
        };
        let trace = without_privileges(|| uc_trace::trace(command, &options, &|| Wish::GoOn))?;
        let bytes = |name: &str| fs::read(self.folder.join(name)).unwrap_or_default();
        let output = bytes("output");
        Ok(Native {
            digest: Digest::from_sha256(&Sha256::digest(&output).into()),
            ended: Ended {
                code: Some(code(trace.status)),
                output: self.as_inside(&output),
                errors: self.as_inside(&bytes("errors")),
            },
            footprint: trace.footprint,
        })
    }

    /// Runs a program here, with what gVisor refuses refused.
    ///
    /// # Errors
    /// Host, where it cannot be started.
    pub(super) fn rehearse(&self, program: &Program, native: &Native) -> Result<Rehearsed> {
        let refusals = Refusals::of_runtime(RuntimeKind::Gvisor.into(), &native.footprint)?;
        let refused = refusals.refused.iter().cloned().collect();
        let conditions = Conditions {
            refusals: Some(refusals),
            longest: Some(LONGEST_NATIVE),
            ..Conditions::default()
        };
        let command = self.command(program)?;
        let rehearsal = without_privileges(|| uc_trace::rehearse(command, &conditions))?;
        let says_the_same = program.output_varies
            || native.digest.hex() == rehearsal.output.trim_start_matches("sha256:");
        Ok(Rehearsed {
            alike: rehearsal.code == Some(0) && says_the_same,
            refused,
        })
    }

    fn command(&self, program: &Program) -> Result<Command> {
        let path = env::temp_dir().join(format!("compare-gvisor-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| unwritable(&path, error))?;
        let mut command = Command::new("/usr/bin/bash");
        if is_root() {
            chown(&path, Some(USER), Some(USER)).map_err(|error| unwritable(&path, error))?;
        }
        command
            .args(["-euo", "pipefail"])
            .arg(self.bin().join(format!("{}.sh", program.name)))
            .current_dir(&path)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8")])
            .envs([("HOME", &path), ("WORK", &path), ("TMPDIR", &path)])
            .env("BIN", self.bin())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Text with the paths that it has under gVisor.
    fn as_inside(&self, bytes: &[u8]) -> String {
        let work = env::temp_dir().join(format!("compare-gvisor-{}", std::process::id()));
        String::from_utf8_lossy(bytes)
            .replace(&*work.to_string_lossy(), "/data/work")
            .replace(&*self.bin().to_string_lossy(), "/program")
    }

    /// Runs a program under gVisor.
    ///
    /// # Errors
    /// Host, where `uc` cannot be started.
    pub(super) fn gvisor(&self, program: &Program) -> Result<Ended> {
        let manifest = self.folder.join("pod.yaml");
        fs::write(&manifest, self.pod(&program.name))
            .map_err(|error| unwritable(&manifest, error))?;
        let open = |name: &str| {
            let file = self.folder.join(name);
            fs::File::create(&file).map_err(|error| unwritable(&file, error))
        };
        let child = Command::new(&self.uc)
            .args(["run", "--runtime", "gvisor"])
            .arg(&manifest)
            .current_dir(&self.folder)
            .env("UC_HOME", self.folder.join("home"))
            .env("UC_RUNSC", &self.runsc)
            .stdin(Stdio::null())
            .stdout(open("output")?)
            .stderr(open("errors")?)
            .spawn()
            .map_err(|error| {
                Problem::host("uc cannot be started")
                    .at(self.uc.display())
                    .caused_by(error)
            })?;
        let ended_by_itself = wait(child);
        let text = |name: &str| {
            let bytes = fs::read(self.folder.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (output, mut errors) = (text("output"), text("errors"));
        if !ended_by_itself {
            errors.push_str("\nended after its time was over");
        }
        let (output, code) = match output.rsplit_once(MARK) {
            Some((before, code)) => (before.to_owned(), code.trim().parse().ok()),
            None => (output, None),
        };
        Ok(Ended {
            code,
            output,
            errors,
        })
    }

    fn pod(&self, name: &str) -> String {
        let bin = self.bin();
        let user = match is_root() {
            true => format!(
                "  securityContext: {{runAsUser: {USER}, runAsGroup: {USER}, fsGroup: {USER}}}\n"
            ),
            false => String::new(),
        };
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: compared}}
spec:
  restartPolicy: Never
{user}  containers:
    - name: compared
      image: oci:./root:latest
      command: [/busybox, sh, -c, 'umask 022; mkdir -m 700 work; cd work; /usr/bin/bash -euo pipefail /program/{name}.sh; echo \"{MARK}$?\"']
      workingDir: /data
      env:
        - {{name: PATH, value: '{PATH}'}}
        - {{name: LANG, value: C.UTF-8}}
        - {{name: HOME, value: /data/work}}
        - {{name: WORK, value: /data/work}}
        - {{name: TMPDIR, value: /data/work}}
        - {{name: BIN, value: /program}}
      volumeMounts:
        - {{name: usr, mountPath: /usr}}
        - {{name: etc, mountPath: /etc}}
        - {{name: program, mountPath: /program}}
        - {{name: data, mountPath: /data}}
        - {{name: tmp, mountPath: /tmp}}
  volumes:
    - {{name: usr, hostPath: {{path: /usr}}}}
    - {{name: etc, hostPath: {{path: /etc}}}}
    - {{name: program, hostPath: {{path: {bin}}}}}
    - {{name: data, emptyDir: {{}}}}
    - {{name: tmp, emptyDir: {{}}}}
",
            bin = bin.display()
        )
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let work = env::temp_dir().join(format!("compare-gvisor-{}", std::process::id()));
        let _ = fs::remove_dir_all(work);
    }
}

/// Whether it ended before its time was over.
fn wait(mut child: Child) -> bool {
    const LOOK: Duration = Duration::from_millis(20);
    const GRACE: Duration = Duration::from_secs(15);
    let start = Instant::now();
    let until = |child: &mut Child, longest: Duration| {
        while start.elapsed() < longest {
            if !matches!(child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(LOOK);
        }
        false
    };
    if until(&mut child, LONGEST_GVISOR) {
        return true;
    }
    // Asked first, so that the sandbox goes with it.
    let _ = Command::new("/usr/bin/kill")
        .arg(child.id().to_string())
        .status();
    if !until(&mut child, LONGEST_GVISOR + GRACE) {
        let _ = child.kill();
        let _ = child.wait();
    }
    false
}

/// Runs something in a thread of the other user, which gains no privileges by programs: the kernel keeps both for each thread,
/// and what it starts has them too. So the command itself needs no setting between fork and exec.
fn without_privileges<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let ended = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            give_up().map_err(|errno| {
                Problem::host("cannot give up privileges").caused_by(io::Error::from(errno))
            })?;
            run()
        });
        thread.join()
    });
    ended.map_err(|_| Problem::internal("the recording failed"))?
}

fn give_up() -> rustix::io::Result<()> {
    if is_root() {
        let (group, user) = (Gid::from_raw(USER), Uid::from_raw(USER));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
    }
    set_no_new_privs(true)
}

/// As a shell has it.
fn code(status: ExitStatus) -> i32 {
    let signal = || status.signal().map_or(-1, |signal| 128 + signal);
    status.code().unwrap_or_else(signal)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

fn unwritable(path: &Path, error: io::Error) -> Problem {
    Problem::storage("cannot write for the comparison")
        .at(path.display())
        .caused_by(error)
}

/// A root whose programs are this machine's, mounted at /usr, but for the first one.
fn root_file_system() -> Result<Vec<u8>> {
    const FOLDERS: [&str; 13] = [
        "data", "dev", "etc", "home", "proc", "program", "root", "run", "sys", "tmp", "usr", "var",
        "var/tmp",
    ];
    const BUSYBOX: &str = "/bin/busybox";
    let busybox = fs::read(BUSYBOX).map_err(|error| {
        Problem::host("busybox is missing")
            .at(BUSYBOX)
            .remedy("apt-get install busybox-static")
            .caused_by(error)
    })?;
    let mut archive = Builder::new(Vec::new());
    let packed = (|| {
        for folder in FOLDERS {
            archive.append_data(&mut header(EntryType::Directory, 0), folder, &[][..])?;
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            let target = format!("usr/{name}");
            archive.append_link(&mut header(EntryType::Symlink, 0), name, target)?;
        }
        let size = u64::try_from(busybox.len()).unwrap_or(u64::MAX);
        let mut file = header(EntryType::Regular, size);
        archive.append_data(&mut file, "busybox", &busybox[..])?;
        archive.into_inner()
    })();
    packed.map_err(|error| Problem::internal("cannot pack the root").caused_by(error))
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// Lets everybody reach what the other user runs.
pub(super) fn open_to_all(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .map_err(|error| unwritable(folder, error))
}
