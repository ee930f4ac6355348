//! Every step of a replacement and of its rollback × everything that may go wrong there, in worlds of their own: no pod
//! loses its place, no budget is broken, no machine is lost, nothing stays marked, and the record says what is so.
//!
//! A test run plays every eleventh; `TRIALS=all cargo test --workspace --test rollback -- --nocapture` plays them all and
//! prints the table. `TRIAL='1-drain: evict/killed before' cargo test --workspace --test rollback -- --nocapture` plays one by its name;
//! `TRIAL_LOG=info` tells what the controllers do.

use autoscaler_simulation::chaos::trial::{Failure, Interference, Trial, Verdict, play};
use autoscaler_simulation::chaos::{Hit, Target};
use autoscaler_simulation::engine;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const REBALANCES: &str = "/rebalances/";
const RECORDS: &str = "/vpsienodes";
const NODES: &str = "/api/v1/nodes/";

/// A step by the request that makes it happen; the last column tells those of a rollback that was asked for.
const STEPS: [(&str, &str, &str, &str, bool); 17] = [
    ("begin: record", "PATCH", REBALANCES, "marking the nodes", false),
    ("begin: mark", "PATCH", NODES, "rebalance-operation", false),
    (
        "begin: marked",
        "PATCH",
        REBALANCES,
        "\"phase\":\"Running\"",
        false,
    ),
    ("1-1-provision: order", "POST", RECORDS, "pool-new", false),
    ("1-1-provision: buy", "POST", "/add/slave", "", false),
    (
        "1-1-provision: mark",
        "PATCH",
        NODES,
        "autoscaler.vpsie.com/rebalance\":",
        false,
    ),
    (
        "1-cordon: record",
        "PATCH",
        REBALANCES,
        "\"id\":\"1-cordon\"",
        false,
    ),
    (
        "1-cordon: cordon",
        "PATCH",
        NODES,
        "\"unschedulable\":true",
        false,
    ),
    ("1-drain: evict", "POST", "/eviction", "", false),
    (
        "1-verify: record",
        "PATCH",
        REBALANCES,
        "\"id\":\"1-verify\"",
        false,
    ),
    ("1-remove: delete", "DELETE", RECORDS, "", false),
    (
        "end: record",
        "PATCH",
        REBALANCES,
        "\"phase\":\"Completed\"",
        false,
    ),
    (
        "rollback: record",
        "PATCH",
        REBALANCES,
        "\"phase\":\"RollingBack\"",
        true,
    ),
    (
        "rollback: uncordon",
        "PATCH",
        NODES,
        "\"unschedulable\":null",
        true,
    ),
    ("rollback: evict", "POST", "/eviction", "", true),
    ("rollback: take back", "DELETE", RECORDS, "", true),
    (
        "rollback: end",
        "PATCH",
        REBALANCES,
        "\"phase\":\"RolledBack\"",
        true,
    ),
];

const MINUTE: Duration = Duration::from_secs(60);

/// What goes wrong, by the words of the table.
fn failures() -> Vec<(&'static str, Failure)> {
    use Interference::{
        AsksForRollback, ClearsLabels, ClosesBudget, DeletesNewRecord, DeletesNode, DeletesOldRecord,
        DeletesOperation, DrainsByHand, ForcesOperationAway, UncordonsNode,
    };
    let mut all = vec![
        ("fails once", Failure::Hit(Hit::Refused(500, Duration::ZERO))),
        (
            "fails for two minutes",
            Failure::Hit(Hit::Refused(500, 2 * MINUTE)),
        ),
        ("conflicts", Failure::Hit(Hit::Refused(409, Duration::ZERO))),
        ("times out", Failure::Hit(Hit::Late(Duration::from_secs(45)))),
        ("answer lost", Failure::Hit(Hit::AnswerLost)),
        ("killed before", Failure::Hit(Hit::DiesBefore)),
        ("killed after", Failure::Hit(Hit::DiesAfter)),
        (
            "leader changes",
            Failure::Hit(Hit::Paused(Duration::from_secs(90))),
        ),
        ("Kubernetes API down", Failure::Hit(Hit::Down(MINUTE))),
        ("VPSie down", Failure::VpsieDown(15 * MINUTE)),
    ];
    let operators = [
        ("operator uncordons", UncordonsNode),
        ("operator clears labels", ClearsLabels),
        ("operator deletes old VPSieNode", DeletesOldRecord),
        ("operator deletes new VPSieNode", DeletesNewRecord),
        ("operator deletes Node", DeletesNode),
        ("operator drains", DrainsByHand),
        ("operator closes PDB", ClosesBudget),
        ("operator asks for rollback", AsksForRollback),
        ("operator deletes Rebalance", DeletesOperation),
        ("operator forces Rebalance away", ForcesOperationAway),
    ];
    all.extend(operators.map(|(name, what)| (name, Failure::Operator(what))));
    all
}

fn trials() -> Vec<(String, &'static str, &'static str, Trial)> {
    let mut all = Vec::new();
    for (step, method, path, body, rolls_back) in STEPS {
        // The old node was marked before the new one.
        let skip = u32::from(step == "1-1-provision: mark");
        let target = Target {
            method,
            path,
            body,
            skip,
        };
        for (words, failure) in failures() {
            let trial = Trial {
                target,
                failure,
                rolls_back,
            };
            all.push((format!("{step}/{words}"), step, words, trial));
        }
    }
    let wanted = std::env::var("TRIAL").ok();
    if wanted.is_none() && std::env::var_os("TRIALS").is_none() {
        // A number that shares no divisor with the count of failures: every step and every failure has its turn.
        return all.into_iter().step_by(11).collect();
    }
    all.retain(|(name, ..)| {
        wanted
            .as_ref()
            .is_none_or(|wanted| name.contains(wanted.as_str()))
    });
    all
}

#[test]
fn whatever_fails_at_whatever_step_nothing_is_lost() {
    if let Ok(level) = std::env::var("TRIAL_LOG") {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(level)
            .with_ansi(false)
            .without_time()
            .try_init();
    }
    let trials = trials();
    let engine = engine().expect("the engine of policies");
    let next = AtomicUsize::new(0);
    let all: Mutex<BTreeMap<usize, Verdict>> = Mutex::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some((name, .., trial)) = trials.get(at) else {
                        return;
                    };
                    let verdict = play(trial, &engine).unwrap_or_else(|error| panic!("{name}: {error}"));
                    all.lock().expect("the verdicts").insert(at, verdict);
                }
            });
        }
    });
    let all = all.into_inner().expect("the verdicts");
    print_table(&trials, &all);
    let broken: Vec<String> = all
        .iter()
        .filter(|(_, verdict)| !verdict.met || !verdict.broken.is_empty())
        .map(|(at, verdict)| {
            let name = &trials[*at].0;
            format!(
                "{name}: met {}, {:?}, {}: {}",
                verdict.met,
                verdict.phase,
                verdict.message,
                verdict.broken.join("; ")
            )
        })
        .collect();
    assert!(
        broken.is_empty(),
        "{} of {} trials:\n{}",
        broken.len(),
        all.len(),
        broken.join("\n")
    );
}

/// One line per step, one column per ending.
fn print_table(trials: &[(String, &'static str, &'static str, Trial)], all: &BTreeMap<usize, Verdict>) {
    println!("| step | trials | Completed | RolledBack | not begun | record gone | broken | slowest |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut lines: Vec<(&str, [usize; 6], Duration)> = Vec::new();
    for (at, verdict) in all {
        let step = trials[*at].1;
        if lines.last().is_none_or(|(last, ..)| *last != step) {
            lines.push((step, [0; 6], Duration::ZERO));
        }
        let Some((_, counts, slowest)) = lines.last_mut() else {
            continue;
        };
        counts[0] += 1;
        counts[match verdict.phase.map(|phase| phase.as_str()) {
            Some("Completed") => 1,
            Some("RolledBack") => 2,
            Some(_) => 3,
            None => 4,
        }] += 1;
        counts[5] += usize::from(!verdict.met || !verdict.broken.is_empty());
        *slowest = verdict.took.max(*slowest);
    }
    let mut sum = [0; 6];
    for (step, counts, slowest) in &lines {
        let cells: Vec<String> = counts.iter().map(usize::to_string).collect();
        println!("| {step} | {} | {} s |", cells.join(" | "), slowest.as_secs());
        for (total, count) in sum.iter_mut().zip(counts) {
            *total += count;
        }
    }
    let cells: Vec<String> = sum.iter().map(usize::to_string).collect();
    println!("| all | {} | |", cells.join(" | "));
}
