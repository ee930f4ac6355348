//! ScalingPolicy: which Wasm component decides what, for which node groups, under which limits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::DurationString;

mod status;

pub use status::{Pair, PolicyUsage, ScalingPolicyStatus, ShadowComparison, Trip};

/// Which component decides what.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaler.vpsie.com",
    version = "v1alpha1",
    kind = "ScalingPolicy",
    plural = "scalingpolicies",
    shortname = "sp",
    category = "vpsie",
    status = "ScalingPolicyStatus",
    derive = "PartialEq",
    doc = "A Wasm component that decides about scaling, for which node groups, and under which limits.",
    validation = Rule::new("!has(self.spec.canaryPercent) || (has(self.spec.mode) && self.spec.mode == 'Canary')")
        .message("canaryPercent is for mode Canary only")
        .field_path(".spec.canaryPercent"),
    printcolumn(name = "Kinds", type_ = "string", json_path = ".spec.kinds"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Policy", type_ = "string", json_path = ".status.name"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Tripped",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Tripped")].status"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.digest", priority = 1),
    printcolumn(
        name = "Last Error",
        type_ = "string",
        json_path = ".status.lastError",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicySpec {
    /// Which decisions the component makes.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(validation = Rule::new("self.all(kind, self.exists_one(other, other == kind))")
        .message("kinds must not name a kind twice"))]
    pub kinds: Vec<PolicyKind>,
    /// Where the component comes from.
    pub source: PolicySource,
    /// Handed to the component as it is; the component says what it understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub config: Option<Map<String, Value>>,
    /// What one call may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PolicyLimits>,
    /// Whether its decisions count. `"Off"` needs its quotes: the bare word is a boolean in YAML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "active")]
    pub mode: Option<PolicyMode>,
    /// Who decides when the component fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "last_good")]
    pub fallback: Option<Fallback>,
    /// For which node groups, by their labels. Without a selector: for those that no other policy
    /// of the kind selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_group_selector: Option<LabelSelector>,
    /// The version that the component must give for itself. Another one is not loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(
        r"self.matches('^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?$')",
    ).message("version must be a semantic version such as 1.4.0"))]
    pub version: Option<String>,
    /// Signature of the component: the text of the file that `minisign -S` writes, the line that `cosign sign-blob
    /// --key` prints, or the file that it writes with `--bundle`. It is checked against the keys that
    /// AutoscalerConfig names, whether that demands signatures or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub signature: Option<String>,
    /// For a Canary: the share in percent of its node groups for which it decides, at least one group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub canary_percent: Option<i32>,
    /// When a policy that fails is no longer asked. With fallback Hold it is asked for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trip_after: Option<TripAfter>,
}

/// When a policy that fails is no longer asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TripAfter {
    /// So many calls without a usable answer: traps, limits, refused plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000), default = "trip_failures")]
    pub failures: Option<i32>,
    /// Within this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "trip_within")]
    pub within: Option<DurationString>,
}

/// A kind of decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// Which groups grow.
    ScaleUp,
    /// Which offerings the growth is made of.
    NodeSelection,
    /// Which nodes go or are replaced.
    Rebalance,
}

impl PolicyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ScaleUp, Self::NodeSelection, Self::Rebalance];

    /// The word that stands in objects, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScaleUp => "scale-up",
            Self::NodeSelection => "node-selection",
            Self::Rebalance => "rebalance",
        }
    }
}

/// Where a component comes from; exactly one field is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new(
    "[has(self.builtIn), has(self.configMap), has(self.oci), has(self.http), has(self.file)].filter(given, given).size() == 1",
).message(Message::Expression(
    "'spec.source must have exactly one of builtIn, configMap, oci, http and file; given:' \
     + (has(self.builtIn) ? ' builtIn' : '') + (has(self.configMap) ? ' configMap' : '') \
     + (has(self.oci) ? ' oci' : '') + (has(self.http) ? ' http' : '') + (has(self.file) ? ' file' : '') \
     + ([has(self.builtIn), has(self.configMap), has(self.oci), has(self.http), has(self.file)].exists(given, given) ? '' : ' none')"
        .into(),
)))]
#[serde(rename_all = "camelCase")]
pub struct PolicySource {
    /// Name of a component in the binary: scale-up, node-selection or rebalance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub built_in: Option<String>,
    /// A key of a ConfigMap (binaryData).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapSource>,
    /// An artifact in an OCI registry, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<OciSource>,
    /// A file behind an address, with its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// A file that the controller's pod can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
}

/// A key of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapSource {
    /// Namespace; the controller may read ConfigMaps of kube-system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), default = "kube_system")]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in binaryData.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), default = "policy_key")]
    pub key: Option<String>,
}

/// An artifact in an OCI registry.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OciSource {
    /// Reference with a digest: `registry.example/policy@sha256:…`. A tag alone can change.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[^@ ]+@sha256:[0-9a-f]{64}$')")
        .message("image must name a digest: registry.example/policy@sha256:<64 hexadecimal digits>"))]
    pub image: String,
    /// Secret in kube-system with credentials for the registry, of type kubernetes.io/dockerconfigjson. The controller
    /// may read `vpsie-policy-pull`; another name needs a Role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub pull_secret: Option<String>,
}

/// A file behind an address.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Address.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('https://') || self.startsWith('http://')")
        .message("url must begin with https:// or http://"))]
    pub url: String,
    /// SHA-256 of the file in hexadecimal digits.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{64}$')")
        .message("sha256 must be 64 hexadecimal digits in lower case"))]
    pub sha256: String,
}

/// A file that the controller's pod can read.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// Absolute path.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("path must be absolute"))]
    pub path: String,
}

/// What one call may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyLimits {
    /// Instructions, as wasmtime counts fuel. This is the repeatable limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), default = "fuel")]
    pub fuel: Option<i64>,
    /// Time on the clock, as a backstop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "deadline")]
    pub deadline: Option<DurationString>,
    /// Memory in MiB.
    #[serde(rename = "memoryMiB", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256), default = "memory")]
    pub memory_mib: Option<i64>,
    /// Size of the answer in KiB.
    #[serde(rename = "outputKiB", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536), default = "output")]
    pub output_kib: Option<i64>,
}

/// Whether decisions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyMode {
    /// Not called.
    Off,
    /// Called after every decision and compared with it; another decides.
    Shadow,
    /// It decides for a share of its node groups.
    Canary,
    /// It decides.
    #[default]
    Active,
}

/// Who decides when a component fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Fallback {
    /// The version before, if there is one, then the built-in policy.
    #[default]
    LastGood,
    /// The built-in policy.
    BuiltIn,
    /// Nobody: nothing changes in this round.
    Hold,
}

impl ScalingPolicySpec {
    /// Whether decisions count (default Active).
    pub fn mode_or_default(&self) -> PolicyMode {
        self.mode.unwrap_or_default()
    }

    /// Who decides when the component fails (default LastGood).
    pub fn fallback_or_default(&self) -> Fallback {
        self.fallback.unwrap_or_default()
    }

    /// The share of its node groups that a Canary decides for; none where it is for all of them.
    pub fn canary_share(&self) -> Option<u32> {
        let percent = self.canary_percent.unwrap_or(CANARY_PERCENT);
        (self.mode_or_default() == PolicyMode::Canary).then(|| u32::try_from(percent).unwrap_or(1))
    }

    /// When it trips, with every default in place.
    pub fn trip_after_or_default(&self) -> TripAfter {
        self.trip_after.clone().unwrap_or_default()
    }

    /// The limits with every default in place.
    pub fn limits_or_default(&self) -> PolicyLimits {
        self.limits.clone().unwrap_or_default()
    }
}

crate::autoscaler_config::accessors!(PolicyLimits {
    fuel, fuel_or_default: i64 = fuel;
    deadline, deadline_or_default: DurationString = deadline;
    memory_mib, memory_mib_or_default: i64 = memory;
    output_kib, output_kib_or_default: i64 = output;
});

crate::autoscaler_config::accessors!(TripAfter {
    failures, failures_or_default: i32 = trip_failures;
    within, within_or_default: DurationString = trip_within;
});

crate::autoscaler_config::accessors!(ConfigMapSource {
    namespace, namespace_or_default: String = kube_system;
    key, key_or_default: String = policy_key;
});

/// The share of a Canary whose object does not say.
const CANARY_PERCENT: i32 = 10;

fn trip_failures() -> Option<i32> {
    Some(5)
}

fn trip_within() -> Option<DurationString> {
    Some("10m".into())
}

fn active() -> Option<PolicyMode> {
    Some(PolicyMode::Active)
}

fn last_good() -> Option<Fallback> {
    Some(Fallback::LastGood)
}

fn kube_system() -> Option<String> {
    Some("kube-system".to_owned())
}

fn policy_key() -> Option<String> {
    Some("policy.wasm".to_owned())
}

// The defaults are those of the policy host. A decision over 10 000 pods takes a few million units of fuel.
fn fuel() -> Option<i64> {
    Some(4_000_000_000)
}

fn deadline() -> Option<DurationString> {
    Some("5s".into())
}

fn memory() -> Option<i64> {
    Some(64)
}

fn output() -> Option<i64> {
    Some(4096)
}

fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
