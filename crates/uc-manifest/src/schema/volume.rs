//! Volume and its sources.

use super::{
    BOOLEAN, Field, INTEGER, Object, Shape, TEXT,
    container::{FIELD_REF, RESOURCE_FIELD_REF},
    refused, used,
};

const NO_STORAGE: &str = "no storage driver attaches network or cloud volumes here";
const MOUNT_IT: &str = "mount it on the host and use hostPath";
const NO_TOKENS: &str = "there is no API server that would issue it";

const fn elsewhere(name: &'static str) -> Field {
    refused(name, NO_STORAGE, MOUNT_IT)
}

pub(crate) static VOLUME: Object = Object {
    name: "Volume",
    fields: &[
        used("name", TEXT),
        used("emptyDir", Shape::Object(&EMPTY_DIR)),
        used("hostPath", Shape::Object(&HOST_PATH)),
        used("configMap", Shape::Object(&CONFIG_MAP_VOLUME)),
        used("secret", Shape::Object(&SECRET_VOLUME)),
        used("downwardAPI", Shape::Object(&DOWNWARD_VOLUME)),
        used("projected", Shape::Object(&PROJECTED)),
        elsewhere("awsElasticBlockStore"),
        elsewhere("azureDisk"),
        elsewhere("azureFile"),
        elsewhere("cephfs"),
        elsewhere("cinder"),
        elsewhere("csi"),
        refused("ephemeral", NO_STORAGE, "use emptyDir"),
        elsewhere("fc"),
        elsewhere("flexVolume"),
        elsewhere("flocker"),
        elsewhere("gcePersistentDisk"),
        refused(
            "gitRepo",
            "Kubernetes has withdrawn it",
            "clone in an init container into an emptyDir",
        ),
        elsewhere("glusterfs"),
        refused(
            "image",
            "images are not mounted as volumes yet",
            "copy the files in an init container into an emptyDir",
        ),
        elsewhere("iscsi"),
        elsewhere("nfs"),
        refused(
            "persistentVolumeClaim",
            "there is no cluster that would provide the volume",
            "use hostPath for data that stays, emptyDir for the rest",
        ),
        elsewhere("photonPersistentDisk"),
        elsewhere("portworxVolume"),
        elsewhere("quobyte"),
        elsewhere("rbd"),
        elsewhere("scaleIO"),
        elsewhere("storageos"),
        elsewhere("vsphereVolume"),
    ],
};

static EMPTY_DIR: Object = Object {
    name: "EmptyDirVolumeSource",
    fields: &[used("medium", TEXT), used("sizeLimit", Shape::Quantity)],
};

static HOST_PATH: Object = Object {
    name: "HostPathVolumeSource",
    fields: &[used("path", TEXT), used("type", TEXT)],
};

static KEY_TO_PATH: Object = Object {
    name: "KeyToPath",
    fields: &[used("key", TEXT), used("path", TEXT), used("mode", INTEGER)],
};

static KEY_PATHS: Shape = Shape::Object(&KEY_TO_PATH);

const ITEMS: Field = used("items", Shape::List(&KEY_PATHS));
const DEFAULT_MODE: Field = used("defaultMode", INTEGER);
const OPTIONAL: Field = used("optional", BOOLEAN);

static CONFIG_MAP_VOLUME: Object = Object {
    name: "ConfigMapVolumeSource",
    fields: &[used("name", TEXT), ITEMS, DEFAULT_MODE, OPTIONAL],
};

static SECRET_VOLUME: Object = Object {
    name: "SecretVolumeSource",
    fields: &[used("secretName", TEXT), ITEMS, DEFAULT_MODE, OPTIONAL],
};

static DOWNWARD_FILE: Object = Object {
    name: "DownwardAPIVolumeFile",
    fields: &[
        used("path", TEXT),
        used("mode", INTEGER),
        used("fieldRef", Shape::Object(&FIELD_REF)),
        used("resourceFieldRef", Shape::Object(&RESOURCE_FIELD_REF)),
    ],
};

static DOWNWARD_FILES: Shape = Shape::Object(&DOWNWARD_FILE);

const DOWNWARD_ITEMS: Field = used("items", Shape::List(&DOWNWARD_FILES));

static DOWNWARD_VOLUME: Object = Object {
    name: "DownwardAPIVolumeSource",
    fields: &[DOWNWARD_ITEMS, DEFAULT_MODE],
};

static PROJECTED: Object = Object {
    name: "ProjectedVolumeSource",
    fields: &[
        used("sources", Shape::List(&Shape::Object(&PROJECTION))),
        DEFAULT_MODE,
    ],
};

static PROJECTION: Object = Object {
    name: "VolumeProjection",
    fields: &[
        used("configMap", Shape::Object(&NAMED_PROJECTION)),
        used("secret", Shape::Object(&NAMED_PROJECTION)),
        used("downwardAPI", Shape::Object(&DOWNWARD_PROJECTION)),
        refused(
            "serviceAccountToken",
            NO_TOKENS,
            "mount a token of your own from a Secret",
        ),
        refused(
            "clusterTrustBundle",
            NO_TOKENS,
            "put the certificates in a ConfigMap",
        ),
        refused(
            "podCertificate",
            NO_TOKENS,
            "mount a certificate from a Secret",
        ),
    ],
};

static NAMED_PROJECTION: Object = Object {
    name: "Projection",
    fields: &[used("name", TEXT), ITEMS, OPTIONAL],
};

static DOWNWARD_PROJECTION: Object = Object {
    name: "DownwardAPIProjection",
    fields: &[DOWNWARD_ITEMS],
};
