//! The world as a model for stateright, the scenarios, and the check of what ships.

use std::collections::BTreeMap;

use stateright::{Checker, Model, Property};

use super::{
    super::{
        finding::Finding,
        fleet::{Phase, Signal},
        guards::{Guards, Shipped},
        message::{Action, Event},
        policy::{MinHealthy, Policy},
        transition,
    },
    world::{Fate, Harm, NOW, Process, World, name},
};

/// More visits of states than this and a scenario is too large to be checked in every run of the tests.
const MAX_VISITS: usize = 4_000_000;

/// One possible next thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Move {
    Deliver(Event),
    Tick(Fate),
    Observe(usize, Finding),
    Exit(usize),
    Accident(usize),
    StartedByOther(usize),
    Protect(usize),
    Crash,
    Elapse,
    Recover(Fate),
}

/// A world to be checked.
#[derive(Clone)]
pub(super) struct Scenario<G> {
    pub(super) policy: Policy,
    pub(super) guards: G,
    /// For each process whether it is protected and whether it is ours.
    pub(super) processes: Vec<(bool, bool)>,
    pub(super) crashes: u8,
    pub(super) accidents: u8,
    pub(super) flips: u8,
    /// Whether answers may take a tick.
    pub(super) slow: bool,
    /// Whether missed leaks are looked for, which needs many more states.
    pub(super) leaks: bool,
}

/// The policy that scenarios vary: short durations, and nothing that binds.
pub(super) fn policy() -> Policy {
    Policy {
        findings_needed: 1,
        finding_valid_s: 1,
        window_s: 3,
        fleet_evictions: 3,
        workload_evictions: 3,
        max_concurrent: 3,
        cooldown_s: 2,
        min_healthy: MinHealthy::Count(0),
        grace_s: 1,
        kill_after_grace: true,
        backoff_s: 1,
        max_backoff_s: 4,
        max_restart_wait_s: 2,
        ..Policy::default()
    }
}

/// The same with a back-off that does not grow and a shorter window, so that two processes have few enough states.
pub(super) fn plain_policy() -> Policy {
    Policy {
        window_s: 2,
        max_backoff_s: 1,
        max_restart_wait_s: 1,
        ..policy()
    }
}

pub(super) fn scenario<G: Guards>(processes: usize, policy: Policy, guards: G) -> Scenario<G> {
    Scenario {
        policy,
        guards,
        processes: vec![(false, true); processes],
        crashes: 1,
        accidents: 0,
        flips: 0,
        slow: true,
        leaks: processes == 1,
    }
}

impl<G: Guards> Scenario<G> {
    /// One step of the machine; its actions are carried out as fate wills.
    fn step(&self, world: &mut World, event: &Event, fate: Fate) -> Option<()> {
        let elapsed = match event {
            Event::Tick => 1,
            Event::Recovered => std::mem::take(&mut world.down_for),
            _ => 0,
        };
        let actions = transition::step(
            &mut world.fleet,
            event,
            NOW + elapsed,
            &self.policy,
            &self.guards,
        );
        world.note_given_up(&actions);
        if *event == Event::Tick {
            world.judge_tick(&actions, &self.policy);
        }
        let done = match fate {
            Fate::Works => actions.len(),
            // Whatever makes no difference to success or to a crash by itself is no move of its own.
            Fate::Fails => actions.iter().any(can_fail).then_some(actions.len())?,
            Fate::CrashAfter(done) => actions.get(done..)?.iter().any(can_fail).then_some(done)?,
        };
        for action in &actions[..done] {
            world.carry_out(action, fate != Fate::Fails, &self.policy);
        }
        if matches!(fate, Fate::CrashAfter(_)) {
            world.crash();
        }
        if world.fleet.flaw(&self.policy).is_some() {
            world.harm(Harm::Type);
        }
        world.normalise();
        Some(())
    }

    fn next(&self, world: &mut World, action: Move) -> Option<()> {
        match action {
            Move::Deliver(event) => {
                world.mail.remove(&event);
                world.note_told(&event, &self.policy);
                self.step(world, &event, Fate::Works)?;
            }
            Move::Tick(fate) => {
                world.elapse(&self.policy);
                self.step(world, &Event::Tick, fate)?;
            }
            Move::Observe(at, finding) => {
                let process = &mut world.processes[at];
                if matches!(finding, Finding::Evict { .. }) {
                    process.findings = (process.findings + 1).min(self.policy.findings_needed);
                    process.finding_age = 0;
                } else {
                    process.forget_findings();
                }
                let workload = name(at);
                self.step(world, &Event::Observed { workload, finding }, Fate::Works)?;
            }
            Move::Exit(at) => world.end(at),
            Move::Accident(at) => {
                world.accidents -= 1;
                world.stir();
                world.end(at);
                world.processes[at].forget_findings();
                let workload = name(at);
                let exited = Event::Exited {
                    workload,
                    attempt: None,
                };
                self.step(world, &exited, Fate::Works)?;
            }
            Move::StartedByOther(at) => {
                world.stir();
                world.processes[at].alive = true;
                let workload = name(at);
                let restarted = Event::Restarted {
                    workload,
                    attempt: None,
                };
                self.step(world, &restarted, Fate::Works)?;
            }
            Move::Protect(at) => {
                world.flips -= 1;
                world.processes[at].protected = true;
                let joined = self.joined(at, true, world.processes[at].owned);
                self.step(world, &joined, Fate::Works)?;
            }
            Move::Crash => world.crash(),
            Move::Elapse => world.elapse(&self.policy),
            Move::Recover(fate) => {
                world.watching = true;
                self.step(world, &Event::Recovered, fate)?;
            }
        }
        Some(())
    }

    fn joined(&self, at: usize, protected: bool, owned: bool) -> Event {
        Event::Joined {
            workload: name(at),
            protected,
            owned,
            group: Some("replicas".into()),
        }
    }

    fn moves_of(&self, world: &World, at: usize, moves: &mut Vec<Move>) {
        let process = &world.processes[at];
        // A signal that was survived for nearly a cooldown is refused: nobody could wait for it for ever.
        let may_end = process
            .given_up_for
            .is_none_or(|ticks| ticks + 1 < self.policy.cooldown_s);
        if process.is_ending() && may_end {
            moves.push(Move::Exit(at));
        }
        if !world.watching {
            return;
        }
        if process.alive {
            // The last is the most urgent, so that order by name alone would be seen.
            let seconds_to_limit = 10 - at as u64;
            moves.push(Move::Observe(at, Finding::Evict { seconds_to_limit }));
            moves.push(Move::Observe(at, Finding::Healthy));
        }
        let settled = world.mail.is_empty() && process.signalled.is_none();
        if process.alive && settled && world.accidents > 0 {
            moves.push(Move::Accident(at));
        }
        if !process.alive && !process.ended_by_us {
            moves.push(Move::StartedByOther(at));
        }
        if !process.protected && world.flips > 0 {
            moves.push(Move::Protect(at));
        }
    }
}

/// Whether the outcome of an action matters.
fn can_fail(action: &Action) -> bool {
    matches!(
        action,
        Action::Stop { .. } | Action::Kill { .. } | Action::Restart { .. } | Action::Inspect { .. }
    )
}

impl<G: Guards> Model for Scenario<G> {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let process = |&(protected, owned): &(bool, bool)| Process {
            alive: true,
            protected,
            owned,
            signalled: None,
            signalled_for: 0,
            given_up_for: None,
            ended_by_us: false,
            waited: None,
            restart: None,
            rest: 0,
            findings: 0,
            finding_age: 0,
        };
        let mut world = World {
            fleet: Default::default(),
            processes: self.processes.iter().map(process).collect(),
            watching: true,
            down_for: 0,
            mail: BTreeMap::new(),
            stops: Vec::new(),
            last_stop: None,
            calm: self.leaks.then_some(0),
            crashes: self.crashes,
            accidents: self.accidents,
            flips: self.flips,
            harm: None,
        };
        world.fleet.age_s = NOW;
        for (at, &(protected, owned)) in self.processes.iter().enumerate() {
            let joined = self.joined(at, protected, owned);
            let _ = self.step(&mut world, &joined, Fate::Works);
        }
        vec![world]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        // One harm is enough; what follows from it would be blamed on others.
        if world.harm.is_some() {
            return;
        }
        for at in 0..world.processes.len() {
            self.moves_of(world, at, moves);
        }
        if !world.watching {
            moves.extend([
                Move::Elapse,
                Move::Recover(Fate::Works),
                Move::Recover(Fate::Fails),
            ]);
            return;
        }
        moves.extend(world.mail.keys().cloned().map(Move::Deliver));
        let waits = |late: &bool| *late || !self.slow;
        if !world.mail.values().any(waits) {
            moves.extend([Move::Tick(Fate::Works), Move::Tick(Fate::Fails)]);
            if world.crashes > 0 {
                moves.extend(
                    (0..world.processes.len()).map(|done| Move::Tick(Fate::CrashAfter(done))),
                );
            }
        }
        if world.crashes > 0 {
            moves.push(Move::Crash);
        }
    }

    fn next_state(&self, world: &World, action: Move) -> Option<World> {
        let mut next = world.clone();
        self.next(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! never {
            ($($harm:ident),*) => {
                vec![$(Property::always(stringify!($harm), |_, world: &World| {
                    world.harm != Some(Harm::$harm)
                })),*]
            };
        }
        let mut properties = never![
            Type,
            FleetBudget,
            WorkloadBudget,
            Concurrency,
            MinHealthy,
            Protection,
            Ownership,
            SecondStop,
            Kill,
            Cooldown,
            Unproven,
            SecondCopy,
            Starvation,
            MissedLeak
        ];
        properties.extend([
            Property::sometimes(SIGHTS[0], |_, world: &World| {
                sees(world, |phase| matches!(phase, Phase::Restarting { .. }))
            }),
            Property::sometimes(SIGHTS[1], |_, world: &World| {
                sees(world, |phase| matches!(phase, Phase::Lingering { .. }))
            }),
            Property::sometimes(SIGHTS[2], |model: &Self, world: &World| {
                model.crashes == 0
                    || sees(world, |phase| {
                        matches!(
                            phase,
                            Phase::Stopping {
                                signal: Signal::InDoubt,
                                ..
                            }
                        )
                    })
            }),
            Property::sometimes(SIGHTS[3], |model: &Self, world: &World| {
                !model.policy.kill_after_grace
                    || sees(world, |phase| {
                        matches!(
                            phase,
                            Phase::Stopping {
                                signal: Signal::KillOrdered,
                                ..
                            }
                        )
                    })
            }),
            Property::sometimes(SIGHTS[4], |model: &Self, world: &World| {
                model.policy.max_backoff_s <= model.policy.backoff_s
                    || world
                        .fleet
                        .workloads
                        .values()
                        .any(|workload| workload.restarts > 1)
            }),
            Property::sometimes(SIGHTS[5], |_, world: &World| {
                world
                    .fleet
                    .workloads
                    .values()
                    .any(|workload| workload.unfinished.is_some())
            }),
        ]);
        properties
    }
}

/// What a walk must come by, so that its silence about harm means something.
const SIGHTS: [&str; 6] = [
    "sees a restart",
    "sees a stop given up",
    "sees a stop in doubt",
    "sees a kill",
    "sees restarts fail",
    "sees a survivor go on",
];

fn sees(world: &World, wanted: fn(&Phase) -> bool) -> bool {
    world
        .fleet
        .workloads
        .values()
        .any(|workload| wanted(&workload.phase))
}

/// What a whole walk found.
struct Walk {
    states: usize,
    /// All states that it made, those seen before as well.
    visits: usize,
    broken: BTreeMap<&'static str, Vec<Move>>,
    /// What it did not come by.
    unseen: Vec<&'static str>,
}

/// Walks as deep as there are states, or to a depth counted from 1.
fn walk<G: Guards + Send + Sync + 'static>(scenario: Scenario<G>, depth: Option<usize>) -> Walk {
    let mut walk = scenario.checker().target_state_count(MAX_VISITS);
    if let Some(depth) = depth {
        walk = walk.target_max_depth(depth);
    }
    let checker = walk.spawn_bfs().join();
    // Where the walk ends at its bound, it is not whole.
    assert!(checker.is_done() && checker.state_count() < MAX_VISITS);
    let mut broken: BTreeMap<_, _> = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| (property, path.into_actions()))
        .collect();
    let unseen = SIGHTS
        .into_iter()
        .filter(|sight| broken.remove(sight).is_none())
        .collect();
    Walk {
        states: checker.unique_state_count(),
        visits: checker.state_count(),
        broken,
        unseen,
    }
}

/// The shortest counterexamples and what they break; the checker itself keeps the last it meets, which is among the longest.
pub(super) fn shortest<G: Guards + Clone + Send + Sync + 'static>(
    scenario: &Scenario<G>,
) -> BTreeMap<&'static str, Vec<Move>> {
    (1..40)
        .map(|depth| walk(scenario.clone(), Some(depth)).broken)
        .find(|broken| !broken.is_empty())
        .unwrap_or_default()
}

pub(super) fn holds(what: &str, scenario: Scenario<Shipped>) {
    let walk = walk(scenario, None);
    println!("{what}: {} states, {} visits", walk.states, walk.visits);
    for (property, moves) in &walk.broken {
        println!(
            "{property} is broken after {} moves: {moves:#?}",
            moves.len()
        );
    }
    assert!(walk.broken.is_empty());
    assert_eq!(walk.unseen, Vec::<&str>::new());
    assert!(walk.states > 1000);
}
