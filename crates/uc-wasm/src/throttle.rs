//! The CPU limit of one thread: what runs on it sleeps when it has used more than its share.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use uc_model::MilliCpu;

/// The share is kept over windows of this length; a program may use up a window's share at once.
const WINDOW: Duration = Duration::from_millis(100);

/// CPU time of the calling thread so far.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Keeps the calling thread's CPU time below a share of the wall-clock time.
#[derive(Debug)]
pub(crate) struct Throttle {
    share: MilliCpu,
    window_start: Instant,
    cpu_at_start: Duration,
}

impl Throttle {
    /// A throttle for a share below one CPU; one thread cannot use more than one.
    pub(crate) fn new(share: MilliCpu, now: Instant, cpu: Duration) -> Option<Self> {
        (share.0 > 0 && share.0 < 1000).then_some(Self {
            share,
            window_start: now,
            cpu_at_start: cpu,
        })
    }

    /// How long to sleep at `now`, with `cpu` used in all. Where several instances share the thread, what one has to sleep
    /// for all sleep for.
    pub(crate) fn pause(&mut self, now: Instant, cpu: Duration) -> Option<Duration> {
        if let Some(rest) = self.window_start.checked_duration_since(now)
            && !rest.is_zero()
        {
            return Some(rest);
        }
        let elapsed = now.saturating_duration_since(self.window_start);
        let used = cpu.saturating_sub(self.cpu_at_start);
        // The wall-clock time that goes with what was used.
        let due = Duration::from_nanos(
            u64::try_from(used.as_nanos().saturating_mul(1000) / u128::from(self.share.0))
                .unwrap_or(u64::MAX),
        );
        if due > elapsed.max(WINDOW) {
            let pause = due - elapsed;
            self.restart(now + pause, cpu);
            return Some(pause);
        }
        if elapsed >= WINDOW {
            // What was not used is lost, so that an idle time does not buy a burst.
            self.restart(now, cpu);
        }
        None
    }

    fn restart(&mut self, now: Instant, cpu: Duration) {
        self.window_start = now;
        self.cpu_at_start = cpu;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs a program that always wants the CPU; returns the share it gets over ten seconds.
    fn share_of_greedy(milli: u64) -> f64 {
        let start = Instant::now();
        let mut throttle = Throttle::new(MilliCpu(milli), start, Duration::ZERO).expect("a limit");
        let (mut now, mut cpu) = (start, Duration::ZERO);
        while now - start < Duration::from_secs(10) {
            now += MS;
            cpu += MS;
            if let Some(pause) = throttle.pause(now, cpu) {
                now += pause;
            }
        }
        cpu.as_secs_f64() / (now - start).as_secs_f64()
    }

    #[test]
    fn a_greedy_program_gets_its_share() {
        for milli in [1, 100, 500, 900] {
            let share = share_of_greedy(milli);
            let wanted = milli as f64 / 1000.0;
            assert!(
                (share - wanted).abs() <= wanted * 0.05 + 0.0005,
                "{milli}m got {share}"
            );
        }
    }

    #[test]
    fn an_idle_time_buys_at_most_one_window() {
        let start = Instant::now();
        let mut throttle = Throttle::new(MilliCpu(500), start, Duration::ZERO).expect("a limit");
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.pause(later, Duration::ZERO), None);
        assert_eq!(throttle.pause(later + 50 * MS, 50 * MS), None);
        let pause = throttle
            .pause(later + 52 * MS, 52 * MS)
            .expect("over its share");
        assert_eq!(pause, 52 * MS);
    }

    #[test]
    fn all_sleep_when_one_has_to() {
        let start = Instant::now();
        let mut throttle = Throttle::new(MilliCpu(500), start, Duration::ZERO).expect("a limit");
        let pause = throttle.pause(start + 100 * MS, 100 * MS);
        assert_eq!(pause, Some(100 * MS));
        let pause = throttle.pause(start + 130 * MS, 100 * MS);
        assert_eq!(pause, Some(70 * MS));
        assert_eq!(throttle.pause(start + 200 * MS, 100 * MS), None);
    }

    #[test]
    fn a_whole_cpu_needs_no_throttle() {
        assert!(Throttle::new(MilliCpu(1000), Instant::now(), Duration::ZERO).is_none());
    }
}
