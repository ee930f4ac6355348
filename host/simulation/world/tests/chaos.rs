//! Storms over worlds, by seeds: whatever fails and dies meanwhile, afterwards nothing is lost and nothing is doubled.
//!
//! `CHAOS_SEEDS=0..2000 cargo test --workspace --test chaos` looks longer. A seed that fails is played again by the
//! command that the failure prints.

#![expect(clippy::expect_used, reason = "a panic is how a test fails")]

use autoscaler_simulation::chaos::{Outcome, Plan, play};
use autoscaler_simulation::engine;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seeds of a test run.
const SEEDS: Range<u64> = 0..32;
/// Storms that once left something broken: a late list showed a machine that had been given back, and an order took it
/// for its own.
const BROKE: [u64; 1] = [906];

fn seeds() -> Vec<u64> {
    let Ok(text) = std::env::var("CHAOS_SEEDS") else {
        return SEEDS.chain(BROKE).collect();
    };
    let (from, to) = text.split_once("..").expect("CHAOS_SEEDS is like 0..2000");
    let (from, to): (u64, u64) = (from.parse().expect("a seed"), to.parse().expect("a seed"));
    (from..to).collect()
}

/// `CHAOS_LOG=debug` tells what the controllers do, for one seed.
fn log() {
    if let Ok(level) = std::env::var("CHAOS_LOG") {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(level)
            .with_ansi(false)
            .without_time()
            .try_init();
    }
}

#[test]
fn after_a_storm_nothing_is_lost_and_nothing_is_doubled() {
    log();
    let seeds = seeds();
    let engine = engine().unwrap();
    let next = AtomicUsize::new(0);
    let all: Mutex<Vec<(u64, Outcome)>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst)) else {
                        return;
                    };
                    let outcome = play(seed, &engine).unwrap();
                    if !outcome.broken.is_empty() {
                        println!("seed {seed}: {}", outcome.broken.join("; "));
                    }
                    all.lock().unwrap().push((seed, outcome));
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    let sum = |of: fn(&Outcome) -> u64| all.iter().map(|(_, outcome)| of(outcome)).sum::<u64>();
    println!(
        "{} storms: {} machines ordered, {} processes ended, {} requests to VPSie; settled after {} s at the latest",
        all.len(),
        sum(|outcome| outcome.ordered),
        sum(|outcome| u64::from(outcome.ended)),
        sum(|outcome| outcome.requests as u64),
        all.iter()
            .map(|(_, outcome)| outcome.settled_after.as_secs())
            .max()
            .unwrap_or(0),
    );
    // A storm in which nothing happens proves nothing.
    assert!(sum(|outcome| outcome.ordered) > 0 && all.len() == seeds.len());
    let failed: Vec<u64> = all
        .iter()
        .filter(|(_, outcome)| !outcome.broken.is_empty())
        .map(|(seed, _)| *seed)
        .collect();
    if let Some(seed) = failed.iter().min() {
        panic!(
            "{} of {} storms left something broken: {failed:?}\nplay one again: CHAOS_LOG=info CHAOS_SEEDS={seed}..{} \
             cargo test --workspace --test chaos -- --nocapture\n{:#?}",
            failed.len(),
            all.len(),
            seed + 1,
            Plan::of(*seed),
        );
    }
}

#[test]
fn a_storm_is_played_again_to_the_last_request() {
    let engine = engine().unwrap();
    for seed in [1, 7] {
        let first = play(seed, &engine).unwrap();
        assert_eq!(play(seed, &engine).unwrap(), first, "seed {seed}");
    }
}
