//! Counter-based random numbers: each is a function of its key and its place alone, so threads need not share a state.
//!
//! This is `SplitMix64` (Steele, Lea and Flood 2014) entered at any place: its state is a counter that grows by an odd
//! constant, and its output a bijective mix of the state.

/// 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output of `SplitMix64` that was seeded with `key`, at place `counter`.
pub(crate) fn at(key: u64, counter: u64) -> u64 {
    let mut state = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(STEP));
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published generator for the seed 1234567.
    #[test]
    fn it_is_the_published_generator() {
        let expected: [u64; 3] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        for (counter, value) in (0..).zip(expected) {
            assert_eq!(at(1_234_567, counter), value);
        }
    }
}
