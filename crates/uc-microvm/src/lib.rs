//! MicroVMs by QEMU or Firecracker (mission M1).

#[allow(
    dead_code,
    unused_imports,
    reason = "the driver that uses it comes next"
)]
mod erofs;
pub mod firecracker;
mod host_file;
#[allow(
    dead_code,
    unused_imports,
    reason = "the driver that uses it comes next"
)]
mod initramfs;
pub mod kernel;
