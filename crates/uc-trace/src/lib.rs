//! Which system calls a program makes: seen while it runs, or read from its code without running it.

mod deeds;
mod guardian;
mod interrupt;
mod listener;
pub mod reach;
mod recorder;
mod run;
pub mod scan;
mod tracee;
mod tree;

pub use deeds::{Deeds, MAX_DEEDS};
pub use interrupt::{note_interrupts, wish};
pub use listener::notify_filter;
pub use run::{Options, Trace, Wish, architecture, collect, trace};
