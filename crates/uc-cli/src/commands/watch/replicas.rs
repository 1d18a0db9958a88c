//! Who is a replica of whom: by the configuration, else by the Pods' own labels.

use std::collections::{BTreeMap, BTreeSet};

use uc_foresight::eviction::Fleet;

use super::{config::Config, subject::Subject};

/// The group of each subject that has one.
///
/// A group of the configuration holds however small it is. A label alone makes no group: a workload without another of the same
/// label is nobody's replica, and could otherwise never be stopped. One that is being stopped or started again counts.
pub(super) fn groups(
    subjects: &[Subject],
    fleet: &Fleet,
    config: &Config,
) -> BTreeMap<String, String> {
    let mut members: BTreeMap<&str, usize> = BTreeMap::new();
    let labelled = |subject: &&Subject| config.group_of(&subject.name).is_none();
    for subject in subjects.iter().filter(labelled) {
        if let Some(group) = &subject.replica_of {
            *members.entry(group).or_default() += 1;
        }
    }
    let seen: BTreeSet<&str> = subjects
        .iter()
        .map(|subject| subject.name.as_str())
        .collect();
    for (name, workload) in &fleet.workloads {
        if let Some(group) = &workload.group
            && let Some(count) = members.get_mut(group.as_str())
            && !seen.contains(name.as_str())
        {
            *count += 1;
        }
    }
    let group_of = |subject: &Subject| match config.group_of(&subject.name) {
        Some(group) => Some(group.to_owned()),
        None => subject
            .replica_of
            .clone()
            .filter(|group| members.get(group.as_str()).is_some_and(|count| *count > 1)),
    };
    subjects
        .iter()
        .filter_map(|subject| Some((subject.name.clone(), group_of(subject)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use uc_foresight::eviction::{Event, Policy, step};

    use super::{super::subject::Handle, *};

    fn subject(name: &str, replica_of: Option<&str>) -> Subject {
        Subject {
            name: name.to_owned(),
            samples: Vec::new(),
            handle: Handle::Remote,
            replica_of: replica_of.map(str::to_owned),
        }
    }

    #[test]
    fn a_label_makes_a_group_of_two_and_the_configuration_of_any() {
        let fleet = Fleet::default();
        let text = "[[group]]\nname = \"batch\"\nmembers = [\"cgroup/batch/*\"]\n";
        let config: Config = toml::from_str(text).unwrap();
        let subjects = [
            subject("web-1/main", Some("web/main")),
            subject("web-2/main", Some("web/main")),
            subject("db/main", Some("db/main")),
            subject("cgroup/batch/1", None),
            subject("lone/main", None),
        ];
        let found = groups(&subjects, &fleet, &config);
        let found: Vec<(&str, &str)> = found.iter().map(|one| (&**one.0, &**one.1)).collect();
        assert_eq!(
            found,
            [
                ("cgroup/batch/1", "batch"),
                ("web-1/main", "web/main"),
                ("web-2/main", "web/main")
            ]
        );
    }

    #[test]
    fn a_replica_that_is_being_started_again_still_counts() {
        let mut fleet = Fleet::default();
        let joined = Event::Joined {
            workload: "web-2/main".to_owned(),
            protected: false,
            owned: true,
            group: Some("web/main".to_owned()),
        };
        step(&mut fleet, &joined, 1, &Policy::default());
        let alone = [subject("web-1/main", Some("web/main"))];
        assert_eq!(groups(&alone, &fleet, &Config::default()).len(), 1);
        assert!(groups(&alone, &Fleet::default(), &Config::default()).is_empty());
    }
}
