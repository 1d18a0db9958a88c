//! Which system calls of the host's kernel a running process can reach, by the filters that are in force for it.
//!
//! The kernel hands out a process's seccomp filters to root (ptrace(2), `PTRACE_SECCOMP_GET_FILTER`). Each is followed for
//! every call with its arguments left open: a call can be reached if every filter has a way to let it through.

mod filters;
mod follow;

use std::collections::BTreeSet;

use uc_model::Result;
use uc_select::{Architecture, syscall_name, syscall_names, syscall_number};

pub use follow::{Instruction, lets_through};

/// What a process can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Calls that can get through, by name.
    pub calls: BTreeSet<&'static str>,
    /// How many filters are in force; without any, every call can.
    pub filters: usize,
}

/// What the process `pid` can reach.
///
/// # Errors
/// Host, where its filters cannot be read: that takes root and a kernel with `CONFIG_CHECKPOINT_RESTORE`.
pub fn reach(pid: u32) -> Result<Reach> {
    let architecture: Architecture = std::env::consts::ARCH.parse()?;
    let filters = filters::of(pid)?;
    let audit = match architecture {
        Architecture::X86_64 => 0xc000_003e,
        Architecture::Aarch64 => 0xc000_00b7,
    };
    let calls = syscall_names(architecture)
        .into_iter()
        .filter(|name| {
            let number = syscall_number(architecture, name).and_then(|n| u32::try_from(n).ok());
            number.is_some_and(|number| {
                filters
                    .iter()
                    .all(|filter| lets_through(filter, audit, number))
            })
        })
        .filter_map(|name| {
            syscall_number(architecture, name).and_then(|n| syscall_name(architecture, n))
        })
        .collect();
    Ok(Reach {
        calls,
        filters: filters.len(),
    })
}
