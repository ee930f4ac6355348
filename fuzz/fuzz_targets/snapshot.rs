//! Any bytes as the objects of a cluster.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile_objects::snapshot(bytes);
});
