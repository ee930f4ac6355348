use super::*;
use autoscaler_policy::record::{Record, Ring, Subject};
use serde_json::{Value, json};

/// One engine for all: compiling the built-in policies takes its time. The set is each test's own.
fn host() -> PolicyHost {
    host_with(Arc::default())
}

fn host_with(records: Arc<Records>) -> PolicyHost {
    static ENGINE: std::sync::OnceLock<(Engine, Vec<Binding>)> = std::sync::OnceLock::new();
    let (engine, _) = ENGINE.get_or_init(|| {
        let engine = Engine::new().unwrap();
        // Held, because the engine forgets what nobody uses.
        let set = PolicySet::built_in(&engine).unwrap();
        let active = Kind::ALL.into_iter().flat_map(|kind| set.active(kind));
        let held = active.map(|binding| Binding::clone(&binding)).collect();
        (engine, held)
    });
    let set = Arc::new(PolicySet::built_in(engine).unwrap());
    PolicyHost::new(engine.clone(), set, records)
}

fn spec(extra: &Value) -> ScalingPolicySpec {
    let mut spec = json!({"kinds": ["scale-up"], "source": {"builtIn": "scale-up"}});
    for (name, value) in extra.as_object().unwrap() {
        spec[name.as_str()] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

#[test]
fn the_words_of_a_spec_reach_the_binding() {
    let host = host();
    let spec = spec(&json!({
        "limits": {"fuel": 7_000_000, "deadline": "250ms", "memoryMiB": 3, "outputKiB": 5},
        "fallback": "Hold",
        "nodeGroupSelector": {"matchLabels": {"team": "a"},
                              "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]},
    }));
    let (policy, facts) = host
        .load(&Fetched::BuiltIn("scale-up".to_owned()), &spec)
        .unwrap();
    assert_eq!(facts.kinds, [PolicyKind::ScaleUp]);
    assert!(
        facts.digest.starts_with("sha256:") && !facts.version.is_empty(),
        "{facts:?}"
    );
    let entry = Entry {
        policy,
        facts,
        sha256: None,
        signer: None,
        spec,
        previous: None,
        tally: Arc::default(),
    };
    host.install(PolicyKind::ScaleUp, &[("mine", &entry)], &[])
        .unwrap();
    let active = host.set.active(Kind::ScaleUp);
    let names: Vec<&str> = active.iter().map(|binding| binding.name.as_str()).collect();
    assert_eq!(names, ["mine", autoscaler_policy::BUILT_IN]);
    let deadline = std::time::Duration::from_millis(250);
    let limits = Limits {
        fuel: 7_000_000,
        deadline,
        memory_bytes: 3 << 20,
        output_bytes: 5 << 10,
    };
    assert_eq!(active[0].limits, limits);
    assert_eq!(active[0].fallback, autoscaler_policy::Fallback::Hold);
    let labels = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    assert!(active[0].groups.matches(&labels(&[("team", "a")])));
    assert!(
        !active[0]
            .groups
            .matches(&labels(&[("team", "a"), ("tier", "gold")]))
    );
    assert!(!active[0].groups.matches(&labels(&[("team", "b")])));
    host.install(PolicyKind::ScaleUp, &[], &[("mine", &entry)])
        .unwrap();
    assert_eq!(host.set.active(Kind::ScaleUp).len(), 1);
    assert_eq!(host.set.shadows().into_keys().collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn what_cannot_be_loaded_is_refused_with_its_field() {
    let host = host();
    let built_in = |name: &str| Fetched::BuiltIn(name.to_owned());
    let bytes = |bytes: &[u8]| Fetched::Component {
        bytes: bytes.to_vec(),
        sha256: String::new(),
    };
    let table = [
        (
            built_in("no"),
            json!({}),
            "UnknownBuiltIn",
            "there are scale-up, node-selection, rebalance",
        ),
        (bytes(b"rubbish"), json!({}), "NotAComponent", ""),
        (
            built_in("scale-up"),
            json!({"config": {"noSuchField": 1}}),
            "",
            "spec.config",
        ),
        (
            built_in("scale-up"),
            json!({"limits": {"deadline": "soon"}}),
            "InvalidLimits",
            "spec.limits.deadline",
        ),
    ];
    for (row, (fetched, extra, reason, text)) in table.into_iter().enumerate() {
        let refusal = host
            .load(&fetched, &spec(&extra))
            .err()
            .unwrap_or_else(|| panic!("row {row} was loaded"));
        assert!(
            refusal.reason == reason || reason.is_empty(),
            "row {row}: {refusal:?}"
        );
        assert!(refusal.message.contains(text), "row {row}: {refusal:?}");
    }
}

#[test]
fn a_selector_with_an_unknown_operator_is_refused() {
    let selector = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]});
    let refusal = label_selector(&serde_json::from_value(selector).unwrap()).unwrap_err();
    assert_eq!(refusal.reason, "InvalidSelector");
}

/// A component by its text, put where the controller finds it, and what the status then says.
async fn verdict(bytes: Vec<u8>, extra: &Value) -> String {
    use crate::testing::FakeApi;
    let api = FakeApi::new();
    api.put(
        "configmaps",
        json!({"metadata": {"name": "p", "namespace": "kube-system"},
               "binaryData": {"policy.wasm": k8s_openapi::ByteString(bytes)}}),
    );
    let sources = crate::policies::source::Sources {
        client: api.client(),
        blobs: crate::policies::source::Blobs::default(),
        bounds: crate::policies::source::Bounds::default(),
    };
    let mut spec = json!({"kinds": ["scale-up"], "source": {"configMap": {"name": "p"}}});
    for (name, value) in extra.as_object().unwrap() {
        spec[name.as_str()] = value.clone();
    }
    let spec: ScalingPolicySpec = serde_json::from_value(spec).unwrap();
    let host = host();
    let loaded = match sources.fetch(&spec.source, None).await {
        Ok(fetched) => host.load(&fetched, &spec).map(drop),
        Err(refusal) => Err(refusal),
    };
    match loaded {
        Ok(()) => "loaded".to_owned(),
        Err(refusal) => format!("{}: {}", refusal.reason, refusal.message),
    }
}

#[tokio::test]
async fn a_hostile_or_mistaken_component_gets_one_line_that_helps() {
    let text = |wat: &str| wat::parse_str(wat).unwrap();
    let hollow = r#"(component (instance $i) (export "vpsie:autoscaler/scale-up@0.1.0" (instance $i)))"#;
    let later = r#"(component (instance $i) (export "vpsie:autoscaler/scale-up@1.0.0" (instance $i)))"#;
    let mut cut = text(hollow);
    cut.pop();
    let table = [
        (
            b"#!/bin/sh".to_vec(),
            "NotAComponent: spec.source: loading a policy: it is no WebAssembly binary; give the .wasm file of the \
             component, not packed and not as text",
        ),
        (
            text("(module)"),
            "NotAComponent: spec.source: loading a policy: it is a core WebAssembly module; make a component of it with \
             `wasm-tools component new`",
        ),
        (
            text("(component)"),
            "NoKind: spec.source: loading a policy that exports none of `scale-up`, `node-selection` and `rebalance` of \
             vpsie:autoscaler 0.1 (it exports: ); build it against the worlds of wit/",
        ),
        (
            text(later),
            "OtherVersion: spec.source: loading a policy that exports `vpsie:autoscaler/scale-up@1.0.0`: this autoscaler \
             speaks version 0.1 of the interface; build the policy with the SDK of this release, or upgrade the one of \
             the two that is older",
        ),
        (
            text(hollow),
            "InterfaceMismatch: spec.source: checking the policy's export `scale-up` against the interface: ",
        ),
        (
            text(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#),
            "ForbiddenImport: spec.source: loading a policy that imports `wasi:sockets/tcp@0.2.0`: a policy gets `log` and \
             `what-if` of vpsie:autoscaler 0.1, nothing else; build it for wasm32-unknown-unknown",
        ),
        (
            cut,
            "CompileFailed: spec.source: compiling a policy (a file that is damaged or cut off does this): ",
        ),
        (
            vec![0; (32 << 20) + 1],
            "TooLarge: spec.source: loading a policy of 33554433 bytes: at most 33554432 are allowed",
        ),
    ];
    for (bytes, expected) in table {
        let got = verdict(bytes, &json!({})).await;
        let fits = if expected.ends_with(": ") {
            got.starts_with(expected) && got.len() > expected.len()
        } else {
            got == expected
        };
        assert!(fits, "{got:?} is not {expected:?}");
        assert!(!got.contains('\n'), "{got:?} is more than one line");
    }
}

#[test]
fn a_configuration_that_the_schema_forbids_is_told_with_path_and_hint() {
    let host = host();
    for (config, expected) in [
        (
            json!({"minWait": 7}),
            "InvalidConfig: spec.config.minWait: Additional properties are not allowed ('minWait' was unexpected) (there are \
             minWaitSeconds)",
        ),
        (
            json!({"minWaitSeconds": "7s"}),
            "InvalidConfig: spec.config.minWaitSeconds: \"7s\" is not of type \"integer\" (write a value of type integer)",
        ),
        (
            json!({"minWaitSeconds": -1}),
            "InvalidConfig: spec.config.minWaitSeconds: -1 is less than the minimum of 0 (write more, the limit is 0)",
        ),
    ] {
        let spec = spec(&json!({"config": config}));
        let refusal = host
            .load(&Fetched::BuiltIn("scale-up".to_owned()), &spec)
            .err()
            .unwrap();
        let got = format!("{}: {}", refusal.reason, refusal.message);
        assert_eq!(got, expected);
    }
}

#[test]
fn a_component_makes_the_last_decisions_once_more_before_it_decides() {
    let record = Record::blank(Arc::default(), Subject::Growth);
    let records = Arc::new(Records::keep_in(Ring::in_memory(1 << 20)).unwrap());
    records.keep(record);
    records.flush();
    let guest = |name: &str| {
        let file = format!(
            "{}/../../target/policies/test/{name}.wasm",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&file)
            .unwrap_or_else(|error| panic!("{file}: {error}; run `cargo xtask policies` first"));
        Fetched::Component {
            bytes,
            sha256: String::new(),
        }
    };
    let (rehearsing, trusting) = (host_with(records), host());
    let spec = spec(&json!({}));
    assert!(rehearsing.load(&guest("nothing"), &spec).is_ok());
    assert!(
        trusting.load(&guest("trap"), &spec).is_ok(),
        "nothing is recorded"
    );
    let refusal = rehearsing.load(&guest("trap"), &spec).unwrap_err();
    assert_eq!(refusal.reason, "RehearsalFailed");
    for part in [
        "spec.source: deciding again what was decided at 1970-01-01T00:00:00Z",
        "asking scale-up again",
        "1 of the last 1 recorded decisions fail",
    ] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
}
