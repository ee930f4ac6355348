//! Every expectation can fail: a case whose every line is true, and one lie at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use autoscaler_cases::{judge, parse};
use scheduling_cases::ask;

/// Two managed nodes, one of them little used, and pods for which something has to be bought.
const CLUSTER: &str = "
source: karpenter pkg/x_test.go, everything
about: everything
cluster:
  offerings: [{name: small, cpu: 2}, {name: large, cpu: 8}]
  groups: [{name: ng, max: 5}]
  nodes:
    - {name: busy, group: ng, taints: ['held:NoSchedule']}
    - {name: calm, group: ng, labels: {zone: a}}
  pods:
    - {name: db, cpu: 2, node: busy}
    - {name: web, cpu: 100m, node: calm, owner: none}
    - {name: job, cpu: 500m}
    - {name: new, count: 2, cpu: 3}
    - {name: huge, cpu: 64}
";

const TRUE: [&str; 19] = [
    "fits: {job: [calm]}",
    "refused: {job: {busy: Taints}}",
    "fitsNew: {new: [ng/large]}",
    "refusedNew: {new: {ng/small: Resources}}",
    "requests: {new: {cpu: 3000}}",
    "placed: {job: {calm: 1}}",
    "unplaced: {new: 2, huge: 1}",
    "estimate: {ng/large: {nodes: 1, left: 1}}",
    "demand: {ng: {new: 2}}",
    "rejected: {huge: NoGroupFits}",
    "purchases: {ng/large: 1}",
    "fallbacks: {ng/large: []}",
    "unserved: {}",
    "trimmed: {}",
    "cost: 80",
    "left: {huge: 1}",
    "domains: {new: {node.kubernetes.io/instance-type: {large: 2}}}",
    "drain: {web: NotReplicated, db: Moves}",
    "utilisation: {calm: {cpu: 300, toMove: 2}}",
];

const LIES: [(&str, &str); 28] = [
    ("fits: {job: [busy, calm]}", "fits job"),
    ("fits: {jub: []}", "no pod \"jub\""),
    ("refused: {job: {calm: Taints}}", "it fits"),
    ("refused: {job: {busy: Resources}}", "refused by busy"),
    ("refused: {job: {bsy: Taints}}", "there is no \"bsy\""),
    ("fitsNew: {new: []}", "fitsNew new"),
    ("fitsNew: {new: [ng/large, ng/huge]}", "fitsNew new"),
    ("refusedNew: {new: {ng/small: Taints}}", "refused by ng/small"),
    ("requests: {new: {cpu: 3}}", "requests of new, cpu"),
    ("placed: {}", "placed"),
    ("unplaced: {new: 1, huge: 1}", "unplaced"),
    (
        "estimate: {ng/large: {nodes: 2, left: 1}}",
        "estimate of ng/large",
    ),
    ("estimate: {ng/lrge: {nodes: 1}}", "no template \"ng/lrge\""),
    ("demand: {ng: {new: 1}}", "demand"),
    ("rejected: {}", "rejected"),
    ("purchases: {ng/large: 2}", "purchases"),
    ("fallbacks: {ng/large: [small]}", "fallbacks"),
    ("unserved: {new: NoTemplateFits}", "unserved"),
    ("trimmed: {ng: GroupMaxSize}", "trimmed"),
    ("cost: 81", "cost"),
    ("left: {}", "left"),
    (
        "domains: {new: {node.kubernetes.io/instance-type: {small: 2}}}",
        "domains of new by node.kubernetes.io/instance-type",
    ),
    ("drain: {web: Moves}", "drain of web"),
    ("drain: {wib: Ignored}", "no pod \"wib\""),
    ("utilisation: {calm: {cpu: 50}}", "utilisation of calm"),
    ("removable: {calm: Removable}", "BlockedByPod"),
    (
        "together: {order: [calm], removed: [calm]}",
        "kept: {\"calm\": \"BlockedByPod\"}",
    ),
    ("removals: {batches: [[calm]]}", "removals"),
];

fn verdict(expectation: &str) -> Result<(), String> {
    let case =
        parse(&format!("{CLUSTER}expect:\n  {expectation}\n")).map_err(|error| format!("{error:#}"))?;
    judge(&case, &ask).map_err(|error| format!("{error:#}"))
}

#[test]
fn what_is_true_passes() {
    for expectation in TRUE {
        assert_eq!(verdict(expectation), Ok(()), "{expectation}");
    }
}

#[test]
fn every_expectation_can_fail() {
    for (expectation, part) in LIES {
        let error = verdict(expectation).expect_err(expectation);
        assert!(error.contains(part), "{expectation}: {error}");
    }
}
