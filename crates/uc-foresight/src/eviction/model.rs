//! The model check: every state that the shipped `step` can reach in a small world, or with one guard taken out.
//!
//! The world holds one to three processes and a watcher that carries out actions, tells what became of them up to a tick later
//! and in any order, and crashes: before an action, between two, or after them with what it had to tell. Everything the world
//! remembers to judge the machine by is its own, not the machine's.
//!
//! Time has no horizon. `step` depends on differences of times and on equality of attempts alone (`random_tests` checks the
//! former), so after each step the world is moved back to one moment (`World::normalise`): times by one shift, ending at zero
//! beyond which all are equally long ago, and attempts by their order. So finitely many states stand for all runs however long.
//!
//! What the world assumes: an answer takes a tick at most, or is lost to a crash; a process that ends by itself is known of at once
//! (a watcher looks at what runs before it decides); and a signal that was survived for a cooldown no longer ends its process.
//!
//! All properties are of the kind "always", those about liveness too: a `Harm` says that a restart was not ordered, or a leak
//! not evicted, by the tick at which it had to be. stateright's `eventually` misses counterexamples that end in a cycle or pass
//! through a state seen before, so its silence would prove nothing here.

mod check;
mod mutants;
mod world;
