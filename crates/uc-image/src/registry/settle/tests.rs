//! The rule against simulated writers: many of them, with every delay drawn by chance, on one register that keeps what was
//! written last.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;
use crate::verify::digest_of;

/// A writer of one entry, its own number.
struct Writer {
    settling: Settling,
    read_started: Duration,
    read_ended: Duration,
    /// What it read, and then what it writes.
    content: Vec<u8>,
    is_done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    StartRead,
    ReadAtRegistry,
    ReadEnded,
    WriteAtRegistry,
    WriteEnded,
}

struct Simulation {
    register: Vec<u8>,
    writers: Vec<Writer>,
    /// Time in microseconds, writer, event.
    events: BinaryHeap<Reverse<(u64, usize, Event)>>,
    chance: fastrand::Rng,
    /// The longest of the four legs of a window, in microseconds.
    leg_us: u64,
}

impl Simulation {
    fn new(writers: usize, start_within_us: u64, leg_us: u64, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let events = (0..writers)
            .map(|writer| Reverse((chance.u64(0..=start_within_us), writer, Event::StartRead)))
            .collect();
        let writers = (0..writers)
            .map(|_| Writer {
                settling: Settling::default(),
                read_started: Duration::ZERO,
                read_ended: Duration::ZERO,
                content: Vec::new(),
                is_done: false,
            })
            .collect();
        Self {
            register: Vec::new(),
            writers,
            events,
            chance,
            leg_us,
        }
    }

    /// Runs until every writer is done; gives what the register holds then, and when that was.
    fn run(mut self) -> (Vec<u8>, Duration) {
        let mut last_us = 0;
        while let Some(Reverse((now_us, writer, event))) = self.events.pop() {
            last_us = now_us;
            if let Some((after_us, next)) = self.step(now_us, writer, event) {
                self.events.push(Reverse((now_us + after_us, writer, next)));
            }
        }
        assert!(self.writers.iter().all(|writer| writer.is_done));
        (self.register, Duration::from_micros(last_us))
    }

    /// Gives what comes next for this writer, and after how long.
    fn step(&mut self, now_us: u64, number: usize, event: Event) -> Option<(u64, Event)> {
        let now = Duration::from_micros(now_us);
        // Mostly quick, now and then as slow as may be: that is how writers come between one another.
        let leg_us = if self.chance.u8(0..4) == 0 {
            self.chance.u64(0..=self.leg_us)
        } else {
            self.chance.u64(0..=self.leg_us / 20)
        };
        let wait = self.chance.f64();
        let writer = &mut self.writers[number];
        let own = number as u8;
        match event {
            Event::StartRead => {
                writer.read_started = now;
                Some((leg_us, Event::ReadAtRegistry))
            }
            Event::ReadAtRegistry => {
                writer.content.clone_from(&self.register);
                Some((leg_us, Event::ReadEnded))
            }
            Event::ReadEnded => {
                writer.read_ended = now;
                if !writer.content.contains(&own) {
                    writer.content.push(own);
                    return Some((leg_us, Event::WriteAtRegistry));
                }
                let content = digest_of(&writer.content);
                writer.is_done =
                    writer
                        .settling
                        .saw(&content, writer.read_started, writer.read_ended);
                let wait = writer.settling.wait(wait).as_micros() as u64;
                (!writer.is_done).then_some((wait, Event::StartRead))
            }
            Event::WriteAtRegistry => {
                self.register.clone_from(&writer.content);
                Some((leg_us, Event::WriteEnded))
            }
            Event::WriteEnded => {
                let content = digest_of(&writer.content);
                writer
                    .settling
                    .wrote(content, now - writer.read_started, now);
                let wait = writer.settling.wait(wait).as_micros() as u64;
                Some((wait, Event::StartRead))
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_is_lost_while_windows_are_shorter_than_pauses(
        writers in 1usize..24,
        start_within_us in 0u64..100_000,
        // Four legs make a window, which is shorter than the shortest pause.
        leg_us in 0u64..10_000,
        seed in any::<u64>(),
    ) {
        let (mut register, ended) = Simulation::new(writers, start_within_us, leg_us, seed).run();
        register.sort_unstable();
        prop_assert_eq!(register, (0..writers as u8).collect::<Vec<_>>());
        prop_assert!(ended < Duration::from_secs(30), "{:?}", ended);
    }
}

#[test]
fn one_writer_alone_pays_one_pause() {
    for seed in 0..100 {
        let (register, ended) = Simulation::new(1, 0, 1000, seed).run();
        assert_eq!(register, [0]);
        assert!(ended < PAUSE_LEAST * 3 / 2, "{ended:?}");
    }
}

#[test]
fn a_slow_read_is_made_again_and_a_far_registry_is_none() {
    let settling = Settling::default();
    let near = Duration::from_millis(2);
    let far = Duration::from_millis(150);
    assert!(settling.may_write(Duration::from_millis(15), near));
    assert!(!settling.may_write(Duration::from_millis(60), near));
    assert!(settling.may_write(Duration::from_millis(160), far));
}
