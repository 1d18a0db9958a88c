//! MicroVMs by QEMU or Firecracker (mission M1).

#[allow(
    dead_code,
    unused_imports,
    reason = "the driver that uses it comes next"
)]
mod erofs;
mod host_file;
#[allow(
    dead_code,
    unused_imports,
    reason = "the driver that uses it comes next"
)]
mod initramfs;
pub mod kernel;
