use super::*;
use crate::testing::FakeApi;
use autoscaler_api::ScalingPolicyStatus;
use autoscaler_api::conditions::{self, types};
use autoscaler_cluster::{Change, Kind};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A host whose components are texts: `name version kind…`. It notes what is at work.
#[derive(Default)]
struct Double {
    installed: Mutex<BTreeMap<&'static str, Vec<String>>>,
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
            compile: Duration::from_millis(1),
        };
        Ok((text.clone(), facts))
    }

    fn install(&self, kind: PolicyKind, entries: &[(&str, &Entry<String>)]) -> Result<(), Refusal> {
        let texts = entries.iter().map(|(name, entry)| match &entry.previous {
            Some(previous) => format!("{name}={} after {previous}", entry.policy),
            None => format!("{name}={}", entry.policy),
        });
        self.installed.lock().insert(kind.as_str(), texts.collect());
        Ok(())
    }
}

struct Scene {
    api: FakeApi,
    controller: Controller<Double>,
}

impl Scene {
    fn new() -> Self {
        let api = FakeApi::new();
        let (now, metrics) = (api.now(), Arc::new(Metrics::new()));
        let events = Events::spawn(
            api.client(),
            now.clone(),
            metrics.clone(),
            CancellationToken::new(),
        );
        let controller = Controller {
            client: api.client(),
            index: Index::new(now.clone()),
            metrics,
            events,
            now,
            host: Arc::new(Double::default()),
            entries: Mutex::new(BTreeMap::new()),
        };
        Self { api, controller }
    }

    /// Writes a component into the ConfigMap that the policies read.
    fn component(&self, text: &str) {
        self.api.put(
            "configmaps",
            json!({"metadata": {"name": "p", "namespace": "kube-system"},
                   "binaryData": {"policy.wasm": k8s_openapi::ByteString(text.as_bytes().to_vec())}}),
        );
    }

    /// Writes a ScalingPolicy, tells the index, and looks at it.
    async fn apply(&self, name: &str, spec: Value) -> (Next, ScalingPolicyStatus) {
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

    async fn look(&self, name: &str) -> (Next, ScalingPolicyStatus) {
        let object = self.api.object("scalingpolicies", name).unwrap();
        let object: ScalingPolicy = serde_json::from_value(object).unwrap();
        self.controller.index.apply(&Change::Policy(Arc::new(object)));
        let next = self.controller.reconcile(name).await.unwrap();
        let object = self.api.object("scalingpolicies", name).unwrap();
        (next, serde_json::from_value(object["status"].clone()).unwrap())
    }

    fn installed(&self, kind: PolicyKind) -> Vec<String> {
        self.controller
            .host
            .installed
            .lock()
            .get(kind.as_str())
            .cloned()
            .unwrap_or_default()
    }
}

fn from_map(extra: &Value) -> Value {
    let mut spec = json!({"kinds": ["scale-up"], "source": {"configMap": {"name": "p"}}});
    for (name, value) in extra.as_object().unwrap() {
        spec[name.as_str()] = value.clone();
    }
    spec
}

fn reason(status: &ScalingPolicyStatus) -> String {
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
        (json!({"mode": "Shadow"}), "UnsupportedMode", "spec.mode"),
        (
            json!({"source": {"oci": {"image": "r/p@sha256:0"}}}),
            "UnsupportedSource",
            "spec.source.oci",
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

#[tokio::test]
async fn policies_with_a_selector_come_first_and_off_takes_one_out() {
    let scene = Scene::new();
    let built_in = |extra: Value| {
        let mut spec = from_map(&extra);
        spec["source"] = json!({"builtIn": "scale-up"});
        spec
    };
    scene.apply("all", built_in(json!({}))).await;
    scene
        .apply(
            "some",
            built_in(json!({"nodeGroupSelector": {"matchLabels": {"a": "b"}}})),
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
    let (next, status) = scene.apply("some", built_in(json!({"mode": "Off"}))).await;
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
