//! Who comes first, and at which place on average, without sorting: places are counted by comparing pairs.

use super::evaluation::BLOCK;

/// The most technologies whose places are averaged, since pairs grow with the square; beyond it only the first is found.
pub const RANKED_LIMIT: usize = 64;

/// The keys of a block and what has been counted so far, each by technology.
#[derive(Debug)]
pub(super) struct Ranking {
    keys: Vec<[i64; BLOCK]>,
    leader: [u32; BLOCK],
    leading: [i64; BLOCK],
    /// Samples in which it came first.
    pub(super) first: Vec<u32>,
    /// Samples and others that came before it; nothing beyond the limit.
    pub(super) outranked: Vec<u64>,
}

impl Ranking {
    pub(super) fn new(technologies: usize) -> Self {
        let ranked = if technologies <= RANKED_LIMIT {
            technologies
        } else {
            0
        };
        Self {
            keys: vec![[0; BLOCK]; ranked],
            leader: [0; BLOCK],
            leading: [i64::MIN; BLOCK],
            first: vec![0; technologies],
            outranked: vec![0; ranked],
        }
    }

    /// Takes in the keys of a block, technology after technology.
    pub(super) fn add(&mut self, technology: usize, keys: &[i64; BLOCK]) {
        let leaders = self.leading.iter_mut().zip(&mut self.leader);
        for ((leading, leader), &key) in leaders.zip(keys) {
            // The first technology of the catalogue leads before any comparison.
            let ahead = technology == 0 || key > *leading;
            *leading = if ahead { key } else { *leading };
            *leader = if ahead { technology as u32 } else { *leader };
        }
        let Some((own, earlier)) = self
            .keys
            .get_mut(..=technology)
            .and_then(<[_]>::split_last_mut)
        else {
            return;
        };
        *own = *keys;
        for (other, theirs) in earlier.iter().enumerate() {
            let ahead: u32 = own
                .iter()
                .zip(theirs)
                .map(|(one, other)| u32::from(one > other))
                .sum();
            self.outranked[other] += u64::from(ahead);
            self.outranked[technology] += u64::from(BLOCK as u32 - ahead);
        }
    }

    /// Counts the firsts of a block, once all technologies are taken in.
    pub(super) fn finish(&mut self) {
        for &leader in &self.leader {
            if let Some(count) = self.first.get_mut(leader as usize) {
                *count += 1;
            }
        }
    }
}
