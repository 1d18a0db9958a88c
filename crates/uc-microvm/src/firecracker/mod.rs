//! MicroVMs by Firecracker: its configuration, its API, its process.

pub mod api;
pub mod client;
pub mod configuration;
pub mod console;
mod elf;
mod fault;
pub mod http;
mod jail;
pub mod jailer;
mod kernel_format;
pub mod launch;
pub mod machine;
mod preparation;
pub mod process;
pub mod snapshot;
pub mod socket_path;
pub mod vsock;
