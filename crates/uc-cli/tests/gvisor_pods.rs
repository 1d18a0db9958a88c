//! Pods whose containers share a gVisor kernel, as a user runs them.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says why it was skipped"
)]

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use support::{Ended, Host};
use uc_linux::processes::descendants;

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Pod that wants a kernel of its own; all that follows `spec:`.
fn pod(spec: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: pair
  annotations: {{undercurrent.dev/isolation: user-kernel}}
spec:
  volumes: [{{name: shared, emptyDir: {{}}}}]
{spec}"
    )
}

/// A container of busybox with the shared volume.
fn container(name: &str, script: &str, more: &str) -> String {
    format!(
        "    - name: {name}
      image: oci:busybox:latest
      command: [sh, -c, '{script}']
      volumeMounts: [{{name: shared, mountPath: /shared}}]
{more}"
    )
}

/// The host, and the command that finds gVisor.
fn set_up() -> Option<(Host, Command)> {
    let host = Host::new()?;
    let uc = host.uc_with("runsc")?;
    Some((host, uc))
}

fn run(uc: &mut Command) -> Ended {
    Ended::of(&uc.args(["run", "pod.yaml"]).output().expect("runs"))
}

/// One container serves at a port, the other one connects to it by 127.0.0.1; what an init container wrote is served.
#[test]
fn containers_of_a_pod_meet_at_the_loopback() {
    let Some((host, mut uc)) = set_up() else {
        return;
    };
    // On a busy host gVisor interrupts calls without a signal, so how `nc` ends says nothing.
    let serve = "until [ -e /shared/done ]; do nc -l -p 8080 </shared/page >/dev/null; done; true";
    let ask = "until nc 127.0.0.1 8080 </dev/null | grep -m1 hello; do sleep 0.1; done; touch /shared/done; \
               while nc 127.0.0.1 8080 </dev/null >/dev/null 2>&1; do sleep 0.1; done; exit 3";
    let limit = |mib| format!("      resources: {{limits: {{memory: {mib}Mi}}}}\n");
    host.file(
        "pod.yaml",
        &pod(&format!(
            "  restartPolicy: Never
  initContainers:
{}  containers:
{}{}",
            container("prepare", "echo hello >/shared/page", ""),
            container("server", serve, &limit(64)),
            container("client", ask, &limit(96)),
        )),
    );
    let ended = run(&mut uc);
    assert_eq!(ended.code, 3, "{ended}");
    assert!(ended.stdout.contains("client | hello"), "{ended}");
    // Neither is held to its own limit, and that is said once.
    assert_eq!(ended.stderr.matches("160 MiB").count(), 1, "{ended}");
    host.assert_nothing_left();
}

/// What only one container has a limit for cannot be enforced, unless for nobody.
#[test]
fn a_limit_of_one_container_is_refused() {
    let Some((host, mut uc)) = set_up() else {
        return;
    };
    let limit = "      resources: {limits: {memory: 64Mi}}\n";
    let manifest = pod(&format!(
        "  restartPolicy: Never\n  containers:\n{}{}",
        container("one", "true", limit),
        container("other", "true", ""),
    ));
    host.file("pod.yaml", &manifest);
    run(&mut uc).refuses(77, &["memory limit", "gVisor", "unenforceable-limits"]);
    host.assert_nothing_left();
}

/// A container that fails is made anew in the same kernel, and the other one never stops.
#[test]
fn a_container_restarts_while_another_runs() {
    let Some((host, mut uc)) = set_up() else {
        return;
    };
    let steady = "echo up; until [ -e /shared/third ]; do sleep 0.1; done; echo steady";
    // A probe that failed once would start it again.
    let probe = "      livenessProbe: {exec: {command: [test, -d, /shared]}, periodSeconds: 1, failureThreshold: 1}\n";
    let flaky = "[ -e /shared/second ] && { touch /shared/third; exit 0; }; \
                 [ -e /shared/first ] && { touch /shared/second; kill -9 $$; }; touch /shared/first; exit 5";
    host.file(
        "pod.yaml",
        &pod(&format!(
            "  restartPolicy: OnFailure\n  containers:\n{}{}",
            container("steady", steady, probe),
            container("flaky", flaky, ""),
        )),
    );
    let ended = run(&mut uc);
    assert_eq!(ended.code, 0, "{ended}");
    assert_eq!(ended.stdout.matches("steady | up").count(), 1, "{ended}");
    assert_eq!(
        ended.stdout.matches("steady | steady").count(),
        1,
        "{ended}"
    );
    host.assert_nothing_left();
}

/// Each container gets the signal that asks it to end, and its own end.
#[test]
fn containers_of_a_pod_are_asked_to_end() {
    let Some((host, uc)) = set_up() else {
        return;
    };
    let (mut child, mut output) = start_two(
        &host,
        uc,
        "trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.1; done",
    );
    until_running(&host);
    kill(child.id(), Signal::TERM);
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("its end");
    child.wait().expect("reaped");
    assert_eq!(rest.matches("| bye\n").count(), 2, "{rest}");
    host.assert_nothing_left();
}

/// Memory runs out for all of them together, and that is told.
#[test]
fn a_hog_ends_the_pod_for_want_of_memory() {
    let Some((host, mut uc)) = set_up() else {
        return;
    };
    let limit = "      resources: {limits: {memory: 48Mi}}\n";
    host.file(
        "pod.yaml",
        &pod(&format!(
            "  restartPolicy: Never\n  containers:\n{}{}",
            container("idle", "sleep 1000000", limit),
            container("hog", "x=0123456789abcdef; while :; do x=$x$x; done", limit),
        )),
    );
    run(&mut uc).refuses(137, &["memory"]);
    host.assert_nothing_left();
}

/// Ports are probed within gVisor: for a container on its own, and for those that share a kernel.
#[test]
fn ports_are_probed_within_gvisor() {
    let late = "sleep 2; (while :; do nc -l -p 8080 </dev/null >/dev/null; done) & sleep 4; exit 5";
    let probe =
        "      startupProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 20}\n";
    let deaf =
        "      livenessProbe: {tcpSocket: {port: 8081}, periodSeconds: 1, failureThreshold: 2}\n";
    for others in ["", &container("other", "sleep 1", "")] {
        let Some((host, mut uc)) = set_up() else {
            return;
        };
        let of = |probe| {
            let probed = container("probed", late, probe);
            pod(&format!(
                "  restartPolicy: Never\n  containers:\n{probed}{others}"
            ))
        };
        host.file("pod.yaml", &of(probe));
        let ended = run(&mut uc);
        assert_eq!(ended.code, 5, "{ended}");
        host.file("pod.yaml", &of(deaf));
        let mut uc = host.uc_with("runsc").expect("as before");
        let ended = run(&mut uc);
        assert_ne!(ended.code, 5, "{ended}");
        assert!(ended.stderr.contains("liveness probe failed"), "{ended}");
        assert!(ended.stderr.contains("refused"), "{ended}");
        host.assert_nothing_left();
    }
}

/// A Pod of two that has said `up` twice.
fn start_two(host: &Host, mut uc: Command, script: &str) -> (Child, BufReader<ChildStdout>) {
    host.file(
        "pod.yaml",
        &pod(&format!(
            "  restartPolicy: Never\n  containers:\n{}{}",
            container("one", script, ""),
            container("other", script, ""),
        )),
    );
    let mut child = uc
        .args(["run", "pod.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    for _ in 0..2 {
        let mut line = String::new();
        output.read_line(&mut line).expect("output");
        assert!(line.ends_with("| up\n"), "{line}");
    }
    (child, output)
}

fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// Waits until every container has been started: a program may run before its runtime has said so.
fn until_running(host: &Host) {
    let start = Instant::now();
    loop {
        let shown = host.run(&["ps"]);
        if shown.stdout.contains("running") {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{shown}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, signal).expect("it is there");
}

/// No process of a family lives on, nor a control group of its Pod.
fn assert_gone(family: &[u32], id: &str) {
    let start = Instant::now();
    let is_there = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    while let Some(pid) = family.iter().find(|pid| is_there(pid)) {
        assert!(
            start.elapsed() < PATIENCE,
            "{pid} lives on: {}",
            command_line(*pid)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut waiting = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!name.contains(id), "{} is left", entry.path().display());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            }
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    assert!(!mounts.contains(id), "a mount is left");
}

/// The id of the only workload.
fn id_of(host: &Host) -> String {
    let workload = host.workloads().into_iter().next().expect("a workload");
    let name = workload.file_name().expect("a name").to_string_lossy();
    name.split('.').next().expect("one part").to_owned()
}

/// `kill -9` of the owner ends the kernel with all containers; of the supervisor or the kernel, the run.
#[test]
fn nothing_outlives_what_was_killed() {
    for victim in ["uc", "uc-supervisor", "runsc-sandbox"] {
        let Some((host, uc)) = set_up() else { return };
        let (mut child, mut output) = start_two(&host, uc, "echo up; exec sleep 1000000");
        until_running(&host);
        let id = id_of(&host);
        let mut family = descendants(child.id());
        family.push(child.id());
        let victims: Vec<u32> = match victim {
            "uc" => vec![child.id()],
            _ => family
                .iter()
                .copied()
                .filter(|pid| command_line(*pid).starts_with(victim))
                .collect(),
        };
        assert_eq!(victims.len(), 1, "one {victim} serves both");
        kill(victims[0], Signal::KILL);
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("its end");
        let mut said = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut said).expect("its end");
        let status = child.wait().expect("reaped");
        if victim == "uc" {
            let cleaned = host.run(&["rm", "--ended"]);
            assert_eq!(cleaned.code, 0, "{cleaned}");
        } else {
            assert_eq!(status.code(), Some(137), "{victim}: {said}");
        }
        assert_gone(&family, &id);
        host.assert_nothing_left();
    }
}

/// What would listen and lead nowhere is refused.
#[test]
fn a_port_of_the_loopback_is_refused() {
    let Some((host, mut uc)) = set_up() else {
        return;
    };
    if uc_linux::network::link_program().is_none() {
        return println!("skipped: no program links networks (apt install passt)");
    }
    let ports = "      ports: [{containerPort: 8080, hostPort: 18080}]\n";
    host.file(
        "pod.yaml",
        &pod(&format!(
            "  restartPolicy: Never\n  containers:\n{}",
            container("server", "true", ports),
        )),
    );
    run(&mut uc).refuses(77, &["hostPort 18080", "loopback", "hostIP"]);
    host.assert_nothing_left();
}

/// A kernel that dies takes the addresses of its network along; the next one has a network again.
#[test]
fn a_kernel_made_anew_has_a_network_again() {
    if uc_linux::network::link_program().is_none() {
        return println!("skipped: no program links networks (apt install passt)");
    }
    let script = "[ -e /shared/first ] && grep -c eth0 /proc/net/route; touch /shared/first; echo up; \
                  exec sleep 1000000";
    for others in ["", &container("other", "exec sleep 1000000", "")] {
        let Some((host, mut uc)) = set_up() else {
            return;
        };
        let manifest = pod(&format!(
            "  restartPolicy: Always\n  containers:\n{}{others}",
            container("main", script, "")
        ))
        .replace("user-kernel", "user-kernel, undercurrent.dev/network: user");
        host.file("pod.yaml", &manifest);
        let mut child = uc
            .args(["run", "pod.yaml"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = output.lines().map(|line| line.expect("output"));
        assert!(lines.next().expect("a line").ends_with("up"));
        until_running(&host);
        let kernel = descendants(child.id())
            .into_iter()
            .find(|pid| command_line(*pid).starts_with("runsc-sandbox"));
        kill(kernel.expect("a kernel"), Signal::KILL);
        let routes = lines.next().expect("a second life");
        assert!(
            routes.ends_with('2'),
            "its own network and the way out: {routes}"
        );
        kill(child.id(), Signal::TERM);
        child.wait().expect("reaped");
        host.assert_nothing_left();
    }
}
