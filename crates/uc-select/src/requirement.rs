//! Hard requirements: each is a pure function that names the need and what the candidate offers instead.

use std::{collections::BTreeSet, fmt::Display};

use uc_model::{RuntimeChoice, workload::Network};

use crate::{
    candidate::{Candidate, LimitKind},
    coverage::{Finding, Prediction, Weight},
    decision::Reason,
    needs::Needs,
};

type Requirement = fn(&Needs, &Candidate) -> Option<Reason>;

/// All requirements, in the order in which they are reported.
pub(crate) const REQUIREMENTS: [Requirement; 10] = [
    asked_for, available, formats, calls, isolation, network, loopback, limits, exec, gpu,
];

/// The reasons why a candidate cannot be chosen; none if it can. Of one that is not available nothing more is known.
pub(crate) fn unmet(needs: &Needs, candidate: &Candidate) -> Vec<Reason> {
    let applicable = if candidate.unavailable.is_some() {
        2
    } else {
        REQUIREMENTS.len()
    };
    REQUIREMENTS
        .iter()
        .take(applicable)
        .filter_map(|requirement| requirement(needs, candidate))
        .collect()
}

fn asked_for(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    match needs.runtime {
        RuntimeChoice::Fixed(kind) if kind != candidate.kind => Some(Reason {
            text: format!("the workload asks for {kind}"),
            remedy: format!("set the runtime to auto or {}", candidate.kind),
        }),
        _ => None,
    }
}

fn available(_: &Needs, candidate: &Candidate) -> Option<Reason> {
    candidate.unavailable.as_ref().map(|missing| Reason {
        text: format!("not available: {}", missing.what),
        remedy: missing.remedy.clone(),
    })
}

fn formats(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    let missing: BTreeSet<_> = needs.formats.difference(&candidate.formats).collect();
    if missing.is_empty() {
        return None;
    }
    Some(Reason {
        text: format!(
            "the workload is a {}; it runs {}",
            joined(missing, " and a "),
            joined(&candidate.formats, ", ")
        ),
        remedy: "use an image of a format that it runs; containers of several formats go into several Pods".into(),
    })
}

/// Who asks for a runtime by name gets it, and hears of the prediction from the winner.
fn calls(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    let coverage = crate::evidence::coverage_of(needs, candidate.kind)?;
    (needs.runtime == RuntimeChoice::Auto && coverage.prediction == Prediction::Fails).then(|| {
        Reason {
            text: format!(
                "the program was seen to need {}, which it does not answer",
                joined(coverage.of(Weight::Essential).map(Finding::name), ", ")
            ),
            remedy: format!("if it does without, ask for {} by name", candidate.kind),
        }
    })
}

fn isolation(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    (candidate.isolation < needs.isolation).then(|| Reason {
        text: format!(
            "the workload wants {} isolation; it gives {}",
            needs.isolation, candidate.isolation
        ),
        remedy: format!(
            "accept a weaker boundary with the annotation undercurrent.dev/isolation: {}",
            candidate.isolation
        ),
    })
}

/// A wider network is no substitute: it would give the workload more reach than its author granted. For a program that only
/// answers none is needed, where another listens for it.
fn network(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    if candidate.networks.contains(&needs.network) || is_served(needs, candidate) {
        return None;
    }
    let served = if candidate.serves_handlers {
        ", and user for HTTP handlers that have a hostPort and import no sockets"
    } else {
        ""
    };
    Some(Reason {
        text: format!(
            "the workload needs network {}; it offers {}{served}",
            needs.network,
            joined(&candidate.networks, ", ")
        ),
        remedy: "set the annotation undercurrent.dev/network to one that it offers; `uc doctor` says what is missing for the others".into(),
    })
}

/// Whether the candidate would listen for the program, which then has no network of its own.
fn is_served(needs: &Needs, candidate: &Candidate) -> bool {
    needs.only_answers && needs.network == Network::User && candidate.serves_handlers
}

fn loopback(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    let shares = candidate.shared_loopback && !is_served(needs, candidate);
    (needs.shared_loopback && !shares).then(|| Reason {
        text: "the workload's containers share a loopback; it gives each of them its own".into(),
        remedy: "put each container into a Pod of its own".into(),
    })
}

fn limits(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    if needs.ignore_unenforceable_limits {
        return None;
    }
    let wanted = [
        (needs.memory_limit.is_some(), LimitKind::Memory),
        (needs.cpu_limit.is_some(), LimitKind::Cpu),
        (needs.pids_limit.is_some(), LimitKind::Pids),
    ];
    let missing: Vec<LimitKind> = wanted
        .into_iter()
        .filter(|(set, limit)| *set && !candidate.limits.contains(limit))
        .map(|(_, limit)| limit)
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(Reason {
        text: format!("it cannot enforce the {} limit here", joined(missing, " and the ")),
        remedy: "remove the limit, or set the annotation undercurrent.dev/unenforceable-limits: ignore; `uc doctor` says what is missing".into(),
    })
}

fn exec(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    (needs.exec_probes && !candidate.exec).then(|| Reason {
        text: "the workload has exec probes; it runs one program only".into(),
        remedy: "use tcpSocket probes".into(),
    })
}

fn gpu(needs: &Needs, candidate: &Candidate) -> Option<Reason> {
    (needs.gpu && !candidate.gpu).then(|| Reason {
        text: "the workload needs a GPU; it gives no access to one".into(),
        remedy: "remove the need, or run it where a driver for the GPU is installed".into(),
    })
}

fn joined(items: impl IntoIterator<Item = impl Display>, separator: &str) -> String {
    let words: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if words.is_empty() {
        "nothing".into()
    } else {
        words.join(separator)
    }
}
