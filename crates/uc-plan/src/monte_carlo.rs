//! Uncertainty: the catalogue sampled many times.
