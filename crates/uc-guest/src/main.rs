//! The agent in a microVM: process 1, which makes containers there (mission M1.1).

fn main() {}
