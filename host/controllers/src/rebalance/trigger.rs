//! Why an operation ends before its last step: one stable word for conditions and logs, one sentence for people.

use super::judge::named;
use std::fmt;
use std::time::Duration;

/// Why an operation ends before its last step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Deleted,
    Requested,
    Uncordoned(String),
    MarksCleared(String),
    DrainTimeout {
        node: String,
        timeout: Duration,
        left: Vec<String>,
        detail: String,
    },
    Forbidden {
        node: String,
        detail: String,
    },
    Occupied {
        node: String,
        pods: Vec<String>,
    },
    Unplaceable {
        pod: String,
    },
    /// A new node did not come.
    ProvisionFailed {
        node: String,
        detail: String,
    },
    /// Somebody deleted a new node.
    ReplacementDeleted(String),
    /// A disruption budget can never let the node's pods go.
    BudgetDeadlock {
        node: String,
        detail: String,
    },
    /// The cluster has changed: the node's pods fit nowhere else any more.
    NoRoom {
        node: String,
        detail: String,
    },
    /// Moved workloads are not as ready as before.
    WorkloadsUnhealthy {
        timeout: Duration,
        workloads: Vec<String>,
    },
    /// Too many other nodes are not Ready.
    ClusterDegraded(String),
    /// The maintenance window closed between a new node and the end of its old one.
    WindowClosed(String),
}

impl Trigger {
    /// One stable word for condition and log.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Deleted => "DeletedByOperator",
            Self::Requested => "RollbackRequested",
            Self::Uncordoned(_) => "UncordonedByOperator",
            Self::MarksCleared(_) => "StateClearedByOperator",
            Self::DrainTimeout { .. } => "DrainTimeout",
            Self::Forbidden { .. } => "EvictionForbidden",
            Self::Occupied { .. } => "NodeOccupied",
            Self::Unplaceable { .. } => "PodWithoutPlace",
            Self::ProvisionFailed { .. } => "ProvisioningFailed",
            Self::ReplacementDeleted(_) => "ReplacementDeletedByOperator",
            Self::BudgetDeadlock { .. } => "DisruptionBudgetDeadlock",
            Self::NoRoom { .. } => "NoPlaceForPods",
            Self::WorkloadsUnhealthy { .. } => "WorkloadsUnhealthy",
            Self::ClusterDegraded(_) => "ClusterHealthDegraded",
            Self::WindowClosed(_) => "MaintenanceWindowClosed",
        }
    }

    /// An operator wants it: undone whatever the settings say.
    pub(super) fn is_by_operator(&self) -> bool {
        matches!(
            self,
            Self::Deleted
                | Self::Requested
                | Self::Uncordoned(_)
                | Self::MarksCleared(_)
                | Self::ReplacementDeleted(_)
                | Self::WindowClosed(_)
        )
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => write!(f, "the Rebalance was deleted"),
            Self::Requested => write!(f, "rollback was requested by annotation"),
            Self::Uncordoned(node) => write!(f, "somebody uncordoned node {node}"),
            Self::MarksCleared(node) => {
                write!(f, "somebody cleared the rebalance label or taint of {node}")
            }
            Self::DrainTimeout {
                node,
                timeout,
                left,
                detail,
            } => {
                write!(
                    f,
                    "drain timeout of {}s exceeded on node {node}: {} left",
                    timeout.as_secs(),
                    named(left)
                )?;
                if detail.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; {detail}")
                }
            }
            Self::Forbidden { node, detail } => write!(f, "node {node} may not be drained: {detail}"),
            Self::Occupied { node, pods } => write!(f, "node {node} has got pods again: {}", named(pods)),
            Self::Unplaceable { pod } => write!(f, "pod {pod} finds no place without the node"),
            Self::ProvisionFailed { node, detail } => {
                write!(f, "provisioning of the replacement {node} failed: {detail}")
            }
            Self::ReplacementDeleted(node) => write!(f, "somebody deleted the replacement {node}"),
            Self::BudgetDeadlock { node, detail } => {
                write!(f, "node {node} could never be drained: {detail}")
            }
            Self::NoRoom { node, detail } => {
                write!(
                    f,
                    "the cluster has changed, node {node} is needed again: {detail}"
                )
            }
            Self::WorkloadsUnhealthy { timeout, workloads } => write!(
                f,
                "timeout of {}s: moved workloads are not as ready as before: {}",
                timeout.as_secs(),
                named(workloads)
            ),
            Self::ClusterDegraded(detail) => write!(f, "cluster health degraded: {detail}"),
            Self::WindowClosed(detail) => write!(f, "the maintenance window closed: {detail}"),
        }
    }
}
