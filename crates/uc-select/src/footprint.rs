//! What a program asks of its kernel: the system calls it makes, with the arguments that decide.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uc_model::Problem;

use crate::{api::Interface, rehearsal::Rehearsed};

/// Most variants of one call that are told apart; further ones are counted together.
pub const MAX_VARIANTS: usize = 256;

/// A processor whose system calls are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Architecture {
    /// The name that the kernel, Rust and LLVM use.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Architecture {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text {
            "x86_64" | "amd64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            _ => Err(
                Problem::invalid("the system calls of this processor are not known")
                    .limit("x86_64 or aarch64")
                    .found(text),
            ),
        }
    }
}

/// How a footprint was found, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Read from the program's code: calls that it may never make are in it, and calls through computed numbers are not.
    Static,
    /// Seen while it ran: what it did not do in that run is not in it.
    Traced,
}

/// How often a program makes a call, and with which arguments that decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Times the call was made; for [`Method::Static`], places in the code that make it.
    pub count: u64,
    /// The arguments that decide whether a runtime knows the call, by the names of the kernel's constants, with the times each
    /// was seen: `AF_INET:SOCK_STREAM` and `AF_NETLINK:SOCK_RAW:NETLINK_ROUTE` for `socket`, `TIOCGWINSZ` (or `0x5413`
    /// where there is no name) for `ioctl`, `CLONE_NEWUSER` for each namespace flag of `clone`, `PR_SET_NAME` for `prctl`,
    /// and so on. Empty where no argument decides or none was seen.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, u64>,
}

impl Usage {
    /// Counts one more call.
    pub fn add(&mut self, variant: Option<String>) {
        self.count = self.count.saturating_add(1);
        if let Some(variant) = variant {
            self.add_variant(variant, 1);
        }
    }

    fn add_variant(&mut self, variant: String, times: u64) {
        let is_known = self.variants.contains_key(&variant);
        let key = if is_known || self.variants.len() < MAX_VARIANTS {
            variant
        } else {
            OTHERS.to_owned()
        };
        let count = self.variants.entry(key).or_default();
        *count = count.saturating_add(times);
    }
}

/// The variant that stands for all beyond [`MAX_VARIANTS`].
const OTHERS: &str = "others";

/// What a program, its threads and its children ask of their kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// The processor it was compiled for.
    pub architecture: Architecture,
    /// How it was found.
    pub method: Method,
    /// The calls by the kernel's names; one that has none is `syscall_NUMBER`.
    pub calls: BTreeMap<String, Usage>,
    /// Why calls may be missing, in words; empty where the whole run was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
    /// How the program took what runtimes refuse, where that was tried.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rehearsals: BTreeMap<Interface, Rehearsed>,
}

impl Footprint {
    /// One without calls.
    pub fn new(architecture: Architecture, method: Method) -> Self {
        Self {
            architecture,
            method,
            calls: BTreeMap::new(),
            gaps: Vec::new(),
            rehearsals: BTreeMap::new(),
        }
    }

    /// Counts a call.
    pub fn add(&mut self, call: &str, variant: Option<String>) {
        if let Some(usage) = self.calls.get_mut(call) {
            usage.add(variant);
            return;
        }
        let mut usage = Usage::default();
        usage.add(variant);
        self.calls.insert(call.to_owned(), usage);
    }

    /// Takes in what another run of the same program did. The weaker method counts for both.
    ///
    /// # Errors
    /// Invalid, where the other was compiled for another processor.
    pub fn merge(&mut self, other: Self) -> Result<(), Problem> {
        if other.architecture != self.architecture {
            return Err(
                Problem::invalid("footprints of different processors do not add up")
                    .limit(self.architecture)
                    .found(other.architecture),
            );
        }
        self.method = self.method.min(other.method);
        self.merge_rehearsals(&other.calls, other.rehearsals);
        for (call, usage) in other.calls {
            let mine = self.calls.entry(call).or_default();
            mine.count = mine.count.saturating_add(usage.count);
            for (variant, times) in usage.variants {
                mine.add_variant(variant, times);
            }
        }
        for gap in other.gaps {
            if !self.gaps.contains(&gap) {
                self.gaps.push(gap);
            }
        }
        Ok(())
    }

    fn merge_rehearsals(
        &mut self,
        other_calls: &BTreeMap<String, Usage>,
        others: BTreeMap<Interface, Rehearsed>,
    ) {
        for (interface, mine) in &mut self.rehearsals {
            if !others.contains_key(interface) {
                mine.forget(other_calls);
            }
        }
        for (interface, mut other) in others {
            match self.rehearsals.get_mut(&interface) {
                Some(mine) => mine.merge(other),
                None => {
                    other.forget(&self.calls);
                    self.rehearsals.insert(interface, other);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footprint(calls: &[(&str, Option<&str>)]) -> Footprint {
        let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
        for (call, variant) in calls {
            footprint.add(call, variant.map(str::to_owned));
        }
        footprint
    }

    #[test]
    fn calls_and_variants_are_counted() {
        let seen = footprint(&[
            ("socket", Some("AF_INET:SOCK_STREAM")),
            ("socket", Some("AF_UNIX:SOCK_STREAM")),
            ("socket", Some("AF_INET:SOCK_STREAM")),
            ("read", None),
        ]);
        assert_eq!(seen.calls["socket"].count, 3);
        assert_eq!(seen.calls["socket"].variants["AF_INET:SOCK_STREAM"], 2);
        assert!(seen.calls["read"].variants.is_empty());
    }

    #[test]
    fn variants_are_bounded() {
        let mut seen = footprint(&[]);
        for request in 0..2 * MAX_VARIANTS {
            seen.add("ioctl", Some(format!("{request:#x}")));
        }
        let usage = &seen.calls["ioctl"];
        assert_eq!(usage.variants.len(), MAX_VARIANTS + 1);
        assert_eq!(usage.variants[OTHERS], MAX_VARIANTS as u64);
        assert_eq!(usage.count, 2 * MAX_VARIANTS as u64);
    }

    #[test]
    fn merging_adds_up_and_keeps_the_weaker_method() {
        let mut one = footprint(&[("read", None), ("prctl", Some("PR_SET_NAME"))]);
        let mut other = footprint(&[("read", None), ("write", None)]);
        other.method = Method::Static;
        other.gaps.push("stopped early".into());
        one.merge(other.clone()).expect("the same processor");
        one.merge(other).expect("the same processor");
        assert_eq!(one.calls["read"].count, 3);
        assert_eq!(one.calls["write"].count, 2);
        assert_eq!((one.method, one.gaps.len()), (Method::Static, 1));
        let foreign = Footprint::new(Architecture::Aarch64, Method::Traced);
        one.merge(foreign).expect_err("another processor");
    }

    #[test]
    fn json_reads_back() {
        let seen = footprint(&[("read", None), ("prctl", Some("PR_SET_NAME"))]);
        let json = serde_json::to_string(&seen).expect("writes");
        assert!(
            json.contains(r#""architecture":"x86_64","method":"traced""#),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<Footprint>(&json).expect("reads"),
            seen
        );
    }
}
