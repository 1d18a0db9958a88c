//! A timer that interrupts the thread which waits for calls, so that it need not ask before each whether one is there: that
//! would cost a tenth of the whole.
#![expect(
    unsafe_code,
    reason = "timers that signal a thread have no safe wrappers"
)]

use std::time::Duration;

use rustix::io::Errno;
use uc_linux::sys::check;
use uc_model::{Problem, Result};

/// Interrupts the thread that made it, again and again, until it is dropped.
pub(crate) struct Ticker {
    timer: libc::timer_t,
}

/// Says nothing: that a call of the kernel was interrupted is enough.
extern "C" fn tick(_signal: libc::c_int) {}

impl Ticker {
    /// Starts it.
    ///
    /// # Errors
    /// Host, where no more timers can be made.
    pub(crate) fn start(every: Duration) -> Result<Self> {
        Self::try_start(every).map_err(|error| {
            Problem::host("cannot make a timer")
                .remedy("raise the limit of pending signals (ulimit -i)")
                .caused_by(error)
        })
    }

    fn try_start(every: Duration) -> Result<Self, Errno> {
        // Signals below are usual ones, which programs that link this may use.
        let signal = libc::SIGRTMIN() + 7;
        // SAFETY: zeroed structures of C are valid here, the handler does nothing, and the set is initialised.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            // Without SA_RESTART, so that calls end.
            action.sa_sigaction = tick as extern "C" fn(libc::c_int) as usize;
            check(libc::sigaction(signal, &raw const action, std::ptr::null_mut()).into())?;
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        }
        // SAFETY: as above.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = signal;
        event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        let mut timer: libc::timer_t = std::ptr::null_mut();
        // SAFETY: the kernel reads the event and writes the timer.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        check(made.into())?;
        let ticker = Self { timer };
        let every = libc::timespec {
            tv_sec: every.as_secs().try_into().unwrap_or(1),
            tv_nsec: every.subsec_nanos().into(),
        };
        let setting = libc::itimerspec {
            it_interval: every,
            it_value: every,
        };
        // SAFETY: the timer is ours, and the kernel only reads the setting.
        let set =
            unsafe { libc::timer_settime(timer, 0, &raw const setting, std::ptr::null_mut()) };
        check(set.into())?;
        Ok(ticker)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and is deleted once.
        unsafe { libc::timer_delete(self.timer) };
    }
}
