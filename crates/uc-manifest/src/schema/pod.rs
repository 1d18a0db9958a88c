//! PodSpec and its security context.

use super::{
    BOOLEAN, INTEGER, Object, QUANTITIES, Shape, TEXT, TEXT_MAP,
    container::CONTAINER,
    inert, only,
    placement::{AFFINITY, TOLERATION, TOPOLOGY_SPREAD},
    refused, used,
    volume::VOLUME,
};

const ONE_MACHINE: &str = "there is one machine and no scheduler";
const NO_DNS: &str = "there is no cluster DNS; the host's resolver is used";
const NO_ACCOUNT: &str = "there is no API server that a service account could talk to";
const OWN_NAMESPACES: &str = "a workload always has namespaces of its own";
const NOT_IN_USER_NAMESPACE: &str = "a rootless container cannot do it";

pub(crate) static POD_SPEC: Object = Object {
    name: "PodSpec",
    fields: &[
        used("containers", Shape::List(&Shape::Object(&CONTAINER))),
        used("initContainers", Shape::List(&Shape::Object(&CONTAINER))),
        used("volumes", Shape::List(&Shape::Object(&VOLUME))),
        used("runtimeClassName", TEXT),
        used("restartPolicy", TEXT),
        used("activeDeadlineSeconds", INTEGER),
        used("terminationGracePeriodSeconds", INTEGER),
        used("securityContext", Shape::Object(&POD_SECURITY)),
        used("hostNetwork", BOOLEAN),
        used("hostname", TEXT),
        used("os", Shape::Object(&POD_OS)),
        used("serviceAccountName", TEXT),
        used("serviceAccount", TEXT),
        only(
            "automountServiceAccountToken",
            BOOLEAN,
            &["false"],
            NO_ACCOUNT,
            "set it to false or remove it",
        ),
        only("hostPID", BOOLEAN, &["false"], OWN_NAMESPACES, "remove it"),
        only("hostIPC", BOOLEAN, &["false"], OWN_NAMESPACES, "remove it"),
        only(
            "hostUsers",
            BOOLEAN,
            &["false"],
            "every workload runs in a user namespace of its own",
            "set it to false or remove it",
        ),
        only(
            "shareProcessNamespace",
            BOOLEAN,
            &["false"],
            "each container has its own process namespace",
            "remove it, or run the programs in one container",
        ),
        only(
            "setHostnameAsFQDN",
            BOOLEAN,
            &["false"],
            "there is no cluster domain",
            "set spec.hostname",
        ),
        inert("affinity", Shape::Object(&AFFINITY), ONE_MACHINE),
        inert("nodeName", TEXT, ONE_MACHINE),
        inert("nodeSelector", TEXT_MAP, ONE_MACHINE),
        inert(
            "tolerations",
            Shape::List(&Shape::Object(&TOLERATION)),
            ONE_MACHINE,
        ),
        inert(
            "topologySpreadConstraints",
            Shape::List(&Shape::Object(&TOPOLOGY_SPREAD)),
            ONE_MACHINE,
        ),
        inert("priority", INTEGER, ONE_MACHINE),
        inert("priorityClassName", TEXT, ONE_MACHINE),
        inert("preemptionPolicy", TEXT, ONE_MACHINE),
        inert("schedulerName", TEXT, ONE_MACHINE),
        inert("overhead", QUANTITIES, ONE_MACHINE),
        inert(
            "enableServiceLinks",
            BOOLEAN,
            "there are no Services to link",
        ),
        inert(
            "subdomain",
            TEXT,
            "there is no Service that would publish it",
        ),
        only(
            "dnsPolicy",
            TEXT,
            &["Default", "ClusterFirst", "ClusterFirstWithHostNet"],
            NO_DNS,
            "use Default",
        ),
        refused(
            "dnsConfig",
            "the host's resolver is used as it is",
            "configure the host's resolver",
        ),
        refused(
            "hostAliases",
            "uc writes /etc/hosts itself, with the workload's own names",
            "mount a file at /etc/hosts from a ConfigMap: it takes the place of uc's",
        ),
        refused(
            "hostnameOverride",
            "it is an alpha feature of Kubernetes",
            "set spec.hostname",
        ),
        refused(
            "imagePullSecrets",
            "credentials come from docker's configuration file",
            "log in to the registry with `docker login` or `podman login` and remove the field",
        ),
        refused(
            "ephemeralContainers",
            "they are added to Pods that already run",
            "use spec.containers",
        ),
        refused(
            "readinessGates",
            "no controller sets conditions here",
            "use a readinessProbe",
        ),
        refused(
            "schedulingGates",
            "no controller would lift them",
            "remove them",
        ),
        refused(
            "resourceClaims",
            "no device driver allocates devices here",
            "remove it",
        ),
        refused(
            "resources",
            "limits hold for single containers",
            "set resources of each container",
        ),
    ],
};

static POD_OS: Object = Object {
    name: "PodOS",
    fields: &[only(
        "name",
        TEXT,
        &["linux"],
        "workloads run on Linux",
        "use an image for Linux",
    )],
};

pub(crate) static POD_SECURITY: Object = Object {
    name: "PodSecurityContext",
    fields: &[
        used("runAsUser", INTEGER),
        used("runAsGroup", INTEGER),
        used("runAsNonRoot", BOOLEAN),
        used("fsGroup", INTEGER),
        used("supplementalGroups", Shape::List(&Shape::Integer)),
        used("seccompProfile", Shape::Object(&PROFILE)),
        used("appArmorProfile", Shape::Object(&PROFILE)),
        only(
            "supplementalGroupsPolicy",
            TEXT,
            &["Merge"],
            "the image's groups are always merged",
            "use Merge",
        ),
        inert(
            "fsGroupChangePolicy",
            TEXT,
            "volumes are made for the workload, so there is no owner to change",
        ),
        inert("seLinuxChangePolicy", TEXT, "no SELinux label is set"),
        refused(
            "seLinuxOptions",
            NOT_IN_USER_NAMESPACE,
            "remove it; the host's own policy stays in force",
        ),
        refused(
            "sysctls",
            NOT_IN_USER_NAMESPACE,
            "set it on the host, where it is safe",
        ),
        refused("windowsOptions", "workloads run on Linux", "remove it"),
    ],
};

pub(crate) static SECURITY: Object = Object {
    name: "SecurityContext",
    fields: &[
        used("runAsUser", INTEGER),
        used("runAsGroup", INTEGER),
        used("runAsNonRoot", BOOLEAN),
        used("readOnlyRootFilesystem", BOOLEAN),
        used("capabilities", Shape::Object(&CAPABILITIES)),
        used("seccompProfile", Shape::Object(&PROFILE)),
        used("appArmorProfile", Shape::Object(&PROFILE)),
        only(
            "privileged",
            BOOLEAN,
            &["false"],
            "no workload gets the host's privileges",
            "remove it and name what the program needs: files by hostPath, network by annotation",
        ),
        only(
            "allowPrivilegeEscalation",
            BOOLEAN,
            &["false"],
            "no_new_privs is always set",
            "set it to false; run the program as the user that it needs by runAsUser",
        ),
        only(
            "procMount",
            TEXT,
            &["Default"],
            "/proc is always masked",
            "use Default",
        ),
        refused(
            "seLinuxOptions",
            NOT_IN_USER_NAMESPACE,
            "remove it; the host's own policy stays in force",
        ),
        refused("windowsOptions", "workloads run on Linux", "remove it"),
    ],
};

static CAPABILITIES: Object = Object {
    name: "Capabilities",
    fields: &[
        used("add", Shape::List(&Shape::Text)),
        used("drop", Shape::List(&Shape::Text)),
    ],
};

static PROFILE: Object = Object {
    name: "SecurityProfile",
    fields: &[used("type", TEXT), used("localhostProfile", TEXT)],
};
