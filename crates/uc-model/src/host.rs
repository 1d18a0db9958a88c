//! What a host can do, as found by trying.

use serde::{Deserialize, Serialize};

/// One thing a host has or lacks: a line of `uc doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facility {
    /// The field's term for it: `user namespaces`, `cgroup memory controller`, `passt`.
    pub name: String,
    /// Whether a real attempt to use it worked.
    pub found: bool,
    /// What was seen: a version, a path, a mode, or the error.
    pub detail: String,
    /// What it is good for.
    pub enables: String,
    /// The command or setting that gets it, where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Facility {
    /// A facility that works.
    pub fn found(name: &str, detail: impl Into<String>, enables: &str) -> Self {
        Self {
            name: name.into(),
            found: true,
            detail: detail.into(),
            enables: enables.into(),
            remedy: None,
        }
    }

    /// A facility that is missing or broken, and the way to get it.
    pub fn missing(name: &str, detail: impl Into<String>, enables: &str, remedy: &str) -> Self {
        Self {
            name: name.into(),
            found: false,
            detail: detail.into(),
            enables: enables.into(),
            remedy: Some(remedy.into()),
        }
    }
}
