//! Flow control: a stream's sender has an allowance, which its receiver renews as it passes bytes on. So neither side ever
//! holds more of a stream than a window, and one that nobody reads does not hold up the others.

use uc_model::{Problem, Result};

/// How many bytes may be on their way in a stream.
pub const WINDOW_BYTES: u32 = 256 << 10;

/// How many bytes a sender may still send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance(u32);

impl Default for Allowance {
    fn default() -> Self {
        Self(WINDOW_BYTES)
    }
}

impl Allowance {
    /// How many bytes may be sent now.
    pub fn available(&self) -> usize {
        self.0 as usize
    }

    /// Takes note of bytes that were sent; they must have been available.
    pub fn spend(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available(), "{bytes} of {}", self.0);
        self.0 = self.0.saturating_sub(bytes as u32);
    }

    /// Takes note of credit.
    ///
    /// # Errors
    /// It is more than was sent.
    pub fn renew(&mut self, bytes: u32) -> Result<()> {
        let sum = self.0.checked_add(bytes).filter(|sum| *sum <= WINDOW_BYTES);
        self.0 = sum.ok_or_else(|| {
            Problem::host("the other side of a microVM's link gave credit for what was not sent")
                .found(format!("{bytes} bytes"))
        })?;
        Ok(())
    }
}

/// How many bytes a receiver has taken in and not passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Intake(u32);

impl Intake {
    /// Takes note of bytes that have come.
    ///
    /// # Errors
    /// They are more than the window.
    pub fn receive(&mut self, bytes: usize) -> Result<()> {
        let sum = (self.0 as usize).saturating_add(bytes);
        if sum > WINDOW_BYTES as usize {
            return Err(
                Problem::host("the other side of a microVM's link sent more than it may")
                    .limit(format!("{WINDOW_BYTES} bytes of a stream at a time"))
                    .found(format!("{sum} bytes")),
            );
        }
        self.0 = sum as u32;
        Ok(())
    }

    /// Takes note of bytes that were passed on: so much credit is to be given.
    pub fn pass_on(&mut self, bytes: usize) -> u32 {
        let bytes = self.0.min(bytes as u32);
        self.0 -= bytes;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_all_that_is_on_its_way() {
        let (mut allowance, mut intake) = (Allowance::default(), Intake::default());
        let all = allowance.available();
        allowance.spend(all);
        assert_eq!(allowance.available(), 0);
        intake.receive(all).expect("allowed");
        intake.receive(1).expect_err("beyond the window");
        let credit = intake.pass_on(1000);
        allowance.renew(credit).expect("passed on");
        assert_eq!(allowance.available(), 1000);
        allowance.renew(u32::MAX).expect_err("never sent");
    }
}
