//! How far the sets of two runtimes are apart.

use std::collections::BTreeSet;

use serde::Serialize;
use uc_model::Figure;

use super::{Claim, Interface, claims, support};
use crate::{footprint::Architecture, syscalls::syscall_names};

/// Two sets, set against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The one.
    pub one: Interface,
    /// The other.
    pub other: Interface,
    /// Calls of both.
    pub common: BTreeSet<&'static str>,
    /// Calls of the one alone.
    pub only_one: BTreeSet<&'static str>,
    /// Calls of the other alone.
    pub only_other: BTreeSet<&'static str>,
    /// |A Δ B| / |A ∪ B|: 0 where both are equal, 1 where they have nothing in common.
    pub incompatibility: Figure,
    /// What the source claims of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Figure>,
}

/// The calls of Linux that a runtime itself offers, wholly or in part.
pub fn calls(interface: Interface, architecture: Architecture) -> BTreeSet<&'static str> {
    syscall_names(architecture)
        .into_iter()
        .filter(|call| {
            let support = support(interface, architecture, call, None);
            support.level.is_offered()
        })
        .collect()
}

/// Sets two runtimes against each other.
pub fn compare(one: Interface, other: Interface, architecture: Architecture) -> Comparison {
    let [a, b] = [one, other].map(|interface| calls(interface, architecture));
    let claimed = claims().into_iter().find_map(|claim| match claim {
        Claim::Incompatibility { between, figure } => {
            let same = between == [one, other] || between == [other, one];
            same.then_some(figure)
        }
        Claim::Size { .. } => None,
    });
    Comparison {
        one,
        other,
        incompatibility: Figure::modelled(
            incompatibility(&a, &b),
            "",
            &format!("|A Δ B| / |A ∪ B| over the calls of {architecture}"),
        ),
        common: a.intersection(&b).copied().collect(),
        only_one: a.difference(&b).copied().collect(),
        only_other: b.difference(&a).copied().collect(),
        claimed,
    }
}

/// |A Δ B| / |A ∪ B|, Jaccard's distance; two empty sets are equal.
pub(super) fn incompatibility<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> f64 {
    let union = a.union(b).count();
    if union == 0 {
        return 0.0;
    }
    a.symmetric_difference(b).count() as f64 / union as f64
}

/// The calls of all of them: programs that make no others run on each.
pub fn posix_subset(
    interfaces: &[Interface],
    architecture: Architecture,
) -> BTreeSet<&'static str> {
    let mut common = syscall_names(architecture);
    for interface in interfaces {
        let calls = calls(*interface, architecture);
        common.retain(|call| calls.contains(call));
    }
    common
}
