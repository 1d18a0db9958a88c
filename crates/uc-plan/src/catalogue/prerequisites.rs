//! Prerequisites and exclusions: names to positions, without contradictions.

use uc_model::{Problem, Result};

use super::Technology;

/// Refuses a technology that requires itself, through whatever chain.
pub(super) fn check_cycles(technologies: &[Technology]) -> Result<(), Problem> {
    // Colours of a depth-first search; the path is kept apart, so depth costs no stack.
    let mut is_done = vec![false; technologies.len()];
    for start in 0..technologies.len() {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = path.last_mut() {
            if is_done[*at] {
                path.pop();
                continue;
            }
            let Some(&required) = technologies[*at].requires.get(*next) else {
                is_done[*at] = true;
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(first) = path.iter().position(|(node, _)| *node == required) {
                let mut names: Vec<&str> = path[first..]
                    .iter()
                    .map(|(node, _)| technologies[*node].id.as_str())
                    .collect();
                names.push(&technologies[required].id);
                return Err(Problem::invalid("the prerequisites form a cycle")
                    .found(names.join(" requires "))
                    .remedy("remove one of them"));
            }
            path.push((required, 0));
        }
    }
    Ok(())
}

/// Refuses a technology that excludes what it needs.
pub(super) fn check_exclusions(technologies: &[Technology]) -> Result<(), Problem> {
    for (at, technology) in technologies.iter().enumerate() {
        let contradicts = technology.requires.iter().find(|&&other| {
            technology.excludes.contains(&other) || technologies[other].excludes.contains(&at)
        });
        if let Some(&other) = contradicts {
            return Err(Problem::invalid("a technology excludes what it requires")
                .found(format!("{} and {}", technology.id, technologies[other].id))
                .remedy("remove the requirement or the exclusion"));
        }
    }
    Ok(())
}
