use super::*;
use crate::testing::FakeApi;
use autoscaler_api::ScalingPolicyStatus;
use autoscaler_api::conditions::{self, types};
use autoscaler_cluster::{Change, Kind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A host whose components are texts: `name version kind…`. It notes what is at work.
#[derive(Default)]
pub(super) struct Double {
    installed: Mutex<BTreeMap<&'static str, Vec<String>>>,
    shadows: Mutex<BTreeMap<&'static str, Vec<String>>>,
}

impl Host for Double {
    type Policy = String;

    fn load(&self, fetched: &Fetched, spec: &ScalingPolicySpec) -> Result<(String, Facts), Refusal> {
        let text = match fetched {
            Fetched::BuiltIn(name) => format!("{name} 0.1.0 {name}"),
            Fetched::Component { bytes, .. } => String::from_utf8(bytes.clone()).unwrap(),
            Fetched::Unchanged => unreachable!(),
        };
        let mut words = text.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let Some(version) = version else {
            return Err(Refusal::new("InvalidComponent", "no version"));
        };
        if spec
            .config
            .as_ref()
            .is_some_and(|config| config.contains_key("bad"))
        {
            return Err(Refusal::new("InvalidConfig", "spec.config.bad: unknown"));
        }
        let kinds = words.filter_map(|word| PolicyKind::ALL.into_iter().find(|kind| kind.as_str() == word));
        let facts = Facts {
            name: name.to_owned(),
            version: version.to_owned(),
            interface_version: "0.1.0".to_owned(),
            digest: format!("sha256:{}", text.replace(' ', "-")),
            size: text.len(),
            kinds: kinds.collect(),
            signed_by: None,
            load: Duration::from_millis(2),
            compile: Duration::from_millis(1),
        };
        Ok((text.clone(), facts))
    }

    fn install(
        &self,
        kind: PolicyKind,
        deciding: &[(&str, &Entry<String>)],
        shadows: &[(&str, &Entry<String>)],
    ) -> Result<(), Refusal> {
        let text = |(name, entry): &(&str, &Entry<String>)| match &entry.previous {
            Some(previous) => format!("{name}={} after {previous}", entry.policy),
            None => format!("{name}={}", entry.policy),
        };
        let texts = |entries: &[(&str, &Entry<String>)]| entries.iter().map(text).collect();
        self.installed.lock().insert(kind.as_str(), texts(deciding));
        self.shadows.lock().insert(kind.as_str(), texts(shadows));
        Ok(())
    }
}

pub(super) struct Scene {
    pub(super) api: FakeApi,
    pub(super) controller: Controller<Double>,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with_cache(None)
    }

    fn with_cache(cache: Option<PathBuf>) -> Self {
        Self::on(FakeApi::new(), cache)
    }

    fn on(api: FakeApi, cache: Option<PathBuf>) -> Self {
        let (now, metrics) = (api.now(), Arc::new(Metrics::new()));
        let events = Events::spawn(
            api.client(),
            now.clone(),
            metrics.clone(),
            CancellationToken::new(),
        );
        let controller = Controller {
            sources: Sources {
                client: api.client(),
                blobs: Blobs::new(cache),
                bounds: Bounds::default(),
            },
            client: api.client(),
            index: Index::new(now.clone()),
            metrics,
            events,
            now,
            host: Arc::new(Double::default()),
            entries: Mutex::new(BTreeMap::new()),
            told: Mutex::new(BTreeMap::new()),
        };
        Self { api, controller }
    }

    /// Writes a component into the ConfigMap that the policies read.
    pub(super) fn component(&self, text: &str) {
        self.api.put(
            "configmaps",
            json!({"metadata": {"name": "p", "namespace": "kube-system"},
                   "binaryData": {"policy.wasm": k8s_openapi::ByteString(text.as_bytes().to_vec())}}),
        );
    }

    /// Writes a ScalingPolicy, tells the index, and looks at it.
    pub(super) async fn apply(&self, name: &str, spec: Value) -> (Next, ScalingPolicyStatus) {
        let status = self
            .api
            .object("scalingpolicies", name)
            .map(|object| object["status"].clone());
        self.api.put(
            "scalingpolicies",
            json!({"apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy",
                   "metadata": {"name": name}, "spec": spec, "status": status}),
        );
        self.look(name).await
    }

    pub(super) async fn look(&self, name: &str) -> (Next, ScalingPolicyStatus) {
        let object = self.api.object("scalingpolicies", name).unwrap();
        let object: ScalingPolicy = serde_json::from_value(object).unwrap();
        self.controller.index.apply(&Change::Policy(Arc::new(object)));
        let next = self.controller.reconcile(name).await.unwrap();
        let object = self.api.object("scalingpolicies", name).unwrap();
        (next, serde_json::from_value(object["status"].clone()).unwrap())
    }

    pub(super) fn installed(&self, kind: PolicyKind) -> Vec<String> {
        self.controller
            .host
            .installed
            .lock()
            .get(kind.as_str())
            .cloned()
            .unwrap_or_default()
    }
}

pub(super) fn from_map(extra: &Value) -> Value {
    let mut spec = json!({"kinds": ["scale-up"], "source": {"configMap": {"name": "p"}}});
    for (name, value) in extra.as_object().unwrap() {
        spec[name.as_str()] = value.clone();
    }
    spec
}

pub(super) fn reason(status: &ScalingPolicyStatus) -> String {
    conditions::get(&status.conditions, types::READY)
        .and_then(|c| c.reason.clone())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_changed_component_is_swapped_in_and_a_bad_one_leaves_the_last_good_one() {
    use PolicyKind::ScaleUp;
    let scene = Scene::new();
    scene.component("thrifty 1.0.0 scale-up");
    let (next, status) = scene.apply("mine", from_map(&json!({}))).await;
    assert_eq!(next, Next::After(READ_AGAIN));
    assert_eq!(status.version.as_deref(), Some("1.0.0"));
    assert_eq!(scene.installed(ScaleUp), ["mine=thrifty 1.0.0 scale-up"]);

    scene.component("thrifty 2.0.0 scale-up");
    let (_, status) = scene.look("mine").await;
    assert_eq!(status.version.as_deref(), Some("2.0.0"));
    assert_eq!(
        scene.installed(ScaleUp),
        ["mine=thrifty 2.0.0 scale-up after thrifty 1.0.0 scale-up"]
    );

    scene.component("rubbish");
    let (next, status) = scene.look("mine").await;
    assert_eq!(
        (next, reason(&status).as_str()),
        (Next::After(TRY_AGAIN), "InvalidComponent")
    );
    assert_eq!(status.version.as_deref(), Some("2.0.0"));
    assert!(conditions::is_true(&status.conditions, types::LOADED));
    assert_eq!(
        scene.installed(ScaleUp),
        ["mine=thrifty 2.0.0 scale-up after thrifty 1.0.0 scale-up"]
    );
    assert!(
        scene
            .controller
            .metrics
            .render()
            .contains("vpsie_autoscaler_policy_loaded{policy=\"mine\"} 0")
    );

    let gone = ObjectKey::new("", "mine");
    scene.controller.index.apply(&Change::Gone(Kind::Policy, gone));
    assert_eq!(scene.controller.reconcile("mine").await.unwrap(), Next::Done);
    assert!(scene.installed(ScaleUp).is_empty());
    scene.controller.events.flush().await;
    let reasons: Vec<Value> = scene
        .api
        .objects("events")
        .iter()
        .map(|event| event["reason"].clone())
        .collect();
    assert!(
        reasons.contains(&json!("PolicyLoaded")) && reasons.contains(&json!("InvalidComponent")),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn what_does_not_fit_the_spec_is_refused_by_name() {
    let table = [
        (
            json!({"kinds": ["scale-up", "rebalance"]}),
            "KindNotExported",
            "no rebalance decisions",
        ),
        (
            json!({"version": "9.9.9"}),
            "VersionMismatch",
            "spec.version is 9.9.9",
        ),
        (json!({"config": {"bad": 1}}), "InvalidConfig", "spec.config.bad"),
        (
            json!({"source": {"oci": {"image": "r/p@sha256:0"}}}),
            "InvalidSource",
            "spec.source.oci.image: no registry",
        ),
        (
            json!({"tripAfter": {"within": "soon"}}),
            "InvalidTripAfter",
            "spec.tripAfter.within",
        ),
        (
            json!({"source": {"configMap": {"name": "q"}}}),
            "SourceNotFound",
            "kube-system/q",
        ),
    ];
    for (extra, word, text) in table {
        let scene = Scene::new();
        scene.component("thrifty 1.0.0 scale-up");
        let (_, status) = scene.apply("mine", from_map(&extra)).await;
        assert_eq!(reason(&status), word, "{extra}");
        assert!(
            status.last_error.as_deref().unwrap_or_default().contains(text),
            "{extra}: {:?}",
            status.last_error
        );
        assert!(scene.installed(PolicyKind::ScaleUp).is_empty(), "{extra}");
        // What was wrong is put right.
        let (_, status) = scene.apply("mine", from_map(&json!({}))).await;
        assert_eq!(
            (reason(&status).as_str(), status.last_error),
            ("Loaded", None),
            "{extra}"
        );
    }
}

/// A spec of the built-in scale-up policy.
fn built_in(extra: &Value) -> Value {
    let mut spec = from_map(extra);
    spec["source"] = json!({"builtIn": "scale-up"});
    spec
}

#[tokio::test]
async fn policies_with_a_selector_come_first_and_off_takes_one_out() {
    let scene = Scene::new();
    scene.apply("all", built_in(&json!({}))).await;
    scene
        .apply(
            "some",
            built_in(&json!({"nodeGroupSelector": {"matchLabels": {"a": "b"}}})),
        )
        .await;
    let names = || -> Vec<String> {
        let texts = scene.installed(PolicyKind::ScaleUp);
        texts
            .iter()
            .filter_map(|text| text.split('=').next().map(str::to_owned))
            .collect()
    };
    assert_eq!(names(), ["some", "all"]);
    let (next, status) = scene.apply("some", built_in(&json!({"mode": "Off"}))).await;
    assert_eq!((next, reason(&status).as_str()), (Next::Done, "Off"));
    assert_eq!(names(), ["all"]);
}

#[tokio::test]
async fn a_look_that_finds_nothing_new_writes_nothing() {
    let scene = Scene::new();
    scene.component("thrifty 1.0.0 scale-up");
    scene.apply("mine", from_map(&json!({}))).await;
    scene.controller.events.flush().await;
    scene.api.writes();
    scene.look("mine").await;
    assert_eq!(scene.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_process_goes_on_with_the_last_good_component() {
    use PolicyKind::ScaleUp;
    let folder = tempfile::tempdir().unwrap();
    let cache = || Some(folder.path().to_owned());
    let text = "thrifty 1.0.0 scale-up";
    let first = Scene::with_cache(cache());
    first.component(text);
    first.apply("mine", from_map(&json!({}))).await;
    // The double has a digest of its own; the status of a real one is the hash of the bytes.
    let digest = format!("sha256:{}", source::sha256(text.as_bytes()));
    first.api.edit("scalingpolicies", "mine", |object| {
        object["status"]["digest"] = digest.into()
    });
    first.component("rubbish");

    let second = Scene::on(first.api.clone(), cache());
    let (next, status) = second.look("mine").await;
    assert_eq!(
        (next, reason(&status).as_str()),
        (Next::After(TRY_AGAIN), "InvalidComponent")
    );
    assert_eq!(second.installed(ScaleUp), ["mine=thrifty 1.0.0 scale-up"]);
    assert!(conditions::is_true(&status.conditions, types::LOADED));
    // It is the source that decides as soon as it holds something.
    second.component("thrifty 2.0.0 scale-up");
    let (_, status) = second.look("mine").await;
    assert_eq!(
        (status.version.as_deref(), reason(&status).as_str()),
        (Some("2.0.0"), "Loaded")
    );

    let without = Scene::on(first.api.clone(), None);
    without.component("rubbish");
    without.look("mine").await;
    assert!(without.installed(ScaleUp).is_empty());
}

#[tokio::test]
async fn shadows_and_canaries_stand_where_they_belong() {
    let scene = Scene::new();
    scene.apply("active", built_in(&json!({}))).await;
    scene.apply("canary", built_in(&json!({"mode": "Canary"}))).await;
    let team = json!({"matchLabels": {"team": "a"}});
    scene
        .apply("team", built_in(&json!({"nodeGroupSelector": team.clone()})))
        .await;
    scene
        .apply(
            "tested",
            built_in(&json!({"nodeGroupSelector": team, "mode": "Canary"})),
        )
        .await;
    let (_, status) = scene.apply("shadow", built_in(&json!({"mode": "Shadow"}))).await;
    let ready = conditions::get(&status.conditions, types::READY).unwrap();
    assert_eq!(
        ready.message.as_deref(),
        Some("scale-up 0.1.0 is compared with what decides")
    );
    let names = |texts: Vec<String>| -> Vec<String> {
        let name = |text: &String| text.split('=').next().map(str::to_owned);
        texts.iter().filter_map(name).collect()
    };
    let order = ["tested", "team", "canary", "active"];
    assert_eq!(names(scene.installed(PolicyKind::ScaleUp)), order);
    let shadows = scene.controller.host.shadows.lock()["scale-up"].clone();
    assert_eq!(names(shadows), ["shadow"]);
}

/// A trip as another process has written it.
fn tripped(generation: i64) -> Value {
    json!({"at": "2026-11-21T10:00:00Z", "digest": "sha256:thrifty-1.0.0-scale-up", "generation": generation,
           "failures": 5, "reason": "Trap", "message": "the policy trapped: unreachable"})
}

#[tokio::test]
async fn a_trip_outlives_the_process_and_ends_with_an_acknowledgement_or_another_try() {
    let change = |name: &str, object: &mut Value| match name {
        "nothing" => {}
        "acknowledged" => {
            object["metadata"]["annotations"] =
                json!({"autoscaler.vpsie.com/acknowledge-trip": "2026-11-21T10:00:00Z"});
        }
        "another trip acknowledged" => {
            object["metadata"]["annotations"] =
                json!({"autoscaler.vpsie.com/acknowledge-trip": "2026-11-21T09:00:00Z"});
        }
        "another spec" => object["metadata"]["generation"] = 2.into(),
        _ => object["status"]["trip"]["digest"] = "sha256:another".into(),
    };
    for (name, stays) in [
        ("nothing", true),
        ("another trip acknowledged", true),
        ("acknowledged", false),
        ("another spec", false),
        ("another component", false),
    ] {
        let scene = Scene::new();
        scene.component("thrifty 1.0.0 scale-up");
        scene.api.put(
            "scalingpolicies",
            json!({"apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy",
                   "metadata": {"name": "mine", "generation": 1}, "spec": from_map(&json!({})),
                   "status": {"trip": tripped(1)}}),
        );
        scene
            .api
            .edit("scalingpolicies", "mine", |object| change(name, object));
        let (_, status) = scene.look("mine").await;
        assert_eq!(status.trip.is_some(), stays, "{name}");
        let tripped = scene.controller.entry("mine").unwrap().tally.trip();
        assert_eq!(tripped.is_some(), stays, "{name}");
        assert_eq!(
            reason(&status),
            if stays { "Tripped" } else { "Loaded" },
            "{name}"
        );
        let line = format!(
            "vpsie_autoscaler_policy_tripped{{policy=\"mine\"}} {}",
            u8::from(stays)
        );
        assert!(scene.controller.metrics.render().contains(&line), "{name}");
    }
}

#[tokio::test]
async fn a_standby_learns_of_a_trip_and_of_its_end() {
    let scene = Scene::new();
    scene.component("thrifty 1.0.0 scale-up");
    scene.apply("mine", from_map(&json!({}))).await;
    let is_tripped = || scene.controller.entry("mine").unwrap().tally.trip().is_some();
    assert!(!is_tripped());
    let generation = scene.api.object("scalingpolicies", "mine").unwrap()["metadata"]["generation"].as_i64();
    scene.api.edit("scalingpolicies", "mine", |object| {
        object["metadata"]["generation"] = generation.unwrap_or(1).into();
        object["status"]["trip"] = tripped(generation.unwrap_or(1));
    });
    scene.look("mine").await;
    assert!(is_tripped());
    scene.api.edit("scalingpolicies", "mine", |object| {
        object["metadata"]["annotations"] =
            json!({"autoscaler.vpsie.com/acknowledge-trip": "2026-11-21T10:00:00Z"});
    });
    let (_, status) = scene.look("mine").await;
    assert!(!is_tripped() && status.trip.is_none());
    scene.controller.events.flush().await;
    let reasons: Vec<Value> = scene
        .api
        .objects("events")
        .iter()
        .map(|event| event["reason"].clone())
        .collect();
    assert!(reasons.contains(&json!("PolicyTripAcknowledged")), "{reasons:?}");
}
