//! What each runtime offers its programs, as sets of named calls (M2.2), and how far two of them are apart (M2.3).

mod answers;
mod comparison;
mod interface;
mod mapping;
mod source;
mod support;

pub(crate) use answers::answers;
pub use comparison::{Comparison, calls, compare, posix_subset};
pub use interface::Interface;
pub use mapping::{Fate, Mapping, Morphism, mapping};
pub use source::{Claim, claims, nested_incompatibility, source_remarks};
pub use support::{ArgumentRule, Level, Support, argument_rules, function_count, support};

#[cfg(test)]
mod tests;
