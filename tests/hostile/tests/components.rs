//! A component that answers anything, on clusters that nobody should have: whatever it says, what the checker lets
//! pass breaks no limit, and somebody decides. And components that were damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::ops::Range;

/// Seeds of a test run; `HOSTILE_SEEDS` has others for a longer one.
const ANSWERS: Range<u64> = 0..200;
const DAMAGED: Range<u64> = 0..60;
/// Rolls and objects.
const BYTES: usize = 8000;
/// Damage of one to a dozen places.
const DAMAGE: usize = 84;

fn seeds(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HOSTILE_SEEDS") else {
        return default;
    };
    let (from, to) = text.split_once("..").expect("HOSTILE_SEEDS is like 0..1000");
    from.parse().expect("a seed")..to.parse().expect("a seed")
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut source = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = vec![0; length];
    source.fill_bytes(&mut bytes);
    bytes
}

/// Says which input it was: a panic inside tells only what went wrong.
struct Witness(u64);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("that was seed {}", self.0);
        }
    }
}

#[test]
fn whatever_a_component_says_no_limit_breaks() {
    let (mut taken, mut actions, mut failures) = (0, 0, BTreeMap::new());
    for seed in seeds(ANSWERS) {
        let _witness = Witness(seed);
        let heard = hostile_objects::component(&bytes(seed, BYTES));
        taken += heard.taken;
        actions += heard.actions;
        for (reason, count) in heard.failures {
            *failures.entry(reason).or_insert(0) += count;
        }
    }
    println!("{taken} answers passed, with {actions} actions; {failures:?}");
    // Else nothing was tried: answers that pass, plans that do something, and failures of several kinds.
    assert!(
        taken > 100 && actions > 20,
        "{taken} answers passed, with {actions} actions"
    );
    for reason in ["Garbage", "Trap", "PolicyError"] {
        assert!(failures.contains_key(reason), "{failures:?}");
    }
}

#[test]
fn the_same_rolls_are_the_same_answers() {
    for seed in 0..20 {
        let bytes = bytes(seed, BYTES);
        let (one, other) = (
            hostile_objects::component(&bytes),
            hostile_objects::component(&bytes),
        );
        assert_eq!(
            (one.taken, one.actions),
            (other.taken, other.actions),
            "seed {seed}"
        );
        assert_eq!(one.failures, other.failures, "seed {seed}");
    }
}

#[test]
fn a_damaged_component_is_refused_or_runs_within_its_limits() {
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in seeds(DAMAGED) {
        let _witness = Witness(seed);
        // One damage in every second, so that some get far.
        let length = if seed % 2 == 0 { 7 } else { DAMAGE };
        let end = hostile_objects::loader(&bytes(seed, length));
        *ends.entry(end.err().unwrap_or("Loaded")).or_insert(0) += 1;
    }
    println!("{ends:?}");
    assert!(
        ends.contains_key("Loaded") && ends.contains_key("CompileFailed"),
        "{ends:?}"
    );
    assert_eq!(hostile_objects::loader(&[]), Ok(()), "undamaged it loads");
}
