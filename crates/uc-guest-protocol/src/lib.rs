//! What a host and the agent in its microVM say to each other.
