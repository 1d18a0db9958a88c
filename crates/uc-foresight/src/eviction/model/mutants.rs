//! Each scenario as it ships, and with the guard taken out that it is about: then exactly the property breaks that the guard
//! stands for. A check that no defect can fail would prove nothing.

use super::{
    super::{
        fleet::{Attempt, Evidence, Signal, Workload},
        guards::{Guards, Shipped},
        message::Action,
        policy::{MinHealthy, Policy},
    },
    check::{Scenario, holds, plain_policy, policy, scenario, shortest},
};

/// The shortest runs that break anything without the guard break these properties and no other.
fn breaks<G>(guard: &str, properties: &[&str], scenario: &Scenario<G>)
where
    G: Guards + Clone + Send + Sync + 'static,
{
    let broken = shortest(scenario);
    for (property, moves) in &broken {
        println!(
            "without {guard}, {property} is broken after {} moves",
            moves.len()
        );
    }
    assert_eq!(
        broken.keys().copied().collect::<Vec<_>>(),
        properties,
        "{broken:?}"
    );
}

macro_rules! mutant {
    ($mutant:ident, $guard:ident($($argument:ident: $type:ty),*) -> $answer:ty $body:block) => {
        #[derive(Clone)]
        struct $mutant;
        impl Guards for $mutant {
            fn $guard(&self, $($argument: $type),*) -> $answer $body
        }
    };
}

fn fleet_budget<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        fleet_evictions: 1,
        ..plain_policy()
    };
    Scenario {
        slow: false,
        ..scenario(2, policy, guards)
    }
}

#[test]
fn the_fleets_budget_holds() {
    holds("fleet budget", fleet_budget(Shipped));
}

mutant!(NoFleetBudget, fleet_can_afford(_used: usize, _policy: &Policy) -> bool { true });

#[test]
fn without_fleet_can_afford_the_fleets_budget_breaks() {
    breaks(
        "fleet_can_afford",
        &["FleetBudget"],
        &fleet_budget(NoFleetBudget),
    );
}

fn workload_budget<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        workload_evictions: 1,
        window_s: 5,
        ..policy()
    };
    Scenario {
        crashes: 2,
        ..scenario(1, policy, guards)
    }
}

#[test]
fn a_workloads_budget_holds() {
    holds("workload budget", workload_budget(Shipped));
}

mutant!(NoWorkloadBudget, workload_can_afford(_used: usize, _policy: &Policy) -> bool { true });

#[test]
fn without_workload_can_afford_a_workloads_budget_breaks() {
    breaks(
        "workload_can_afford",
        &["WorkloadBudget"],
        &workload_budget(NoWorkloadBudget),
    );
}

fn one_at_a_time<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        max_concurrent: 1,
        kill_after_grace: false,
        ..plain_policy()
    };
    Scenario {
        crashes: 0,
        ..scenario(2, policy, guards)
    }
}

#[test]
fn no_more_are_under_way_than_allowed() {
    holds("concurrency", one_at_a_time(Shipped));
}

mutant!(NoConcurrency, is_below_concurrency(_under_way: usize, _policy: &Policy) -> bool { true });

#[test]
fn without_is_below_concurrency_more_are_under_way() {
    breaks(
        "is_below_concurrency",
        &["Concurrency"],
        &one_at_a_time(NoConcurrency),
    );
}

fn one_of_two_stays<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        min_healthy: MinHealthy::Count(1),
        ..plain_policy()
    };
    Scenario {
        accidents: 1,
        slow: false,
        ..scenario(2, policy, guards)
    }
}

#[test]
fn enough_keep_running() {
    holds("minimum healthy", one_of_two_stays(Shipped));
}

mutant!(NoMinHealthy, keeps_enough(_members: usize, _serving: usize, _policy: &Policy) -> bool { true });

#[test]
fn without_keeps_enough_too_few_keep_running() {
    breaks(
        "keeps_enough",
        &["MinHealthy"],
        &one_of_two_stays(NoMinHealthy),
    );
}

/// The first may become protected at any time, in the midst of its stop as well; the second is not ours.
fn untouchables<G: Guards>(guards: G) -> Scenario<G> {
    let mut scenario = scenario(2, plain_policy(), guards);
    scenario.processes = vec![(false, true), (false, false)];
    scenario.flips = 1;
    scenario
}

#[test]
fn nobody_signals_what_is_protected_or_not_ours() {
    holds("protection and ownership", untouchables(Shipped));
}

mutant!(NoProtection, is_unprotected(_workload: &Workload) -> bool { true });
mutant!(NoOwnership, is_ours(_workload: &Workload) -> bool { true });
mutant!(KillOfTheProtected, may_kill(_workload: &Workload, signal: Signal, policy: &Policy) -> bool {
    policy.kill_after_grace && signal == Signal::Sent
});

#[test]
fn without_is_unprotected_a_protected_workload_is_stopped() {
    breaks(
        "is_unprotected",
        &["Protection"],
        &untouchables(NoProtection),
    );
}

#[test]
fn without_is_ours_a_foreign_workload_is_stopped() {
    breaks("is_ours", &["Ownership"], &untouchables(NoOwnership));
}

#[test]
fn without_may_kill_minding_protection_a_workload_protected_meanwhile_is_killed() {
    breaks(
        "may_kill (protection)",
        &["Protection"],
        &untouchables(KillOfTheProtected),
    );
}

fn alone<G: Guards>(guards: G) -> Scenario<G> {
    Scenario {
        crashes: 2,
        ..scenario(1, policy(), guards)
    }
}

#[test]
fn one_that_is_alone_is_safe_through_two_crashes() {
    holds("one workload, two crashes", alone(Shipped));
}

mutant!(RepeatsStop, after_crash(workload: &str, attempt: Attempt, grace_s: u64) -> Action {
    Action::Stop { workload: workload.to_owned(), attempt, grace_s }
});
mutant!(NoCooldown, is_cooled_down(_workload: &Workload, _age_s: u64) -> bool { true });
mutant!(NoRestart, is_due(_due_s: u64, _age_s: u64) -> bool { false });
mutant!(NoBound, restart_wait(backoff_s: u64, _policy: &Policy) -> u64 { backoff_s });
mutant!(AnyAttempt, is_present(_told: Attempt, _present: Attempt) -> bool { true });
mutant!(AlwaysKills, may_kill(_workload: &Workload, _signal: Signal, _policy: &Policy) -> bool { true });
mutant!(NeverProven, is_proven(_evidence: &Evidence, _age_s: u64, _policy: &Policy) -> bool { false });

/// Where the first signal was lost to the crash, the repeated one is the first, but nobody has looked at the findings again.
#[test]
fn without_after_crash_asking_a_stop_is_repeated() {
    breaks(
        "after_crash",
        &["SecondStop", "Unproven"],
        &alone(RepeatsStop),
    );
}

#[test]
fn without_is_cooled_down_a_stop_follows_too_soon() {
    breaks("is_cooled_down", &["Cooldown"], &alone(NoCooldown));
}

#[test]
fn without_is_due_a_restart_starves() {
    breaks("is_due", &["Starvation"], &alone(NoRestart));
}

/// The back-off beyond the bound is in the state, and refused there, before a tick has missed it.
#[test]
fn without_restart_wait_a_restart_is_due_beyond_its_bound() {
    breaks("restart_wait", &["Type"], &alone(NoBound));
}

/// And another old answer hides that a restart failed, so that it starves.
#[test]
fn without_is_present_an_old_answer_starts_a_second_copy() {
    breaks(
        "is_present",
        &["SecondCopy", "Starvation"],
        &alone(AnyAttempt),
    );
}

#[test]
fn without_is_proven_ever_agreeing_a_leak_is_missed() {
    breaks("is_proven (never)", &["MissedLeak"], &alone(NeverProven));
}

fn gentle<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        kill_after_grace: false,
        ..policy()
    };
    scenario(1, policy, guards)
}

#[test]
fn without_may_kill_what_outlives_its_grace_is_killed() {
    breaks("may_kill", &["Kill"], &gentle(AlwaysKills));
}

fn two_findings<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        findings_needed: 2,
        ..policy()
    };
    scenario(1, policy, guards)
}

#[test]
fn two_findings_are_needed() {
    holds("two findings", two_findings(Shipped));
}

mutant!(AlwaysProven, is_proven(_evidence: &Evidence, _age_s: u64, _policy: &Policy) -> bool { true });

#[test]
fn without_is_proven_one_finding_is_enough() {
    breaks(
        "is_proven (always)",
        &["Unproven"],
        &two_findings(AlwaysProven),
    );
}

/// Two of three stay, so one may stop where two are allowed to be under way. One replica is not ours: three that may all be
/// stopped have too many states.
fn two_of_three_stay<G: Guards>(guards: G) -> Scenario<G> {
    let policy = Policy {
        min_healthy: MinHealthy::Percent(50),
        max_concurrent: 2,
        fleet_evictions: 2,
        kill_after_grace: false,
        ..plain_policy()
    };
    Scenario {
        processes: vec![(false, true), (false, true), (false, false)],
        crashes: 0,
        slow: false,
        ..scenario(3, policy, guards)
    }
}

#[test]
fn two_of_three_keep_running() {
    holds("three replicas", two_of_three_stay(Shipped));
}

#[test]
fn without_keeps_enough_too_few_of_three_keep_running() {
    breaks(
        "keeps_enough (three)",
        &["MinHealthy"],
        &two_of_three_stay(NoMinHealthy),
    );
}
