//! Mistakes in a case are told with the field that they are in.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use autoscaler_cases::parse;

#[test]
fn mistakes_are_named_with_their_field() {
    let whole = "source: karpenter pkg/x_test.go, it is so\nabout: a\ncluster: {nodes: [{name: n}], pods: [{name: p}]}\nexpect: {fits: {p: []}}\n";
    assert!(parse(whole).is_ok());
    for (from, to, part) in [
        ("about: a\n", "", "missing field `about`"),
        ("karpenter pkg", "carpenter pkg", "source: \"carpenter"),
        (" pkg/x_test.go", "", "source: \"karpenter,"),
        (", it is so", "", "source: \"karpenter pkg"),
        ("about: a", "about: ''", "about: it is empty"),
        (
            "name: p",
            "name: p, nodeSelektor: {}",
            "cluster.pods[0].nodeSelektor: unknown field",
        ),
        (
            "name: p",
            "name: p, spread: [{kee: z}]",
            "cluster.pods[0].spread[0].kee: unknown field",
        ),
        ("fits: {p: []}", "fit: {p: []}", "expect.fit: unknown field"),
        ("fits: {p: []}", "", "expect: it is empty"),
        (
            "about: a",
            "about: a\nconfig: {grow: {}}",
            "config.grow: no such kind",
        ),
        ("about: a", "about: [", "this is no YAML"),
    ] {
        let error = format!("{:#}", parse(&whole.replace(from, to)).expect_err(to));
        assert!(error.contains(part), "{to}: {error}");
    }
}
