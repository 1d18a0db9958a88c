//! What 16-bit numbers mean in bytes: a base and a unit.

/// The highest number; the one after it means "missing".
const MOST: u16 = u16::MAX - 1;
/// No unit is smaller than two to this power of bytes: no memory is known better.
const FINEST: i32 = -16;
/// Bits of a single's fraction that a base keeps.
const BASE_BITS: i32 = 7;

/// A scale. Bytes are the base and so many units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// The upper half of a single.
    pub(super) base: u16,
    /// The unit is two to this power.
    pub(super) exponent: i8,
}

impl Scale {
    /// The finest.
    pub(super) const FINEST: Self = Self {
        base: 0,
        exponent: FINEST as i8,
    };

    /// The finest for numbers between two others, both finite and from 0 on.
    pub(super) fn for_range(lowest: f32, highest: f32) -> Self {
        let base = (lowest.max(0.0).to_bits() >> 16) as u16;
        let scale = Self {
            base,
            exponent: exponent_for(highest - base_bytes(base)),
        };
        // A base that is no whole number of units would round each number anew whenever it changes.
        let step = exponent_of(base_bytes(base)) - BASE_BITS;
        if step >= i32::from(scale.exponent) {
            return scale;
        }
        Self {
            base: 0,
            exponent: exponent_for(highest),
        }
    }

    /// The nearest number.
    pub(super) fn units(self, bytes: f32) -> u16 {
        // Exact, as the base is the upper half of a single below.
        let above = f64::from(bytes) - f64::from(base_bytes(self.base));
        ((above / f64::from(unit(self.exponent))).round() as u16).min(MOST)
    }

    /// What a number means in bytes.
    pub(super) fn bytes(self, units: u16) -> f32 {
        base_bytes(self.base) + f32::from(units) * unit(self.exponent)
    }
}

fn base_bytes(base: u16) -> f32 {
    f32::from_bits(u32::from(base) << 16)
}

/// The power of two of a unit with which a number takes all of 16 bits.
fn exponent_for(bytes: f32) -> i8 {
    (exponent_of(bytes) - 15).max(FINEST) as i8
}

/// The power of two that a number from 0 on begins with; far below any other for zero.
fn exponent_of(bytes: f32) -> i32 {
    (bytes.to_bits() >> 23 & 0xff) as i32 - 127
}

fn unit(exponent: i8) -> f32 {
    f32::from_bits(((i32::from(exponent) + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_within_a_range_comes_back_but_for_a_unit_and_in_order(
            low in 0.0f32..60.0, width in -20.0f32..30.0, places in (0.0f32..=1.0, 0.0f32..=1.0),
        ) {
            let lowest = low.exp2();
            let highest = lowest + (low + width).exp2();
            let scale = Scale::for_range(lowest, highest);
            let at = |place: f32| (lowest + place * (highest - lowest)).min(highest);
            // What all have in common costs nothing; a single itself ends at the 24th bit.
            let most = ((highest - lowest) / 32_768.0).max(highest / 4_194_304.0) * 1.5 + unit(FINEST as i8);
            let there = |bytes: f32| scale.bytes(scale.units(bytes));
            let (one, other) = (at(places.0), at(places.1));
            prop_assert!((there(one) - one).abs() <= most, "{} {} {:?}", one, there(one), scale);
            prop_assert_eq!(scale.units(there(one)), scale.units(one));
            prop_assert!(one > other || scale.units(one) <= scale.units(other));
        }
    }

    #[test]
    fn zero_and_the_largest_are_numbers() {
        for (lowest, highest) in [
            (0.0, 0.0),
            (0.0, f32::MAX),
            (f32::MAX, f32::MAX),
            (1e-30, 1e-30),
        ] {
            let scale = Scale::for_range(lowest, highest);
            assert!(scale.bytes(scale.units(highest)) >= highest * 0.9999 - 1e-4);
            assert!(scale.bytes(MOST).is_finite() || highest == f32::MAX);
        }
    }
}
