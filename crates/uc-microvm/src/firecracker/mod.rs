//! MicroVMs by Firecracker: its configuration, its API, its process.

pub mod api;
pub mod client;
pub mod configuration;
mod fault;
pub mod http;
pub mod jailer;
pub mod launch;
pub mod machine;
pub mod monitor;
mod preparation;
pub mod process;
mod snapshot;
pub mod socket_path;
pub mod vsock;
