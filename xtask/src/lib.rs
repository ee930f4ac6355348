//! What `cargo xtask` can do, as a library: the tests use the part that finds (and, where it is missing,
//! builds) the real Kubernetes control plane, so that `cargo test` alone works too.

pub mod cache;
pub mod control_plane;
pub mod deny;
pub mod dependency_rule;
pub mod go;
pub mod node;
pub mod policies;
pub mod python;
pub mod registry;
pub mod rivals;
pub mod talk;
pub mod verify;
pub mod wasm_target;
pub mod workspace;
