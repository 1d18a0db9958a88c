//! What the containers of one Pod share while they are read.

use std::collections::BTreeMap;

use uc_model::workload::{Network, VolumeSource};

use crate::{data::DataSets, downward::Facts, view::View};

/// The surroundings of a container.
pub(crate) struct Scope<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) data: &'a DataSets,
    pub(crate) volumes: &'a BTreeMap<&'a str, &'a VolumeSource>,
    pub(crate) security: Option<&'a View<'a>>,
    pub(crate) network: Network,
}
