//! The search for the generating vector of a rank-1 lattice, component by component.
//!
//! With random shifts, the mean square of the worst error among all functions of a unit ball (the weighted Sobolev space of
//! one mixed derivative in each variable) is
//! `-1 + 1/N · Σ_k Π_j (1 + γ_j B_2({k z_j / N}))` with `B_2(x) = x² - x + 1/6`. Each component is the best of some random odd
//! candidates, given those before it: for products of this kind few candidates come close to the best of all.
//!
//! That error is a sum over all sets of variables, so a bad pair may hide in it, while what technologies are worth consists
//! of pairs for the most part. So candidates are first sorted by their worst pair, and only the best sixteenth goes on. A pair is
//! judged by Zaremba's index: the least `|g h|` for which the wave `g x + h y` is integrated wrongly.

use std::cmp::Reverse;

/// Points of the lattice.
const POINTS: usize = 1 << 16;
/// Odd numbers that are tried for a component.
const CANDIDATES: usize = 2048;
/// How many of them are left when pairs have been judged.
const FINALISTS: usize = CANDIDATES / 16;

/// Weight of a component, from 0: it decays slowly, since the figures of a catalogue matter about alike.
fn weight(component: usize) -> f64 {
    4.0 / (4.0 + component as f64)
}

#[allow(unreachable_pub, reason = "an example and a test include this file")]
/// The first components; a longer vector begins with a shorter one.
pub fn generating_vector(components: usize) -> Vec<u32> {
    let kernel: Vec<f64> = (0..POINTS)
        .map(|k| {
            let x = k as f64 / POINTS as f64;
            x * x - x + 1.0 / 6.0
        })
        .collect();
    let mut products = vec![1.0; POINTS];
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    let mut vector: Vec<u32> = Vec::new();
    for component in 0..components {
        let mut candidates: Vec<u32> = (0..CANDIDATES)
            .map(|_| (random.next() % POINTS as u32) | 1)
            .collect();
        candidates.sort_by_cached_key(|&candidate| {
            let worst = vector
                .iter()
                .map(|&one| zaremba_index(one, candidate))
                .min();
            Reverse(worst)
        });
        let error = |candidate: u32| -> f64 {
            (0..POINTS)
                .map(|k| products[k] * kernel[at(k, candidate)])
                .sum()
        };
        candidates.truncate(FINALISTS);
        let mut errors: Vec<(f64, u32)> = candidates
            .iter()
            .map(|&candidate| (error(candidate), candidate))
            .collect();
        errors.sort_by(|one, other| one.0.total_cmp(&other.0));
        let best = errors[0].1;
        for (k, product) in products.iter_mut().enumerate() {
            *product *= 1.0 + weight(component) * kernel[at(k, best)];
        }
        vector.push(best);
    }
    vector
}

fn at(k: usize, component: u32) -> usize {
    (k * component as usize) % POINTS
}

/// The least `|g h|` with `g y + h x ≡ 0 (mod N)`: it is taken by a convergent of the fraction `(y / x) / N`.
fn zaremba_index(x: u32, y: u32) -> i64 {
    // Newton's iteration for the inverse modulo a power of two: each step doubles the right bits, from three.
    let inverse = (0..3).fold(x, |inverse, _| {
        inverse.wrapping_mul(2_u32.wrapping_sub(x.wrapping_mul(inverse)))
    });
    let quotient = y.wrapping_mul(inverse) as usize % POINTS;
    let (mut before, mut rest) = ((POINTS as i64, 0), (quotient as i64, 1_i64));
    let mut least = i64::MAX;
    while rest.0 > 0 {
        least = least.min(rest.0 * rest.1.abs());
        let times = before.0 / rest.0;
        (before, rest) = (rest, (before.0 - times * rest.0, before.1 - times * rest.1));
    }
    least
}

/// Marsaglia's generator with a multiplied output (xorshift64*), of which the upper half is used.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}
