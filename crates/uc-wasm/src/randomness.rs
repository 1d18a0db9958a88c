//! Random numbers straight from the kernel, at the moment a program asks for them.
//!
//! A generator of our own would be state in memory, and clones of one snapshot of a microVM would share it. The kernel is told
//! when it wakes up in a clone.
//!
//! A kernel that has just started and was given no entropy holds up whoever asks first: a second in a guest under TCG. So an
//! agent feeds it before it calls a function.

use std::convert::Infallible;

use rand_core::TryRng;
use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};
use uc_model::{Problem, Result};

/// The kernel's generator.
pub(crate) struct Kernel;

/// A number that is drawn now.
///
/// # Errors
/// Host, where the kernel gives none.
pub(crate) fn seed() -> Result<u128> {
    let mut bytes = [0; 16];
    fill(&mut bytes).map_err(|errno| {
        Problem::host("the kernel gives no random numbers")
            .found(errno.to_string())
            .remedy("allow the system call getrandom")
    })?;
    Ok(u128::from_le_bytes(bytes))
}

fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    // A signal cuts a long request short.
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::io::retry_on_intr(|| getrandom(&mut *rest, GetRandomFlags::empty()))?;
    }
    Ok(())
}

/// As [`fill`], for a caller that knows no failure. A program that has been given random numbers must not be given any others
/// now, so it ends where the kernel, which gave [`seed`], has none left.
fn fill_or_abort(bytes: &mut [u8]) {
    if fill(bytes).is_err() {
        std::process::abort();
    }
}

impl TryRng for Kernel {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        fill_or_abort(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        fill_or_abort(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill_or_abort(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_filled_and_no_two_draws_are_alike() {
        for length in [0, 1, 255, 256, 257, 70_000] {
            let (mut first, mut second) = (vec![0; length], vec![0; length]);
            fill(&mut first).expect("drawn");
            fill(&mut second).expect("drawn");
            assert!(length < 16 || first != second);
            // A run of 16 zeros has a chance of one in 2^128.
            assert!(!first.windows(16).any(|window| window == [0; 16]));
        }
        assert_ne!(seed().expect("drawn"), seed().expect("drawn"));
    }
}
