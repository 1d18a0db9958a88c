//! How long each stage of a run took: measured, never modelled.

use std::time::{Duration, Instant};

use serde::Serialize;
use uc_sandbox::Part;

/// A stage of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Reading the file, finding or pulling the image, unpacking it.
    Resolve,
    /// Checking digests and red lines.
    Verify,
    /// Choosing a runtime.
    Choose,
    /// Making the sandbox and its containers.
    Create,
    /// Init containers, from the making of the first to the end of the last.
    Init,
    /// Starting the programs.
    Start,
    /// Until the first byte of output.
    FirstOutput,
    /// Until the end.
    Exit,
}

impl Stage {
    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Verify => "verify",
            Self::Choose => "choose",
            Self::Create => "create",
            Self::Init => "init",
            Self::Start => "start",
            Self::FirstOutput => "first output",
            Self::Exit => "exit",
        }
    }
}

/// The stages of one workload's run.
#[derive(Debug, Clone)]
pub struct Timings {
    last: Instant,
    stages: Vec<(Stage, Duration)>,
    parts: Vec<Part>,
}

impl Timings {
    /// Starts the clock.
    pub fn start() -> Self {
        Self {
            last: Instant::now(),
            stages: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Notes parts that lie within stages.
    pub fn add_parts(&mut self, parts: impl IntoIterator<Item = Part>) {
        self.parts.extend(parts);
    }

    /// The parts that were told: of a microVM, its machine, its container and its function.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Ends a stage now.
    pub fn end(&mut self, stage: Stage) {
        self.end_at(stage, Instant::now());
    }

    /// Ends a stage at a moment that has been noted.
    pub fn end_at(&mut self, stage: Stage, moment: Instant) {
        self.stages
            .push((stage, moment.saturating_duration_since(self.last)));
        self.last = moment.max(self.last);
    }

    /// Each stage with its duration; a stage that was passed several times adds up.
    pub fn stages(&self) -> Vec<(Stage, Duration)> {
        let mut sums: Vec<(Stage, Duration)> = Vec::new();
        for (stage, duration) in &self.stages {
            match sums.iter_mut().find(|(known, _)| known == stage) {
                Some((_, sum)) => *sum += *duration,
                None => sums.push((*stage, *duration)),
            }
        }
        sums
    }

    /// From the start to the end of the last stage.
    pub fn total(&self) -> Duration {
        self.stages.iter().map(|(_, duration)| *duration).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_to_the_total() {
        let mut timings = Timings::start();
        let begin = timings.last;
        timings.end_at(Stage::Resolve, begin + Duration::from_millis(3));
        timings.end_at(Stage::Create, begin + Duration::from_millis(5));
        timings.end_at(Stage::Create, begin + Duration::from_millis(6));
        assert_eq!(
            timings.stages(),
            [
                (Stage::Resolve, Duration::from_millis(3)),
                (Stage::Create, Duration::from_millis(3))
            ]
        );
        assert_eq!(timings.total(), Duration::from_millis(6));
    }
}
