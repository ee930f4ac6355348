//! Labels, annotations and finalizers that stand on objects, in one place.
//!
//! The keys are a public interface: operators select on them and other tools set them.

use std::collections::BTreeMap;

/// Label `"true"` on the VPSieNodes and Nodes that this autoscaler made. On a NodeGroup the value
/// `"false"` takes the group out of its hands; without the label a group is managed.
pub const MANAGED: &str = "autoscaler.vpsie.com/managed";
/// Label on VPSieNodes and Nodes: name of the NodeGroup.
pub const NODE_GROUP: &str = "autoscaler.vpsie.com/nodegroup";
/// Label on Nodes: namespace of the NodeGroup.
pub const NODE_GROUP_NAMESPACE: &str = "autoscaler.vpsie.com/nodegroup-namespace";
/// Label on Nodes: the VPSieNode that claimed it.
pub const VPSIE_NODE: &str = "autoscaler.vpsie.com/vpsienode";
/// Label on Nodes: datacenter id.
pub const DATACENTER: &str = "autoscaler.vpsie.com/datacenter";
/// Label on Nodes: offering id.
pub const OFFERING: &str = "autoscaler.vpsie.com/offering";
/// Label `"true"` on Nodes: never remove for lack of load.
pub const SCALE_DOWN_DISABLED: &str = "autoscaler.vpsie.com/scale-down-disabled";
/// Label on VPSieNodes and Nodes that a running rebalance operation involves.
pub const REBALANCE_OPERATION: &str = "rebalance-operation";
/// Value of [`REBALANCE_OPERATION`] for as long as the operation runs.
pub const IN_PROGRESS: &str = "in-progress";
/// Value of the labels that are switches.
pub const TRUE: &str = "true";
/// The other value of the labels that are switches.
pub const FALSE: &str = "false";

/// Annotation `"true"` on Nodes: never remove for lack of load.
pub const PROTECTED: &str = "autoscaler.vpsie.com/protected";
/// Annotation `"disabled"` on Nodes: never remove for lack of load.
pub const SCALE_DOWN: &str = "autoscaler.vpsie.com/scale-down";
/// Annotation on Nodes: when the drain began (RFC 3339).
pub const DRAIN_START_TIME: &str = "autoscaler.vpsie.com/drain-start-time";
/// Annotation on Nodes: `draining`, `complete`, `failed` or `timeout`.
pub const DRAIN_STATUS: &str = "autoscaler.vpsie.com/drain-status";
/// Annotation on Nodes: who cordoned it (an operation id). Only such cordons are ever undone.
pub const CORDONED_BY: &str = "autoscaler.vpsie.com/cordoned-by";
/// Annotation on Nodes: number of the VM at VPSie.
pub const VPS_ID: &str = "autoscaler.vpsie.com/vps-id";
/// Annotation on Nodes: why it was created: `metrics`, `manual`, `rebalance` or `initial`.
pub const CREATION_REASON: &str = "autoscaler.vpsie.com/creation-reason";
/// Annotation on VPSieNodes of the Go controller: the add-node request was sent. Still read; this program records
/// the time in `status.creationRequestedAt`.
pub const CREATION_REQUESTED: &str = "autoscaler.vpsie.com/creation-requested";
/// Annotation on VPSieNodes: the further choices of the plan, best first, as JSON: `[["offering", size], …]`.
pub const FALLBACKS: &str = "autoscaler.vpsie.com/fallback-offerings";
/// Annotation on NodeGroups: any new value wakes the group and its nodes now.
pub const RECONCILE_TRIGGER: &str = "reconcile-trigger";
/// The longer spelling of [`RECONCILE_TRIGGER`] in the upgrade guide of the Go controller.
pub const RECONCILE_TRIGGER_QUALIFIED: &str = "reconcile.autoscaler.vpsie.com/trigger";
/// Annotation `"requested"` on Rebalances: undo the operation.
pub const ROLLBACK: &str = "autoscaler.vpsie.com/rollback";
/// The shorter spelling of [`ROLLBACK`].
pub const ROLLBACK_SHORT: &str = "rollback";
/// Annotation on VPSieNodes and Nodes: namespace and name of the running operation that involves them.
pub const REBALANCE: &str = "autoscaler.vpsie.com/rebalance";
/// Annotation on the pod template of a Deployment that was restarted because its only pod had to leave a node: the
/// operation and the node.
pub const RESTARTED_FOR: &str = "autoscaler.vpsie.com/restarted-for";

/// Annotation on ScalingPolicies: the `status.trip.at` of a trip that a person has seen to; the policy decides again.
pub const ACKNOWLEDGE_TRIP: &str = "autoscaler.vpsie.com/acknowledge-trip";

/// Startup taint on managed nodes until the labels and taints of their group stand.
pub const STARTUP_TAINT: &str = "autoscaler.vpsie.com/initializing";

/// Finalizer on NodeGroups.
pub const NODE_GROUP_FINALIZER: &str = "nodegroup.autoscaler.vpsie.com/finalizer";
/// Finalizer on VPSieNodes: released when VPSie no longer lists the VM.
pub const VPSIE_NODE_FINALIZER: &str = "vpsienode.autoscaler.vpsie.com/finalizer";
/// Finalizer on Rebalances: a deleted operation is rolled back first.
pub const REBALANCE_FINALIZER: &str = "rebalance.autoscaler.vpsie.com/finalizer";

/// The value of the reconcile trigger, whichever spelling is used; the short one wins.
pub fn reconcile_trigger(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations
        .get(RECONCILE_TRIGGER)
        .or_else(|| annotations.get(RECONCILE_TRIGGER_QUALIFIED))
        .map(String::as_str)
}
