//! Who is evicted: the candidates in order of urgency, each against every guard.

use std::collections::BTreeMap;

use super::{
    fleet::{Eviction, Fleet, Phase, Signal, Workload},
    guards::Guards,
    message::{Action, Denial, Report},
    policy::Policy,
};

/// What the guards look at besides the candidate, counted once for all candidates of a tick.
struct Standing {
    under_way: usize,
    /// Members and serving members of each group.
    groups: BTreeMap<String, (usize, usize)>,
}

impl Standing {
    fn of(fleet: &Fleet) -> Self {
        let mut groups: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for workload in fleet.workloads.values() {
            if let Some(group) = &workload.group {
                let (members, serving) = groups.entry(group.clone()).or_default();
                *members += 1;
                *serving += usize::from(workload.serves());
            }
        }
        Self {
            under_way: fleet.under_way(),
            groups,
        }
    }

    fn note_stop(&mut self, group: Option<&String>) {
        self.under_way += 1;
        if let Some((_, serving)) = group.and_then(|group| self.groups.get_mut(group)) {
            *serving = serving.saturating_sub(1);
        }
    }
}

/// Stops whom it must and may, and says why it does not stop the others.
pub(super) fn decide(fleet: &mut Fleet, policy: &Policy, guards: &impl Guards) -> Vec<Action> {
    let age_s = fleet.age_s;
    let mut candidates: Vec<(u64, String)> = Vec::new();
    for (name, workload) in &fleet.workloads {
        if let (Phase::Warned, false, Some(evidence)) =
            (workload.phase, workload.unread, &workload.evidence)
            && guards.is_proven(evidence, age_s, policy)
        {
            candidates.push((evidence.seconds_to_limit, name.clone()));
        }
    }
    if candidates.is_empty() {
        return Vec::new();
    }
    candidates.sort();
    let mut standing = Standing::of(fleet);
    let mut actions = Vec::new();
    for (_, name) in candidates {
        let Some(workload) = fleet.workloads.get(&name) else {
            continue;
        };
        match denial(fleet, &name, workload, &standing, policy, guards) {
            Some(denial) => actions.extend(deny(fleet, name, denial)),
            None => {
                standing.note_stop(workload.group.as_ref());
                actions.extend(stop(fleet, name, policy));
            }
        }
    }
    actions
}

/// The first guard that forbids it.
fn denial(
    fleet: &Fleet,
    name: &str,
    workload: &Workload,
    standing: &Standing,
    policy: &Policy,
    guards: &impl Guards,
) -> Option<Denial> {
    let counted = fleet
        .evictions
        .iter()
        .filter(|eviction| eviction.workload == name);
    let group = workload
        .group
        .as_ref()
        .and_then(|group| standing.groups.get(group));
    if !guards.is_unprotected(workload) {
        Some(Denial::Protected)
    } else if !guards.is_ours(workload) {
        Some(Denial::NotOwned)
    } else if !guards.is_cooled_down(workload, fleet.age_s) {
        Some(Denial::Cooldown)
    } else if !guards.is_below_concurrency(standing.under_way, policy) {
        Some(Denial::Concurrency)
    } else if !guards.fleet_can_afford(fleet.evictions.len(), policy) {
        Some(Denial::FleetBudget)
    } else if !guards.workload_can_afford(counted.count(), policy) {
        Some(Denial::WorkloadBudget)
    } else if group
        .is_some_and(|&(members, serving)| !guards.keeps_enough(members, serving, policy))
    {
        Some(Denial::MinHealthy)
    } else {
        None
    }
}

/// What is told of a denial, the first time in an episode.
fn deny(fleet: &mut Fleet, name: String, denial: Denial) -> Option<Action> {
    if !fleet.workloads.get_mut(&name)?.told.insert(denial) {
        return None;
    }
    Some(match denial {
        Denial::Protected | Denial::NotOwned => Action::WouldEvict {
            workload: name,
            because: denial,
        },
        _ => Action::Report {
            workload: name,
            report: Report::Denied(denial),
        },
    })
}

fn stop(fleet: &mut Fleet, name: String, policy: &Policy) -> Option<Action> {
    let attempt = fleet.take_attempt();
    let since_s = fleet.age_s;
    let workload = fleet.workloads.get_mut(&name)?;
    workload.enter(Phase::Stopping {
        attempt,
        since_s,
        deadline_s: since_s.saturating_add(policy.grace_s),
        signal: Signal::Ordered,
    });
    fleet.evictions.push(Eviction {
        workload: name.clone(),
        attempt,
        at_s: since_s,
    });
    Some(Action::Stop {
        workload: name,
        attempt,
        grace_s: policy.grace_s,
    })
}
