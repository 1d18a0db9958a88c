//! Which system calls a program makes: seen while it runs, or read from its code without running it.

pub mod reach;
pub mod scan;
