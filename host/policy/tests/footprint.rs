//! What a loaded policy keeps of the process's memory. Alone in its file: the whole process is measured.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use autoscaler_policy::Engine;
use std::path::Path;

const POLICIES: u8 = 16;
/// The most that one may keep.
const LIMIT: u64 = 5 << 20;
/// Linux counts resident memory in pages; those of other sizes are on machines that this is not for.
const PAGE: u64 = 4096;

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}

/// The same component with another digest: a custom section at its end.
fn copy(component: &[u8], number: u8) -> Vec<u8> {
    let section = [0, 3, 1, b'n', number];
    [component, &section].concat()
}

#[test]
fn a_loaded_policy_of_rust_keeps_less_than_5_mb() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/policies");
    let component = std::fs::read(folder.join("node-selection.wasm")).unwrap();
    let engine = Engine::new().unwrap();
    // The compiler's own memory comes with the first.
    let first = engine.compile(&component).unwrap();
    let before = resident();
    let loaded: Vec<_> = (0..POLICIES)
        .map(|number| engine.compile(&copy(&component, number)).unwrap())
        .collect();
    let each = resident().saturating_sub(before) / u64::from(POLICIES);
    eprintln!("{each} bytes each, of {} bytes of WebAssembly", component.len());
    assert!(loaded.iter().all(|policy| policy.digest() != first.digest()));
    assert!(each < LIMIT, "{each} bytes each");
}
