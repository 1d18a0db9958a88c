//! The words for what is refused: the whole line for the most important cases, the decisive part for the rest.

use super::{pod, read, refuse};

#[test]
fn messages_name_file_line_column_path_reason_and_remedy() {
    for (text, line, remedy) in [
        (
            pod(
                "volumes:\n- {name: a, emptyDir: {}}\n- {name: b, emptyDir: {}}",
                "volumeMounts:\n- {name: a, mountPath: /a}\n- name: b\n  mountPath: /b\n  mountPropagation: Bidirectional",
            ),
            "f.yaml:16:7: spec.containers[0].volumeMounts[1].mountPropagation is not supported by uc: mounts never pass between the host and a workload (expected: None; found: the string \"Bidirectional\")",
            "use None or remove it",
        ),
        (
            pod("", "imag: x"),
            "f.yaml:9:5: spec.containers[0].imag is an unknown field: Container has no \"imag\"",
            "did you mean image?",
        ),
        (
            pod("", "readinessProbe:\n  httpGet: {path: /, port: 80}"),
            "f.yaml:10:7: spec.containers[0].readinessProbe.httpGet is not supported by uc: probes are exec and tcpSocket",
            "use tcpSocket on the same port, or exec with a client that the image holds",
        ),
        (
            pod(
                "",
                "securityContext: {capabilities: {add: [CHOWN, SYS_ADMIN]}}",
            ),
            "f.yaml:9:44: spec.containers[0].securityContext.capabilities.add[0] is not supported by uc: containers have no capabilities (red line 3.1) (expected: no added capability; found: \"CHOWN\")",
            "remove it; a program that needs it must run elsewhere or do without",
        ),
        (
            pod("", "securityContext: {capabilities: {add: [SYS_ADMIN]}}"),
            "f.yaml:9:44: spec.containers[0].securityContext.capabilities.add[0] is not supported by uc: SYS_ADMIN is dropped at start (red line 3.1; migration cost 20 person-days (assumed: mission M3.4, deep use of SYS_ADMIN)) (expected: no added capability; found: \"SYS_ADMIN\")",
            "remove it; an image that starts systemd moves to a light init such as s6",
        ),
        (
            pod("", "env: [{name: A, value: 1}]"),
            "f.yaml:9:28: spec.containers[0].env[0].value has the wrong type (expected: a string; found: the number 1)",
            "put the value in quotes",
        ),
        (
            pod("hostNetwork: \"true\"", ""),
            "f.yaml:6:16: spec.hostNetwork has the wrong type (expected: true or false; found: the string \"true\")",
            "write the value without quotes",
        ),
        (
            pod("", "resources: {limits: {nvidia.com/gpu: 1}}"),
            "f.yaml:9:25: spec.containers[0].resources.limits[nvidia.com/gpu] is not supported by uc: no runtime of this version gives access to a GPU",
            "remove it, or run the workload where a device driver is installed",
        ),
        (
            pod(
                "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerm: []}}}",
                "",
            ),
            "f.yaml:6:78: spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerm is an unknown field: NodeSelector has no \"nodeSelectorTerm\"",
            "did you mean nodeSelectorTerms?",
        ),
    ] {
        let problem = refuse(&text);
        assert_eq!(problem.to_string(), line);
        assert_eq!(problem.remedy_text(), Some(remedy));
    }
}

/// Lines under `spec`, lines under the container, and what the message must contain.
const CASES: &[(&str, &str, &str)] = &[
    ("hostPID: true", "", "spec.hostPID is not supported"),
    ("hostUsers: true", "", "spec.hostUsers is not supported"),
    (
        "shareProcessNamespace: true",
        "",
        "spec.shareProcessNamespace",
    ),
    ("dnsPolicy: None", "", "spec.dnsPolicy is not supported"),
    (
        "serviceAccountName: x",
        "",
        "spec.serviceAccountName is not supported",
    ),
    ("os: {name: windows}", "", "spec.os.name is not supported"),
    (
        "hostname: Bad_Name",
        "",
        "spec.hostname: not an RFC 1123 label",
    ),
    (
        "restartPolicy: Sometimes",
        "",
        "spec.restartPolicy: unknown value",
    ),
    (
        "activeDeadlineSeconds: 0",
        "",
        "spec.activeDeadlineSeconds: the number is out of range",
    ),
    ("terminationGracePeriodSeconds: -1", "", "out of range"),
    (
        "securityContext: {sysctls: [{name: a, value: b}]}",
        "",
        "spec.securityContext.sysctls is not supported",
    ),
    (
        "securityContext: {seccompProfile: {type: Unconfined}}",
        "",
        "seccompProfile.type is not supported",
    ),
    (
        "securityContext: {seccompProfile: {type: Localhost, localhostProfile: ../x}}",
        "",
        "localhostProfile: not a path",
    ),
    (
        "securityContext: {appArmorProfile: {type: RuntimeDefault}}",
        "",
        "appArmorProfile.type is not supported",
    ),
    (
        "securityContext: {supplementalGroups: [-1]}",
        "",
        "supplementalGroups[0]: the number is out of range",
    ),
    (
        "securityContext: {runAsUser: 4294967295}",
        "",
        "spec.securityContext.runAsUser: the number is out of range",
    ),
    (
        "securityContext: {runAsUser: 0, runAsNonRoot: true}",
        "",
        "runAsNonRoot contradicts",
    ),
    (
        "",
        "securityContext: {privileged: true}",
        "securityContext.privileged is not supported",
    ),
    (
        "",
        "securityContext: {allowPrivilegeEscalation: true}",
        "allowPrivilegeEscalation is not supported",
    ),
    (
        "",
        "securityContext: {procMount: Unmasked}",
        "procMount is not supported",
    ),
    (
        "",
        "securityContext: {seLinuxOptions: {level: s0}}",
        "seLinuxOptions is not supported",
    ),
    ("", "tty: true", "spec.containers[0].tty is not supported"),
    (
        "",
        "lifecycle: {preStop: {exec: {command: [a]}}}",
        "lifecycle is not supported",
    ),
    (
        "",
        "restartPolicy: Always",
        "spec.containers[0].restartPolicy is not supported",
    ),
    (
        "initContainers: [{name: i, image: a, restartPolicy: Always}]",
        "",
        "spec.initContainers[0].restartPolicy is not supported",
    ),
    (
        "initContainers: [{name: i, image: a, livenessProbe: {tcpSocket: {port: 1}}}]",
        "",
        "an init container has no probes",
    ),
    (
        "initContainers: [{name: c, image: a}]",
        "",
        "two containers have the same name",
    ),
    (
        "",
        "resources: {limits: {ephemeral-storage: 1Gi}}",
        "resources.limits.ephemeral-storage is not supported",
    ),
    (
        "",
        "resources: {limits: {hugepages-2Mi: 1Gi}}",
        "huge pages",
    ),
    ("", "resources: {limits: {cpus: 1}}", "unknown resource"),
    ("", "resources: {limits: {cpu: 0}}", "a limit of zero"),
    (
        "",
        "resources: {limits: {memory: 64Q}}",
        "limits.memory: not a Kubernetes quantity",
    ),
    (
        "",
        "resources: {limits: {cpu: 1}, requests: {cpu: 2}}",
        "the request is larger than the limit (expected: 1; found: 2)",
    ),
    (
        "volumes: [{name: v, nfs: {server: s, path: /}}]",
        "",
        "spec.volumes[0].nfs is not supported",
    ),
    (
        "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
        "",
        "persistentVolumeClaim is not supported",
    ),
    (
        "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]",
        "",
        "emptyDir.sizeLimit is not supported",
    ),
    (
        "volumes: [{name: v, emptyDir: {medium: HugePages}}]",
        "",
        "emptyDir.medium is not supported",
    ),
    (
        "volumes: [{name: v, emptyDir: {}, hostPath: {path: /}}]",
        "",
        "a volume has one source",
    ),
    (
        "volumes: [{name: v}, {name: v}]",
        "",
        "two volumes have the same name",
    ),
    (
        "volumes: [{name: v, hostPath: {path: /x, type: DirectoryOrCreate}}]",
        "",
        "hostPath.type is not supported",
    ),
    (
        "volumes: [{name: v, hostPath: {path: /dev/sda, type: BlockDevice}}]",
        "",
        "devices of the host",
    ),
    (
        "volumes: [{name: v, hostPath: {path: /a/../b}}]",
        "",
        "a hostPath without ..",
    ),
    (
        "volumes: [{name: v, configMap: {name: none}}]",
        "",
        "the file holds no such ConfigMap",
    ),
    (
        "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
        "",
        "serviceAccountToken is not supported",
    ),
    (
        "volumes: [{name: v, downwardAPI: {items: [{path: ../x, fieldRef: {fieldPath: metadata.name}}]}}]",
        "",
        "not a path below the volume",
    ),
    (
        "volumes: [{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}, {path: a/b, fieldRef: {fieldPath: metadata.name}}]}}]",
        "",
        "is also a directory",
    ),
    (
        "volumes: [{name: v, downwardAPI: {items: [{path: a, mode: 0o7777, fieldRef: {fieldPath: metadata.name}}]}}]",
        "",
        "mode: the number is out of range",
    ),
    (
        "",
        "volumeMounts: [{name: v, mountPath: /v}]",
        "the Pod has no such volume",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /}]",
        "mountPath is not supported by uc: the root",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /proc/x}]",
        "/proc is the sandbox's own",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: //sys}]",
        "/sys is the sandbox's own",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /dev}]",
        "/dev is the sandbox's own",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: rel}]",
        "not a mount path",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /a/../proc}]",
        "not a mount path",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a/}]",
        "mounted at the same path",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /a, subPath: ../b}]",
        "subPath: not a path below",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /a, subPathExpr: $(X)}]",
        "not in the environment",
    ),
    (
        "volumes: [{name: v}]",
        "volumeMounts: [{name: v, mountPath: /a, recursiveReadOnly: Enabled}]",
        "recursiveReadOnly is not supported",
    ),
    (
        "",
        "ports: [{containerPort: 0}]",
        "containerPort: the number is out of range",
    ),
    (
        "",
        "ports: [{containerPort: 80, protocol: SCTP}]",
        "protocol is not supported",
    ),
    (
        "",
        "ports: [{containerPort: 80, hostIP: here}]",
        "not an IP address",
    ),
    (
        "",
        "ports: [{containerPort: 80, name: Web}]",
        "not a port name",
    ),
    (
        "",
        "ports: [{containerPort: 80, hostPort: 1}, {containerPort: 81, hostPort: 1}]",
        "the same port of the host",
    ),
    (
        "hostNetwork: true",
        "ports: [{containerPort: 80, hostPort: 81}]",
        "with hostNetwork a hostPort",
    ),
    (
        "",
        "livenessProbe: {grpc: {port: 1}}",
        "grpc is not supported",
    ),
    (
        "",
        "livenessProbe: {periodSeconds: 1}",
        "a probe does exactly one thing",
    ),
    (
        "",
        "livenessProbe: {tcpSocket: {port: web}}",
        "no such port",
    ),
    (
        "",
        "livenessProbe: {tcpSocket: {port: 1}, successThreshold: 2}",
        "only a readiness probe",
    ),
    (
        "",
        "livenessProbe: {exec: {command: []}}",
        "the field is required",
    ),
    (
        "",
        "env: [{name: A=B, value: x}]",
        "not a name of an environment variable",
    ),
    (
        "",
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]",
        "fieldPath is not supported",
    ),
    (
        "",
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.nam}}}]",
        "unknown field path",
    ),
    (
        "",
        "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
        "the file holds no such Secret",
    ),
    (
        "",
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
        "sets no limits.cpu",
    ),
    (
        "",
        "env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        "exclude each other",
    ),
    ("", "env: [{name: A, valueFrom: {}}]", "exactly one source"),
    ("", "workingDir: rel", "not a working directory"),
    (
        "",
        "imagePullPolicy: Often",
        "unknown value (expected: Always, IfNotPresent, Never",
    ),
    ("", "name2: x", "unknown field"),
];

#[test]
fn each_case_is_refused_in_its_own_words() {
    for (spec, container, words) in CASES {
        let text = pod(spec, container);
        let problem = refuse(&text);
        let line = problem.to_string();
        assert!(line.contains(words), "{line}\nlacks {words}\n{text}");
        let mut place = line.split(':');
        assert_eq!(place.next(), Some("f.yaml"));
        for part in place.by_ref().take(2) {
            assert!(part.parse::<usize>().is_ok(), "no line and column: {line}");
        }
    }
}

#[test]
fn documents_are_told_apart() {
    for (text, words) in [
        ("", "the file holds no Pod"),
        ("---\n---\n", "the file holds no Pod"),
        ("just text", "kind is missing"),
        ("[1]", "kind is missing"),
        ("kind: Pod", "apiVersion of a Pod is v1"),
        (
            "apiVersion: apps/v1\nkind: Deployment",
            "kind \"Deployment\" is not supported",
        ),
        ("apiVersion: v1\nkind: Pd", "kind \"Pd\" is not supported"),
        ("apiVersion: v2\nkind: Pod", "apiVersion of a Pod is v1"),
        (
            "apiVersion: v1\nkind: Pod",
            "metadata: the field is required",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}",
            "spec: the field is required",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {}",
            "at least one container",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a.b}\nspec: {}",
            "not an RFC 1123 label",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c}]}",
            "image: the field is required",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {k: '***'}",
            "data.k: the value is not base64",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a/b: x}",
            "not a data key",
        ),
        (
            "apiVersion: v1\nkind: List\nitems: [{kind: Nope, apiVersion: v1}]",
            "items[0].kind \"Nope\"",
        ),
    ] {
        let line = refuse(text).to_string();
        assert!(line.contains(words), "{line}\nlacks {words}");
    }
}

#[test]
fn data_of_another_namespace_is_told_with_both() {
    let data = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: other}\ndata: {a: b}\n---\n";
    let asking = pod("", "envFrom: [{configMapRef: {name: m}}]");
    let problem = refuse(&format!("{data}{asking}"));
    let line = problem.to_string();
    assert!(
        line.contains("(expected: m in namespace default; found: m in namespace other)"),
        "{line}"
    );
    assert!(
        problem
            .remedy_text()
            .expect("a remedy")
            .contains("metadata.namespace")
    );
    let line = refuse(&asking).to_string();
    assert!(
        line.contains("(expected: m in namespace default)"),
        "{line}"
    );
}

#[test]
fn unknown_annotations_of_ours_are_errors() {
    let annotated = |line: &str| {
        pod("", "").replace(
            "  name: p\n",
            &format!("  name: p\n  annotations:\n    {line}\n"),
        )
    };
    read(&annotated("example.org/anything: x")).expect("not ours");
    for (line, words) in [
        ("undercurrent.dev/isolatoin: hardware", "unknown annotation"),
        (
            "undercurrent.dev/isolation: steel",
            "unknown isolation level",
        ),
        (
            "undercurrent.dev/pids-limit: \"0\"",
            "not a number of processes",
        ),
        (
            "undercurrent.dev/unenforceable-limits: \"true\"",
            "unknown value",
        ),
    ] {
        let problem = refuse(&annotated(line));
        assert!(problem.to_string().contains(words), "{problem}");
    }
    let problem = refuse(&annotated("undercurrent.dev/isolatoin: hardware"));
    assert_eq!(
        problem.remedy_text(),
        Some("did you mean undercurrent.dev/isolation?")
    );
}
