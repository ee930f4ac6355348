use super::tests::{
    BUNDLE, COMPONENT, COSIGN, COSIGN_OTHER, INTERN, LINE, RELEASE, SIGNED, SIGNED_BY_INTERN, with,
};
use crate::policies::PolicyKind::ScaleUp;
use crate::policies::tests::{Scene, from_map, reason};
use autoscaler_cluster::Change;
use serde_json::{Value, json};
use std::sync::Arc;

impl Scene {
    /// Sets whether signatures are demanded.
    fn demand(&self, require: bool) {
        let config =
            json!({"metadata": {"name": "default"}, "spec": {"policies": {"requireSignature": require}}});
        let config = serde_json::from_value(config).unwrap();
        self.controller.index.apply(&Change::Config(Arc::new(config)));
    }

    fn keys(&self, keys: &Value) {
        let data: serde_json::Map<String, Value> = keys
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, text)| {
                let bytes = text.as_str().unwrap().as_bytes().to_vec();
                (name.clone(), json!(k8s_openapi::ByteString(bytes)))
            })
            .collect();
        self.api.put(
            "secrets",
            json!({"metadata": {"name": "vpsie-policy-keys", "namespace": "kube-system"}, "data": data}),
        );
    }
}

#[tokio::test]
async fn a_signature_is_demanded_where_the_cluster_demands_it_and_checked_where_it_is_given() {
    let release = json!({"release.pub": RELEASE});
    let signed = json!({"signature": SIGNED});
    let table = [
        (false, json!({}), json!({}), "Loaded", ""),
        (true, release.clone(), signed.clone(), "Loaded", ""),
        (false, release.clone(), signed.clone(), "Loaded", ""),
        (
            true,
            json!({"old.pub": INTERN, "pub": format!("untrusted comment: mine\n{RELEASE}\n")}),
            signed.clone(),
            "Loaded",
            "",
        ),
        (
            true,
            release.clone(),
            json!({}),
            "SignatureMissing",
            "spec.signature: AutoscalerConfig demands one (spec.policies.requireSignature); sign the component with \
             `minisign -S` or `cosign sign-blob --key`, and put what that writes here",
        ),
        (
            true,
            release.clone(),
            json!({"signature": SIGNED_BY_INTERN}),
            "SignatureInvalid",
            "spec.signature: not made for this component with any of the keys in Secret kube-system/vpsie-policy-keys \
             (release.pub); sign exactly these bytes, or add the key",
        ),
        (
            false,
            json!({}),
            signed.clone(),
            "SignatureKeysMissing",
            "spec.signature: there is no key to check it with; put public keys of minisign or cosign into Secret \
             kube-system/vpsie-policy-keys",
        ),
        (
            true,
            json!({"x": "no key"}),
            signed,
            "SignatureKeysUnreadable",
            "Secret kube-system/vpsie-policy-keys: x is no public key of minisign or cosign; put the text of the .pub \
             file there",
        ),
    ];
    for (row, (require, keys, extra, word, text)) in table.into_iter().enumerate() {
        let scene = Scene::new();
        scene.component(COMPONENT);
        scene.demand(require);
        scene.keys(&keys);
        let (_, status) = scene.apply("mine", from_map(&extra)).await;
        assert_eq!(reason(&status), word, "row {row}: {:?}", status.last_error);
        assert_eq!(status.last_error.unwrap_or_default(), text, "row {row}");
        assert_eq!(
            scene.installed(ScaleUp).len(),
            usize::from(word == "Loaded"),
            "row {row}"
        );
    }
    let scene = Scene::new();
    scene.demand(true);
    let mut built_in = from_map(&json!({}));
    built_in["source"] = json!({"builtIn": "scale-up"});
    let (_, status) = scene.apply("mine", built_in).await;
    assert_eq!(
        reason(&status),
        "Loaded",
        "what the binary brings needs no signature"
    );
}

#[tokio::test]
async fn who_is_no_longer_trusted_decides_no_longer() {
    for (form, name, key, signature, other_key) in [
        ("minisign", "release.pub", RELEASE, SIGNED, INTERN),
        ("a line of cosign", "cosign.pub", COSIGN, LINE, COSIGN_OTHER),
        ("a bundle of cosign", "cosign.pub", COSIGN, BUNDLE, COSIGN_OTHER),
    ] {
        let scene = Scene::new();
        scene.component(COMPONENT);
        scene.keys(&json!({name: key}));
        let signed = from_map(&json!({"signature": signature}));
        let (_, status) = scene.apply("mine", signed).await;
        assert_eq!(reason(&status), "Loaded", "{form}: {:?}", status.last_error);
        assert_eq!(status.signed_by.as_deref(), Some(name), "{form}");
        scene.demand(true);
        scene.look("mine").await;
        assert_eq!(
            scene.installed(ScaleUp),
            ["mine=thrifty 1.0.0 scale-up"],
            "{form}"
        );
        // The component changes and its signature does not: the one that was signed goes on.
        scene.component("thrifty 2.0.0 scale-up");
        let (_, status) = scene.look("mine").await;
        assert_eq!(reason(&status), "SignatureInvalid", "{form}");
        assert_eq!(status.signed_by.as_deref(), Some(name), "{form}");
        assert_eq!(
            scene.installed(ScaleUp),
            ["mine=thrifty 1.0.0 scale-up"],
            "{form}"
        );
        // The key is withdrawn, and nothing that it signed decides.
        scene.keys(&json!({name: other_key}));
        let (_, status) = scene.look("mine").await;
        assert_eq!(reason(&status), "SignatureInvalid", "{form}");
        assert!(scene.installed(ScaleUp).is_empty(), "{form}");
    }
    // Whoever never signed is stopped by the demand itself.
    let scene = Scene::new();
    scene.component(COMPONENT);
    scene.apply("mine", from_map(&json!({}))).await;
    scene.demand(true);
    let (_, status) = scene.look("mine").await;
    assert_eq!(reason(&status), "SignatureMissing");
    assert!(scene.installed(ScaleUp).is_empty());
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_the_last_good_one_goes_on() {
    let scene = Scene::new();
    scene.component(COMPONENT);
    scene.demand(true);
    scene.keys(&json!({"cosign.pub": COSIGN, "release.pub": RELEASE}));
    let good = from_map(&json!({"signature": BUNDLE}));
    scene.apply("mine", good.clone()).await;
    for wrong in [
        SIGNED_BY_INTERN.to_owned(),
        LINE[1..].to_owned(),
        with(BUNDLE, "messageSignature", "x"),
    ] {
        let (_, status) = scene.apply("mine", from_map(&json!({"signature": wrong}))).await;
        assert_eq!(reason(&status), "SignatureInvalid", "{wrong}");
        assert_eq!(status.signed_by.as_deref(), Some("cosign.pub"), "{wrong}");
        assert_eq!(
            scene.installed(ScaleUp),
            ["mine=thrifty 1.0.0 scale-up"],
            "{wrong}"
        );
        let (_, status) = scene.apply("mine", good.clone()).await;
        assert_eq!(
            (reason(&status).as_str(), status.last_error),
            ("Loaded", None),
            "{wrong}"
        );
    }
    // The same component, signed by somebody else who is trusted.
    let (_, status) = scene.apply("mine", from_map(&json!({"signature": SIGNED}))).await;
    assert_eq!(status.signed_by.as_deref(), Some("release.pub"));
}
