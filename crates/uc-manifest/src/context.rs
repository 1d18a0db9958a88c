//! What all parts of reading one file share: its name, its directory, the notes, and a budget for what it expands to.

use std::{
    cell::{Cell, RefCell},
    path::Path,
};

use uc_model::{Bytes, Problem, Result};

use crate::yaml::Place;

/// Most notes that are kept.
const MAX_NOTES: usize = 200;
/// Most bytes that environment variables, arguments and projected files of one file expand to, all workloads together.
const MAX_EXPANSION: usize = 16 << 20;

/// The file that is being read.
pub(crate) struct Context<'a> {
    pub(crate) file: &'a str,
    pub(crate) base: &'a Path,
    notes: RefCell<Vec<String>>,
    budget: Cell<usize>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(file: &'a str, base: &'a Path) -> Self {
        Self {
            file,
            base,
            notes: RefCell::new(Vec::new()),
            budget: Cell::new(MAX_EXPANSION),
        }
    }

    /// Tells the user something that is no error.
    pub(crate) fn note(&self, place: Place, text: &str) {
        let mut notes = self.notes.borrow_mut();
        if notes.len() < MAX_NOTES {
            notes.push(format!("{}: {text}", place.in_file(self.file)));
        }
    }

    /// Puts `bytes` on the account of what the file expands to.
    pub(crate) fn spend(&self, bytes: usize) -> Result<()> {
        match self.budget.get().checked_sub(bytes) {
            Some(rest) => {
                self.budget.set(rest);
                Ok(())
            }
            None => Err(Problem::invalid("the file expands to too much text")
                .limit(format!(
                    "{} of environment, arguments and projected files",
                    Bytes(MAX_EXPANSION as u64)
                ))
                .remedy("move large data into a hostPath volume")),
        }
    }

    /// The notes so far.
    pub(crate) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }
}
