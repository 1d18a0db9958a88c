//! The choice of a runtime, with reasons for the winner and for every loser.
//!
//! Two steps. Hard requirements first: a candidate that cannot run the workload, or not safely, is out, with one reason
//! for each need that it misses. Then the lightest of those that are left wins, by a [`Score`] of start latency and
//! memory overhead. The outcome depends on the arguments alone, not on their order.
//!
//! Beside it stands what programs ask for and runtimes offer: system calls and the arguments that decide ([`variant`]), a
//! program's [`Footprint`], each runtime's answers ([`support`]), how far two runtimes are apart ([`compare`]), and whether a
//! program would run ([`coverage`]). What is known of runtimes are data files with their sources.

mod api;
mod candidate;
mod condition;
mod constants;
mod coverage;
mod decision;
mod evidence;
mod footprint;
mod needs;
mod records;
mod rehearsal;
mod requirement;
mod score;
mod syscalls;
mod variant;

pub use api::{
    ArgumentRule, Claim, Comparison, Fate, Interface, Level, Mapping, Morphism, Support,
    argument_rules, calls, claims, compare, function_count, mapping, nested_incompatibility,
    posix_subset, source_remarks, support,
};
pub use candidate::{Candidate, LimitKind, Unavailable};
pub use condition::{Condition, conditions};
pub use coverage::{Basis, Confidence, Coverage, Finding, Prediction, Verdict, Weight, coverage};
pub use decision::{Decision, Loser, Reason, Winner, choose};
pub use footprint::{Architecture, Footprint, MAX_VARIANTS, Method, Usage};
pub use needs::Needs;
pub use rehearsal::Rehearsed;
pub use score::Score;
pub use syscalls::{
    NEWEST_KERNEL, syscall_name, syscall_names, syscall_number, syscall_provenance,
};
pub use variant::variant;
