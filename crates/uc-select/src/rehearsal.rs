//! What a run showed in which a runtime's refusals were played: it settles what the calls alone leave open.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::footprint::Usage;

/// How a program took what a runtime refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// Whether it did as it does with nothing refused.
    pub alike: bool,
    /// What it makes and was refused: `io_uring_setup`, `ioctl(FICLONE)`.
    pub refused: BTreeSet<String>,
}

impl Rehearsed {
    /// Whether this call, or the call with this argument, was among what was refused.
    pub fn tried(&self, call: &str, variant: Option<&str>) -> bool {
        let name = variant.map(|variant| format!("{call}({variant})"));
        self.refused.contains(call) || name.is_some_and(|name| self.refused.contains(&name))
    }

    /// Forgets what other runs have made too, since those may take it otherwise.
    pub(crate) fn forget(&mut self, calls: &BTreeMap<String, Usage>) {
        self.refused.retain(|name| {
            let (call, variant) = match name.trim_end_matches(')').split_once('(') {
                Some((call, variant)) => (call, Some(variant)),
                None => (name.as_str(), None),
            };
            !calls.get(call).is_some_and(|usage| {
                variant.is_none_or(|variant| usage.variants.contains_key(variant))
            })
        });
    }

    /// Takes in another one, of another run of the same program.
    pub(crate) fn merge(&mut self, other: Self) {
        self.alike &= other.alike;
        self.refused.extend(other.refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Architecture, Footprint, Interface, Method};

    fn run(calls: &[(&str, Option<&str>)], rehearsed: Option<bool>) -> Footprint {
        let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
        let mut refused = BTreeSet::new();
        for (call, variant) in calls {
            footprint.add(call, variant.map(str::to_owned));
            refused.insert(match variant {
                Some(variant) => format!("{call}({variant})"),
                None => (*call).to_owned(),
            });
        }
        if let Some(alike) = rehearsed {
            let rehearsed = Rehearsed { alike, refused };
            footprint.rehearsals.insert(Interface::Gvisor, rehearsed);
        }
        footprint
    }

    #[test]
    fn a_run_that_was_not_rehearsed_takes_back_what_it_shares_with_one_that_was() {
        let calls = [("mlock", None), ("ioctl", Some("FICLONE"))];
        for order in [false, true] {
            let mut one = run(&calls, Some(true));
            let mut other = run(&[("mlock", None), ("ioctl", Some("TCGETS"))], None);
            if order {
                std::mem::swap(&mut one, &mut other);
            }
            one.merge(other).expect("the same processor");
            let rehearsed = &one.rehearsals[&Interface::Gvisor];
            assert!(!rehearsed.tried("mlock", None));
            assert!(rehearsed.tried("ioctl", Some("FICLONE")));
        }
    }

    #[test]
    fn rehearsals_of_several_runs_add_up() {
        let mut one = run(&[("mlock", None)], Some(true));
        one.merge(run(&[("mlock", None), ("bpf", None)], Some(false)))
            .expect("the same processor");
        let rehearsed = &one.rehearsals[&Interface::Gvisor];
        assert!(!rehearsed.alike && rehearsed.tried("bpf", Some("BPF_PROG_LOAD")));
        let json = serde_json::to_string(&one).expect("writes");
        assert!(json.contains(r#""gvisor":{"alike":false"#), "{json}");
        assert_eq!(
            serde_json::from_str::<Footprint>(&json).expect("reads"),
            one
        );
    }
}
