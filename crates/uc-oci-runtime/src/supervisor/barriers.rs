//! Sparing gVisor's processes the registration for the host's memory barriers.
//!
//! Each program that runsc starts, itself up to three times over, registers for expedited barriers (membarrier(2)) before
//! anything else. By then it has several threads, so the kernel waits until every processor has passed through the
//! scheduler, some ten milliseconds: three such waits, one after the other, are a third of a start. gVisor has them for
//! one purpose, to offer the same call to its programs. Where the host lacks it, gVisor tells them so, and they use
//! slower barriers of their own, as they do on older kernels.

use uc_linux::seccomp;

/// Makes the call look absent to all that this process starts. It can gain no privileges, so it may set a filter.
pub(super) fn spare() {
    // Without it a start is slower and nothing else.
    let _ = seccomp::make_absent(libc::SYS_membarrier);
}
