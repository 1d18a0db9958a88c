//! Mission M1.2 and M1.4: what a microVM needs, and what it can hold.

use uc_model::{Bytes, RuntimeKind};

use crate::verdict::{Facts, RedLine, Verdict};

/// 512 MB, in bytes: the mission counts in powers of ten.
const MIN_MEMORY_BYTES: u64 = 512_000_000;

/// Memory of a microVM whose workload sets no limit.
const DEFAULT_MEMORY_BYTES: u64 = 512 << 20;

/// 500 MB, in bytes.
const MAX_IMAGE_BYTES: u64 = 500_000_000;

/// The bound on a microVM's memory (mission M1.4).
pub const MICROVM_MEMORY: RedLine = RedLine {
    id: "1.1",
    title: "a microVM with less than 512 MB risks the OOM killer",
};

/// The bound on what is loaded into it (mission M1.4).
pub const MICROVM_MODEL: RedLine = RedLine {
    id: "1.2",
    title: "a model larger than the microVM's memory cannot be loaded",
};

/// The bound on its image (mission M1.2).
pub const MICROVM_IMAGE: RedLine = RedLine {
    id: "M1.2-image",
    title: "the image of a microVM is smaller than 500 MB",
};

fn in_microvm(facts: &Facts) -> bool {
    matches!(
        facts.runtime,
        Some(RuntimeKind::Microvm | RuntimeKind::Fused)
    )
}

/// Judges the memory of a microVM. Too little of it is a warning, or a refusal where the workload wants that.
pub fn microvm_memory(facts: &Facts) -> Vec<Verdict> {
    if !in_microvm(facts) {
        return Vec::new();
    }
    let memory = facts.memory_limit_bytes.unwrap_or(DEFAULT_MEMORY_BYTES);
    let found = Bytes(memory).to_string();
    let limit = "at least 512 MB";
    let remedy = "raise resources.limits.memory to 512Mi, or leave it out";
    vec![if memory >= MIN_MEMORY_BYTES {
        Verdict::pass(&MICROVM_MEMORY, facts, found, limit)
    } else if facts.refuse_warnings {
        Verdict::refuse(&MICROVM_MEMORY, facts, found, limit, remedy)
    } else {
        Verdict::warn(&MICROVM_MEMORY, facts, found, limit, remedy)
    }]
}

/// Judges the largest model in an image against the memory of a microVM.
pub fn microvm_model(facts: &Facts) -> Vec<Verdict> {
    let Some(model) = facts.model.as_ref().filter(|_| in_microvm(facts)) else {
        return Vec::new();
    };
    let memory = facts.memory_limit_bytes.unwrap_or(DEFAULT_MEMORY_BYTES);
    let found = format!("{}, {}", model.path, Bytes(model.bytes));
    let limit = format!("less than {}, its memory", Bytes(memory));
    vec![if model.bytes < memory {
        Verdict::pass(&MICROVM_MODEL, facts, found, &limit)
    } else {
        let remedy = "raise resources.limits.memory above the model's size, or use a smaller or quantised model";
        Verdict::refuse(&MICROVM_MODEL, facts, found, &limit, remedy)
    }]
}

/// Judges the size of an image for a microVM, as it is transferred.
pub fn microvm_image(facts: &Facts) -> Vec<Verdict> {
    let Some(size) = facts.image_bytes.filter(|_| in_microvm(facts)) else {
        return Vec::new();
    };
    let found = format!("{:.1} MB", size as f64 / 1e6);
    let limit = "less than 500 MB";
    vec![if size < MAX_IMAGE_BYTES {
        Verdict::pass(&MICROVM_IMAGE, facts, found, limit)
    } else {
        let remedy = "build the image in stages and leave out what only building needs, or choose --runtime gvisor or container";
        Verdict::refuse(&MICROVM_IMAGE, facts, found, limit, remedy)
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Level, Model};

    fn facts() -> Facts {
        Facts {
            runtime: Some(RuntimeKind::Fused),
            ..Facts::default()
        }
    }

    #[test]
    fn little_memory_warns_or_refuses() {
        for (limit, strict, level) in [
            (None, true, Level::Pass),
            (Some(512_000_000), true, Level::Pass),
            (Some(511_999_999), false, Level::Warn),
            (Some(511_999_999), true, Level::Refuse),
        ] {
            let facts = Facts {
                memory_limit_bytes: limit,
                refuse_warnings: strict,
                ..facts()
            };
            assert_eq!(microvm_memory(&facts)[0].level, level, "{limit:?} {strict}");
        }
        assert!(microvm_memory(&Facts::default()).is_empty());
    }

    #[test]
    fn a_model_must_fit() {
        let model = |bytes| {
            Some(Model {
                path: "/models/llama-7b.gguf".into(),
                bytes,
            })
        };
        for (bytes, limit, level) in [
            (13_000_000_000, None, Level::Refuse),
            (512 << 20, None, Level::Refuse),
            ((512 << 20) - 1, None, Level::Pass),
            (13_000_000_000, Some(16 << 30), Level::Pass),
        ] {
            let facts = Facts {
                model: model(bytes),
                memory_limit_bytes: limit,
                ..facts()
            };
            let verdict = &microvm_model(&facts)[0];
            assert_eq!(verdict.level, level, "{bytes} {limit:?}");
            assert!(verdict.found.contains("llama"), "{}", verdict.found);
        }
    }

    #[test]
    fn the_bound_on_images_is_exact() {
        for (size, level) in [(499_999_999, Level::Pass), (500_000_000, Level::Refuse)] {
            let facts = Facts {
                image_bytes: Some(size),
                ..facts()
            };
            assert_eq!(microvm_image(&facts)[0].level, level, "{size}");
        }
        let elsewhere = Facts {
            image_bytes: Some(1 << 40),
            runtime: Some(RuntimeKind::Container),
            ..Facts::default()
        };
        assert!(microvm_image(&elsewhere).is_empty());
    }
}
