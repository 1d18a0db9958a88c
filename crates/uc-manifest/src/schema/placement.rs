//! Where a cluster places a Pod. On one machine none of it has an effect; it is still checked field by field.

use super::{INTEGER, Object, Shape, TEXT, TEXT_MAP, TEXTS, used};

pub(crate) static TOLERATION: Object = Object {
    name: "Toleration",
    fields: &[
        used("effect", TEXT),
        used("key", TEXT),
        used("operator", TEXT),
        used("tolerationSeconds", INTEGER),
        used("value", TEXT),
    ],
};

pub(crate) static TOPOLOGY_SPREAD: Object = Object {
    name: "TopologySpreadConstraint",
    fields: &[
        used("labelSelector", Shape::Object(&LABEL_SELECTOR)),
        used("matchLabelKeys", TEXTS),
        used("maxSkew", INTEGER),
        used("minDomains", INTEGER),
        used("nodeAffinityPolicy", TEXT),
        used("nodeTaintsPolicy", TEXT),
        used("topologyKey", TEXT),
        used("whenUnsatisfiable", TEXT),
    ],
};

pub(crate) static AFFINITY: Object = Object {
    name: "Affinity",
    fields: &[
        used("nodeAffinity", Shape::Object(&NODE_AFFINITY)),
        used("podAffinity", Shape::Object(&POD_AFFINITY)),
        used("podAntiAffinity", Shape::Object(&POD_AFFINITY)),
    ],
};

static NODE_AFFINITY: Object = Object {
    name: "NodeAffinity",
    fields: &[
        used(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Shape::List(&Shape::Object(&PREFERRED_NODE)),
        ),
        used(
            "requiredDuringSchedulingIgnoredDuringExecution",
            Shape::Object(&NODE_SELECTOR),
        ),
    ],
};

static PREFERRED_NODE: Object = Object {
    name: "PreferredSchedulingTerm",
    fields: &[
        used("preference", Shape::Object(&NODE_SELECTOR_TERM)),
        used("weight", INTEGER),
    ],
};

static NODE_SELECTOR: Object = Object {
    name: "NodeSelector",
    fields: &[used(
        "nodeSelectorTerms",
        Shape::List(&Shape::Object(&NODE_SELECTOR_TERM)),
    )],
};

static NODE_SELECTOR_TERM: Object = Object {
    name: "NodeSelectorTerm",
    fields: &[
        used(
            "matchExpressions",
            Shape::List(&Shape::Object(&REQUIREMENT)),
        ),
        used("matchFields", Shape::List(&Shape::Object(&REQUIREMENT))),
    ],
};

static POD_AFFINITY: Object = Object {
    name: "PodAffinity",
    fields: &[
        used(
            "preferredDuringSchedulingIgnoredDuringExecution",
            Shape::List(&Shape::Object(&WEIGHTED_POD)),
        ),
        used(
            "requiredDuringSchedulingIgnoredDuringExecution",
            Shape::List(&Shape::Object(&POD_AFFINITY_TERM)),
        ),
    ],
};

static WEIGHTED_POD: Object = Object {
    name: "WeightedPodAffinityTerm",
    fields: &[
        used("podAffinityTerm", Shape::Object(&POD_AFFINITY_TERM)),
        used("weight", INTEGER),
    ],
};

static POD_AFFINITY_TERM: Object = Object {
    name: "PodAffinityTerm",
    fields: &[
        used("labelSelector", Shape::Object(&LABEL_SELECTOR)),
        used("matchLabelKeys", TEXTS),
        used("mismatchLabelKeys", TEXTS),
        used("namespaceSelector", Shape::Object(&LABEL_SELECTOR)),
        used("namespaces", TEXTS),
        used("topologyKey", TEXT),
    ],
};

static LABEL_SELECTOR: Object = Object {
    name: "LabelSelector",
    fields: &[
        used(
            "matchExpressions",
            Shape::List(&Shape::Object(&REQUIREMENT)),
        ),
        used("matchLabels", TEXT_MAP),
    ],
};

static REQUIREMENT: Object = Object {
    name: "SelectorRequirement",
    fields: &[
        used("key", TEXT),
        used("operator", TEXT),
        used("values", TEXTS),
    ],
};
