//! The machine's clock, kept at the host's. Without KVM a guest misses ticks while its host is busy or stopped.

use std::{
    io,
    time::{Duration, SystemTime},
};

use uc_model::{Problem, Result};

/// What a clock may be off by.
const TOLERANCE: Duration = Duration::from_millis(50);

/// A question that was asked longer ago than this has been given up by its host, and the machine with it.
const OLDEST_QUESTION: Duration = Duration::from_secs(60);

/// How a clock is brought to the host's time.
#[derive(Debug, PartialEq, Eq)]
enum Correction {
    /// Sets it.
    Set,
    /// Lets it run slower, by one part in two thousand, until it has lost so much.
    Slow(Duration),
}

/// Sets the clock to that many nanoseconds since 1970.
///
/// # Errors
/// Host, where the kernel refuses.
pub(crate) fn set(nanoseconds: u64) -> Result<()> {
    let time = libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanoseconds % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: a clock's number and an initialised structure.
    match unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) } {
        0 => Ok(()),
        _ => Err(refused()),
    }
}

/// Brings the clock to the time that a question of the host carries.
///
/// # Errors
/// Host, where the kernel refuses.
pub(crate) fn follow(host: u64) -> Result<()> {
    let own = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    match correction(own, Duration::from_nanos(host)) {
        Correction::Set => set(host),
        Correction::Slow(ahead) => slow(ahead),
    }
}

/// A question is older than it says, by the time that it took. So a clock that seems behind is at least that far behind, and is
/// set. One that seems ahead may be right. It is not set back, since programs expect that time does not go backwards; slowed
/// wrongly, it loses less between two questions than it may be off by. It is set back only where the host's clock
/// must have been.
fn correction(own: Duration, host: Duration) -> Correction {
    let behind = host.saturating_sub(own);
    let ahead = own.saturating_sub(host);
    if behind > TOLERANCE || ahead > OLDEST_QUESTION {
        Correction::Set
    } else if ahead > TOLERANCE {
        Correction::Slow(ahead)
    } else {
        Correction::Slow(Duration::ZERO)
    }
}

/// Replaces what was left of an earlier correction of this kind.
fn slow(ahead: Duration) -> Result<()> {
    // SAFETY: a structure of integers, for which zeroes are values.
    let mut change: libc::timex = unsafe { std::mem::zeroed() };
    change.modes = libc::ADJ_OFFSET_SINGLESHOT;
    change.offset = -(ahead.as_micros() as libc::c_long);
    // SAFETY: an initialised structure, which the kernel reads and writes.
    match unsafe { libc::adjtimex(&raw mut change) } {
        -1 => Err(refused()),
        _ => Ok(()),
    }
}

fn refused() -> Problem {
    Problem::host("the microVM's clock cannot be set").caused_by(io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_forwards_and_slowed_but_hardly_ever_set_back() {
        let now = Duration::from_secs(1_790_000_000);
        let millis = Duration::from_millis;
        let nothing = Correction::Slow(Duration::ZERO);
        for (own, expected) in [
            (now, nothing),
            (now - millis(50), Correction::Slow(Duration::ZERO)),
            (now - millis(51), Correction::Set),
            (Duration::ZERO, Correction::Set),
            (now + millis(50), Correction::Slow(Duration::ZERO)),
            (now + millis(51), Correction::Slow(millis(51))),
            (now + millis(60_000), Correction::Slow(millis(60_000))),
            (now + millis(60_001), Correction::Set),
        ] {
            assert_eq!(correction(own, now), expected, "{own:?}");
        }
    }
}
