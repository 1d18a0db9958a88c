//! What sandboxes on Linux share: id mappings, control groups, namespaces, the link to the host's network.
//!
//! Drivers are built on this and not on each other. Nothing here knows a container's file system or program.
#![allow(
    unsafe_code,
    reason = "clone3, setns, mount_setattr and the like have no safe wrappers"
)]

pub mod c_strings;
pub mod cgroup;
pub mod exit;
pub mod id_maps;
pub mod idmap;
pub mod isolation;
pub mod mount_points;
pub mod namespaces;
pub mod network;
pub mod pausing;
pub mod processes;
pub mod scratch;
pub mod seccomp;
pub mod seccomp_profile;
pub mod sources;
pub mod sys;
pub mod syscall_policy;
pub mod userns;
pub mod worker;

pub use idmap::{Extent, IdMapping, MapWriter};
