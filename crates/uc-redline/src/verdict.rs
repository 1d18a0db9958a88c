//! What goes into a judgement and what comes out of it.

use serde::{Deserialize, Serialize};
use uc_model::{Figure, Problem, RuntimeKind, workload::Network};

/// A constraint of the mission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RedLine {
    /// Its number, such as `6.1`, or the mission item that sets the limit, such as `M6.1`.
    pub id: &'static str,
    /// It in a few words.
    pub title: &'static str,
}

/// What is known about a program; what is not known stays empty and is not judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the facts are about, for messages: a file, a container.
    pub subject: String,
    /// The imports of a WebAssembly program: `wasi:sockets/tcp@0.2.0`, `wasi_snapshot_preview1.sock_open`.
    pub imports: Vec<String>,
    /// What the program may reach.
    pub network: Network,
    /// The sum of the minimum sizes of its wasm32 memories.
    pub memory_minimum_bytes: Option<u64>,
    /// The memory limit set for it.
    pub memory_limit_bytes: Option<u64>,
    /// The size of a WebAssembly binary.
    pub package_bytes: Option<u64>,
    /// Linux capabilities asked for, with or without `CAP_`.
    pub added_capabilities: Vec<String>,
    /// The runtime that was chosen.
    pub runtime: Option<RuntimeKind>,
    /// The size of an image, as it is transferred.
    pub image_bytes: Option<u64>,
    /// The largest model in it.
    pub model: Option<Model>,
    /// Whether what would be a warning is to be a refusal.
    pub refuse_warnings: bool,
}

/// A file that a program loads whole into its memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Where it is in the image.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// How much a verdict matters, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The red line is not touched.
    Pass,
    /// It is close, or costs something.
    Warn,
    /// It is crossed: the program must not run.
    Refuse,
}

/// A rule's judgement of one fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The red line's id.
    pub red_line: String,
    /// The red line in a few words.
    pub title: String,
    /// What is judged.
    pub subject: String,
    /// The judgement.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// The limit, in words, with its figure where it is one.
    pub limit: String,
    /// What crossing the line costs, where the mission says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Figure>,
    /// What to do; empty for a pass.
    pub remedy: String,
}

impl Verdict {
    /// A verdict that the line is not crossed.
    pub(crate) fn pass(line: &RedLine, facts: &Facts, found: String, limit: &str) -> Self {
        Self {
            red_line: line.id.into(),
            title: line.title.into(),
            subject: facts.subject.clone(),
            level: Level::Pass,
            found,
            limit: limit.into(),
            cost: None,
            remedy: String::new(),
        }
    }

    /// A verdict that the line is close.
    pub(crate) fn warn(
        line: &RedLine,
        facts: &Facts,
        found: String,
        limit: &str,
        remedy: &str,
    ) -> Self {
        Self {
            level: Level::Warn,
            remedy: remedy.into(),
            ..Self::pass(line, facts, found, limit)
        }
    }

    /// A verdict that the line is crossed.
    pub(crate) fn refuse(
        line: &RedLine,
        facts: &Facts,
        found: String,
        limit: &str,
        remedy: &str,
    ) -> Self {
        Self {
            level: Level::Refuse,
            remedy: remedy.into(),
            ..Self::pass(line, facts, found, limit)
        }
    }

    /// The verdict as an error for the user.
    pub fn to_problem(&self) -> Problem {
        let cost = match &self.cost {
            Some(cost) => format!("; migration cost {cost}"),
            None => String::new(),
        };
        let problem = Problem::refused(format!("red line {}: {}{cost}", self.red_line, self.title))
            .limit(&self.limit)
            .found(&self.found)
            .remedy(&self.remedy);
        if self.subject.is_empty() {
            problem
        } else {
            problem.at(&self.subject)
        }
    }
}
