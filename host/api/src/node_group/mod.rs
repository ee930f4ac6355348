//! NodeGroup: a set of like nodes that grows and shrinks between two limits.
//!
//! The desired size that the controllers work towards is `status.desiredNodes`. An operator who
//! wants more nodes than the load asks for sets `spec.desiredNodes`, by hand or with
//! `kubectl scale`: it is a floor for the desired size, between `minNodes` and `maxNodes`.

mod headroom;
mod policies;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use headroom::Headroom;
pub use policies::{
    CostOptimization, DistributionStrategy, DrainPolicy, MultiRegion, OptimizationStrategy, PodTreatment,
    ScaleDownPolicy, ScaleUpPolicy, SingleReplica, SpotConfig,
};
pub use status::{CreationPause, FutilePurchase, GroupNode, NodeGroupStatus, OfferingHealth, ProviderGroup};

use crate::common::{Labels, Taint, kubernetes_version_schema, labels_schema, offering_ids_schema};
use crate::provisioner::{Provisioner, UserData};

/// What a node group is.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "autoscaler.vpsie.com",
    version = "v1alpha1",
    kind = "NodeGroup",
    plural = "nodegroups",
    shortname = "ng",
    shortname = "ngs",
    category = "vpsie",
    namespaced,
    status = "NodeGroupStatus",
    derive = "PartialEq",
    doc = "A set of like VPSie nodes that grows and shrinks between minNodes and maxNodes.",
    scale(
        spec_replicas_path = ".spec.desiredNodes",
        status_replicas_path = ".status.currentNodes"
    ),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.minNodes"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxNodes"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredNodes"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.currentNodes"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyNodes"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the group does what its spec asks",
        priority = 1
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(
        name = "Offerings",
        type_ = "string",
        json_path = ".spec.offeringIDs",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new("self.minNodes <= self.maxNodes")
        .message("spec.minNodes must not exceed spec.maxNodes")
        .field_path(".maxNodes"),
    validation = Rule::new(
        "!has(self.desiredNodes) || (self.desiredNodes >= self.minNodes && self.desiredNodes <= self.maxNodes)",
    )
    .message("spec.desiredNodes must lie between spec.minNodes and spec.maxNodes")
    .field_path(".desiredNodes"),
    validation = Rule::new(
        "(has(self.provisioner) && self.provisioner == 'VM') || (has(self.resourceIdentifier) && size(self.resourceIdentifier) > 0)",
    )
    .message("spec.resourceIdentifier is required: it names the VPSie Kubernetes cluster, unless spec.provisioner is VM")
    .field_path(".resourceIdentifier"),
    validation = Rule::new(
        "!has(self.provisioner) || self.provisioner != 'VM' || !has(self.resourceIdentifier) || size(self.resourceIdentifier) == 0",
    )
    .message("spec.resourceIdentifier names a managed cluster: leave it out where spec.provisioner is VM")
    .field_path(".resourceIdentifier"),
    validation = Rule::new(
        "!has(self.provisioner) || self.provisioner != 'VM' || (has(self.osImageID) && size(self.osImageID) > 0)",
    )
    .message("spec.osImageID is required where spec.provisioner is VM: every VM is made of an image")
    .field_path(".osImageID"),
    validation = Rule::new("!has(self.provisioner) || self.provisioner != 'VM' || !has(self.kubeSizeID)")
        .message("spec.kubeSizeID is a size of managed clusters: leave it out where spec.provisioner is VM")
        .field_path(".kubeSizeID"),
    validation = Rule::new(
        "!has(self.provisioner) || self.provisioner != 'VM' || !has(self.sshKeyIDs) || size(self.sshKeyIDs) <= 1",
    )
    .message("spec.sshKeyIDs: VPSie takes one key for a VM; give others in spec.userData")
    .field_path(".sshKeyIDs"),
    validation = Rule::new("!has(self.userData) || (has(self.provisioner) && self.provisioner == 'VM')")
        .message("spec.userData is for VMs: VPSie configures nodes of managed clusters itself")
        .field_path(".userData"),
    validation = Rule::new(
        "(has(self.provisioner) ? self.provisioner : 'Managed') == (has(oldSelf.provisioner) ? oldSelf.provisioner : 'Managed')",
    )
    .message("spec.provisioner cannot be changed: make a new group")
    .field_path(".provisioner")
)]
#[serde(rename_all = "camelCase")]
pub struct NodeGroupSpec {
    /// Fewest nodes. The group never shrinks below it.
    #[schemars(range(min = 0))]
    pub min_nodes: i32,
    /// Most nodes. The group never grows above it.
    #[schemars(range(min = 1))]
    pub max_nodes: i32,
    /// A floor for the size, between minNodes and maxNodes, set by an operator or by `kubectl scale`.
    /// Load may still raise the size above it; the group does not shrink below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub desired_nodes: Option<i32>,
    /// Id of the VPSie datacenter.
    #[serde(rename = "datacenterID")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("datacenterID consists of letters, digits, '_' and '-'"))]
    pub datacenter_id: String,
    /// How VPSie makes the machines: Managed adds nodes to a Kubernetes cluster of VPSie's, VM makes plain machines
    /// that join this cluster by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "managed")]
    pub provisioner: Option<Provisioner>,
    /// Identifier (UUID) of the VPSie Kubernetes cluster. VMs have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub resource_identifier: String,
    /// Id of the VPSie project of VMs; the account's own where absent. A managed cluster decides its project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub project: Option<String>,
    /// Offerings that nodes of this group may be made of, the best liked first: Kubernetes sizes by number, name or
    /// UUID, or plans of VMs by name or UUID.
    #[serde(rename = "offeringIDs")]
    #[schemars(schema_with = "required_offering_ids_schema")]
    pub offering_ids: Vec<String>,
    /// Image of the operating system (UUID), which VMs need. VPSie chooses it for managed clusters.
    #[serde(rename = "osImageID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub os_image_id: Option<String>,
    /// Version of Kubernetes, such as v1.33.2, for the user data of VMs. VPSie gives managed nodes the version of their
    /// cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "kubernetes_version_schema")]
    pub kubernetes_version: Option<String>,
    /// The offering to take when several do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub preferred_instance_type: Option<String>,
    /// Whether nodes of different offerings may stand side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(default = "policies::some_true")]
    pub allow_mixed_instances: Option<bool>,
    /// Labels that each Node of the group carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels_schema")]
    pub labels: Option<Labels>,
    /// Taints that each Node of the group carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub taints: Option<Vec<Taint>>,
    /// Room that is kept free for pods that are not there yet. Pods that are there come first, and no node goes that
    /// the room needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<Headroom>,
    /// When the group may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up_policy: Option<ScaleUpPolicy>,
    /// When the group may shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down_policy: Option<ScaleDownPolicy>,
    /// SSH key (UUID) of VMs. VPSie has no way to give one to managed nodes.
    #[serde(rename = "sshKeyIDs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ssh_key_ids: Option<Vec<String>>,
    /// Tags of VMs. VPSie has no way to give them to managed nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tags: Option<Vec<String>>,
    /// A note for people; VMs carry it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub notes: Option<String>,
    /// What VMs are told at their first start, so that they join.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<UserData>,
    /// Number of the VPSie Kubernetes size that the first offering stands for. Where absent it is
    /// looked up in the catalogue.
    #[serde(rename = "kubeSizeID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub kube_size_id: Option<i64>,
    /// Spot instances. VPSie offers none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot_config: Option<SpotConfig>,
    /// Several datacenters. A VPSie cluster lives in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_region: Option<MultiRegion>,
    /// Cost optimisation of the Go controller. A ScalingPolicy of kind rebalance does this now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_optimization: Option<CostOptimization>,
}

fn managed() -> Option<Provisioner> {
    Some(Provisioner::Managed)
}

fn required_offering_ids_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = offering_ids_schema(generator);
    schema.insert("minItems".to_owned(), 1.into());
    schema
}

impl NodeGroupSpec {
    /// How VPSie makes the machines (default Managed).
    pub fn provisioner_or_default(&self) -> Provisioner {
        self.provisioner.unwrap_or_default()
    }

    /// Whether the machines are plain VMs.
    pub fn is_vm(&self) -> bool {
        self.provisioner_or_default() == Provisioner::VM
    }

    /// What VPSie's limit of machines is counted for.
    pub fn quota_scope(&self) -> &str {
        self.provisioner_or_default()
            .quota_scope(&self.resource_identifier)
    }

    /// Which catalogue its offerings are of.
    pub fn market(&self) -> String {
        self.provisioner_or_default()
            .market(&self.datacenter_id, self.os_image_id.as_deref())
    }

    /// Whether the group may grow by itself.
    pub fn scale_up_enabled(&self) -> bool {
        self.scale_up_policy
            .as_ref()
            .is_none_or(ScaleUpPolicy::enabled_or_default)
    }

    /// Whether the group may shrink by itself.
    pub fn scale_down_enabled(&self) -> bool {
        self.scale_down_policy
            .as_ref()
            .is_none_or(ScaleDownPolicy::enabled_or_default)
    }

    /// The scale-up policy with every default in place.
    pub fn scale_up_policy_or_default(&self) -> ScaleUpPolicy {
        self.scale_up_policy.clone().unwrap_or_default()
    }

    /// The scale-down policy with every default in place.
    pub fn scale_down_policy_or_default(&self) -> ScaleDownPolicy {
        self.scale_down_policy.clone().unwrap_or_default()
    }

    /// Whether nodes of different offerings may stand side by side (default true).
    pub fn allow_mixed_instances_or_default(&self) -> bool {
        self.allow_mixed_instances.unwrap_or(true)
    }

    /// `wanted` moved into what the spec allows: at least `minNodes` and `desiredNodes`, at most
    /// `maxNodes`. The upper limit wins.
    pub fn clamp(&self, wanted: i32) -> i32 {
        wanted.max(self.floor()).min(self.max_nodes)
    }

    /// The size below which the group does not shrink.
    pub fn floor(&self) -> i32 {
        self.min_nodes
            .max(self.desired_nodes.unwrap_or(0))
            .min(self.max_nodes)
    }

    /// Fields that are set to a value that nothing in this version acts on, as paths, in a fixed order.
    pub fn unsupported_fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        let mut check = |set: bool, path: &str| {
            if set {
                fields.push(path.to_owned());
            }
        };
        let text = |value: &Option<String>| value.as_ref().is_some_and(|v| !v.is_empty());
        let list = |value: &Option<Vec<String>>| value.as_ref().is_some_and(|v| !v.is_empty());
        let managed = !self.is_vm();
        check(managed && text(&self.project), "spec.project");
        check(managed && text(&self.os_image_id), "spec.osImageID");
        check(
            managed && text(&self.kubernetes_version),
            "spec.kubernetesVersion",
        );
        check(managed && list(&self.ssh_key_ids), "spec.sshKeyIDs");
        check(managed && list(&self.tags), "spec.tags");
        check(
            self.spot_config.as_ref().is_some_and(|s| s.enabled == Some(true)),
            "spec.spotConfig",
        );
        check(
            self.multi_region
                .as_ref()
                .is_some_and(|m| m.enabled == Some(true)),
            "spec.multiRegion",
        );
        check(
            self.cost_optimization
                .as_ref()
                .is_some_and(|c| c.enabled != Some(false)),
            "spec.costOptimization",
        );
        // The API server fills in the defaults: only another value shows that somebody counts on it.
        let (up, preset) = (self.scale_up_policy_or_default(), ScaleUpPolicy::default());
        check(
            up.cpu_threshold_or_default() != preset.cpu_threshold_or_default(),
            "spec.scaleUpPolicy.cpuThreshold",
        );
        check(
            up.memory_threshold_or_default() != preset.memory_threshold_or_default(),
            "spec.scaleUpPolicy.memoryThreshold",
        );
        fields
    }
}

impl NodeGroup {
    /// Whether the group is ours to act on: every group is, unless its label says `"false"`. Only groups of this
    /// kind are ever looked at, so that a group without the label is one that somebody made to be managed.
    pub fn is_managed(&self) -> bool {
        self.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(crate::labels::MANAGED))
            .is_none_or(|value| value != crate::labels::FALSE)
    }
}
