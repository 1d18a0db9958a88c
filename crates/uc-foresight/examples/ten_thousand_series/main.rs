//! What watching 10,000 series every 15 seconds takes: share of a core, time for each sample and forecast, memory.
//!
//! `cargo run --release --package uc-foresight --example ten_thousand_series`; about a minute. Drawing the samples is not counted.
//! It fails where a promise of SPECIFICATION.md is broken.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::{
    collections::BTreeMap, error::Error, hint::black_box, process::ExitCode, time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use uc_foresight::{
    Observer, Sample, Verdict,
    eviction::{Action, Event, Finding, Fleet, Policy, step},
    forecast::{Features, Model},
    quantile,
};

mod workload;

use workload::Workload;

const SERIES: usize = 10_000;
const STEP_S: f64 = 15.0;
/// Looks in an hour.
const HOUR: usize = 240;
/// Looks in a round.
const ROUND: usize = HOUR / 12;
const ROUNDS: usize = 6;
/// Rounds of forecasts, one of each series.
const FORECAST_ROUNDS: usize = 7;
/// The share of a core that is promised.
const PROMISED_SHARE: f64 = 0.1;
/// The bytes of state beside the last hour that are promised.
const PROMISED_BYTES: usize = 1_024;

/// What `uc watch` keeps and does, without its windows to the world.
struct Guard {
    observers: BTreeMap<String, Observer>,
    fleet: Fleet,
    policy: Policy,
    model: Model,
}

/// CPU time of one look.
#[derive(Default, Clone, Copy)]
struct Spent {
    observing: Duration,
    deciding: Duration,
}

impl Guard {
    /// Takes in a sample of each series, in the order of their names, and decides. Answers with the actions.
    fn look(&mut self, samples: &[Sample], spent: &mut Spent) -> Vec<Action> {
        let begin = cpu_time();
        for (observer, sample) in self.observers.values_mut().zip(samples) {
            observer.observe(*sample, &self.model);
        }
        let observed = cpu_time();
        let mut events: Vec<Event> = self
            .observers
            .iter()
            .map(|(name, observer)| {
                let assessment = observer.verdict().map(Verdict::assessment);
                Event::Observed {
                    workload: name.clone(),
                    finding: Finding::of(assessment.as_ref(), &self.policy.thresholds),
                }
            })
            .collect();
        events.push(Event::Tick);
        let now_s = samples.first().map_or(0.0, |sample| sample.t_s);
        let actions = self.tell(&events, now_s);
        spent.observing += observed - begin;
        spent.deciding += cpu_time() - observed;
        actions
    }

    fn tell(&mut self, events: &[Event], now_s: f64) -> Vec<Action> {
        let step = |event| step(&mut self.fleet, event, now_s as u64, &self.policy);
        events.iter().flat_map(step).collect()
    }
}

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// Resident memory of this process, in bytes.
fn resident_bytes() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS")?.parse::<f64>()? * 1024.0)
}

/// The watched and who watches.
struct World {
    workloads: Vec<Workload>,
    samples: Vec<Sample>,
    guard: Guard,
    now_s: f64,
    warned: usize,
    stopped: usize,
}

impl World {
    fn new(model: Model) -> Self {
        let names: Vec<String> = (0..SERIES)
            .map(|number| format!("pod-{number:05}"))
            .collect();
        let mut guard = Guard {
            observers: BTreeMap::new(),
            fleet: Fleet::default(),
            policy: Policy::default(),
            model,
        };
        let join = |name: &String| Event::Joined {
            workload: name.clone(),
            protected: false,
            owned: true,
            group: None,
        };
        let joined: Vec<Event> = names.iter().map(join).collect();
        guard.tell(&joined, 0.0);
        guard.observers = names
            .into_iter()
            .map(|name| (name, Observer::default()))
            .collect();
        Self {
            workloads: (0..SERIES)
                .map(|number| Workload::draw(number, 0.0))
                .collect(),
            samples: Vec::with_capacity(SERIES),
            guard,
            now_s: 0.0,
            warned: 0,
            stopped: 0,
        }
    }

    /// So many looks.
    fn pass(&mut self, looks: usize) -> Spent {
        let mut spent = Spent::default();
        for _ in 0..looks {
            let now_s = self.now_s;
            self.samples.clear();
            self.samples.extend(
                self.workloads
                    .iter_mut()
                    .map(|workload| workload.sample(now_s)),
            );
            let actions = self.guard.look(&self.samples, &mut spent);
            self.carry_out(actions);
            self.now_s += STEP_S;
        }
        spent
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            let (events, now_s) = match action {
                Action::Warn { .. } => {
                    self.warned += 1;
                    continue;
                }
                Action::Stop {
                    workload, attempt, ..
                } => {
                    self.stopped += 1;
                    let number = workload.trim_start_matches("pod-").parse::<usize>();
                    if let Some(stopped) = number.ok().and_then(|at| self.workloads.get_mut(at)) {
                        stopped.restart(self.now_s);
                    }
                    let attempt = Some(attempt);
                    (Event::Exited { workload, attempt }, self.now_s)
                }
                Action::Restart { workload, attempt } => {
                    let attempt = Some(attempt);
                    (Event::Restarted { workload, attempt }, self.now_s)
                }
                _ => continue,
            };
            self.guard.tell(&[events], now_s);
        }
    }
}

/// Median, lowest and highest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    let median = quantile(&mut values, 0.5);
    (
        median,
        quantile(&mut values, 0.0),
        quantile(&mut values, 1.0),
    )
}

fn show(what: &str, unit: &str, (median, lowest, highest): (f64, f64, f64)) {
    println!("{what:44} {median:9.2} {unit:3} ({lowest:.2} to {highest:.2})");
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let empty = resident_bytes()?;
    let mut world = World::new(Model::shipped()?);
    // The workloads themselves are no part of what watching takes.
    let drawn = (size_of::<Workload>() + size_of::<Sample>()) * SERIES;
    println!("{SERIES} series every {STEP_S} s: {}", workload::mix());
    world.pass(HOUR);
    let resident = (resident_bytes()? - empty - drawn as f64) / SERIES as f64;
    let rounds: Vec<Spent> = (0..ROUNDS).map(|_| world.pass(ROUND)).collect();
    let of_rounds = |part: fn(&Spent) -> Duration, scale: f64| {
        spread(
            rounds
                .iter()
                .map(|spent| part(spent).as_secs_f64() * scale)
                .collect(),
        )
    };
    let per_look = 1.0 / ROUND as f64;
    let per_sample = 1e6 * per_look / SERIES as f64;
    let share = of_rounds(|spent| spent.observing + spent.deciding, per_look / STEP_S);
    println!(
        "after an hour, {ROUNDS} rounds of five minutes; {} warnings and {} stops in all; median (lowest to highest):",
        world.warned, world.stopped
    );
    show(
        "share of a core",
        "%",
        (100.0 * share.0, 100.0 * share.1, 100.0 * share.2),
    );
    show(
        "a sample followed and judged where needed",
        "µs",
        of_rounds(|spent| spent.observing, per_sample),
    );
    show(
        "a finding told to the eviction machine",
        "µs",
        of_rounds(|spent| spent.deciding, per_sample),
    );
    show("a forecast", "µs", forecast_us(&world.guard));
    let state = size_of::<Observer>();
    println!(
        "{:44} {state:6} bytes beside its last hour",
        "state of a series"
    );
    println!(
        "{:44} {resident:6.0} bytes for each series",
        "resident, with names and the machine's state"
    );
    let is_kept = share.0 < PROMISED_SHARE && state < PROMISED_BYTES;
    println!(
        "promised: below {} % of a core, below {PROMISED_BYTES} bytes: {}",
        100.0 * PROMISED_SHARE,
        if is_kept { "kept" } else { "broken" }
    );
    Ok(if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// CPU time of one forecast, in µs.
fn forecast_us(guard: &Guard) -> (f64, f64, f64) {
    let recents = guard
        .observers
        .values()
        .filter_map(|observer| observer.tracker().recent());
    let features: Vec<Features> = recents.filter_map(Features::of).collect();
    let round = |_| {
        let begin = cpu_time();
        for features in &features {
            black_box(guard.model.forecast(black_box(features)));
        }
        (cpu_time() - begin).as_secs_f64() * 1e6 / features.len().max(1) as f64
    };
    spread((0..FORECAST_ROUNDS).map(round).collect())
}
