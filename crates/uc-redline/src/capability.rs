//! Red line 3.1: no workload has a capability, SYS_ADMIN least of all.

use uc_model::Figure;

use crate::verdict::{Facts, RedLine, Verdict};

/// Red line 3.1 (mission M3.4).
pub const CAPABILITIES: RedLine = RedLine {
    id: "3.1",
    title: "capabilities are dropped at start",
};

/// Judges capabilities that a workload wants added.
///
/// NET_BIND_SERVICE passes: in a network of its own a workload may bind ports below 1024 without it, so it is wished
/// for and not given.
pub fn added_capabilities(facts: &Facts) -> Vec<Verdict> {
    facts
        .added_capabilities
        .iter()
        .map(|name| match name.strip_prefix("CAP_").unwrap_or(name) {
            "NET_BIND_SERVICE" => {
                Verdict::pass(&CAPABILITIES, facts, name.clone(), "no added capability")
            }
            "SYS_ADMIN" => Verdict {
                cost: Some(Figure::assumed(
                    20.0,
                    "person-days",
                    "mission M3.4, deep use of SYS_ADMIN",
                )),
                ..refuse(
                    facts,
                    name,
                    "remove it; an image that starts systemd moves to a light init such as s6",
                )
            },
            _ => refuse(
                facts,
                name,
                "remove it; a program that needs it must do without, or run elsewhere",
            ),
        })
        .collect()
}

fn refuse(facts: &Facts, name: &str, remedy: &str) -> Verdict {
    let found = name.to_owned();
    Verdict::refuse(&CAPABILITIES, facts, found, "no added capability", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Level;

    #[test]
    fn every_capability_is_judged() {
        for (name, level, cost) in [
            ("SYS_ADMIN", Level::Refuse, true),
            ("CAP_SYS_ADMIN", Level::Refuse, true),
            ("NET_RAW", Level::Refuse, false),
            ("ALL", Level::Refuse, false),
            ("NET_BIND_SERVICE", Level::Pass, false),
        ] {
            let facts = Facts {
                added_capabilities: vec![name.into()],
                ..Facts::default()
            };
            let verdict = &added_capabilities(&facts)[0];
            assert_eq!(verdict.level, level, "{name}");
            assert_eq!(verdict.cost.is_some(), cost, "{name}");
            assert_eq!(verdict.remedy.is_empty(), level == Level::Pass);
        }
        assert!(added_capabilities(&Facts::default()).is_empty());
    }
}
