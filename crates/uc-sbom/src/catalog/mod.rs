//! One reader for each package database: its bytes to the packages that it lists.
//!
//! A reader never fails as a whole: what it cannot read becomes a warning beside the packages that it could.

use uc_model::Problem;

use crate::package::Package;

pub mod apk;
mod auditable;
pub mod dpkg;
pub mod elf;
pub mod gem;
pub mod java;
pub mod npm;
pub(crate) mod program;
pub mod python;
pub mod rpm;
pub mod wasm;

/// The most packages of one file.
const PACKAGES: usize = 100_000;
/// The most warnings of one file; more say nothing new.
const WARNINGS: usize = 32;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the file.
    pub packages: Vec<Package>,
    /// What could not be read.
    pub warnings: Vec<Problem>,
}

impl Found {
    /// Adds a package; `false`, with a warning, once there are too many.
    pub(crate) fn push(&mut self, package: Package) -> bool {
        if self.packages.len() >= PACKAGES {
            self.warn(Problem::refused("the file lists too many packages").limit(PACKAGES));
            return false;
        }
        self.packages.push(package);
        true
    }

    pub(crate) fn warn(&mut self, problem: Problem) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(problem);
        }
    }

    pub(crate) fn of(problem: Problem) -> Self {
        Self {
            packages: Vec::new(),
            warnings: vec![problem],
        }
    }

    pub(crate) fn append(&mut self, other: Self) {
        for package in other.packages {
            if !self.push(package) {
                break;
            }
        }
        for problem in other.warnings {
            self.warn(problem);
        }
    }
}
