//! MicroVMs by QEMU or Firecracker (mission M1).

pub mod firecracker;
