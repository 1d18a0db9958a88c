//! wip
mod generating_vector;
mod lattice;
mod quantile_table;
mod sampler;
mod splitmix;
