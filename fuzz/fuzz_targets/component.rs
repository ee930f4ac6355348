//! Any bytes as what a component answers, about the cluster that the rest of them makes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hostile_objects::component(bytes);
});
