//! The files in `crds/` are what the types say.

use std::collections::BTreeSet;
use std::path::Path;

use autoscaler_api::{all_crds, crd_yaml};

#[test]
fn the_definitions_in_the_tree_are_up_to_date() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
    let mut expected = BTreeSet::from(["kustomization.yaml".to_owned()]);
    for crd in all_crds().unwrap() {
        let (name, text) = crd_yaml(&crd).unwrap();
        let present = std::fs::read_to_string(directory.join(&name)).unwrap_or_default();
        assert!(
            present == text,
            "crds/{name} differs from the types: run `cargo xtask crds`"
        );
        expected.insert(name);
    }
    let present: BTreeSet<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    assert_eq!(present, expected, "crds/ holds other files than the kinds");
    let kustomization = std::fs::read_to_string(directory.join("kustomization.yaml")).unwrap();
    for name in expected.iter().filter(|name| *name != "kustomization.yaml") {
        assert!(
            kustomization.contains(&format!("- {name}\n")),
            "crds/kustomization.yaml misses {name}"
        );
    }
}

#[test]
fn every_kind_has_what_operators_type() {
    let table = [
        ("AutoscalerConfig", "Cluster", &["asc"][..]),
        ("NodeGroup", "Namespaced", &["ng", "ngs"]),
        ("Rebalance", "Namespaced", &["rb"]),
        ("ScalingPolicy", "Cluster", &["sp"]),
        ("VPSieNode", "Namespaced", &["vn", "vns"]),
    ];
    let crds = all_crds().unwrap();
    assert_eq!(crds.len(), table.len());
    for (crd, (kind, scope, short)) in crds.iter().zip(table) {
        assert_eq!(crd.spec.names.kind, kind);
        assert_eq!(crd.spec.scope, scope);
        assert_eq!(crd.spec.names.short_names.as_deref().unwrap_or_default(), short);
        let version = &crd.spec.versions[0];
        assert_eq!(
            (version.name.as_str(), version.served, version.storage),
            ("v1alpha1", true, true)
        );
        assert!(
            version.subresources.as_ref().unwrap().status.is_some(),
            "{kind} has no status subresource"
        );
        let wide = version
            .additional_printer_columns
            .iter()
            .flatten()
            .filter(|c| c.priority == Some(1));
        assert!(wide.count() > 0, "{kind} shows nothing more with -o wide");
        let text = serde_json::to_string(crd).unwrap();
        assert!(
            !text.contains("\"nullable\""),
            "{kind}: a CEL rule could meet a null"
        );
    }
}
