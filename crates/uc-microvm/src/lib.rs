//! MicroVMs by QEMU or Firecracker (mission M1).
