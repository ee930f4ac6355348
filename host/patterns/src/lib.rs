//! Which loads of which nodes cover all pods at the least price: vector bin packing with bins of several sizes, by
//! column generation.
//!
//! Two ask: the host, how to pack pods onto nodes that a plan buys, and the built-in `cheapest-fit` policy, which
//! nodes to buy. Both speak of plain numbers here, so that one answer serves both.
//!
//! *Invariant:* a function of its arguments, in a bounded number of steps.

mod complete;
mod pattern;
mod problem;
mod relax;
mod rest;
mod search;
mod simplex;

pub use pattern::Pattern;
pub use problem::{Offer, Problem, Row};
pub use search::{Found, search};
