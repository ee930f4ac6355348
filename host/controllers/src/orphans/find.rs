//! Which machines have no record and which records have no machine. Pure: what VPSie lists against what Kubernetes
//! holds, at one moment. One moment proves little, so the caller believes only what stays.

use crate::vpsienode::{is_machine_of, provider_group_name};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode, labels};
use autoscaler_cluster::ObjectKey;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde::Serialize;
use std::sync::Arc;
use vpsie_client::{ClusterDetail, NodeRole, ProviderGroup, ProviderNode};

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A machine that is ours by the label on its Node, without the VPSieNode that the label names.
    Machine,
    /// A VPSieNode whose machine VPSie does not list.
    Record,
    /// More machines in a provider's group of ours than there are VPSieNodes for it.
    Surplus,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Machine, Self::Record, Self::Surplus];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Record => "record",
            Self::Surplus => "surplus",
        }
    }
}

/// One thing without its counterpart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Orphan {
    pub kind: Kind,
    /// UUID of the VPSie cluster.
    pub cluster: String,
    /// Host name of the machine, `namespace/name` of the record, or name of the provider's group.
    pub name: String,
    /// What an operator should know, in one sentence.
    pub what: String,
}

/// Both sides at one moment. `records` and `groups` may be of any cluster.
pub struct Facts<'a> {
    pub cluster: &'a str,
    pub listed: &'a ClusterDetail,
    pub provider_groups: &'a [ProviderGroup],
    pub records: &'a [Arc<VPSieNode>],
    pub groups: &'a [Arc<NodeGroup>],
    /// A Node by its name.
    pub node: &'a dyn Fn(&str) -> Option<Arc<Node>>,
}

/// Everything without its counterpart, in a fixed order.
pub fn find(facts: &Facts<'_>) -> Vec<Orphan> {
    let of_cluster = |identifier: &str| identifier == facts.cluster;
    let records: Vec<&VPSieNode> = facts
        .records
        .iter()
        .map(AsRef::as_ref)
        .filter(|record| !record.spec.is_vm() && of_cluster(&record.spec.resource_identifier))
        .collect();
    let orphan = |kind, name: String, what: String| Orphan {
        kind,
        cluster: facts.cluster.to_owned(),
        name,
        what,
    };
    let mut orphans: Vec<Orphan> = labelled(facts, &records)
        .map(|(row, key)| {
            let what = format!(
                "the label on Node {} names VPSieNode {key}, which does not exist",
                row.name_key()
            );
            orphan(Kind::Machine, row.hostname.clone(), what)
        })
        .collect();
    let labelled = orphans.len();
    for record in &records {
        let listed = || facts.listed.nodes.iter().any(|row| is_machine_of(record, row));
        if expects_machine(record) && !listed() {
            let machine = record
                .node_name()
                .or(record.provider_identifier())
                .unwrap_or_default();
            let what = format!("VPSie does not list its machine {machine}");
            orphans.push(orphan(Kind::Record, ObjectKey::of(*record).to_string(), what));
        }
    }
    for provider in facts.provider_groups {
        // Machines that are told above may be these.
        let surplus = surplus(facts, provider).saturating_sub(labelled);
        if surplus > 0 {
            let what = format!(
                "VPSie counts {} machines in it, and there are {} VPSieNodes for it",
                counted(provider),
                accounted(facts, provider)
            );
            orphans.push(orphan(Kind::Surplus, provider.name.clone(), what));
        }
    }
    orphans.sort();
    orphans
}

/// How many machines more than VPSieNodes there are in a provider's group that a NodeGroup of ours made; none in others.
pub(super) fn surplus(facts: &Facts<'_>, provider: &ProviderGroup) -> usize {
    let mut groups = facts
        .groups
        .iter()
        .filter(|group| group.spec.resource_identifier == facts.cluster);
    if groups.any(|group| provider.name == provider_group_name(&group.name_any(), provider.size.0)) {
        counted(provider).saturating_sub(accounted(facts, provider))
    } else {
        0
    }
}

pub(super) fn counted(provider: &ProviderGroup) -> usize {
    provider.nodes_count.map_or(0, |count| count as usize)
}

fn accounted(facts: &Facts<'_>, provider: &ProviderGroup) -> usize {
    let records = facts.records.iter();
    records
        .filter(|record| !record.spec.is_vm() && record.spec.resource_identifier == facts.cluster)
        .filter(|record| is_in(record, provider))
        .count()
}

/// Workers that carry our label and that no record claims, with the record that the label names. Only we put the
/// label on a Node, and only on one whose machine was ordered for that record.
fn labelled<'a>(
    facts: &'a Facts<'_>,
    records: &'a [&VPSieNode],
) -> impl Iterator<Item = (&'a ProviderNode, ObjectKey)> {
    let claimed = |row: &ProviderNode| records.iter().any(|record| is_machine_of(record, row));
    facts.listed.nodes.iter().filter_map(move |row| {
        let node = (facts.node)(&row.name_key())?;
        let labels = node.labels();
        let key = ObjectKey::new(
            labels.get(labels::NODE_GROUP_NAMESPACE)?,
            labels.get(labels::VPSIE_NODE)?,
        );
        let exists = facts.records.iter().any(|record| ObjectKey::of(&**record) == key);
        (row.role != NodeRole::ControlPlane && !exists && !claimed(row)).then_some((row, key))
    })
}

/// Whether the record has a machine that VPSie must list. One on its way out may have lost it already.
pub(super) fn expects_machine(record: &VPSieNode) -> bool {
    let known = record.provider_identifier().is_some() || record.node_name().is_some();
    let has = matches!(record.phase(), Phase::Provisioned | Phase::Joining | Phase::Ready);
    known && has && record.metadata.deletion_timestamp.is_none()
}

pub(super) fn is_in(record: &VPSieNode, provider: &ProviderGroup) -> bool {
    let status = record.status.as_ref().and_then(|status| status.vpsie_group_id);
    let number = status.or(record.spec.vpsie_group_id);
    // A record that waits for its order may be served by this group any moment.
    number == Some(provider.number.0)
        || (number.is_none() && record.spec.kube_size_id == Some(provider.size.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_api::vpsie_node::{VPSieNodeSpec, VPSieNodeStatus};
    use serde_json::{Value, json};
    use vpsie_client::{GroupNumber, OfferId};

    fn row(name: &str, role: NodeRole) -> ProviderNode {
        ProviderNode {
            id: None,
            identifier: Some(format!("uuid-{name}").to_lowercase().as_str().into()),
            hostname: name.to_owned(),
            address: None,
            private_address: None,
            role,
            status: None,
            cpu: None,
            memory_mib: None,
            disk_gib: None,
            created_on: None,
        }
    }

    fn record(name: &str, machine: Option<&str>, phase: Phase) -> Arc<VPSieNode> {
        let mut record = VPSieNode::new(
            name,
            VPSieNodeSpec {
                resource_identifier: "c".to_owned(),
                kube_size_id: Some(12),
                ..VPSieNodeSpec::default()
            },
        );
        record.metadata.namespace = Some("ns".to_owned());
        record.status = Some(VPSieNodeStatus {
            phase,
            node_name: machine.map(str::to_owned),
            vpsie_group_id: Some(7),
            ..VPSieNodeStatus::default()
        });
        Arc::new(record)
    }

    fn provider(name: &str, count: u32) -> ProviderGroup {
        ProviderGroup {
            number: GroupNumber(7),
            uuid: None,
            name: name.to_owned(),
            size: OfferId(12),
            nodes_count: Some(count),
            cpu: None,
            memory_mib: None,
            disk_gib: None,
            datacenter: None,
        }
    }

    #[test]
    fn what_lacks_its_counterpart_is_found_and_nothing_else() {
        use NodeRole::{ControlPlane, Worker};
        let ours = |record: &str| json!({labels::NODE_GROUP_NAMESPACE: "ns", labels::VPSIE_NODE: record});
        struct Case {
            name: &'static str,
            rows: Vec<ProviderNode>,
            /// Of the Nodes, by the name of the machine in lower case.
            labels: Vec<(&'static str, Value)>,
            records: Vec<Arc<VPSieNode>>,
            provider: ProviderGroup,
            want: Vec<(&'static str, &'static str)>,
        }
        let ready = |name, machine| record(name, Some(machine), Phase::Ready);
        let cases = [
            Case {
                name: "each has the other, in whatever case names are written",
                rows: vec![row("M-1", Worker)],
                labels: vec![("m-1", ours("a"))],
                records: vec![ready("a", "m-1")],
                provider: provider("web-12", 1),
                want: vec![],
            },
            Case {
                name: "a labelled machine whose record is gone",
                rows: vec![row("M-1", Worker)],
                labels: vec![("m-1", ours("a"))],
                records: vec![],
                provider: provider("web-12", 1),
                want: vec![("machine", "M-1")],
            },
            Case {
                name: "a worker without our label is somebody else's",
                rows: vec![row("M-1", Worker), row("M-2", Worker)],
                labels: vec![("m-1", json!({"tier": "x"}))],
                records: vec![],
                provider: provider("by-hand", 2),
                want: vec![],
            },
            Case {
                name: "a control plane is never ours, whatever its Node carries",
                rows: vec![row("M-1", ControlPlane)],
                labels: vec![("m-1", ours("a"))],
                records: vec![],
                provider: provider("web-12", 0),
                want: vec![],
            },
            Case {
                name: "a record whose machine VPSie does not list",
                rows: vec![],
                labels: vec![],
                records: vec![ready("a", "m-1")],
                provider: provider("web-12", 0),
                want: vec![("record", "ns/a")],
            },
            Case {
                name: "records that wait for a machine, or let it go, lack nothing",
                rows: vec![],
                labels: vec![],
                records: vec![
                    record("a", None, Phase::Provisioning),
                    record("b", Some("m-2"), Phase::Deleting),
                ],
                provider: provider("web-12", 0),
                want: vec![],
            },
            Case {
                name: "a group of ours with more machines than records",
                rows: vec![row("M-1", Worker), row("M-2", Worker)],
                labels: vec![("m-1", ours("a"))],
                records: vec![ready("a", "m-1")],
                provider: provider("web-12", 2),
                want: vec![("surplus", "web-12")],
            },
            Case {
                name: "the labelled machine explains the surplus",
                rows: vec![row("M-1", Worker), row("M-2", Worker)],
                labels: vec![("m-1", ours("a")), ("m-2", ours("b"))],
                records: vec![ready("a", "m-1")],
                provider: provider("web-12", 2),
                want: vec![("machine", "M-2")],
            },
        ];
        for case in cases {
            let cluster = ClusterDetail {
                cluster: vpsie_client::Cluster {
                    id: "c".into(),
                    name: "c".to_owned(),
                    count: None,
                    kubernetes_version: None,
                    created_on: None,
                },
                nodes: case.rows,
            };
            let nodes: Vec<Node> = case
                .labels
                .iter()
                .map(|(name, labels)| {
                    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap()
                })
                .collect();
            let node = |name: &str| {
                nodes
                    .iter()
                    .find(|node| node.name_any() == name)
                    .cloned()
                    .map(Arc::new)
            };
            let group: NodeGroup = serde_json::from_value(json!({
                "metadata": {"name": "web", "namespace": "ns"},
                "spec": {"minNodes": 0, "maxNodes": 3, "datacenterID": "d", "resourceIdentifier": "c",
                         "offeringIDs": ["small"]},
            }))
            .unwrap();
            let found = find(&Facts {
                cluster: "c",
                listed: &cluster,
                provider_groups: &[case.provider],
                records: &case.records,
                groups: &[Arc::new(group)],
                node: &node,
            });
            let found: Vec<_> = found
                .iter()
                .map(|orphan| (orphan.kind.as_str(), orphan.name.as_str()))
                .collect();
            assert_eq!(found, case.want, "{}", case.name);
        }
    }
}
