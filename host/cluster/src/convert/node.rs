//! Nodes: what they offer, what they refuse, and whether they may go.

use super::requests::resources;
use autoscaler_api::labels;
use autoscaler_core::model::{AttachLimits, Labels, ResourceNames, Resources, Taint, TaintEffect};
use k8s_openapi::api::core::v1::{Node, Taint as KubeTaint};
use k8s_openapi::api::storage::v1::CSINode;

/// What a node offers to pods.
pub(crate) fn allocatable(node: &Node, names: &mut ResourceNames) -> Resources {
    resources(
        node.status
            .as_ref()
            .and_then(|status| status.allocatable.as_ref()),
        names,
    )
}

/// How many volumes each CSI driver attaches to the node of this name; drivers without a limit are not listed.
pub(crate) fn attach_limits(node: &CSINode) -> AttachLimits {
    let limit = |driver: &k8s_openapi::api::storage::v1::CSINodeDriver| {
        let count = driver.allocatable.as_ref()?.count?;
        Some((driver.name.clone(), u32::try_from(count).unwrap_or(0)))
    };
    node.spec.drivers.iter().filter_map(limit).collect()
}

/// Whether the kubelet reports the node ready.
pub(crate) fn is_ready(node: &Node) -> bool {
    node.status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn effect(text: &str) -> Option<TaintEffect> {
    match text {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

/// The taints of a node, in the order of the object.
pub(crate) fn taints_of(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_ref());
    taints.into_iter().flatten().filter_map(taint).collect()
}

fn taint(taint: &KubeTaint) -> Option<Taint> {
    Some(Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: effect(&taint.effect)?,
    })
}

/// Why a node may not be removed for lack of load: the opt-outs of ours and of other autoscalers.
pub(crate) fn protection(node: &Node) -> Option<(String, String)> {
    let annotation = |key: &str| {
        node.metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(key))
            .map(String::as_str)
    };
    let label = |key: &str| {
        node.metadata
            .labels
            .as_ref()
            .and_then(|all| all.get(key))
            .map(String::as_str)
    };
    let opt_outs = [
        (labels::PROTECTED, annotation(labels::PROTECTED) == Some("true")),
        (
            labels::SCALE_DOWN,
            annotation(labels::SCALE_DOWN) == Some("disabled"),
        ),
        (
            labels::SCALE_DOWN_DISABLED,
            label(labels::SCALE_DOWN_DISABLED) == Some("true"),
        ),
        (
            CA_SCALE_DOWN_DISABLED,
            annotation(CA_SCALE_DOWN_DISABLED) == Some("true"),
        ),
        (DO_NOT_DISRUPT, annotation(DO_NOT_DISRUPT) == Some("true")),
    ];
    opt_outs.into_iter().find(|(_, set)| *set).map(|(key, _)| {
        (
            "ScaleDownDisabledAnnotation".to_owned(),
            format!("the node carries {key}"),
        )
    })
}

/// Opt-out of nodes for users of Cluster Autoscaler.
const CA_SCALE_DOWN_DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
/// Opt-out of nodes and pods for users of Karpenter.
pub(crate) const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// The labels that a node of a group will carry: those of the group, ours, and those every Linux node has.
/// The node's own `kubernetes.io/hostname` comes on top.
pub fn labels_of_new_node(group: &autoscaler_api::NodeGroup, offering: &str) -> Labels {
    let mut all = Labels::from(
        [
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
            ("node.kubernetes.io/instance-type", offering),
            ("topology.kubernetes.io/zone", group.spec.datacenter_id.as_str()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    all.extend(group.spec.labels.clone().unwrap_or_default());
    let name = group.metadata.name.clone().unwrap_or_default();
    let namespace = group.metadata.namespace.clone().unwrap_or_default();
    all.extend(
        [
            (labels::MANAGED, labels::TRUE.to_owned()),
            (labels::NODE_GROUP, name),
            (labels::NODE_GROUP_NAMESPACE, namespace),
            (labels::DATACENTER, group.spec.datacenter_id.clone()),
            (labels::OFFERING, offering.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    all
}
