//! The client against the fake provider: what one sends the other must understand, over a socket and in
//! process, with every fault that the fake can make.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should fail the test"
)]

mod credentials;
mod faults;
mod harness;
mod lifecycle;
mod resilience;
mod vms;
