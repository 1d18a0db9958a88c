//! Sets of a system call's arguments.
//!
//! A set is a list of cubes without overlap; a cube fixes some bits of each argument and leaves the others open. Unlike ranges or
//! comparisons these are closed under intersection and difference, and each is one rule in OCI form with at most one
//! comparison (`SCMP_CMP_MASKED_EQ`) for an argument, of which runtimes take several for alternatives.

use uc_linux::{
    seccomp_profile::{Comparison, Operator},
    syscall_policy::Condition,
};
use uc_model::{Problem, Result};

/// Arguments of a system call.
const COUNT: usize = 6;

/// Most cubes of a set. A comparison has up to 64, and conditions on several arguments multiply.
const MAX_CUBES: usize = 1024;

/// Arguments whose bits of a mask have a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cube {
    masks: [u64; COUNT],
    /// No bit is set that is not in the mask.
    values: [u64; COUNT],
}

impl Cube {
    const EVERYTHING: Self = Self {
        masks: [0; COUNT],
        values: [0; COUNT],
    };

    /// One argument's bits; `None` where a bit is asked for that the mask hides.
    fn of(argument: u8, mask: u64, value: u64) -> Option<Self> {
        let mut cube = Self::EVERYTHING;
        let index = usize::from(argument);
        (value & !mask == 0 && index < COUNT).then(|| {
            cube.masks[index] = mask;
            cube.values[index] = value;
            cube
        })
    }

    /// The arguments that matter: which, mask and value.
    pub(super) fn fixed(&self) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        (0..COUNT)
            .map(|index| (index, self.masks[index], self.values[index]))
            .filter(|(_, mask, _)| *mask != 0)
    }

    fn intersection(&self, other: &Self) -> Option<Self> {
        let mut both = *self;
        for index in 0..COUNT {
            let common = self.masks[index] & other.masks[index];
            if (self.values[index] ^ other.values[index]) & common != 0 {
                return None;
            }
            both.masks[index] |= other.masks[index];
            both.values[index] |= other.values[index];
        }
        Some(both)
    }

    /// What is in this and not in the other: for each bit that only the other fixes, those that differ there first.
    fn difference(&self, other: &Self) -> Vec<Self> {
        if self.intersection(other).is_none() {
            return vec![*self];
        }
        let mut pieces = Vec::new();
        let mut rest = *self;
        for index in 0..COUNT {
            let more = other.masks[index] & !self.masks[index];
            for bit in (0..u64::BITS).rev().map(|bit| 1 << bit) {
                if more & bit == 0 {
                    continue;
                }
                rest.masks[index] |= bit;
                let mut differs = rest;
                differs.values[index] |= !other.values[index] & bit;
                pieces.push(differs);
                rest.values[index] |= other.values[index] & bit;
            }
        }
        pieces
    }

    /// Both as one, where they differ in a single fixed bit.
    fn merged(&self, other: &Self) -> Option<Self> {
        if self.masks != other.masks {
            return None;
        }
        let mut differing = (0..COUNT).filter(|&index| self.values[index] != other.values[index]);
        let (index, more) = (differing.next()?, differing.next());
        let bit = self.values[index] ^ other.values[index];
        (more.is_none() && bit.is_power_of_two()).then(|| {
            let mut merged = *self;
            merged.masks[index] &= !bit;
            merged.values[index] &= !bit;
            merged
        })
    }
}

/// A set of arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arguments(Vec<Cube>);

impl Arguments {
    pub(super) fn everything() -> Self {
        Self(vec![Cube::EVERYTHING])
    }

    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }

    pub(super) fn is_everything(&self) -> bool {
        self.0 == [Cube::EVERYTHING]
    }

    pub(super) fn cubes(&self) -> &[Cube] {
        &self.0
    }

    /// Those for which all comparisons of a profile hold.
    pub(super) fn compared(comparisons: &[Comparison]) -> Result<Self> {
        comparisons.iter().try_fold(Self::everything(), |all, one| {
            all.intersection(&one_comparison(one)?)
        })
    }

    /// Those for which all conditions of the allow-list hold.
    pub(super) fn conditioned(conditions: &[Condition]) -> Result<Self> {
        conditions.iter().try_fold(Self::everything(), |all, one| {
            let cube = Cube::of(one.argument, one.mask.into(), one.value.into());
            let equal = Self(cube.into_iter().collect());
            match one.equal {
                true => all.intersection(&equal),
                false => all.difference(&equal),
            }
        })
    }

    pub(super) fn intersection(&self, other: &Self) -> Result<Self> {
        let pairs = self.0.iter().flat_map(|one| {
            let overlap = |cube| one.intersection(cube);
            other.0.iter().filter_map(overlap)
        });
        Self::bounded(pairs)
    }

    pub(super) fn difference(&self, other: &Self) -> Result<Self> {
        other.0.iter().try_fold(self.clone(), |rest, cube| {
            Self::bounded(rest.0.iter().flat_map(|one| one.difference(cube)))
        })
    }

    pub(super) fn union(&self, other: &Self) -> Result<Self> {
        let more = other.difference(self)?;
        Self::bounded(self.0.iter().copied().chain(more.0))
    }

    fn bounded(cubes: impl Iterator<Item = Cube>) -> Result<Self> {
        let mut kept: Vec<Cube> = cubes.take(MAX_CUBES + 1).collect();
        if kept.len() > MAX_CUBES {
            return Err(
                Problem::refused("a seccomp profile has too many conditions on one call")
                    .limit(format!("{MAX_CUBES} rules of masks and values"))
                    .remedy(
                        "compare fewer arguments, or leave the runtime to `uc`: unset UC_CONTAINER_RUNTIME",
                    ),
            );
        }
        while merge_some(&mut kept) {}
        // The largest first: taking them away one after the other leaves the fewest pieces.
        kept.sort_by_key(|cube| cube.masks.map(u64::count_ones).iter().sum::<u32>());
        Ok(Self(kept))
    }
}

/// Merges cubes that can be; whether any could. Each merger leaves one less.
fn merge_some(cubes: &mut Vec<Cube>) -> bool {
    let before = cubes.len();
    let mut index = 0;
    while index < cubes.len() {
        let partner = (index + 1..cubes.len())
            .find_map(|other| Some((other, cubes[index].merged(&cubes[other])?)));
        match partner {
            Some((other, merged)) => {
                cubes[index] = merged;
                cubes.swap_remove(other);
            }
            None => index += 1,
        }
    }
    cubes.len() < before
}

fn one_comparison(comparison: &Comparison) -> Result<Arguments> {
    let (argument, value) = (comparison.argument, comparison.value);
    let masked = |mask| {
        let cube = Cube::of(argument, mask, value);
        Arguments(cube.into_iter().collect())
    };
    let everything = Arguments::everything();
    match comparison.operator {
        Operator::Equal => Ok(masked(u64::MAX)),
        Operator::NotEqual => everything.difference(&masked(u64::MAX)),
        Operator::Masked(mask) => Ok(masked(mask)),
        Operator::Less => Ok(less(argument, value)),
        Operator::GreaterOrEqual => everything.difference(&less(argument, value)),
        Operator::LessOrEqual => less(argument, value).union(&masked(u64::MAX)),
        Operator::Greater => {
            let not_more = less(argument, value).union(&masked(u64::MAX))?;
            everything.difference(&not_more)
        }
    }
}

/// What is less has a bit 0 where the value has 1, and the same bits above.
fn less(argument: u8, value: u64) -> Arguments {
    let cubes = (0..u64::BITS)
        .filter(|bit| value >> bit & 1 == 1)
        .filter_map(|bit| {
            let mask = u64::MAX << bit;
            Cube::of(argument, mask, value & mask & !(1 << bit))
        });
    Arguments(cubes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Arguments {
        /// Whether arguments are in the set, which must say so once only.
        pub(in super::super) fn contains(&self, arguments: [u64; COUNT]) -> bool {
            let holds = |cube: &&Cube| {
                (0..COUNT).all(|index| arguments[index] & cube.masks[index] == cube.values[index])
            };
            let count = self.0.iter().filter(holds).count();
            assert!(count < 2, "overlapping cubes");
            count == 1
        }
    }

    const VALUES: [u64; 12] = [
        0,
        1,
        2,
        7,
        8,
        40,
        0xffff_fffe,
        0xffff_ffff,
        0x1_0000_0007,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];

    fn compare(operator: Operator, value: u64) -> Comparison {
        Comparison {
            argument: 1,
            operator,
            value,
        }
    }

    #[test]
    fn comparisons_mean_what_they_say() {
        type Holds = fn(u64, u64) -> bool;
        let operators: [(Operator, Holds); 7] = [
            (Operator::Equal, |a, b| a == b),
            (Operator::NotEqual, |a, b| a != b),
            (Operator::Less, |a, b| a < b),
            (Operator::LessOrEqual, |a, b| a <= b),
            (Operator::Greater, |a, b| a > b),
            (Operator::GreaterOrEqual, |a, b| a >= b),
            (Operator::Masked(0xf), |a, b| a & 0xf == b),
        ];
        for (operator, holds) in operators {
            for value in VALUES {
                let set = Arguments::compared(&[compare(operator, value)]).expect("few cubes");
                for found in VALUES {
                    assert_eq!(
                        set.contains([9, found, 9, 9, 9, 9]),
                        holds(found, value),
                        "{found:#x} {operator:?} {value:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn sets_are_combined_exactly() {
        let one = Arguments::compared(&[compare(Operator::Less, 40)]).expect("few cubes");
        let other = Arguments::compared(&[compare(Operator::Masked(1), 1)]).expect("few cubes");
        let (both, either) = (one.intersection(&other), one.union(&other));
        let (both, either) = (both.expect("few"), either.expect("few"));
        let only = one.difference(&other).expect("few");
        for value in VALUES {
            let arguments = [0, value, 0, 0, 0, 0];
            let (less, odd) = (value < 40, value & 1 == 1);
            assert_eq!(both.contains(arguments), less && odd, "{value}");
            assert_eq!(either.contains(arguments), less || odd, "{value}");
            assert_eq!(only.contains(arguments), less && !odd, "{value}");
        }
    }

    #[test]
    fn what_is_split_and_joined_again_is_simple_again() {
        let seven = Arguments::compared(&[compare(Operator::Equal, 7)]).expect("few");
        let others = Arguments::everything().difference(&seven).expect("few");
        assert_eq!(others.cubes().len(), 64);
        assert!(others.union(&seven).expect("few").is_everything());
    }

    #[test]
    fn conditions_that_multiply_are_refused() {
        let differs = |argument| Comparison {
            argument,
            operator: Operator::NotEqual,
            value: 5,
        };
        let problem = Arguments::compared(&[differs(0), differs(1)]).expect_err("4096 cubes");
        assert!(
            problem.to_string().contains("too many conditions"),
            "{problem}"
        );
    }
}
