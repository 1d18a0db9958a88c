//! The decision and its explanation.

use std::fmt;

use serde::{Deserialize, Serialize};
use uc_model::{Problem, Result, RuntimeChoice, RuntimeKind};

use crate::{candidate::Candidate, needs::Needs, requirement::unmet, score::Score};

/// Why a candidate was not chosen, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The need, and what the candidate offers.
    pub text: String,
    /// What would change it; empty where nothing must.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub remedy: String,
}

/// The kind that was chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Winner {
    /// The kind.
    pub kind: RuntimeKind,
    /// How light it is.
    pub score: Score,
    /// Why it was chosen.
    pub reasons: Vec<Reason>,
    /// On what it rests that it answers the program's system calls: a trace, or a guess. Empty for what is no Linux program.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub calls: String,
}

/// A kind that was not chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loser {
    /// The kind.
    pub kind: RuntimeKind,
    /// How light it is, where it could have been chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// Why it was not chosen; never empty.
    pub reasons: Vec<Reason>,
}

/// Which runtime was chosen and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was needed.
    pub needs: Needs,
    /// What was chosen; `None` where no sandbox is both able and safe.
    pub winner: Option<Winner>,
    /// The others: those that were able first, lightest first; then the rest, lightest kind first.
    pub losers: Vec<Loser>,
}

/// Chooses the lightest candidate that meets every need.
///
/// Equal scores go to the kind whose programs reach less of the host's kernel, then to the one that comes first in
/// [`RuntimeKind::ALL`]. Where two candidates are of the same kind, the
/// better one counts.
pub fn choose(needs: &Needs, candidates: &[Candidate]) -> Decision {
    let mut able = Vec::new();
    let mut losers = Vec::new();
    for candidate in candidates {
        let reasons = unmet(needs, candidate);
        if reasons.is_empty() {
            able.push((candidate.kind, Score::of(candidate)));
        } else {
            losers.push(Loser {
                kind: candidate.kind,
                score: None,
                reasons,
            });
        }
    }
    able.sort_by(|(kind, score), (other_kind, other)| {
        let by_score = score.total.value.total_cmp(&other.total.value);
        let by_reach = score
            .isolation_bits
            .value
            .total_cmp(&other.isolation_bits.value);
        by_score.then(by_reach).then(kind.cmp(other_kind))
    });
    losers.sort_by(|loser, other| {
        let key = |loser: &Loser| (loser.kind, reason_texts(loser));
        key(loser).cmp(&key(other))
    });
    let mut able = able.into_iter();
    let winner = able.next();
    let heavier: Vec<Loser> = able
        .map(|(kind, score)| heavier(kind, score, winner.as_ref()))
        .collect();
    Decision {
        needs: needs.clone(),
        winner: winner.map(|(kind, score)| Winner {
            kind,
            reasons: why(needs, heavier.len()),
            calls: crate::evidence::words(needs, kind),
            score,
        }),
        losers: heavier.into_iter().chain(losers).collect(),
    }
}

fn reason_texts(loser: &Loser) -> Vec<String> {
    loser
        .reasons
        .iter()
        .map(|reason| reason.text.clone())
        .collect()
}

fn heavier(kind: RuntimeKind, score: Score, winner: Option<&(RuntimeKind, Score)>) -> Loser {
    let text = match winner {
        Some((winner, best)) if best.total.value < score.total.value => format!(
            "able, but heavier than {winner}: score {:.1} against {:.1}",
            score.total.value, best.total.value
        ),
        Some((winner, best)) if best.isolation_bits.value < score.isolation_bits.value => format!(
            "able, and as light as {winner}, whose programs reach less of the host's kernel"
        ),
        Some((winner, _)) => format!("able, and as light as {winner}, which is the simpler kind"),
        None => "able".into(),
    };
    Loser {
        kind,
        score: Some(score),
        reasons: vec![Reason {
            text,
            remedy: String::new(),
        }],
    }
}

fn why(needs: &Needs, others: usize) -> Vec<Reason> {
    let text = match needs.runtime {
        RuntimeChoice::Fixed(kind) => {
            format!("the workload asks for {kind}, and it meets every need")
        }
        RuntimeChoice::Auto if others == 0 => "it alone meets every need".into(),
        RuntimeChoice::Auto => format!("the lightest of {} that meet every need", others + 1),
    };
    vec![Reason {
        text,
        remedy: String::new(),
    }]
}

impl Decision {
    /// The chosen kind.
    ///
    /// # Errors
    /// [`uc_model::ProblemKind::Refused`] where nothing was left; it names each candidate with its reasons, and the
    /// remedies.
    pub fn require(&self) -> Result<RuntimeKind> {
        if let Some(winner) = &self.winner {
            return Ok(winner.kind);
        }
        let relevant = |loser: &&Loser| match self.needs.runtime {
            RuntimeChoice::Fixed(kind) => loser.kind == kind,
            RuntimeChoice::Auto => true,
        };
        let losers: Vec<&Loser> = self.losers.iter().filter(relevant).collect();
        let found: Vec<String> = losers.iter().map(|loser| loser.to_string()).collect();
        let remedies: Vec<String> = losers
            .iter()
            .flat_map(|loser| loser.reasons.iter().map(move |reason| (loser.kind, reason)))
            .filter(|(_, reason)| !reason.remedy.is_empty())
            .map(|(kind, reason)| format!("for {kind}: {}", reason.remedy))
            .collect();
        let what = match self.needs.runtime {
            RuntimeChoice::Fixed(kind) => format!("{kind} cannot run this workload here"),
            RuntimeChoice::Auto => "no runtime here is able and safe for this workload".into(),
        };
        let problem = Problem::refused(what);
        let problem = if found.is_empty() {
            problem.found("no candidate")
        } else {
            problem.found(found.join("; "))
        };
        Err(if remedies.is_empty() {
            problem.remedy("see `uc doctor` for what this host can run")
        } else {
            problem.remedy(remedies.join("; "))
        })
    }
}

/// `kind: reason, reason`.
impl fmt::Display for Loser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, reason_texts(self).join(", "))
    }
}

/// The explanation in words: a line for the winner, its figures, and a line for each loser.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.winner {
            Some(winner) => {
                let texts: Vec<&str> = winner.reasons.iter().map(|r| r.text.as_str()).collect();
                writeln!(f, "runtime: {}: {}", winner.kind, texts.join(", "))?;
                writeln!(
                    f,
                    "  score {:.1}, {}",
                    winner.score.total.value, winner.score.total.provenance
                )?;
                writeln!(f, "  start {}", winner.score.start_ms)?;
                writeln!(f, "  overhead {}", winner.score.overhead_mib)?;
                writeln!(
                    f,
                    "  reach of the host's kernel {}",
                    winner.score.isolation_bits
                )?;
                if !winner.calls.is_empty() {
                    writeln!(f, "  system calls: {}", winner.calls)?;
                }
            }
            None => writeln!(f, "runtime: none is able and safe for this workload")?,
        }
        if !self.losers.is_empty() {
            writeln!(f, "not chosen:")?;
        }
        for loser in &self.losers {
            writeln!(f, "  {loser}")?;
            for reason in loser
                .reasons
                .iter()
                .filter(|reason| !reason.remedy.is_empty())
            {
                writeln!(f, "    remedy: {}", reason.remedy)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
