//! A real component, damaged as any bytes say, before the loader.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = hostile_objects::loader(bytes);
});
