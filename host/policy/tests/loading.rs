//! What is loaded and what is refused, and how policies are swapped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod support;

use autoscaler_core::decision::Kind;
use autoscaler_core::model::{LabelSelector, Labels};
use autoscaler_policy::{BUILT_IN, Binding, GroupFilter, PolicySet};
use std::error::Error;
use std::sync::Arc;
use support::{binding, engine, guest};

#[test]
fn what_is_no_policy_is_refused_with_a_reason() {
    let wasi = r#"(component (import "wasi:cli/stdout@0.2.0" (instance)))"#;
    let function = r#"(component (import "clock" (func (result u64))))"#;
    let newer = r#"(component (import "vpsie:autoscaler/log@0.2.0" (instance)))"#;
    let hollow = r#"(component (instance $i) (export "vpsie:autoscaler/scale-up@0.1.0" (instance $i)))"#;
    let future = r#"(component (instance $i) (export "vpsie:autoscaler/scale-up@1.0.0" (instance $i)))"#;
    let text = |wat: &str| wat::parse_str(wat).unwrap();
    for (name, bytes, reason, part) in [
        ("text", b"hello".to_vec(), "NotAComponent", "no WebAssembly"),
        ("nothing", Vec::new(), "NotAComponent", "no WebAssembly"),
        (
            "a core module",
            text("(module)"),
            "NotAComponent",
            "core WebAssembly module",
        ),
        ("an empty component", text("(component)"), "NoKind", "none of"),
        ("wasi", text(wasi), "ForbiddenImport", "wasi:cli/stdout@0.2.0"),
        ("a bare function", text(function), "ForbiddenImport", "`clock`"),
        ("a newer log", text(newer), "ForbiddenImport", "log@0.2.0"),
        (
            "an interface without functions",
            text(hollow),
            "InterfaceMismatch",
            "scale-up",
        ),
        ("another version", text(future), "OtherVersion", "scale-up@1.0.0"),
        ("too large", vec![0; (32 << 20) + 1], "TooLarge", "at most"),
        (
            "broken",
            [&b"\0asm\x0d\0\x01\0"[..], &[0xff; 9]].concat(),
            "CompileFailed",
            "compiling",
        ),
    ] {
        let error = engine().compile(&bytes).expect_err(name);
        assert_eq!(error.reason(), reason, "{name}: {error}");
        assert!(error.to_string().contains(part), "{name}: {error}");
        let repeated = error
            .source()
            .is_some_and(|cause| error.to_string().contains(&cause.to_string()));
        assert!(!repeated, "{name}: the cause is told twice");
    }
}

#[test]
fn one_component_is_compiled_once() {
    assert!(Arc::ptr_eq(&guest("nothing"), &guest("nothing")));
    assert!(!Arc::ptr_eq(&guest("nothing"), &guest("trap")));
}

#[test]
fn a_component_may_answer_several_kinds() {
    assert_eq!(guest("nothing").kinds().collect::<Vec<_>>(), Kind::ALL);
    assert_eq!(
        guest("thousand").kinds().collect::<Vec<_>>(),
        [Kind::ScaleUp, Kind::NodeSelection]
    );
}

#[test]
fn bindings_are_swapped_as_a_whole_and_the_built_in_one_stays_last() {
    let policies = PolicySet::built_in(engine()).unwrap();
    let names = |kind| -> Vec<String> {
        policies
            .active(kind)
            .iter()
            .map(|binding| binding.name.clone())
            .collect()
    };
    assert_eq!(names(Kind::ScaleUp), [BUILT_IN]);
    let before = policies.active(Kind::ScaleUp);

    policies.swap(Kind::ScaleUp, vec![binding("nothing"), binding("trap")]);
    assert_eq!(names(Kind::ScaleUp), ["nothing", "trap", BUILT_IN]);
    assert_eq!(
        names(Kind::Rebalance),
        [BUILT_IN],
        "the other kinds are untouched"
    );
    assert_eq!(before.len(), 1, "who began with the old ones keeps them");

    policies.swap(Kind::ScaleUp, Vec::new());
    assert_eq!(names(Kind::ScaleUp), [BUILT_IN]);
}

#[test]
fn a_binding_speaks_for_the_groups_that_it_selects() {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let selector = LabelSelector {
        match_labels: labels(&[("tier", "gold")]),
        match_expressions: Vec::new(),
    };
    let chosen = Binding {
        groups: GroupFilter::Labels(selector),
        ..binding("nothing")
    };
    assert!(chosen.groups.matches(&labels(&[("tier", "gold"), ("zone", "a")])));
    assert!(!chosen.groups.matches(&labels(&[("tier", "silver")])));
    assert!(binding("nothing").groups.matches(&labels(&[])));
}
