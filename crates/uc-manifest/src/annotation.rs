//! The annotations by which a Pod says what Kubernetes has no field for.

use std::collections::BTreeMap;

use uc_model::{Isolation, Problem, Result, workload::Network};

use crate::{check::nearest, name::shortened, view::View};

const PREFIX: &str = "undercurrent.dev/";
const ISOLATION: &str = "undercurrent.dev/isolation";
const NETWORK: &str = "undercurrent.dev/network";
const PIDS_LIMIT: &str = "undercurrent.dev/pids-limit";
const RED_LINES: &str = "undercurrent.dev/red-line-warnings";
const UNENFORCEABLE: &str = "undercurrent.dev/unenforceable-limits";
const ALL: [&str; 5] = [ISOLATION, NETWORK, PIDS_LIMIT, RED_LINES, UNENFORCEABLE];
/// The kernel's own bound on process ids (PID_MAX_LIMIT).
const MAX_PIDS: u32 = 1 << 22;

/// What the annotations of a Pod say.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) isolation: Isolation,
    pub(crate) network: Option<Network>,
    pub(crate) pids_limit: Option<u32>,
    pub(crate) ignore_unenforceable: bool,
    pub(crate) refuse_red_line_warnings: bool,
}

/// Reads the annotations of a Pod's metadata.
pub(crate) fn read(metadata: &View<'_>, annotations: &BTreeMap<String, String>) -> Result<Wishes> {
    let mut wishes = Wishes::default();
    for (key, value) in annotations {
        if !key.starts_with(PREFIX) {
            continue;
        }
        let blame = |problem: Problem| metadata.blame_item("annotations", key, problem);
        match key.as_str() {
            ISOLATION => wishes.isolation = value.parse().map_err(blame)?,
            NETWORK => wishes.network = Some(network(value).map_err(blame)?),
            PIDS_LIMIT => wishes.pids_limit = Some(pids(value).map_err(blame)?),
            RED_LINES => wishes.refuse_red_line_warnings = refuse(value).map_err(blame)?,
            UNENFORCEABLE => wishes.ignore_unenforceable = ignore(value).map_err(blame)?,
            _ => {
                let problem = Problem::invalid("unknown annotation").limit(ALL.join(", "));
                let problem = match nearest(key, ALL.into_iter()) {
                    Some(name) => problem.remedy(format!("did you mean {name}?")),
                    None => problem.remedy("remove it"),
                };
                return Err(blame(problem));
            }
        }
    }
    Ok(wishes)
}

/// The annotation that sets the network, for messages.
pub(crate) const fn network_key() -> &'static str {
    NETWORK
}

/// The annotation that lets limits go unenforced, for messages.
pub(crate) const fn unenforceable_key() -> &'static str {
    UNENFORCEABLE
}

fn network(text: &str) -> Result<Network> {
    match text {
        "none" => Ok(Network::None),
        "http" => Ok(Network::Http),
        "user" => Ok(Network::User),
        "host" => Ok(Network::Host),
        _ => Err(Problem::invalid("unknown network")
            .limit("none, http, user or host")
            .found(shortened(text))),
    }
}

fn pids(text: &str) -> Result<u32> {
    text.parse()
        .ok()
        .filter(|pids| (1..=MAX_PIDS).contains(pids))
        .ok_or_else(|| {
            Problem::invalid("not a number of processes")
                .limit(format!("1 to {MAX_PIDS}"))
                .found(shortened(text))
        })
}

fn refuse(text: &str) -> Result<bool> {
    match text {
        "refuse" => Ok(true),
        "warn" => Ok(false),
        _ => Err(Problem::invalid("unknown value")
            .limit("warn or refuse")
            .found(shortened(text))),
    }
}

fn ignore(text: &str) -> Result<bool> {
    match text {
        "ignore" => Ok(true),
        "refuse" => Ok(false),
        _ => Err(Problem::invalid("unknown value")
            .limit("ignore or refuse")
            .found(shortened(text))),
    }
}
