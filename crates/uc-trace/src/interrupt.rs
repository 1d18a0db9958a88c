//! Signals that ask `uc` to end: they end the traced program first, so that its footprint is not lost.
#![expect(unsafe_code, reason = "sigaction(2) has no safe wrapper")]

use std::sync::atomic::{AtomicI32, Ordering};

use crate::run::Wish;

static LAST: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    LAST.store(signal, Ordering::Relaxed);
}

/// From now on the signals of Ctrl-C, `kill` and a closed terminal are noted instead of ending this process. Programs
/// that are executed get them as ever.
pub fn note_interrupts() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: a zeroed sigaction is valid, and the handler only stores to an atomic.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let mut before: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
            // One that whoever started us ignores (nohup) stays ignored.
            if libc::sigaction(signal, std::ptr::null(), &raw mut before) == 0
                && before.sa_sigaction != libc::SIG_IGN
            {
                libc::sigaction(signal, &raw const action, std::ptr::null_mut());
            }
        }
    }
}

/// What the last noted signal asks for.
pub fn wish() -> Wish {
    match LAST.load(Ordering::Relaxed) {
        0 => Wish::GoOn,
        // The terminal has sent it to the program as well.
        libc::SIGINT => Wish::EndSoon,
        _ => Wish::End,
    }
}
