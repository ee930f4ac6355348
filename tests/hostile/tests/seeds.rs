//! The entries on inputs from seeds, and on those that are worth keeping.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::ops::Range;
use std::path::Path;

/// Seeds of a test run; `HOSTILE_SEEDS` has others for a longer one.
const SEEDS: Range<u64> = 0..400;
const LONGEST: usize = 6000;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("HOSTILE_SEEDS") else {
        return SEEDS;
    };
    let (from, to) = text.split_once("..").expect("HOSTILE_SEEDS is like 0..1000");
    from.parse().expect("a seed")..to.parse().expect("a seed")
}

fn bytes(seed: u64, longest: usize) -> Vec<u8> {
    let mut source = ChaCha8Rng::seed_from_u64(seed);
    let length = usize::try_from(source.next_u32()).unwrap() % longest;
    let mut bytes = vec![0; length];
    source.fill_bytes(&mut bytes);
    bytes
}

/// Says which input it was: a panic inside tells only what went wrong.
struct Witness(String);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was {}", self.0);
        }
    }
}

#[test]
fn hostile_objects_break_nothing() {
    let mut pairs = 0;
    for seed in seeds() {
        let _witness = Witness(format!("seed {seed}"));
        pairs += hostile_objects::snapshot(&bytes(seed, LONGEST));
    }
    // Most bytes make few objects that meet; that some do is what the other answers are worth.
    assert!(pairs > 0, "no pair of a class and a node came about");
}

#[test]
fn hostile_plans_break_nothing() {
    for seed in seeds() {
        let _witness = Witness(format!("seed {seed}"));
        hostile_objects::plan(&bytes(seed, LONGEST));
    }
}

#[test]
fn hostile_texts_break_nothing() {
    const TEXTS: u64 = 10_000;
    const LETTERS: &[u8] = b"0123456789.+-eEinumkKMGTP";
    for seed in 0..TEXTS {
        let text: String = bytes(seed, 48)
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect();
        let _witness = Witness(format!("{text:?}"));
        hostile_objects::quantity(&text);
    }
}

#[test]
fn the_inputs_in_files_break_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut tried = 0;
    for entry in ["quantity", "snapshot", "plan"] {
        for file in std::fs::read_dir(folder.join(entry)).unwrap() {
            let path = file.unwrap().path();
            let _witness = Witness(path.display().to_string());
            let bytes = std::fs::read(&path).unwrap();
            match entry {
                "quantity" => hostile_objects::quantity(&String::from_utf8_lossy(&bytes)),
                "plan" => hostile_objects::plan(&bytes),
                _ => {
                    hostile_objects::snapshot(&bytes);
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 0, "there are cases");
}
