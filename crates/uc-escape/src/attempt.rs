//! One attempt: its name, how it may end, and what it does.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errno::Errno;

/// One way out of the container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    /// Its name, unique: `mount-tmpfs`.
    pub(crate) name: &'static str,
    /// The errors that a sound container answers.
    pub(crate) expected: &'static [Errno],
    /// The signals by which a sound container may end it: that of seccomp, unless said otherwise.
    pub(crate) deadly: &'static [i32],
    /// Makes the attempt, in a process of its own.
    pub(crate) run: fn() -> Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// The kernel refused.
    Denied(Errno),
    /// The way was open, and led nowhere: a masked file, an empty list.
    Contained(String),
    /// The container leaks.
    Succeeded(String),
    /// There was nothing to attempt it on.
    Skipped(String),
    /// A signal ended the attempt.
    Killed(i32),
}

impl Attempt {
    /// An attempt that may end with one of `expected`, or by seccomp's signal.
    pub(crate) const fn new(
        name: &'static str,
        expected: &'static [Errno],
        run: fn() -> Outcome,
    ) -> Self {
        Self {
            name,
            expected,
            deadly: &[libc::SIGSYS],
            run,
        }
    }

    /// Whether a sound container would end it like this.
    pub(crate) fn expects(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Denied(errno) => self.expected.contains(errno),
            Outcome::Contained(_) | Outcome::Skipped(_) => true,
            Outcome::Succeeded(_) => false,
            Outcome::Killed(signal) => self.deadly.contains(signal),
        }
    }

    /// The line that is printed.
    pub(crate) fn report(&self, outcome: &Outcome) -> Value {
        let expected: Vec<String> = self.expected.iter().map(ToString::to_string).collect();
        let mut report = json!({
            "attempt": self.name,
            "outcome": outcome.name(),
            "as_expected": self.expects(outcome),
            "expected": expected,
        });
        match outcome {
            Outcome::Denied(errno) => report["errno"] = json!(errno.to_string()),
            Outcome::Killed(signal) => report["signal"] = json!(signal),
            Outcome::Contained(detail) | Outcome::Succeeded(detail) | Outcome::Skipped(detail) => {
                report["detail"] = json!(detail);
            }
        }
        report
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Contained(_) => "contained",
            Self::Succeeded(_) => "succeeded",
            Self::Skipped(_) => "skipped",
            Self::Killed(_) => "killed",
        }
    }

    /// The outcome of a call that a sound container refuses.
    pub(crate) fn of<T, E: Into<Errno>>(result: Result<T, E>, detail: &str) -> Self {
        match result {
            Ok(_) => Self::Succeeded(detail.into()),
            Err(error) => Self::Denied(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errno::{EINVAL, EPERM};

    const ATTEMPT: Attempt = Attempt::new("mount-tmpfs", &[EPERM], || Outcome::Denied(EPERM));

    #[test]
    fn only_declared_errors_are_expected() {
        assert!(ATTEMPT.expects(&Outcome::Denied(EPERM)));
        assert!(!ATTEMPT.expects(&Outcome::Denied(EINVAL)));
        assert!(!ATTEMPT.expects(&Outcome::Succeeded("mounted".into())));
        assert!(ATTEMPT.expects(&Outcome::Killed(libc::SIGSYS)));
        assert!(!ATTEMPT.expects(&Outcome::Killed(libc::SIGSEGV)));
    }

    #[test]
    fn the_report_is_one_line_with_the_errors_name() {
        let line = ATTEMPT.report(&(ATTEMPT.run)()).to_string();
        assert!(!line.contains('\n'));
        let report: Value = serde_json::from_str(&line).expect("is JSON");
        assert_eq!(report["attempt"], "mount-tmpfs");
        assert_eq!(report["outcome"], "denied");
        assert_eq!(report["errno"], "EPERM");
        assert_eq!(report["as_expected"], true);
    }
}
