//! What the tests of the whole system share. The tests themselves lie in `tests/tests`.

pub mod conformance;
pub mod control_plane;
pub mod parity;
pub mod registry;
pub mod stage;
