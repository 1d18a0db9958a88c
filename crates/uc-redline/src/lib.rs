//! Red lines: facts to verdicts with cost and remedy.
//!
//! A red line is a constraint whose violation costs more than it is worth. Each rule is a pure function from facts to
//! [`Verdict`]s; [`RULES`] lists them all. Whoever knows the facts (a driver that read a module's imports, the engine
//! that knows a package's size) fills in [`Facts`] and acts on what comes back.

use uc_model::Problem;

mod capability;
mod memory;
mod microvm;
mod package;
mod socket;
mod verdict;

pub use capability::{CAPABILITIES, added_capabilities};
pub use memory::{WASM_MEMORY, wasm_memory};
pub use microvm::{
    MICROVM_IMAGE, MICROVM_MEMORY, MICROVM_MODEL, microvm_image, microvm_memory, microvm_model,
};
pub use package::{WASM_PACKAGE, package_size};
pub use socket::{RAW_SOCKETS, wasm_imports};
pub use verdict::{Facts, Level, Model, RedLine, Verdict};

/// A rule: the red line that it guards, and the function that judges the facts.
pub struct Rule {
    /// The red line.
    pub red_line: &'static RedLine,
    /// Its judgement; empty where the facts say nothing about it.
    pub judge: fn(&Facts) -> Vec<Verdict>,
}

/// All rules.
pub static RULES: [Rule; 7] = [
    Rule {
        red_line: &MICROVM_MEMORY,
        judge: microvm_memory,
    },
    Rule {
        red_line: &MICROVM_MODEL,
        judge: microvm_model,
    },
    Rule {
        red_line: &MICROVM_IMAGE,
        judge: microvm_image,
    },
    Rule {
        red_line: &CAPABILITIES,
        judge: added_capabilities,
    },
    Rule {
        red_line: &WASM_MEMORY,
        judge: wasm_memory,
    },
    Rule {
        red_line: &WASM_PACKAGE,
        judge: package_size,
    },
    Rule {
        red_line: &RAW_SOCKETS,
        judge: wasm_imports,
    },
];

/// Judges the facts by every rule, in the order of [`RULES`].
pub fn judge(facts: &Facts) -> Vec<Verdict> {
    RULES.iter().flat_map(|rule| (rule.judge)(facts)).collect()
}

/// Turns the first refusal among verdicts into an error.
///
/// # Errors
/// [`uc_model::ProblemKind::Refused`] with the red line, what was found, the limit and the remedy.
pub fn require(verdicts: &[Verdict]) -> Result<(), Problem> {
    match verdicts
        .iter()
        .find(|verdict| verdict.level == Level::Refuse)
    {
        Some(verdict) => Err(verdict.to_problem()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sorted_and_each_rule_speaks_for_its_own_line() {
        let facts = Facts {
            subject: "app.wasm".into(),
            imports: vec!["wasi:sockets/tcp@0.2.0".into()],
            memory_minimum_bytes: Some(5 << 30),
            package_bytes: Some(31_000_001),
            added_capabilities: vec!["SYS_ADMIN".into()],
            runtime: Some(uc_model::RuntimeKind::Fused),
            memory_limit_bytes: Some(1 << 20),
            refuse_warnings: true,
            model: Some(Model {
                path: "/model.gguf".into(),
                bytes: 13 << 30,
            }),
            image_bytes: Some(1 << 30),
            ..Facts::default()
        };
        for rule in &RULES {
            let verdicts = (rule.judge)(&facts);
            assert_eq!(verdicts.len(), 1, "{}", rule.red_line.id);
            assert_eq!(verdicts[0].red_line, rule.red_line.id);
            assert_eq!(verdicts[0].level, Level::Refuse);
            assert!(!verdicts[0].remedy.is_empty());
        }
        assert_eq!(judge(&facts).len(), RULES.len());
        assert!(judge(&Facts::default()).is_empty(), "no facts, no verdicts");
    }

    #[test]
    fn the_first_refusal_becomes_the_problem() {
        let facts = Facts {
            subject: "app.wasm".into(),
            imports: vec!["wasi:sockets/tcp@0.2.0".into()],
            ..Facts::default()
        };
        let problem = require(&judge(&facts)).expect_err("refused");
        assert_eq!(
            problem.to_string(),
            "app.wasm: red line 6.1: no raw sockets where only HTTP is granted (expected: network user or host; found: import wasi:sockets/tcp@0.2.0 with network none)"
        );
        require(&judge(&Facts::default())).expect("nothing to refuse");
    }

    #[test]
    fn verdicts_serialise_with_their_cost() {
        let facts = Facts {
            added_capabilities: vec!["SYS_ADMIN".into()],
            ..Facts::default()
        };
        let json = serde_json::to_value(judge(&facts)).expect("serialises");
        assert_eq!(json[0]["red_line"], "3.1");
        assert_eq!(json[0]["level"], "refuse");
        assert_eq!(json[0]["cost"]["value"], 20.0);
        assert_eq!(json[0]["cost"]["provenance"], "assumed");
    }
}
