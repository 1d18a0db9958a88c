//! The world around the machine: processes, the watcher, what is on the way between them, and what went wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    fleet::{Attempt, Fleet, Phase},
    message::{Action, Event, Found, Report},
    policy::Policy,
};

/// The moment to which every state is moved back. At least the longest duration of any policy here, in seconds.
pub(super) const NOW: u64 = 5;

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Harm {
    /// The machine's own state is inconsistent.
    Type,
    /// More stops of the fleet in a window than its budget.
    FleetBudget,
    /// More stops of a workload in a window than its budget.
    WorkloadBudget,
    /// More evictions under way than allowed.
    Concurrency,
    /// A stop that left too few of a group.
    MinHealthy,
    /// A signal to what is protected.
    Protection,
    /// A signal to what is not ours.
    Ownership,
    /// A second SIGTERM for one attempt, or for a process that is ending.
    SecondStop,
    /// A SIGKILL that was not allowed, or before SIGTERM and its grace.
    Kill,
    /// A stop too soon after the last restart.
    Cooldown,
    /// A stop without enough recent findings.
    Unproven,
    /// A second copy of what runs.
    SecondCopy,
    /// A restart that was not ordered in time.
    Starvation,
    /// A leak that was not evicted though nothing forbade it.
    MissedLeak,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) alive: bool,
    pub(super) protected: bool,
    pub(super) owned: bool,
    /// The SIGTERM that may still end it or has ended it.
    pub(super) signalled: Option<Attempt>,
    /// Ticks since that SIGTERM.
    pub(super) signalled_for: u64,
    /// Ticks since the machine said that it gives up.
    pub(super) given_up_for: Option<u64>,
    /// Whether its present end is our doing.
    pub(super) ended_by_us: bool,
    /// Ticks of the machine since it knew that a restart is to be ordered.
    pub(super) waited: Option<u64>,
    /// The restart that was ordered and of which nothing was told yet.
    pub(super) restart: Option<Attempt>,
    /// Ticks for which it is to be left alone.
    pub(super) rest: u64,
    /// Findings in a row that said "evict".
    pub(super) findings: u32,
    /// Ticks since the last one.
    pub(super) finding_age: u64,
}

impl Process {
    /// Whether a signal of ours may end it.
    pub(super) fn is_ending(&self) -> bool {
        self.alive && self.signalled.is_some()
    }

    /// Whether an eviction of it is under way, as the world sees it.
    fn is_under_way(&self) -> bool {
        self.given_up_for.is_none() && (self.is_ending() || (!self.alive && self.ended_by_us))
    }

    pub(super) fn forget_findings(&mut self) {
        self.findings = 0;
        self.finding_age = 0;
    }
}

/// A state of everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) processes: Vec<Process>,
    /// Whether the watcher runs.
    pub(super) watching: bool,
    /// Ticks since it does not.
    pub(super) down_for: u64,
    /// What will be told; and whether it has been on the way for a tick, which is as long as it may.
    pub(super) mail: BTreeMap<Event, bool>,
    /// The SIGTERMs that were sent within the window: to whom, and how many ticks ago.
    pub(super) stops: Vec<(usize, u64)>,
    /// The last attempt of which a SIGTERM was sent.
    pub(super) last_stop: Option<Attempt>,
    /// Ticks since anything but findings happened, if anybody wants to know.
    pub(super) calm: Option<u64>,
    /// Crashes that may still happen.
    pub(super) crashes: u8,
    /// Processes that may still end by themselves.
    pub(super) accidents: u8,
    /// Workloads that may still become protected.
    pub(super) flips: u8,
    pub(super) harm: Option<Harm>,
}

/// What becomes of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fate {
    /// They succeed.
    Works,
    /// They fail, and inspections cannot tell.
    Fails,
    /// So many succeed; then the watcher crashes.
    CrashAfter(usize),
}

/// The name of a process.
pub(super) fn name(process: usize) -> String {
    ["a", "b", "c"][process].to_owned()
}

fn number(name: &str) -> usize {
    ["a", "b", "c"]
        .iter()
        .position(|known| *known == name)
        .unwrap()
}

impl World {
    pub(super) fn harm(&mut self, harm: Harm) {
        self.harm.get_or_insert(harm);
    }

    /// Something happened.
    pub(super) fn stir(&mut self) {
        self.calm = self.calm.map(|_| 0);
    }

    fn post(&mut self, event: Event) {
        self.mail.entry(event).or_insert(false);
    }

    /// The watcher is gone with all that it had to tell.
    pub(super) fn crash(&mut self) {
        self.crashes -= 1;
        self.watching = false;
        self.mail.clear();
        self.stir();
    }

    /// A signal, or a fault of its own, ends a process.
    pub(super) fn end(&mut self, at: usize) {
        let process = &mut self.processes[at];
        process.alive = false;
        process.ended_by_us = process.signalled.is_some();
        if let (true, Some(attempt)) = (self.watching, process.signalled) {
            self.post(Event::Exited {
                workload: name(at),
                attempt: Some(attempt),
            });
        }
    }

    /// Takes note that the machine counts on a stop no more, whether or not anybody hears of it.
    pub(super) fn note_given_up(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Report {
                workload,
                report: Report::WouldNotEnd | Report::InDoubt,
            } = action
            {
                let process = &mut self.processes[number(workload)];
                if process.signalled.is_some() {
                    process.given_up_for = Some(0);
                }
            }
        }
    }

    /// Carries out one action.
    pub(super) fn carry_out(&mut self, action: &Action, works: bool, policy: &Policy) {
        match action {
            Action::Stop {
                workload, attempt, ..
            } => {
                self.stir();
                if works {
                    self.sigterm(number(workload), *attempt, policy);
                } else {
                    self.post(Event::StopFailed {
                        workload: workload.clone(),
                        attempt: *attempt,
                    });
                }
            }
            Action::Kill { workload, .. } => self.sigkill(number(workload), policy),
            Action::Restart { workload, attempt } => {
                self.restart(number(workload), *attempt, works);
            }
            Action::Inspect { workload, attempt } => {
                self.stir();
                let process = &self.processes[number(workload)];
                let found = match (process.alive, works) {
                    (false, _) => Found::Gone,
                    (true, false) => Found::Running,
                    (true, true) if process.signalled == Some(*attempt) => Found::Signalled,
                    (true, true) => Found::NotSignalled,
                };
                self.post(Event::Inspected {
                    workload: workload.clone(),
                    attempt: *attempt,
                    found,
                });
            }
            Action::Report { report, .. } if !matches!(report, Report::Denied(_)) => self.stir(),
            Action::Warn { .. } | Action::WouldEvict { .. } | Action::Report { .. } => {}
        }
    }

    fn sigterm(&mut self, at: usize, attempt: Attempt, policy: &Policy) {
        self.judge_signal(at);
        let process = &self.processes[at];
        let ending = process.is_ending() && process.given_up_for.is_none();
        if ending || self.last_stop.is_some_and(|last| attempt <= last) {
            self.harm(Harm::SecondStop);
        }
        let process = &self.processes[at];
        if process.findings < policy.findings_needed || process.finding_age > policy.finding_valid_s
        {
            self.harm(Harm::Unproven);
        }
        if self.processes[at].rest > 0 {
            self.harm(Harm::Cooldown);
        }
        self.last_stop = Some(attempt);
        self.stops.push((at, 0));
        if self.stops.len() > policy.fleet_evictions as usize {
            self.harm(Harm::FleetBudget);
        }
        let own = self.stops.iter().filter(|(whose, _)| *whose == at).count();
        if own > policy.workload_evictions as usize {
            self.harm(Harm::WorkloadBudget);
        }
        let process = &mut self.processes[at];
        process.forget_findings();
        if !process.alive {
            return;
        }
        process.signalled = Some(attempt);
        process.signalled_for = 0;
        process.given_up_for = None;
        self.post(Event::StopConfirmed {
            workload: name(at),
            attempt,
        });
        let serving = self
            .processes
            .iter()
            .filter(|process| process.alive && !process.is_ending());
        if serving.count() < policy.min_healthy.required(self.processes.len()) {
            self.harm(Harm::MinHealthy);
        }
        let under_way = self
            .processes
            .iter()
            .filter(|process| process.is_under_way());
        if under_way.count() > policy.max_concurrent as usize {
            self.harm(Harm::Concurrency);
        }
    }

    fn sigkill(&mut self, at: usize, policy: &Policy) {
        self.stir();
        self.judge_signal(at);
        let process = &self.processes[at];
        let told_to_end = process.signalled.is_some() && process.signalled_for >= policy.grace_s;
        if !policy.kill_after_grace || !told_to_end {
            self.harm(Harm::Kill);
        }
        if self.processes[at].alive {
            self.end(at);
        }
    }

    fn judge_signal(&mut self, at: usize) {
        if self.processes[at].protected {
            self.harm(Harm::Protection);
        }
        if !self.processes[at].owned {
            self.harm(Harm::Ownership);
        }
    }

    fn restart(&mut self, at: usize, attempt: Attempt, works: bool) {
        self.stir();
        if self.processes[at].alive {
            self.harm(Harm::SecondCopy);
        }
        let workload = name(at);
        if !works {
            self.post(Event::RestartFailed { workload, attempt });
            return;
        }
        let process = &mut self.processes[at];
        process.alive = true;
        process.signalled = None;
        process.given_up_for = None;
        process.forget_findings();
        self.post(Event::Restarted {
            workload,
            attempt: Some(attempt),
        });
    }

    /// Takes note of what the machine is told.
    pub(super) fn note_told(&mut self, event: &Event, policy: &Policy) {
        self.stir();
        let (Event::Exited { workload, .. }
        | Event::StopConfirmed { workload, .. }
        | Event::StopFailed { workload, .. }
        | Event::Restarted { workload, .. }
        | Event::RestartFailed { workload, .. }
        | Event::Inspected { workload, .. }) = event
        else {
            return;
        };
        let process = &mut self.processes[number(workload)];
        match event {
            Event::Restarted { .. } if process.ended_by_us => {
                process.ended_by_us = false;
                process.restart = None;
                process.rest = policy.cooldown_s;
            }
            Event::Inspected { .. } if process.alive && process.ended_by_us => {
                process.ended_by_us = false;
                process.restart = None;
                process.rest = policy.cooldown_s;
            }
            _ if !process.alive && process.ended_by_us => {
                let (about, is_end) = match event {
                    Event::Exited { attempt, .. } => (*attempt, true),
                    Event::RestartFailed { attempt, .. } => (Some(*attempt), true),
                    Event::Inspected { attempt, found, .. } => {
                        (Some(*attempt), *found == Found::Gone)
                    }
                    _ => (None, false),
                };
                // What is told of the stop says nothing of a restart that was ordered since.
                let is_news = process.restart.is_none() || process.restart == about;
                if is_end && is_news && process.waited.is_none() {
                    process.waited = Some(0);
                    process.restart = None;
                }
            }
            _ => {}
        }
    }

    /// Takes note of what a tick ordered, and of what it should have.
    pub(super) fn judge_tick(&mut self, actions: &[Action], policy: &Policy) {
        let mut starves = false;
        for (at, process) in self.processes.iter_mut().enumerate() {
            for action in actions {
                match action {
                    Action::Restart { workload, attempt } if *workload == name(at) => {
                        process.waited = None;
                        process.restart = Some(*attempt);
                    }
                    _ => {}
                }
            }
            if let Some(waited) = &mut process.waited {
                *waited += 1;
                starves |= *waited >= policy.max_restart_wait_s;
            }
        }
        if starves {
            self.harm(Harm::Starvation);
        }
        let stops = actions
            .iter()
            .any(|action| matches!(action, Action::Stop { .. }));
        if !stops && (0..self.processes.len()).any(|at| self.must_evict(at, policy)) {
            self.harm(Harm::MissedLeak);
        }
    }

    /// Whether nothing forbids an eviction that is due: all has been calm for longer than any window and cooldown.
    fn must_evict(&self, at: usize, policy: &Policy) -> bool {
        let process = &self.processes[at];
        let idle = |process: &Process| process.alive && process.signalled.is_none();
        process.findings >= policy.findings_needed
            && process.finding_age <= policy.finding_valid_s
            && process.owned
            && !process.protected
            && self.processes.iter().all(idle)
            && self.mail.is_empty()
            && self
                .calm
                .is_some_and(|ticks| ticks >= longest_memory(policy))
            && self.processes.len() > policy.min_healthy.required(self.processes.len())
    }

    /// One tick of the clock, whether or not anybody watches.
    pub(super) fn elapse(&mut self, policy: &Policy) {
        if !self.watching {
            self.down_for = (self.down_for + 1).min(NOW);
        }
        self.calm = self
            .calm
            .map(|ticks| (ticks + 1).min(longest_memory(policy)));
        for (_, age) in &mut self.stops {
            *age += 1;
        }
        self.stops.retain(|(_, age)| *age < policy.window_s);
        for late in self.mail.values_mut() {
            *late = true;
        }
        for process in &mut self.processes {
            process.rest = process.rest.saturating_sub(1);
            process.finding_age += u64::from(process.findings > 0);
            if process.finding_age > policy.finding_valid_s {
                process.forget_findings();
            }
            if process.signalled.is_some() {
                process.signalled_for = (process.signalled_for + 1).min(policy.grace_s);
            }
            if let Some(ticks) = &mut process.given_up_for {
                *ticks = (*ticks + 1).min(policy.cooldown_s);
                // Who has not ended by now has refused the signal.
                if process.alive && *ticks >= policy.cooldown_s {
                    process.given_up_for = None;
                    process.signalled = None;
                }
            }
        }
    }

    /// Moves the state back to [`NOW`].
    pub(super) fn normalise(&mut self) {
        let by = self.fleet.age_s - NOW;
        let fleet = &mut self.fleet;
        fleet.age_s = NOW;
        fleet.clock_s = Some(NOW);
        let back = |time: &mut u64| *time = time.saturating_sub(by);
        fleet
            .evictions
            .iter_mut()
            .for_each(|eviction| back(&mut eviction.at_s));
        for workload in fleet.workloads.values_mut() {
            workload.cooldown_until_s.iter_mut().for_each(back);
            workload
                .evidence
                .iter_mut()
                .for_each(|evidence| back(&mut evidence.at_s));
            match &mut workload.phase {
                Phase::Stopping {
                    since_s,
                    deadline_s,
                    ..
                } => [since_s, deadline_s].into_iter().for_each(back),
                Phase::PendingRestart { since_s, due_s } => {
                    [since_s, due_s].into_iter().for_each(back);
                }
                Phase::Restarting { since_s, .. } => back(since_s),
                Phase::Lingering { until_s, .. } => back(until_s),
                Phase::Healthy | Phase::Suspected | Phase::Warned | Phase::Stopped => {}
            }
        }
        self.renumber();
    }

    /// Replaces attempts by their rank among those that anybody remembers.
    fn renumber(&mut self) {
        let mut seen = BTreeSet::new();
        self.each_attempt(|attempt| {
            seen.insert(*attempt);
        });
        let ranks: BTreeMap<Attempt, u64> = seen.into_iter().zip(0..).collect();
        self.each_attempt(|attempt| *attempt = Attempt(ranks[attempt]));
        self.fleet.next_attempt = Attempt(ranks.len() as u64);
    }

    fn each_attempt(&mut self, mut visit: impl FnMut(&mut Attempt)) {
        self.last_stop.iter_mut().for_each(&mut visit);
        for process in &mut self.processes {
            process.signalled.iter_mut().for_each(&mut visit);
            process.restart.iter_mut().for_each(&mut visit);
        }
        for eviction in &mut self.fleet.evictions {
            visit(&mut eviction.attempt);
        }
        for workload in self.fleet.workloads.values_mut() {
            workload.unfinished.iter_mut().for_each(&mut visit);
            match &mut workload.phase {
                Phase::Stopping { attempt, .. }
                | Phase::Lingering { attempt, .. }
                | Phase::Restarting { attempt, .. } => visit(attempt),
                _ => {}
            }
        }
        let mail = std::mem::take(&mut self.mail);
        for (mut event, late) in mail {
            match &mut event {
                Event::StopConfirmed { attempt, .. }
                | Event::StopFailed { attempt, .. }
                | Event::RestartFailed { attempt, .. }
                | Event::Inspected { attempt, .. }
                | Event::Exited {
                    attempt: Some(attempt),
                    ..
                }
                | Event::Restarted {
                    attempt: Some(attempt),
                    ..
                } => visit(attempt),
                _ => {}
            }
            self.mail.insert(event, late);
        }
    }
}

/// Ticks after which nothing that happened matters any more.
fn longest_memory(policy: &Policy) -> u64 {
    policy.window_s.max(policy.cooldown_s) + 2
}
