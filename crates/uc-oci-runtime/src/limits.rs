//! What the containers of a Pod may use together: a kernel that they share is limited as one.

use uc_model::{Bytes, MilliCpu, Problem, Result};
use uc_sandbox::{ExpectedContainer, Limit, Limits};

/// The limits of the kernel for containers that are known beforehand. An init container has the kernel for itself, so the
/// larger counts of what it may use and of what the others may use together.
///
/// # Errors
/// Refused, where one container has a limit and another has none, so that there is no sum to enforce; not if none is to be
/// enforced then.
pub(crate) fn of_expected(expected: &[ExpectedContainer], ignore_uneven: bool) -> Result<Limits> {
    let of = |is_init: bool| -> Vec<Limits> {
        let containers = expected.iter().filter(|one| one.is_init == is_init);
        containers.map(|one| one.limits).collect()
    };
    let mut together = sum(&of(false), ignore_uneven)?;
    for init in of(true) {
        for (limit, own, all) in [
            (
                Limit::Memory,
                init.memory.is_some(),
                together.memory.is_some(),
            ),
            (Limit::Cpu, init.cpu.is_some(), together.cpu.is_some()),
        ] {
            if own && !all && !ignore_uneven {
                return Err(uneven(limit));
            }
        }
        // One without a limit is held to what the others have.
        together.memory = together
            .memory
            .map(|sum| sum.max(init.memory.unwrap_or(sum)));
        together.cpu = together.cpu.map(|sum| sum.max(init.cpu.unwrap_or(sum)));
    }
    Ok(together)
}

/// The sum of limits.
///
/// # Errors
/// As [`of_expected`].
pub(crate) fn sum(limits: &[Limits], ignore_uneven: bool) -> Result<Limits> {
    let memory = total(limits.iter().map(|one| one.memory.map(|memory| memory.0)));
    let cpu = total(limits.iter().map(|one| one.cpu.map(|cpu| cpu.0)));
    for (limit, total) in [(Limit::Memory, &memory), (Limit::Cpu, &cpu)] {
        if *total == Total::Uneven && !ignore_uneven {
            return Err(uneven(limit));
        }
    }
    let weights: Vec<u64> = limits
        .iter()
        .filter_map(|one| Some(one.cpu_weight?.0))
        .collect();
    Ok(Limits {
        memory: memory.known().map(Bytes),
        cpu: cpu.known().map(MilliCpu),
        cpu_weight: weights
            .into_iter()
            .reduce(u64::saturating_add)
            .map(MilliCpu),
        // The threads of the kernel would count.
        pids: None,
    })
}

/// The larger of two limits of each kind; none is the largest. Weights are not limits: the second one's count.
pub(crate) fn larger(one: &Limits, other: &Limits) -> Limits {
    Limits {
        memory: one.memory.zip(other.memory).map(|(a, b)| a.max(b)),
        cpu: one.cpu.zip(other.cpu).map(|(a, b)| a.max(b)),
        cpu_weight: other.cpu_weight.or(one.cpu_weight),
        pids: None,
    }
}

/// What limits of one kind come to.
#[derive(PartialEq, Eq)]
enum Total {
    /// Nobody has one.
    None,
    /// Everybody has one.
    Known(u64),
    /// Some have one.
    Uneven,
}

impl Total {
    fn known(self) -> Option<u64> {
        match self {
            Self::Known(sum) => Some(sum),
            Self::None | Self::Uneven => None,
        }
    }
}

fn total(limits: impl Iterator<Item = Option<u64>> + Clone) -> Total {
    let set = limits.clone().flatten();
    match (set.clone().count(), limits.count()) {
        (0, _) => Total::None,
        (some, all) if some < all => Total::Uneven,
        _ => Total::Known(set.fold(0, u64::saturating_add)),
    }
}

fn uneven(limit: Limit) -> Problem {
    let name = match limit {
        Limit::Memory => "memory",
        Limit::Cpu => "CPU",
        Limit::Pids => "process",
    };
    Problem::refused(format!(
        "one container of the Pod has a {name} limit and another has none, but they share gVisor's kernel, which is limited \
         as a whole"
    ))
    .remedy(format!(
        "give each of them a {name} limit, or accept that none is enforced with the annotation \
         undercurrent.dev/unenforceable-limits: ignore"
    ))
}

/// What a user should know whose container has limits that hold for all containers together.
pub(crate) fn warning(own: &Limits, together: &Limits) -> Option<String> {
    let memory = own
        .memory
        .zip(together.memory)
        .filter(|(own, sum)| own != sum);
    let cpu = own.cpu.zip(together.cpu).filter(|(own, sum)| own != sum);
    let told: Vec<String> = memory
        .map(|(_, sum)| format!("{sum} of memory"))
        .into_iter()
        .chain(cpu.map(|(_, sum)| format!("{sum} CPU")))
        .collect();
    (!told.is_empty()).then(|| {
        format!(
            "the containers of this Pod share gVisor's kernel, so none is held to its own limit, and all of them together to {}",
            told.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use uc_sandbox::Payload;

    use super::*;

    fn limits(memory_mib: Option<u64>, cpu: Option<u64>) -> Limits {
        Limits {
            memory: memory_mib.map(Bytes::mib),
            cpu: cpu.map(MilliCpu),
            cpu_weight: cpu.map(MilliCpu),
            pids: Some(10),
        }
    }

    fn expected(is_init: bool, memory_mib: Option<u64>) -> ExpectedContainer {
        ExpectedContainer {
            container: "one".into(),
            payload: Payload::Rootfs { layers: Vec::new() },
            limits: limits(memory_mib, None),
            is_init,
        }
    }

    #[test]
    fn limits_add_up_where_everybody_has_one() {
        let two = [limits(Some(64), Some(500)), limits(Some(32), Some(250))];
        let together = sum(&two, false).expect("even");
        assert_eq!(
            together,
            Limits {
                pids: None,
                ..limits(Some(96), Some(750))
            }
        );
        assert_eq!(sum(&[], false).expect("none"), Limits::default());
        let huge = [Limits {
            memory: Some(Bytes(u64::MAX)),
            ..Limits::default()
        }; 2];
        assert_eq!(
            sum(&huge, false).expect("even").memory,
            Some(Bytes(u64::MAX))
        );
    }

    #[test]
    fn a_limit_that_not_everybody_has_is_refused_or_not_enforced() {
        let two = [limits(Some(64), None), limits(None, None)];
        let problem = sum(&two, false).expect_err("uneven");
        assert!(problem.to_string().contains("memory limit"), "{problem}");
        assert_eq!(sum(&two, true).expect("accepted").memory, None);
    }

    #[test]
    fn an_init_container_has_the_kernel_for_itself() {
        let memory = |init: Option<u64>, rest: Option<u64>| {
            let pod = [
                expected(true, init),
                expected(false, rest),
                expected(false, rest),
            ];
            of_expected(&pod, false).map(|together| together.memory)
        };
        let mib = |count| Some(Bytes::mib(count));
        assert_eq!(memory(Some(512), Some(64)).expect("even"), mib(512));
        assert_eq!(memory(Some(32), Some(64)).expect("even"), mib(128));
        assert_eq!(
            memory(None, Some(64)).expect("held to the others'"),
            mib(128)
        );
        assert_eq!(memory(None, None).expect("none"), None);
        memory(Some(32), None).expect_err("nothing holds the others");
    }

    #[test]
    fn no_limit_is_larger_than_any() {
        let (small, large) = (limits(Some(1), Some(9)), limits(Some(2), Some(5)));
        let larger_of = |one, other| {
            let larger = larger(one, other);
            (larger.memory, larger.cpu, larger.cpu_weight)
        };
        let weight = |cpu| Some(MilliCpu(cpu));
        assert_eq!(
            larger_of(&small, &large),
            (large.memory, small.cpu, weight(5))
        );
        assert_eq!(
            larger_of(&small, &Limits::default()),
            (None, None, weight(9))
        );
    }

    #[test]
    fn a_warning_says_what_is_limited_together() {
        let own = limits(Some(64), None);
        assert_eq!(warning(&own, &own), None);
        let text = warning(&own, &limits(Some(96), None)).expect("a warning");
        assert!(text.contains("96 MiB of memory"), "{text}");
    }
}
