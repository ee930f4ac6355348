//! What a world begins with: the cloud, the node groups, the settings; and the workloads that come later.

use autoscaler_api::{AutoscalerConfig, NodeGroup, ScalingPolicy};
use autoscaler_controllers::settings::Pace;
use autoscaler_policy::record::Records;
use fake_vpsie::Config;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};
use std::sync::Arc;

/// Namespace of workloads.
pub const NAMESPACE: &str = "demo";
/// Namespace of the autoscaler, its secret and its node groups.
pub const SYSTEM: &str = "kube-system";

/// The beginning of a world.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub start: Timestamp,
    pub cloud: Config,
    pub groups: Vec<NodeGroup>,
    pub config: Option<AutoscalerConfig>,
    pub policies: Vec<ScalingPolicy>,
    /// Components of the policies.
    pub config_maps: Vec<ConfigMap>,
    pub budgets: Vec<PodDisruptionBudget>,
    pub pace: Pace,
    /// Where the autoscaler keeps the records of its decisions.
    pub records: Arc<Records>,
}

impl Default for Scenario {
    /// An empty cluster on the fake's own price list, on a Monday morning.
    fn default() -> Self {
        Self {
            // 2027-01-04T08:00:00Z
            start: Timestamp::from_second(1_799_049_600).unwrap_or(Timestamp::UNIX_EPOCH),
            cloud: Config::default(),
            groups: Vec::new(),
            config: None,
            policies: Vec::new(),
            config_maps: Vec::new(),
            budgets: Vec::new(),
            pace: Pace::default(),
            records: Arc::default(),
        }
    }
}

/// A Deployment in a few words.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Name, and value of the label `app`.
    pub name: &'static str,
    pub replicas: i32,
    pub cpu: &'static str,
    pub memory: &'static str,
    pub node_selector: Option<(&'static str, &'static str)>,
    /// Key and value of a `NoSchedule` taint that is tolerated.
    pub tolerates: Option<(&'static str, &'static str)>,
}

impl Workload {
    /// A plain one.
    pub const fn new(name: &'static str, replicas: i32, cpu: &'static str, memory: &'static str) -> Self {
        Self {
            name,
            replicas,
            cpu,
            memory,
            node_selector: None,
            tolerates: None,
        }
    }

    /// As a Kubernetes object.
    ///
    /// # Errors
    /// Never for the fields above; the conversion can say so only this way.
    pub fn deployment(&self) -> Result<Deployment, serde_json::Error> {
        let mut pod = json!({
            "containers": [{
                "name": "main",
                "image": "registry.k8s.io/pause:3.10",
                "resources": {"requests": {"cpu": self.cpu, "memory": self.memory}},
            }],
        });
        if let Some((key, value)) = self.node_selector {
            pod["nodeSelector"] = json!({key: value});
        }
        if let Some((key, value)) = self.tolerates {
            pod["tolerations"] =
                json!([{"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}]);
        }
        serde_json::from_value(json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": {"app": self.name}},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app": self.name}},
                "template": {"metadata": {"labels": {"app": self.name}}, "spec": pod},
            },
        }))
    }
}

/// A node group of the fake's first cluster. `more` is merged into its spec.
///
/// # Errors
/// When `more` has fields of a wrong type.
pub fn node_group(
    cloud: &Config,
    name: &str,
    max: i32,
    offerings: &[&str],
    more: &Value,
) -> Result<NodeGroup, serde_json::Error> {
    let cluster = cloud.clusters.first();
    let mut spec = json!({
        "minNodes": 0,
        "maxNodes": max,
        "datacenterID": cluster.map_or("", |cluster| cluster.datacenter.as_str()),
        "resourceIdentifier": cluster.map_or("", |cluster| cluster.identifier.as_str()),
        "offeringIDs": offerings,
        "scaleUpPolicy": {"stabilizationWindowSeconds": 0},
        "scaleDownPolicy": {"stabilizationWindowSeconds": 60, "cooldownSeconds": 0},
    });
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more.clone());
    }
    serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION,
        "kind": "NodeGroup",
        "metadata": {
            "name": name, "namespace": SYSTEM,
            "labels": {autoscaler_api::labels::MANAGED: autoscaler_api::labels::TRUE},
        },
        "spec": spec,
    }))
}

/// A node group of plain VMs. `more` is merged into its spec.
///
/// # Errors
/// When `more` has fields of a wrong type.
pub fn vm_group(
    cloud: &Config,
    name: &str,
    max: i32,
    plans: &[&str],
    more: &Value,
) -> Result<NodeGroup, serde_json::Error> {
    let mut spec = json!({
        "provisioner": "VM",
        "osImageID": cloud.plain.images.first(),
        "sshKeyIDs": cloud.plain.ssh_keys.iter().take(1).collect::<Vec<_>>(),
        "tags": ["autoscaler"],
        "notes": "made by a test",
        "userData": {"template": "#cloud-config\nruncmd:\n- join --token {{ secret.token }} --node {{ hostname }}\n"},
    });
    if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
        spec.extend(more.clone());
    }
    let mut group = node_group(cloud, name, max, plans, &spec)?;
    group.spec.resource_identifier = String::new();
    Ok(group)
}

/// At least `minimum` pods of the app stay, whatever is evicted.
///
/// # Errors
/// Never; see [`Workload::deployment`].
pub fn budget(app: &str, minimum: i32) -> Result<PodDisruptionBudget, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": app, "namespace": NAMESPACE},
        "spec": {"minAvailable": minimum, "selector": {"matchLabels": {"app": app}}},
    }))
}

/// The settings of the installation.
///
/// # Errors
/// When `spec` has fields of a wrong type.
pub fn config(spec: &Value) -> Result<AutoscalerConfig, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": autoscaler_api::API_VERSION,
        "kind": "AutoscalerConfig",
        "metadata": {"name": autoscaler_api::CONFIG_NAME},
        "spec": spec,
    }))
}
