//! The choice of a runtime, with reasons for the winner and every loser.
