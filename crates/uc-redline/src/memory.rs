//! Mission M6.1: a wasm32 memory lies within 4 GiB; and it must fit the limit that the workload sets.

use uc_model::Bytes;

use crate::verdict::{Facts, RedLine, Verdict};

/// The address space of wasm32.
const ADDRESS_SPACE: Bytes = Bytes::gib(4);

/// The bound on wasm32 memory (mission M6.1).
pub const WASM_MEMORY: RedLine = RedLine {
    id: "M6.1-memory",
    title: "a wasm32 program must fit its memory",
};

/// Judges the minimum size of a program's memories against the address space and the memory limit.
pub fn wasm_memory(facts: &Facts) -> Vec<Verdict> {
    let Some(minimum) = facts.memory_minimum_bytes else {
        return Vec::new();
    };
    let found = format!("{} needed at start", Bytes(minimum));
    let space = format!("at most {ADDRESS_SPACE}, the address space of wasm32");
    let verdict = match facts.memory_limit_bytes {
        _ if minimum > ADDRESS_SPACE.0 => {
            let remedy =
                "build the program with a smaller initial memory, or run it as a container";
            Verdict::refuse(&WASM_MEMORY, facts, found, &space, remedy)
        }
        Some(limit) if minimum > limit => {
            let limit = format!("at most {}, the memory limit", Bytes(limit));
            let remedy =
                "raise resources.limits.memory, or build the program with a smaller initial memory";
            Verdict::refuse(&WASM_MEMORY, facts, found, &limit, remedy)
        }
        Some(limit) => {
            let limit = format!("at most {}, the memory limit", Bytes(limit));
            Verdict::pass(&WASM_MEMORY, facts, found, &limit)
        }
        None => Verdict::pass(&WASM_MEMORY, facts, found, &space),
    };
    vec![verdict]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Level;

    #[test]
    fn the_bound_is_exact() {
        for (minimum, limit, level, words) in [
            (4u64 << 30, None, Level::Pass, "address space"),
            ((4u64 << 30) + 1, None, Level::Refuse, "address space"),
            (1 << 20, Some(1 << 20), Level::Pass, "memory limit"),
            ((1 << 20) + 1, Some(1 << 20), Level::Refuse, "memory limit"),
            (5 << 30, Some(8 << 30), Level::Refuse, "address space"),
        ] {
            let facts = Facts {
                memory_minimum_bytes: Some(minimum),
                memory_limit_bytes: limit,
                ..Facts::default()
            };
            let verdict = &wasm_memory(&facts)[0];
            assert_eq!(verdict.level, level, "{minimum} {limit:?}");
            assert!(verdict.limit.contains(words), "{}", verdict.limit);
        }
        assert!(wasm_memory(&Facts::default()).is_empty());
    }
}
