//! Objects that nobody should write and somebody will, driven through everything that reads them.
//!
//! The entries take bytes and either return or panic, as a fuzzer wants them. The tests of this crate draw the bytes
//! from seeds, and repeat those worth keeping (`cases/`).

mod components;
mod drive;
mod objects;
mod plans;
mod values;

pub use components::{Heard, component, dice, loader};
pub use drive::{cluster, plan, quantity, snapshot};
pub use plans::within_limits;
