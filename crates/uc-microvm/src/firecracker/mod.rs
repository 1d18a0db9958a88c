//! MicroVMs by Firecracker: its configuration, its API, its process.

pub mod api;
pub mod client;
pub mod configuration;
pub mod console;
mod fault;
pub mod http;
pub mod socket_path;
pub mod vsock;
