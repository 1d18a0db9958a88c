//! OCI images: layouts read in place, our own store, the registry client, and the safe unpacking of layers.
//!
//! Layer 3. The interface is blocking: layers are pulled by a few threads, and what is bounded needs no async runtime.
//! The crate makes no namespaces and starts no sandbox; [`unpack::unpack_layer`] works with the ids of the process it
//! runs in, below one directory descriptor, and reads the compressed layer from any stream. The only program it ever
//! starts is the credential helper that the user's own docker configuration names.
//!
//! Nothing that comes from an image is trusted: every blob is checked against its digest and size whenever it is read
//! ([`verify`]), every path is resolved by the kernel below the layer's directory ([`unpack`]), and everything foreign
//! data can drive has a bound ([`bounds`]).

pub mod artifact;
pub mod attachments;
pub mod bounds;
pub mod config;
pub mod image;
pub mod layout;
pub mod media;
pub mod origin;
mod parallel;
pub mod progress;
pub mod reference;
pub mod registry;
pub mod spec;
pub mod store;
pub mod transfer;
pub mod unpack;
pub mod user;
pub mod verify;
pub mod walk;

pub use config::ImageConfig;
pub use image::{Build, Image, ImageKind, Layer};
pub use progress::{NoProgress, Progress};
pub use reference::Reference;
