//! How much of the kernel the allow-list leaves within reach.

use uc_model::Figure;
use uc_select::{Architecture, syscall_names};

use crate::syscall_policy::{Verdict, verdicts};

/// log2(1 + allowed calls / all calls), in bits; a call that is allowed for some arguments counts.
pub fn of_allow_list() -> Figure {
    let all = std::env::consts::ARCH
        .parse()
        .map_or(0, |architecture: Architecture| {
            syscall_names(architecture).len()
        });
    let allowed = verdicts()
        .values()
        .filter(|verdict| !matches!(verdict, Verdict::Fail(_)))
        .count();
    // Where nothing is known of the processor, the worst counts.
    let share = if all == 0 {
        1.0
    } else {
        allowed as f64 / all as f64
    };
    Figure::modelled(
        ((1.0 + share).log2() * 1000.0).round() / 1000.0,
        "bit",
        &format!("{allowed} of {all} system calls are allowed"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allow_list_leaves_out_a_quarter() {
        let bits = of_allow_list().value;
        assert!((0.7..0.9).contains(&bits), "{bits}");
    }
}
