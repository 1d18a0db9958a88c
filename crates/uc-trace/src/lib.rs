//! Which system calls a program makes: seen while it runs, or read from its code without running it.

pub mod capabilities;
mod deeds;
mod guardian;
mod interrupt;
mod listener;
mod profile;
pub mod reach;
mod recorder;
mod refusals;
mod rehearsal;
mod run;
pub mod scan;
mod tracee;
mod tree;

pub use deeds::{Deeds, MAX_DEEDS};
pub use interrupt::{note_interrupts, wish};
pub use listener::notify_filter;
pub use profile::{ALTERNATIVES, ALWAYS, Profile};
pub use refusals::Refusals;
pub use rehearsal::{Conditions, Rehearsal, rehearse};
pub use run::{Options, Trace, Wish, architecture, collect, trace};
