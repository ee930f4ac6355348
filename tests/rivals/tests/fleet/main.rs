//! How far the plans of the built-in policies are from the best there could be, on fleets of every kind.
//!
//! Each problem goes the whole way: waiting pods, the question, the two policies with the real oracle, the checker,
//! and the placement that says whether every pod has its place. A judge that shares nothing with the packing finds no
//! fault in the plan, and the price is held against a lower bound that no plan can undercut.
//! `cargo test -p autoscaler-rivals --test fleet -- --nocapture` prints the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::type_complexity,
    reason = "a test may fail, and its keys are what they are"
)]

use autoscaler_rivals::{Native, decide};
use autoscaler_workloads::{Decision, Verdict, validate};
use least_waste::LeastWaste;
use std::sync::Arc;

mod bound;
mod claims;
mod least_waste;
mod problems;

/// A plan may cost so much more than the lower bound.
const GAP: f64 = 0.03;

#[test]
fn plans_are_near_the_least_price() {
    let mut too_dear = Vec::new();
    println!(
        "{:<44} {:>6} {:>6} {:>14} {:>14} {:>7}  bound by",
        "problem", "pods", "nodes", "price", "bound", "gap"
    );
    for problem in problems::all() {
        let pods = problem.snapshot.pods.len();
        let bound = bound::lower(&problem.snapshot);
        let decided = decide(Decision::Grow, &Arc::new(problem.snapshot), &Native).unwrap();
        let plan = decided.judge();
        let gap = plan.hourly_micros as f64 / bound.price - 1.0;
        println!(
            "{:<44} {pods:>6} {:>6} {:>14} {:>14.0} {:>6.2}%  {}",
            problem.name,
            plan.bought,
            plan.hourly_micros,
            bound.price,
            gap * 100.0,
            bound.method
        );
        assert_eq!(plan.breaches, [], "{}", problem.name);
        assert_eq!(decided.waiting, 0, "{}: pods without a place", problem.name);
        assert!(
            gap > -1e-6,
            "{}: cheaper than possible, the bound is wrong",
            problem.name
        );
        if let Some(nodes) = problem.nodes {
            assert_eq!(plan.bought, nodes, "{}", problem.name);
        }
        if gap > GAP {
            too_dear.push(problem.name);
        }
    }
    assert!(
        too_dear.is_empty(),
        "further above the bound than allowed: {too_dear:?}"
    );
}

/// The same fleets under the rules that the field has by default, written anew in this folder. What comes of them is
/// judged like our own plans.
#[test]
fn no_plan_is_dearer_than_that_of_another_rule() {
    let mut dearer = Vec::new();
    println!("| Fleet | ours | `least-waste` | Karpenter's defaults | lower bound |\n|---|---|---|---|---|");
    for problem in problems::all() {
        let name = problem.name;
        let bound = bound::lower(&problem.snapshot).price;
        let snapshot = Arc::new(problem.snapshot);
        let decided = |policies: &dyn autoscaler_rivals::Policies| {
            let decided = decide(Decision::Grow, &snapshot, policies).unwrap();
            let plan = decided.judge();
            assert_eq!((plan.breaches, decided.waiting), (vec![], 0), "{name}");
            plan.hourly_micros
        };
        let (ours, least_waste) = (decided(&Native), decided(&LeastWaste));
        let claims = match validate(&snapshot, &claims::plan(&snapshot)) {
            Ok(Verdict {
                waiting: 0,
                hourly_micros,
                ..
            }) => hourly_micros,
            other => panic!("{name}: Karpenter's plan is no plan: {other:?}"),
        };
        let against = |price: i128| {
            format!(
                "{:.4} ({:+.1} %)",
                price as f64 / 1e6,
                (price as f64 / ours as f64 - 1.0) * 100.0
            )
        };
        println!(
            "| {name} | {:.4} | {} | {} | {:.4} |",
            ours as f64 / 1e6,
            against(least_waste),
            against(claims),
            bound / 1e6
        );
        if ours > least_waste.min(claims) {
            dearer.push(name);
        }
    }
    assert!(dearer.is_empty(), "dearer than another rule: {dearer:?}");
}
