//! Any bytes as a plan, judged by the checkers on the cluster that the rest of them makes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile_objects::plan(bytes));
