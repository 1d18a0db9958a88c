//! What the fields that work come to.

use std::{path::PathBuf, time::Duration};

use uc_model::{
    Bytes, MilliCpu, RuntimeChoice, RuntimeKind,
    workload::{
        ImageSource, Network, ProbeAction, Protocol, PullPolicy, RestartPolicy, VolumeSource,
    },
};

use super::{accept, pod, read};

fn everything() -> uc_model::workload::Workload {
    accept(include_str!("everything.yaml"))
}

#[test]
fn a_full_pod_becomes_a_workload() {
    let workload = everything();
    assert_eq!(workload.name, "everything");
    assert_eq!(workload.namespace, "shop");
    assert_eq!(workload.hostname, "web");
    assert_eq!(workload.runtime, RuntimeChoice::Auto);
    assert_eq!(workload.network, Network::User);
    assert_eq!(workload.restart_policy, Some(RestartPolicy::OnFailure));
    assert_eq!(workload.active_deadline, Some(Duration::from_secs(600)));
    assert_eq!(workload.termination_grace, Duration::from_secs(5));
    assert!(workload.ignore_unenforceable_limits);
    assert_eq!(
        workload.init_containers[0].image,
        ImageSource::WasmFile {
            file: PathBuf::from("/base/./setup.wat")
        }
    );
    let web = &workload.containers[0];
    assert_eq!(
        web.command.as_deref(),
        Some(&["/bin/web".into(), "--name=everything".into()][..])
    );
    assert_eq!(
        web.args.as_deref(),
        Some(&["hello $(UNKNOWN) $(NAME)".into()][..])
    );
    assert_eq!(web.pull_policy, PullPolicy::IfNotPresent);
    assert_eq!(web.resources.cpu_limit, Some(MilliCpu(500)));
    assert_eq!(web.resources.memory_request, Some(Bytes::mib(64)));
    assert_eq!(web.resources.pids_limit, Some(64));
    assert_eq!(web.security.run_as_user, Some(1001));
    assert_eq!(web.security.supplemental_groups, [2000, 3000]);
    assert!(web.security.read_only_root && web.security.run_as_non_root);
    assert_eq!(
        web.security.seccomp_profile,
        Some("/base/profiles/web.json".into())
    );
    assert_eq!(workload.init_containers[0].security.run_as_user, Some(1000));
    assert_eq!(web.ports[0].host_port, Some(18080));
    assert_eq!(web.ports[0].protocol, Protocol::Tcp);
}

#[test]
fn the_environment_is_resolved_in_order() {
    let workload = everything();
    let vars: Vec<String> = workload.containers[0]
        .env
        .iter()
        .map(|var| format!("{}={}", var.name, var.value))
        .collect();
    assert_eq!(
        vars,
        [
            "CM_GREETING=hello",
            "CM_app.conf=a=1\n",
            "NAME=everything",
            "APP=web",
            "GREETING=hello",
            "PASSWORD=hunter2",
            "MEMORY=128",
            "BOTH=hello, everything",
        ]
    );
}

#[test]
fn files_have_content_and_mode() {
    let workload = everything();
    let files = |name: &str| -> Vec<(String, String, u32)> {
        let volume = workload.volumes.iter().find(|volume| volume.name == name);
        match &volume.expect(name).source {
            VolumeSource::Files { files } => files
                .iter()
                .map(|file| {
                    let text = String::from_utf8_lossy(&file.content).into_owned();
                    (file.path.clone(), text, file.mode)
                })
                .collect(),
            other => panic!("{other:?}"),
        }
    };
    let file = |path: &str, text: &str, mode: u32| (path.to_owned(), text.to_owned(), mode);
    assert_eq!(files("config"), [file("etc/app.conf", "a=1\n", 0o400)]);
    assert_eq!(
        files("keys"),
        [
            file("password", "hunter2", 0o400),
            file("token", "secret", 0o400)
        ]
    );
    assert_eq!(
        files("facts"),
        [
            file("cpu", "500", 0o440),
            file("labels", "app=\"web\"\ntier=\"front\"", 0o444)
        ]
    );
    assert_eq!(
        files("all"),
        [
            file("greeting", "hello", 0o440),
            file("name", "everything", 0o440),
            file("token", "secret", 0o440)
        ]
    );
}

#[test]
fn mounts_are_normalised_and_ordered() {
    let workload = everything();
    let mounts: Vec<(&str, Option<&str>, bool)> = workload.containers[0]
        .mounts
        .iter()
        .map(|mount| {
            (
                mount.path.as_str(),
                mount.sub_path.as_deref(),
                mount.read_only,
            )
        })
        .collect();
    assert_eq!(
        mounts,
        [
            ("/data", None, false),
            ("/srv", Some("public"), false),
            ("/all", None, true),
            ("/data/cache", Some("everything/cache"), false),
            ("/etc/app", None, true),
        ]
    );
    let text = pod(
        "volumes:\n- {name: h, hostPath: {path: /srv}}",
        "volumeMounts:\n- {name: h, mountPath: /h}",
    );
    assert!(accept(&text).containers[0].mounts[0].read_only);
    assert!(read(&text).expect("reads").notes[0].contains("readOnly is true unless stated"));
}

#[test]
fn probes_have_kubernetes_defaults() {
    let workload = everything();
    let web = &workload.containers[0];
    let live = web.liveness_probe.as_ref().expect("there");
    assert_eq!(live.action, ProbeAction::Tcp { port: 8080 });
    let times = [live.initial_delay, live.period, live.timeout].map(|time| time.as_secs());
    assert_eq!(times, [0, 10, 1]);
    assert_eq!((live.success_threshold, live.failure_threshold), (1, 3));
    let start = web.startup_probe.as_ref().expect("there");
    assert_eq!(start.action, ProbeAction::Tcp { port: 8080 });
    let ready = web.readiness_probe.as_ref().expect("there");
    assert_eq!(ready.success_threshold, 2);
}

#[test]
fn defaults_are_those_of_kubernetes() {
    let workload = accept(&pod("", "resources: {limits: {cpu: 1}}"));
    assert_eq!(workload.restart_policy, None);
    assert_eq!(workload.termination_grace, Duration::from_secs(30));
    assert_eq!(workload.network, Network::None);
    assert_eq!(workload.hostname, "p");
    assert_eq!(workload.namespace, "default");
    let container = &workload.containers[0];
    assert_eq!(container.resources.cpu_request, Some(MilliCpu(1000)));
    assert_eq!(container.pull_policy, PullPolicy::IfNotPresent);
    assert!(!container.stdin && container.command.is_none());
}

#[test]
fn the_network_follows_from_field_annotation_and_ports() {
    let annotated = |network: &str, spec: &str, container: &str| {
        pod(spec, container).replace(
            "  name: p\n",
            &format!("  name: p\n  annotations: {{undercurrent.dev/network: {network}}}\n"),
        )
    };
    let forward = "ports: [{containerPort: 80, hostPort: 8080}]";
    for (text, network) in [
        (pod("hostNetwork: true", ""), Network::Host),
        (pod("", forward), Network::User),
        (annotated("http", "", ""), Network::Http),
        (annotated("host", "", ""), Network::Host),
        (annotated("host", "hostNetwork: true", ""), Network::Host),
        (
            annotated("none", "", "ports: [{containerPort: 80}]"),
            Network::None,
        ),
    ] {
        assert_eq!(accept(&text).network, network, "{text}");
    }
    for text in [
        annotated("none", "hostNetwork: true", ""),
        annotated("host", "hostNetwork: false", ""),
        annotated("none", "", forward),
        annotated("http", "", forward),
        annotated("lan", "", ""),
    ] {
        assert!(read(&text).is_err(), "{text}");
    }
}

#[test]
fn runtime_classes_map_to_runtimes() {
    let class = |handler: &str| {
        format!(
            "apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: mine}}\nhandler: {handler}\n---\n{}",
            pod("runtimeClassName: mine", "")
        )
    };
    for (handler, choice) in [
        ("auto", RuntimeChoice::Auto),
        ("wasm", RuntimeChoice::Fixed(RuntimeKind::Wasm)),
        ("runsc", RuntimeChoice::Fixed(RuntimeKind::Gvisor)),
        ("kata-fc", RuntimeChoice::Fixed(RuntimeKind::Microvm)),
        ("crun", RuntimeChoice::Fixed(RuntimeKind::Container)),
    ] {
        assert_eq!(accept(&class(handler)).runtime, choice, "{handler}");
    }
    let direct = accept(&pod("runtimeClassName: fused", ""));
    assert_eq!(direct.runtime, RuntimeChoice::Fixed(RuntimeKind::Fused));
    let problem = read(&class("gvisr")).expect_err("unknown");
    assert_eq!(problem.remedy_text(), Some("did you mean gvisor?"));
    assert!(read(&pod("runtimeClassName: mine", "")).is_err());
}

#[test]
fn json_is_read_and_notes_tell_what_has_no_effect() {
    let json = "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"p\", \"uid\": \"1\", \"creationTimestamp\": null},\n\t\"spec\": {\"containers\": [{\"name\": \"c\", \"image\": \"busybox\"}]}\n}\n";
    let manifest = read(json).expect("reads");
    assert_eq!(
        manifest.notes,
        ["f.yaml:3:28: metadata.uid has no effect: only an API server sets it"]
    );
}

#[test]
fn several_pods_keep_their_order() {
    let second = pod("", "").replace("name: p", "name: a");
    let manifest = read(&format!("{}---\n{second}---\n", pod("", ""))).expect("reads");
    let names: Vec<&str> = manifest.workloads.iter().map(|w| w.name.as_str()).collect();
    assert_eq!(names, ["p", "a"]);
    let problem = read(&format!("{0}---\n{0}", pod("", ""))).expect_err("same name");
    assert!(problem.to_string().contains("same name"));
}

#[test]
fn an_image_alone_is_a_workload() {
    let image = crate::parse_image("./x.wat", std::path::Path::new("/base")).expect("parses");
    let make = |name: &str, args: Vec<String>| {
        crate::workload_for_image(name, image.clone(), args, RuntimeChoice::Auto)
    };
    let workload = make("x", vec!["a".into()]).expect("valid");
    assert!(workload.containers[0].stdin);
    assert_eq!(workload.restart_policy, Some(RestartPolicy::Never));
    assert_eq!(
        workload.containers[0].args.as_deref(),
        Some(&["a".into()][..])
    );
    assert_eq!(make("x", vec![]).expect("valid").containers[0].args, None);
    assert!(make("X y", vec![]).is_err());
}
