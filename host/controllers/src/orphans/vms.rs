//! Plain VMs without a record, and records without their VM. A VM's notes say whose it is: which NodeGroup and which
//! VPSieNode, by uid. Pure.

use super::find::{Kind, Orphan, expects_machine};
use crate::vpsienode::{is_vm_of, owner_in_notes};
use autoscaler_api::provisioner::VM_SCOPE;
use autoscaler_api::vpsie_node::VPSieNodeSpec;
use autoscaler_api::{NodeGroup, VPSieNode, labels};
use autoscaler_cluster::ObjectKey;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use vpsie_client::Vm;

/// Both sides at one moment.
pub struct VmFacts<'a> {
    pub listed: &'a [Vm],
    pub records: &'a [Arc<VPSieNode>],
    pub groups: &'a [Arc<NodeGroup>],
}

/// Everything without its counterpart, in a fixed order.
pub fn find_vms(facts: &VmFacts<'_>) -> Vec<Orphan> {
    let records = || facts.records.iter().filter(|record| record.spec.is_vm());
    let orphan = |kind, name: String, what: String| Orphan {
        kind,
        cluster: VM_SCOPE.to_owned(),
        name,
        what,
    };
    let machines = facts.listed.iter().filter_map(|vm| {
        let (group, _) = owner(vm, facts.groups)?;
        let claimed = records().any(|record| is_vm_of(record, vm));
        (!claimed).then(|| {
            let key = ObjectKey::of(group);
            let what = format!("its notes name NodeGroup {key} and a VPSieNode that does not exist");
            orphan(Kind::Machine, vm.hostname.clone(), what)
        })
    });
    let lonely = records()
        .filter(|record| expects_machine(record) && !facts.listed.iter().any(|vm| is_vm_of(record, vm)));
    let lonely = lonely.map(|record| {
        let machine = record
            .node_name()
            .or(record.provider_identifier())
            .unwrap_or_default();
        let what = format!("VPSie does not list its machine {machine}");
        orphan(Kind::Record, ObjectKey::of(&**record).to_string(), what)
    });
    let mut orphans: Vec<Orphan> = machines.chain(lonely).collect();
    orphans.sort();
    orphans
}

/// The NodeGroup that is there and that the notes name, and the uid of the record that they name.
fn owner<'a>(vm: &'a Vm, groups: &'a [Arc<NodeGroup>]) -> Option<(&'a NodeGroup, &'a str)> {
    let (group, record) = owner_in_notes(&vm.notes)?;
    let group = groups
        .iter()
        .find(|known| known.uid().as_deref() == Some(group))?;
    Some((group, record))
}

/// A record for a machine that lost its own. It names its machine, so that nothing is ever ordered for it.
pub(super) fn record_of(vm: &Vm, groups: &[Arc<NodeGroup>]) -> Option<VPSieNode> {
    let (group, _) = owner(vm, groups)?;
    let spec = VPSieNodeSpec {
        node_group_name: group.name_any(),
        instance_type: group.spec.offering_ids.first()?.clone(),
        datacenter_id: group.spec.datacenter_id.clone(),
        provisioner: group.spec.provisioner,
        os_image_id: group.spec.os_image_id.clone(),
        vpsie_node_identifier: Some(vm.identifier.as_str().to_owned()),
        node_name: Some(vm.name_key()),
        ..VPSieNodeSpec::default()
    };
    let mut record = VPSieNode::new(&vm.name_key(), spec);
    record.metadata.namespace = group.namespace();
    record.metadata.finalizers = Some(vec![labels::VPSIE_NODE_FINALIZER.to_owned()]);
    record.metadata.owner_references = group.controller_owner_ref(&()).map(|owner| vec![owner]);
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_api::vpsie_node::{Phase, VPSieNodeStatus};
    use serde_json::json;
    use vpsie_client::VmState;

    fn vm(name: &str, notes: &str) -> Vm {
        Vm {
            identifier: format!("uuid-{name}").to_lowercase().into(),
            id: None,
            hostname: name.to_owned(),
            state: VmState::Running,
            address: None,
            ipv6: None,
            private_address: None,
            notes: notes.to_owned(),
            datacenter: None,
            project: None,
            cpu: None,
            memory_mib: None,
            disk_gib: None,
            created_on: None,
        }
    }

    fn record(name: &str, machine: &str, phase: Phase) -> Arc<VPSieNode> {
        let spec =
            json!({"nodeGroupName": "web", "instanceType": "p", "datacenterID": "d", "provisioner": "VM"});
        let mut record = VPSieNode::new(name, serde_json::from_value(spec).unwrap());
        record.metadata.namespace = Some("ns".to_owned());
        record.status = Some(VPSieNodeStatus {
            phase,
            hostname: Some(machine.to_owned()),
            node_name: Some(machine.to_lowercase()),
            ..VPSieNodeStatus::default()
        });
        Arc::new(record)
    }

    #[test]
    fn only_machines_whose_notes_name_a_group_of_this_cluster_are_ours() {
        let group: NodeGroup = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "ns", "uid": "g1"},
            "spec": {"minNodes": 0, "maxNodes": 3, "datacenterID": "d", "provisioner": "VM", "osImageID": "i",
                     "offeringIDs": ["p"]},
        }))
        .unwrap();
        let groups = [Arc::new(group)];
        let ours = "vpsie-autoscaler nodegroup=g1 vpsienode=n1";
        let elsewhere = "vpsie-autoscaler nodegroup=g2 vpsienode=n1";
        let ready = |machine| vec![record("a", machine, Phase::Ready)];
        for (name, machine, records, expected) in [
            ("each has the other", Some(("M-1", ours)), ready("m-1"), &[][..]),
            (
                "a machine without its record",
                Some(("M-1", ours)),
                vec![],
                &[("machine", "M-1")],
            ),
            (
                "a machine of another cluster",
                Some(("M-1", elsewhere)),
                vec![],
                &[],
            ),
            ("a machine without notes", Some(("M-1", "")), vec![], &[]),
            (
                "a record without its machine",
                None,
                ready("m-1"),
                &[("record", "ns/a")],
            ),
            (
                "an order that is under way",
                None,
                vec![record("a", "m-1", Phase::Provisioning)],
                &[],
            ),
        ] {
            let listed: Vec<Vm> = machine.into_iter().map(|(name, notes)| vm(name, notes)).collect();
            let found = find_vms(&VmFacts {
                listed: &listed,
                records: &records,
                groups: &groups,
            });
            let found: Vec<_> = found
                .iter()
                .map(|orphan| (orphan.kind.as_str(), orphan.name.as_str()))
                .collect();
            assert_eq!(found, expected, "{name}");
        }
        let record = record_of(&vm("M-1", ours), &groups).unwrap();
        assert!(record.spec.is_vm() && record.provider_identifier() == Some("uuid-m-1"));
        assert_eq!(record.node_name(), Some("m-1"));
    }
}
