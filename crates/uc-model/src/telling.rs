//! A problem on its way from one process to another.

use serde::{Deserialize, Serialize};

use crate::problem::{Problem, ProblemKind};

/// A problem on its way from one process to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    exit_code: u8,
    what: String,
    place: Option<String>,
    limit: Option<String>,
    found: Option<String>,
    remedy: Option<String>,
    causes: Vec<String>,
}

impl Telling {
    /// What a problem says.
    pub fn of(problem: &Problem) -> Self {
        let view = problem.to_view();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            exit_code: view.exit_code,
            what: view.what.to_owned(),
            place: owned(view.place),
            limit: owned(view.limit),
            found: owned(view.found),
            remedy: owned(view.remedy),
            causes: view.causes,
        }
    }

    /// The problem again; its causes are words now.
    pub fn into_problem(self) -> Problem {
        let kind = ProblemKind::from_exit_code(self.exit_code).unwrap_or(ProblemKind::Internal);
        let mut problem = Problem::new(kind, self.what);
        if let Some(place) = self.place {
            problem = problem.at(place);
        }
        if let Some(limit) = self.limit {
            problem = problem.limit(limit);
        }
        if let Some(found) = self.found {
            problem = problem.found(found);
        }
        if let Some(remedy) = self.remedy {
            problem = problem.remedy(remedy);
        }
        if !self.causes.is_empty() {
            problem = problem.caused_by(self.causes.join(": "));
        }
        problem
    }
}
