//! Using up processes and memory until the container's limits stop it.

#![allow(clippy::print_stdout, reason = "progress is what the suite reads")]
#![expect(unsafe_code, reason = "fork, pause, kill and waitpid")]

use serde_json::{Value, json};

use crate::errno::Errno;

/// Where the fork bomb stops by itself.
const PROCESSES_LIMIT: usize = 20_000;
const STEP_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

/// Forks until the kernel refuses, counts, and ends every child again.
pub(crate) fn fork_bomb() -> Value {
    let mut children = Vec::new();
    let mut stopped_by = "the bound of this program".to_owned();
    while children.len() < PROCESSES_LIMIT {
        // SAFETY: this program has one thread; the child does nothing but wait for its end.
        match unsafe { libc::fork() } {
            0 => {
                // A parent that is killed must not leave its children behind.
                // SAFETY: neither call takes a pointer; pause returns only for a handled signal, and none is handled.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::pause();
                    libc::_exit(0)
                }
            }
            pid if pid > 0 => children.push(pid),
            _ => {
                stopped_by = Errno::last().to_string();
                break;
            }
        }
    }
    for pid in &children {
        // SAFETY: it takes no pointer; the child has not been waited for, so the number is still its own.
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    for pid in &children {
        // SAFETY: a null status pointer is allowed.
        unsafe { libc::waitpid(*pid, std::ptr::null_mut(), 0) };
    }
    json!({ "processes": children.len(), "stopped_by": stopped_by })
}

/// Takes `bytes` of memory and touches every page, one MiB at a time, printing how far it came.
pub(crate) fn memory_hog(bytes: usize) {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    let mut total = 0;
    while total < bytes {
        let step = STEP_BYTES.min(bytes - total);
        let mut block = Vec::new();
        if let Err(error) = block.try_reserve_exact(step) {
            println!(
                "{}",
                json!({ "bytes": total, "stopped_by": error.to_string() })
            );
            return;
        }
        block.resize(step, 0);
        for page in block.chunks_mut(PAGE_BYTES) {
            page[0] = 1;
        }
        total += step;
        taken.push(block);
        println!("{}", json!({ "bytes": total }));
    }
    std::hint::black_box(&taken);
}
