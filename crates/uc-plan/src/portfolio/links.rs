//! Prerequisites and exclusions, and what they make of the user's demands.
//!
//! Limits aside, a portfolio that fulfils every demand exists exactly if the required candidates with all their prerequisites,
//! adopted at once, neither are forbidden nor exclude each other. So that is decided here, by name, and never by a solver.

use uc_model::{Problem, Result};

use super::{Candidate, Demand};

pub(super) fn check(candidates: &[Candidate]) -> Result<()> {
    positions(candidates)?;
    contradictions(candidates)?;
    cycles(candidates)?;
    demands(candidates)
}

/// Which candidates are in every portfolio: the required ones and their prerequisites, through whatever chain.
pub(super) fn demanded(candidates: &[Candidate]) -> Vec<bool> {
    let mut is_demanded = vec![false; candidates.len()];
    let required = |at: &usize| candidates[*at].demand == Demand::Required;
    let mut next: Vec<usize> = (0..candidates.len()).filter(required).collect();
    while let Some(at) = next.pop() {
        if !is_demanded[at] {
            is_demanded[at] = true;
            next.extend(&candidates[at].requires);
        }
    }
    is_demanded
}

/// Whether two candidates exclude each other, whichever says so.
pub(super) fn excludes(candidates: &[Candidate], one: usize, other: usize) -> bool {
    candidates[one].excludes.contains(&other) || candidates[other].excludes.contains(&one)
}

fn positions(candidates: &[Candidate]) -> Result<()> {
    for (at, candidate) in candidates.iter().enumerate() {
        for &other in candidate.requires.iter().chain(&candidate.excludes) {
            if other == at {
                return Err(
                    Problem::invalid("a candidate requires or excludes itself").at(&candidate.name)
                );
            }
            if other >= candidates.len() {
                return Err(
                    Problem::invalid("a candidate names one that does not exist")
                        .at(&candidate.name)
                        .limit(format!("positions below {}", candidates.len()))
                        .found(other),
                );
            }
        }
    }
    Ok(())
}

fn contradictions(candidates: &[Candidate]) -> Result<()> {
    for (at, candidate) in candidates.iter().enumerate() {
        let other = candidate.requires.iter().copied();
        if let Some(other) = other
            .into_iter()
            .find(|&other| excludes(candidates, at, other))
        {
            return Err(Problem::invalid("a candidate excludes what it requires")
                .found(format!("{} and {}", candidate.name, candidates[other].name))
                .remedy("remove the requirement or the exclusion"));
        }
    }
    Ok(())
}

/// Refuses prerequisites that lead back to where they began, and names them.
fn cycles(candidates: &[Candidate]) -> Result<()> {
    // Whatever hangs on nothing that is left can be taken away; what stays hangs on a cycle.
    let mut is_left = vec![true; candidates.len()];
    let hangs = |at: usize, is_left: &[bool]| {
        let mut requires = candidates[at].requires.iter().copied();
        requires.find(|&other| is_left[other])
    };
    loop {
        let before = is_left.iter().filter(|left| **left).count();
        for at in 0..candidates.len() {
            is_left[at] = is_left[at] && hangs(at, &is_left).is_some();
        }
        if is_left.iter().filter(|left| **left).count() == before {
            break;
        }
    }
    let Some(start) = is_left.iter().position(|left| *left) else {
        return Ok(());
    };
    let mut path = vec![start];
    while let Some(next) = path.last().and_then(|&at| hangs(at, &is_left)) {
        let begin = path.iter().position(|&at| at == next);
        path.push(next);
        if let Some(begin) = begin {
            path.drain(..begin);
            break;
        }
    }
    let names: Vec<&str> = path
        .iter()
        .map(|&at| candidates[at].name.as_str())
        .collect();
    Err(Problem::invalid("the prerequisites form a cycle")
        .found(names.join(" requires "))
        .remedy("remove one of them"))
}

/// Refuses demands that no limit, however large, could fulfil.
fn demands(candidates: &[Candidate]) -> Result<()> {
    let is_demanded = demanded(candidates);
    let all: Vec<usize> = (0..candidates.len())
        .filter(|&at| is_demanded[at])
        .collect();
    let name = |at: usize| candidates[at].name.as_str();
    let is_forbidden = |at: &&usize| candidates[**at].demand == Demand::Forbidden;
    let found = if let Some(&at) = all.iter().find(is_forbidden) {
        format!(
            "{} is forbidden, and required by what is required",
            name(at)
        )
    } else {
        let mut pairs = all.iter().flat_map(|&at| {
            candidates[at]
                .excludes
                .iter()
                .map(move |&other| (at, other))
        });
        match pairs.find(|&(_, other)| is_demanded[other]) {
            Some((at, other)) => format!("{} and {} exclude each other", name(at), name(other)),
            None => return Ok(()),
        }
    };
    let required: Vec<&str> = candidates
        .iter()
        .filter(|one| one.demand == Demand::Required)
        .map(|one| one.name.as_str())
        .collect();
    Err(Problem::invalid("no portfolio fulfils what is required")
        .limit("prerequisites, exclusions and what is forbidden")
        .found(format!("{found}; required: {}", required.join(", ")))
        .remedy("require less, or forbid less: no budget can mend it"))
}
