//! The scheduling core: what a cluster is, what fits where, and what a plan may do.
//!
//! *Architecture invariant:* nothing here waits, reads a clock, draws a random number or does I/O. Every
//! function is a function of its arguments, so that a decision can be replayed byte for byte.

pub mod decision;
pub mod model;
pub mod packing;
pub mod quantity;
pub mod rules;
#[cfg(test)]
mod testing;
