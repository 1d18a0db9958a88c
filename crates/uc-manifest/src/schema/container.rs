//! Container and what hangs below it.

use super::{
    BOOLEAN, INTEGER, Object, QUANTITIES, Shape, TEXT, TEXTS, inert, only, pod::SECURITY, refused,
    used,
};

const NO_TERMINATION_MESSAGE: &str = "no status carries a termination message";
const OTHER_PROBES: &str = "probes are exec and tcpSocket";
const USE_TCP: &str = "use tcpSocket on the same port, or exec with a client that the image holds";

pub(crate) static CONTAINER: Object = Object {
    name: "Container",
    fields: &[
        used("name", TEXT),
        used("image", TEXT),
        used("imagePullPolicy", TEXT),
        used("command", TEXTS),
        used("args", TEXTS),
        used("env", Shape::List(&Shape::Object(&ENV_VAR))),
        used("envFrom", Shape::List(&Shape::Object(&ENV_FROM))),
        used("workingDir", TEXT),
        used("resources", Shape::Object(&RESOURCES)),
        used("securityContext", Shape::Object(&SECURITY)),
        used("volumeMounts", Shape::List(&Shape::Object(&VOLUME_MOUNT))),
        used("ports", Shape::List(&Shape::Object(&PORT))),
        used("startupProbe", Shape::Object(&PROBE)),
        used("readinessProbe", Shape::Object(&PROBE)),
        used("livenessProbe", Shape::Object(&PROBE)),
        used("stdin", BOOLEAN),
        inert(
            "stdinOnce",
            BOOLEAN,
            "standard input is attached once, for the whole run",
        ),
        only(
            "tty",
            BOOLEAN,
            &["false"],
            "no terminal is made for a workload yet",
            "remove it; use stdin: true for input without a terminal",
        ),
        inert("terminationMessagePath", TEXT, NO_TERMINATION_MESSAGE),
        inert("terminationMessagePolicy", TEXT, NO_TERMINATION_MESSAGE),
        inert(
            "resizePolicy",
            Shape::List(&Shape::Object(&RESIZE_POLICY)),
            "limits do not change while a workload runs",
        ),
        refused(
            "lifecycle",
            "hooks are not run",
            "do the work in the container's own command, or in an init container",
        ),
        refused(
            "restartPolicy",
            "containers have no restart policy of their own, so there are no sidecars among init containers",
            "move a sidecar to spec.containers and set spec.restartPolicy",
        ),
        refused(
            "restartPolicyRules",
            "it is an alpha feature of Kubernetes",
            "set spec.restartPolicy",
        ),
        refused(
            "volumeDevices",
            "a rootless container gets no block devices",
            "mount a file system by hostPath",
        ),
    ],
};

static RESIZE_POLICY: Object = Object {
    name: "ContainerResizePolicy",
    fields: &[used("resourceName", TEXT), used("restartPolicy", TEXT)],
};

static ENV_VAR: Object = Object {
    name: "EnvVar",
    fields: &[
        used("name", TEXT),
        used("value", TEXT),
        used("valueFrom", Shape::Object(&ENV_SOURCE)),
    ],
};

static ENV_SOURCE: Object = Object {
    name: "EnvVarSource",
    fields: &[
        used("configMapKeyRef", Shape::Object(&KEY_REF)),
        used("secretKeyRef", Shape::Object(&KEY_REF)),
        used("fieldRef", Shape::Object(&FIELD_REF)),
        used("resourceFieldRef", Shape::Object(&RESOURCE_FIELD_REF)),
        refused(
            "fileKeyRef",
            "it is an alpha feature of Kubernetes",
            "put the variable in a ConfigMap or a Secret",
        ),
    ],
};

static KEY_REF: Object = Object {
    name: "KeySelector",
    fields: &[
        used("name", TEXT),
        used("key", TEXT),
        used("optional", BOOLEAN),
    ],
};

pub(crate) static FIELD_REF: Object = Object {
    name: "ObjectFieldSelector",
    fields: &[
        only(
            "apiVersion",
            TEXT,
            &["v1"],
            "Pods are of version v1",
            "use v1",
        ),
        used("fieldPath", TEXT),
    ],
};

pub(crate) static RESOURCE_FIELD_REF: Object = Object {
    name: "ResourceFieldSelector",
    fields: &[
        used("containerName", TEXT),
        used("resource", TEXT),
        used("divisor", Shape::Quantity),
    ],
};

static ENV_FROM: Object = Object {
    name: "EnvFromSource",
    fields: &[
        used("configMapRef", Shape::Object(&ENV_REF)),
        used("secretRef", Shape::Object(&ENV_REF)),
        used("prefix", TEXT),
    ],
};

static ENV_REF: Object = Object {
    name: "EnvSource",
    fields: &[used("name", TEXT), used("optional", BOOLEAN)],
};

static RESOURCES: Object = Object {
    name: "ResourceRequirements",
    fields: &[
        used("limits", QUANTITIES),
        used("requests", QUANTITIES),
        refused(
            "claims",
            "no device driver allocates devices here",
            "remove it",
        ),
    ],
};

static VOLUME_MOUNT: Object = Object {
    name: "VolumeMount",
    fields: &[
        used("name", TEXT),
        used("mountPath", TEXT),
        used("readOnly", BOOLEAN),
        used("subPath", TEXT),
        used("subPathExpr", TEXT),
        only(
            "mountPropagation",
            TEXT,
            &["None"],
            "mounts never pass between the host and a workload",
            "use None or remove it",
        ),
        only(
            "recursiveReadOnly",
            TEXT,
            &["Disabled", "IfPossible"],
            "submounts of a host directory keep their own flags",
            "use IfPossible, or mount the submount by itself",
        ),
    ],
};

static PORT: Object = Object {
    name: "ContainerPort",
    fields: &[
        used("name", TEXT),
        used("containerPort", INTEGER),
        used("hostPort", INTEGER),
        used("hostIP", TEXT),
        used("protocol", TEXT),
    ],
};

static PROBE: Object = Object {
    name: "Probe",
    fields: &[
        used("exec", Shape::Object(&EXEC)),
        used("tcpSocket", Shape::Object(&TCP_SOCKET)),
        used("initialDelaySeconds", INTEGER),
        used("periodSeconds", INTEGER),
        used("timeoutSeconds", INTEGER),
        used("successThreshold", INTEGER),
        used("failureThreshold", INTEGER),
        refused("httpGet", OTHER_PROBES, USE_TCP),
        refused("grpc", OTHER_PROBES, USE_TCP),
        refused(
            "terminationGracePeriodSeconds",
            "the Pod's own grace period holds",
            "set spec.terminationGracePeriodSeconds",
        ),
    ],
};

static EXEC: Object = Object {
    name: "ExecAction",
    fields: &[used("command", TEXTS)],
};

static TCP_SOCKET: Object = Object {
    name: "TCPSocketAction",
    fields: &[
        used("port", Shape::IntOrText),
        refused(
            "host",
            "probes connect inside the workload's own network",
            "remove it",
        ),
    ],
};
