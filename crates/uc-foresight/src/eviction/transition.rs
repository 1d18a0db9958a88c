//! What each event changes.

use super::{
    decide::decide,
    finding::Finding,
    fleet::{Attempt, Evidence, Fleet, MAX_NAME_BYTES, MAX_WORKLOADS, Phase, Signal, Workload},
    guards::Guards,
    message::{Action, Event, Found, Report},
    policy::Policy,
};

/// One step under any guards; what ships calls it with the shipped ones.
pub(super) fn step(
    fleet: &mut Fleet,
    event: &Event,
    now_s: u64,
    policy: &Policy,
    guards: &impl Guards,
) -> Vec<Action> {
    fleet.advance(now_s);
    let turn = Turn {
        age_s: fleet.age_s,
        policy,
        guards,
    };
    match event {
        Event::Tick => turn.tick(fleet),
        Event::Recovered => turn.recover(fleet),
        Event::PolicyChanged => turn.policy_changed(fleet),
        Event::Joined {
            workload,
            protected,
            owned,
            group,
        } => join(fleet, workload, *protected, *owned, group.as_ref()),
        Event::Vanished { workload } => {
            fleet.workloads.remove(workload);
            Vec::new()
        }
        Event::StopFailed { workload, attempt } => {
            turn.withdraw(fleet, workload, *attempt, Report::StopFailed)
        }
        Event::Inspected {
            workload,
            attempt,
            found: Found::NotSignalled,
        } if turn.is_in_doubt(fleet, workload, *attempt) => {
            turn.withdraw(fleet, workload, *attempt, Report::Withdrawn)
        }
        Event::Observed { workload, .. }
        | Event::Unread { workload }
        | Event::StopConfirmed { workload, .. }
        | Event::Exited { workload, .. }
        | Event::Restarted { workload, .. }
        | Event::RestartFailed { workload, .. }
        | Event::Inspected { workload, .. } => match fleet.workloads.get_mut(workload) {
            Some(known) => turn.told(workload, known, event),
            None => Vec::new(),
        },
    }
}

fn join(
    fleet: &mut Fleet,
    name: &str,
    protected: bool,
    owned: bool,
    group: Option<&String>,
) -> Vec<Action> {
    if name.len() > MAX_NAME_BYTES || group.is_some_and(|group| group.len() > MAX_NAME_BYTES) {
        return vec![report(name, Report::NameTooLong)];
    }
    if let Some(known) = fleet.workloads.get_mut(name) {
        known.protected = protected;
        known.owned = owned;
        known.group = group.cloned();
        known.unread = false;
        if known.phase == Phase::Stopped {
            known.enter(Phase::Healthy);
        }
        return Vec::new();
    }
    if fleet.workloads.len() >= MAX_WORKLOADS {
        return vec![report(name, Report::TooMany)];
    }
    let workload = Workload::new(protected, owned, group.cloned());
    fleet.workloads.insert(name.to_owned(), workload);
    Vec::new()
}

fn report(name: &str, report: Report) -> Action {
    Action::Report {
        workload: name.to_owned(),
        report,
    }
}

/// What one step is decided by.
struct Turn<'a, G> {
    age_s: u64,
    policy: &'a Policy,
    guards: &'a G,
}

impl<G: Guards> Turn<'_, G> {
    fn tick(&self, fleet: &mut Fleet) -> Vec<Action> {
        let mut actions = Vec::new();
        for (name, workload) in &mut fleet.workloads {
            if workload.cooldown_until_s.is_some()
                && self.guards.is_cooled_down(workload, self.age_s)
            {
                workload.cooldown_until_s = None;
            }
            workload.evidence = self.still_valid(workload.evidence);
            if workload.unread {
                actions.extend(self.unread(name, workload));
                continue;
            }
            actions.extend(match workload.phase {
                Phase::Stopping {
                    attempt,
                    deadline_s,
                    signal,
                    ..
                } => self.stopping(name, workload, attempt, deadline_s, signal),
                Phase::Lingering { attempt, until_s } if self.age_s >= until_s => {
                    workload.enter(Phase::Healthy);
                    workload.unfinished = Some(attempt);
                    None
                }
                Phase::PendingRestart { due_s, .. } if self.guards.is_due(due_s, self.age_s) => {
                    let attempt = fleet.next_attempt;
                    fleet.next_attempt = attempt.next();
                    workload.enter(Phase::Restarting {
                        attempt,
                        since_s: self.age_s,
                    });
                    Some(Action::Restart {
                        workload: name.clone(),
                        attempt,
                    })
                }
                // Its answer is overdue. Asking again changes nothing, so it may be done at each tick.
                Phase::Restarting { attempt, since_s }
                    if self.age_s.saturating_sub(since_s) > self.policy.max_restart_wait_s =>
                {
                    Some(inspect(name, attempt))
                }
                _ => None,
            });
        }
        fleet
            .evictions
            .retain(|eviction| self.age_s.saturating_sub(eviction.at_s) < self.policy.window_s);
        actions.extend(decide(fleet, self.policy, self.guards));
        actions
    }

    /// One that cannot be read, at a tick: a stop on the way waits for it to be seen again, but not for ever, since it counts
    /// as under way.
    fn unread(&self, name: &str, workload: &mut Workload) -> Option<Action> {
        let Phase::Stopping {
            attempt,
            deadline_s,
            ..
        } = workload.phase
        else {
            return None;
        };
        if self.age_s < deadline_s.saturating_add(self.policy.cooldown_s) {
            return None;
        }
        self.linger(workload, attempt);
        Some(report(name, Report::WouldNotEnd))
    }

    fn still_valid(&self, evidence: Option<Evidence>) -> Option<Evidence> {
        let valid_s = self.policy.finding_valid_s;
        evidence.filter(|evidence| self.age_s.saturating_sub(evidence.at_s) <= valid_s)
    }

    /// A stop on the way, at a tick.
    fn stopping(
        &self,
        name: &str,
        workload: &mut Workload,
        attempt: Attempt,
        deadline_s: u64,
        signal: Signal,
    ) -> Option<Action> {
        if signal == Signal::InDoubt {
            return Some(inspect(name, attempt));
        }
        if self.age_s < deadline_s {
            return None;
        }
        if signal == Signal::Ordered {
            set_signal(workload, Signal::InDoubt, deadline_s);
            return Some(inspect(name, attempt));
        }
        if self.guards.may_kill(workload, signal, self.policy) {
            let deadline_s = self.age_s.saturating_add(self.policy.grace_s);
            set_signal(workload, Signal::KillOrdered, deadline_s);
            return Some(Action::Kill {
                workload: name.to_owned(),
                attempt,
            });
        }
        self.linger(workload, attempt);
        Some(report(name, Report::WouldNotEnd))
    }

    /// Asks what became of everything on the way. Nothing is repeated, and nobody counts on what a signal of ours may have ended
    /// meanwhile until the answer is there.
    fn recover(&self, fleet: &mut Fleet) -> Vec<Action> {
        let mut actions = Vec::new();
        for (name, workload) in &mut fleet.workloads {
            let unfinished = workload.unfinished;
            match workload.phase {
                Phase::Stopping {
                    attempt,
                    deadline_s,
                    signal,
                    ..
                } => {
                    if signal == Signal::Ordered {
                        set_signal(workload, Signal::InDoubt, deadline_s);
                    }
                    actions.push(self.guards.after_crash(name, attempt, self.policy.grace_s));
                }
                Phase::Restarting { attempt, .. } => actions.push(inspect(name, attempt)),
                Phase::Lingering { attempt, .. } => {
                    self.linger(workload, attempt);
                    actions.push(inspect(name, attempt));
                }
                Phase::Healthy | Phase::Suspected | Phase::Warned => {
                    if let Some(attempt) = unfinished {
                        workload.unfinished = None;
                        self.linger(workload, attempt);
                        actions.push(inspect(name, attempt));
                    }
                }
                Phase::PendingRestart { .. } | Phase::Stopped => {}
            }
        }
        actions
    }

    /// Shortens what the new policy wants shorter. What it wants longer takes effect with the next of its kind.
    fn policy_changed(&self, fleet: &mut Fleet) -> Vec<Action> {
        let cooldown_end_s = self.age_s.saturating_add(self.policy.cooldown_s);
        for workload in fleet.workloads.values_mut() {
            workload.told.clear();
            workload.cooldown_until_s = workload
                .cooldown_until_s
                .map(|until_s| until_s.min(cooldown_end_s));
            if let Some(evidence) = &mut workload.evidence {
                evidence.count = evidence.count.min(self.policy.findings_needed.max(1));
            }
            match &mut workload.phase {
                Phase::PendingRestart { since_s, due_s } => {
                    let bound_s = since_s.saturating_add(self.policy.max_restart_wait_s);
                    *due_s = (*due_s).min(bound_s);
                }
                Phase::Lingering { until_s, .. } => *until_s = (*until_s).min(cooldown_end_s),
                _ => {}
            }
        }
        Vec::new()
    }

    /// What is told of one workload.
    fn told(&self, name: &str, workload: &mut Workload, event: &Event) -> Vec<Action> {
        if matches!(event, Event::Observed { .. } | Event::Restarted { .. }) {
            workload.unread = false;
        }
        let action = match event {
            Event::Observed { finding, .. } => self.observed(name, workload, *finding),
            Event::Unread { .. } => {
                workload.unread = true;
                None
            }
            Event::StopConfirmed { attempt, .. } => {
                self.confirmed(workload, *attempt);
                None
            }
            Event::Exited { attempt, .. } => {
                self.exited(workload, *attempt);
                None
            }
            Event::Restarted { attempt, .. } => {
                self.restarted(workload, *attempt);
                None
            }
            Event::RestartFailed { attempt, .. } => self.restart_failed(name, workload, *attempt),
            Event::Inspected { attempt, found, .. } => {
                self.inspected(name, workload, *attempt, *found)
            }
            _ => None,
        };
        action.into_iter().collect()
    }

    fn observed(&self, name: &str, workload: &mut Workload, finding: Finding) -> Option<Action> {
        if !workload.serves() {
            return None;
        }
        let Finding::Evict { seconds_to_limit } = finding else {
            workload.evidence = None;
            return match finding {
                Finding::Healthy => {
                    workload.enter(Phase::Healthy);
                    if workload.cooldown_until_s.is_none() {
                        workload.restarts = 0;
                    }
                    None
                }
                Finding::Suspect if workload.phase == Phase::Healthy => {
                    workload.phase = Phase::Suspected;
                    None
                }
                Finding::Warn => warn(name, workload),
                Finding::Suspect | Finding::Unknown | Finding::Evict { .. } => None,
            };
        };
        // What went stale while nobody watched no longer counts.
        let before = self
            .still_valid(workload.evidence)
            .map_or(0, |evidence| evidence.count);
        workload.evidence = Some(Evidence {
            count: before
                .saturating_add(1)
                .min(self.policy.findings_needed.max(1)),
            at_s: self.age_s,
            seconds_to_limit,
        });
        warn(name, workload)
    }

    fn confirmed(&self, workload: &mut Workload, told: Attempt) {
        if let Phase::Stopping {
            attempt,
            deadline_s,
            signal,
            ..
        } = workload.phase
            && self.guards.is_present(told, attempt)
        {
            match signal {
                Signal::Ordered => set_signal(workload, Signal::Sent, deadline_s),
                // Nobody knows since when it has been ending, so it has the whole grace from now.
                Signal::InDoubt => {
                    let deadline_s = self.age_s.saturating_add(self.policy.grace_s);
                    set_signal(workload, Signal::Sent, deadline_s);
                }
                Signal::Sent | Signal::KillOrdered => {}
            }
        }
    }

    fn exited(&self, workload: &mut Workload, told: Option<Attempt>) {
        let is_about = |attempt| told.is_none_or(|told| self.guards.is_present(told, attempt));
        let by_unfinished = told.is_some() && told == workload.unfinished;
        match workload.phase {
            Phase::Stopping { attempt, .. } | Phase::Lingering { attempt, .. }
                if is_about(attempt) || by_unfinished =>
            {
                self.await_restart(workload);
            }
            Phase::Healthy | Phase::Suspected | Phase::Warned => {
                if by_unfinished {
                    self.await_restart(workload);
                } else if told.is_none() {
                    workload.enter(Phase::Stopped);
                    workload.unfinished = None;
                }
            }
            _ => {}
        }
    }

    fn restarted(&self, workload: &mut Workload, told: Option<Attempt>) {
        let runs = match workload.phase {
            Phase::Restarting { attempt, .. } => {
                told.is_none_or(|told| self.guards.is_present(told, attempt))
            }
            Phase::PendingRestart { .. } | Phase::Stopped => told.is_none(),
            _ => false,
        };
        if runs {
            if workload.phase != Phase::Stopped {
                self.cool_down(workload);
            }
            workload.enter(Phase::Healthy);
        }
    }

    fn restart_failed(&self, name: &str, workload: &mut Workload, told: Attempt) -> Option<Action> {
        let Phase::Restarting { attempt, .. } = workload.phase else {
            return None;
        };
        if !self.guards.is_present(told, attempt) {
            return None;
        }
        self.await_restart(workload);
        Some(report(name, Report::RestartFailed))
    }

    fn inspected(
        &self,
        name: &str,
        workload: &mut Workload,
        told: Attempt,
        found: Found,
    ) -> Option<Action> {
        match workload.phase {
            Phase::Restarting { attempt, .. } if self.guards.is_present(told, attempt) => {
                if found == Found::Gone {
                    return self.restart_failed(name, workload, told);
                }
                self.restarted(workload, Some(told));
                None
            }
            _ if found == Found::Gone => {
                self.exited(workload, Some(told));
                None
            }
            Phase::Stopping {
                attempt, signal, ..
            } if self.guards.is_present(told, attempt) => match (found, signal) {
                (Found::Signalled, _) => {
                    self.confirmed(workload, told);
                    None
                }
                (Found::Running, Signal::InDoubt) => {
                    self.linger(workload, attempt);
                    Some(report(name, Report::InDoubt))
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn is_in_doubt(&self, fleet: &Fleet, name: &str, told: Attempt) -> bool {
        fleet.workloads.get(name).is_some_and(|workload| {
            matches!(workload.phase, Phase::Stopping { attempt, signal: Signal::InDoubt, .. }
                if self.guards.is_present(told, attempt))
        })
    }

    /// Takes back a stop that certainly did not and will not happen, its budget as well.
    ///
    /// The next one is a new attempt on new evidence: by then other guards may forbid what was allowed.
    fn withdraw(
        &self,
        fleet: &mut Fleet,
        name: &str,
        told: Attempt,
        because: Report,
    ) -> Vec<Action> {
        let Some(workload) = fleet.workloads.get_mut(name) else {
            return Vec::new();
        };
        let Phase::Stopping {
            attempt,
            signal: Signal::Ordered | Signal::InDoubt,
            ..
        } = workload.phase
        else {
            return Vec::new();
        };
        if !self.guards.is_present(told, attempt) {
            return Vec::new();
        }
        workload.enter(Phase::Warned);
        if because == Report::StopFailed {
            self.cool_down(workload);
        }
        fleet
            .evictions
            .retain(|eviction| eviction.attempt != attempt);
        vec![report(name, because)]
    }

    fn await_restart(&self, workload: &mut Workload) {
        let backoff_s = self.policy.backoff(workload.restarts);
        let wait_s = self.guards.restart_wait(backoff_s, self.policy);
        // Counting ends with the doubling, so that all further restarts are alike.
        if backoff_s < self.policy.max_backoff_s {
            workload.restarts = workload.restarts.saturating_add(1);
        }
        workload.unfinished = None;
        // It is known to have ended.
        workload.unread = false;
        workload.enter(Phase::PendingRestart {
            since_s: self.age_s,
            due_s: self.age_s.saturating_add(wait_s),
        });
    }

    fn linger(&self, workload: &mut Workload, attempt: Attempt) {
        self.cool_down(workload);
        workload.enter(Phase::Lingering {
            attempt,
            until_s: self.age_s.saturating_add(self.policy.cooldown_s),
        });
    }

    fn cool_down(&self, workload: &mut Workload) {
        workload.cooldown_until_s = Some(self.age_s.saturating_add(self.policy.cooldown_s));
    }
}

fn warn(name: &str, workload: &mut Workload) -> Option<Action> {
    if workload.phase == Phase::Warned {
        return None;
    }
    workload.phase = Phase::Warned;
    Some(Action::Warn {
        workload: name.to_owned(),
    })
}

fn inspect(name: &str, attempt: Attempt) -> Action {
    Action::Inspect {
        workload: name.to_owned(),
        attempt,
    }
}

fn set_signal(workload: &mut Workload, now: Signal, end_s: u64) {
    if let Phase::Stopping {
        deadline_s, signal, ..
    } = &mut workload.phase
    {
        *signal = now;
        *deadline_s = end_s;
    }
}
