//! The documents of a file and their metadata.

use super::{
    Object, QUANTITIES, Shape, TEXT, TEXT_MAP, TEXTS, inert, placement::TOLERATION, pod::POD_SPEC,
    refused, used,
};

const SERVER: &str = "only an API server sets it";
const CLUSTER: &str = "it matters to a cluster's scheduler only";
const NEVER_CHANGES: &str = "the file is read once";

pub(crate) static METADATA: Object = Object {
    name: "ObjectMeta",
    fields: &[
        used("name", TEXT),
        used("namespace", TEXT),
        used("labels", TEXT_MAP),
        used("annotations", TEXT_MAP),
        refused(
            "generateName",
            "no server makes up names",
            "write metadata.name",
        ),
        inert("uid", TEXT, SERVER),
        inert("resourceVersion", TEXT, SERVER),
        inert("generation", super::INTEGER, SERVER),
        inert("creationTimestamp", TEXT, SERVER),
        inert("deletionTimestamp", TEXT, SERVER),
        inert("deletionGracePeriodSeconds", super::INTEGER, SERVER),
        inert("selfLink", TEXT, SERVER),
        inert("managedFields", Shape::List(&Shape::Any), SERVER),
        inert(
            "ownerReferences",
            Shape::List(&Shape::Any),
            "no other object owns a workload here",
        ),
        inert(
            "finalizers",
            TEXTS,
            "no controller waits for the end of a workload here",
        ),
    ],
};

pub(crate) static POD: Object = Object {
    name: "Pod",
    fields: &[
        used("apiVersion", TEXT),
        used("kind", TEXT),
        used("metadata", Shape::Object(&METADATA)),
        used("spec", Shape::Object(&POD_SPEC)),
        inert(
            "status",
            Shape::Any,
            "a status is an answer of a cluster, not a wish",
        ),
    ],
};

pub(crate) static RUNTIME_CLASS: Object = Object {
    name: "RuntimeClass",
    fields: &[
        used("apiVersion", TEXT),
        used("kind", TEXT),
        used("metadata", Shape::Object(&METADATA)),
        used("handler", TEXT),
        inert("overhead", Shape::Object(&OVERHEAD), CLUSTER),
        inert("scheduling", Shape::Object(&SCHEDULING), CLUSTER),
    ],
};

static OVERHEAD: Object = Object {
    name: "Overhead",
    fields: &[used("podFixed", QUANTITIES)],
};

static SCHEDULING: Object = Object {
    name: "Scheduling",
    fields: &[
        used("nodeSelector", TEXT_MAP),
        used("tolerations", Shape::List(&Shape::Object(&TOLERATION))),
    ],
};

pub(crate) static CONFIG_MAP: Object = Object {
    name: "ConfigMap",
    fields: &[
        used("apiVersion", TEXT),
        used("kind", TEXT),
        used("metadata", Shape::Object(&METADATA)),
        used("data", TEXT_MAP),
        used("binaryData", TEXT_MAP),
        inert("immutable", Shape::Boolean, NEVER_CHANGES),
    ],
};

pub(crate) static SECRET: Object = Object {
    name: "Secret",
    fields: &[
        used("apiVersion", TEXT),
        used("kind", TEXT),
        used("metadata", Shape::Object(&METADATA)),
        used("data", TEXT_MAP),
        used("stringData", TEXT_MAP),
        inert("type", TEXT, "the keys are used whatever the type"),
        inert("immutable", Shape::Boolean, NEVER_CHANGES),
    ],
};

pub(crate) static LIST: Object = Object {
    name: "List",
    fields: &[
        used("apiVersion", TEXT),
        used("kind", TEXT),
        inert("metadata", Shape::Object(&LIST_META), SERVER),
        used("items", Shape::List(&Shape::Any)),
    ],
};

static LIST_META: Object = Object {
    name: "ListMeta",
    fields: &[
        used("continue", TEXT),
        used("remainingItemCount", super::INTEGER),
        used("resourceVersion", TEXT),
        used("selfLink", TEXT),
    ],
};
