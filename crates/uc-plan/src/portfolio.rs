//! The best set of technologies and its schedule under a budget, people and prerequisites.
