//! How light a sandbox is.

use serde::{Deserialize, Serialize};
use uc_model::Figure;

use crate::candidate::Candidate;

/// How many milliseconds of start latency weigh as much as one MiB of overhead.
///
/// A start is paid once and memory all the time, so a MiB weighs more than a millisecond; by the figures of common
/// sandboxes (2 ms and 10 MiB, 20 ms and 4 MiB, 120 ms and 40 MiB, 500 ms and 130 MiB) this keeps their order by either.
const MS_PER_MIB: f64 = 2.0;

/// How light a sandbox is: less is lighter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// `start_ms + 2 × overhead_mib`, in ms; modelled from the two figures below.
    pub total: Figure,
    /// Start latency, in ms.
    pub start_ms: Figure,
    /// Memory overhead, in MiB.
    pub overhead_mib: Figure,
    /// How much of the host's kernel the program can reach, in bits; it decides between equal totals.
    pub isolation_bits: Figure,
}

impl Score {
    /// The score of a candidate.
    pub(crate) fn of(candidate: &Candidate) -> Self {
        let total = candidate.start_ms.value + MS_PER_MIB * candidate.overhead_mib.value;
        Self {
            total: Figure::modelled(
                total,
                "ms",
                &format!("start + {MS_PER_MIB} ms/MiB × overhead"),
            ),
            start_ms: candidate.start_ms.clone(),
            overhead_mib: candidate.overhead_mib.clone(),
            isolation_bits: candidate.isolation_bits.clone(),
        }
    }
}
