//! What the source document claims of the sets, and why the sets that were counted differ.

use serde::Serialize;
use uc_model::Figure;

use super::{Interface, calls, function_count};
use crate::footprint::Architecture;

/// Calls that the source counts for the runtimes, out of [`SOURCE_TOTAL`].
const SOURCE_SIZES: [(Interface, u32); 3] = [
    (Interface::Gvisor, 220),
    (Interface::Microvm, 330),
    (Interface::WasiP1, 50),
];

/// What the source takes for all calls of Linux.
const SOURCE_TOTAL: u32 = 330;

/// The incompatibilities that the source states.
const SOURCE_INCOMPATIBILITIES: [([Interface; 2], f64); 3] = [
    ([Interface::Gvisor, Interface::Microvm], 0.33),
    ([Interface::Gvisor, Interface::WasiP1], 0.78),
    ([Interface::Microvm, Interface::WasiP1], 0.85),
];

/// A claim of the source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// How many calls a runtime has.
    Size {
        /// The runtime.
        interface: Interface,
        /// Its calls.
        calls: Figure,
        /// All calls there are.
        of: Figure,
    },
    /// How far two runtimes are apart.
    Incompatibility {
        /// The two.
        between: [Interface; 2],
        /// From 0 to 1.
        figure: Figure,
    },
}

/// All claims of the source about sets of calls.
pub fn claims() -> Vec<Claim> {
    let count = |value: u32| Figure::assumed(f64::from(value), "calls", "the source, M2.2");
    let sizes = SOURCE_SIZES.iter().map(|&(interface, size)| Claim::Size {
        interface,
        calls: count(size),
        of: count(SOURCE_TOTAL),
    });
    let apart = SOURCE_INCOMPATIBILITIES
        .iter()
        .map(|&(between, value)| Claim::Incompatibility {
            between,
            figure: Figure::assumed(value, "", "the source, M2.3"),
        });
    sizes.chain(apart).collect()
}

/// The incompatibility of two sets of which the smaller lies within the larger: 1 − |A| / |B|. Equal sizes give 0.
pub fn nested_incompatibility(one: u32, other: u32) -> f64 {
    let (small, large) = (one.min(other), one.max(other));
    if large == 0 {
        return 0.0;
    }
    1.0 - f64::from(small) / f64::from(large)
}

/// Why the source's figures and the computed ones differ, in sentences.
pub fn source_remarks(architecture: Architecture) -> Vec<String> {
    let size = |interface| calls(interface, architecture).len();
    let nested: Vec<String> = SOURCE_INCOMPATIBILITIES
        .iter()
        .map(|(between, stated)| {
            let [one, other] = between.map(|interface| {
                let known = SOURCE_SIZES.iter().find(|(named, _)| *named == interface);
                known.map_or(0, |(_, size)| *size)
            });
            let value = nested_incompatibility(one, other);
            format!("{one} and {other} give {value:.3} (stated {stated})")
        })
        .collect();
    vec![
        format!(
            "Sets of the source's sizes, each within the next: {}. So 0.78 does not follow from 50 and 220; 0.33 and 0.85 do, rounded.",
            nested.join(", ")
        ),
        format!(
            "The source counts {SOURCE_TOTAL} calls of Linux, as x86-64 had with Linux 4.x and 64-bit Arm has today; here are {} on {architecture}. A guest of Kata or Firecracker has what its own kernel has.",
            size(Interface::Microvm)
        ),
        format!(
            "gVisor answers {} of them. Its table calls 222 whole on x86-64, which is the source's 220; programs can use the partial ones too. Where the source says 9P, this release has LISAFS.",
            size(Interface::Gvisor)
        ),
        format!(
            "WASI preview 1 has {} functions, which is the source's 50; they stand for {} calls of {architecture}{}.",
            function_count(Interface::WasiP1).unwrap_or(0),
            size(Interface::WasiP1),
            match architecture {
                Architecture::X86_64 =>
                    ", where many calls exist in an old and a new form (open, openat)",
                Architecture::Aarch64 => "",
            }
        ),
    ]
}
