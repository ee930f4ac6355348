//! Plain VMs. An order names its machine, so that a lost answer needs no bookkeeping: one looks for the name.
//!
//! *Invariant:* the host name follows from the record and its uid, stands in the status before the order leaves, and
//! is looked for in VPSie's lists before an order is sent again. Whatever machine has the name is the record's: one stays, others
//! are removed.

mod order;
mod remove;

use super::VpsieNodes;
use crate::catalogue::Vms;
use crate::error::Error;
use autoscaler_api::vpsie_node::VPSieNodeStatus;
use autoscaler_api::{NodeGroup, VPSieNode};
use kube::ResourceExt;
use std::time::Duration;
use vpsie_client::Vm;

/// Longest name of a machine, as a DNS label has it.
const LONGEST_NAME: usize = 63;
/// Begins the line in a machine's notes that says whose it is.
const MARK: &str = "vpsie-autoscaler";

/// The machines of a record's name at one moment.
struct Machines {
    /// Listed, the oldest first.
    listed: Vec<Vm>,
    /// Whether an order of the name is being worked on.
    pending: bool,
}

impl Machines {
    fn of(node: &VPSieNode, vms: &Vms) -> Self {
        let name = hostname(node);
        Self {
            listed: vms
                .listed
                .iter()
                .filter(|vm| is_machine_of(node, vm))
                .cloned()
                .collect(),
            pending: vms
                .pending
                .iter()
                .any(|order| order.hostname.eq_ignore_ascii_case(&name)),
        }
    }

    /// The one that stays: that which the record names, else the oldest.
    fn kept(&self, node: &VPSieNode) -> Option<&Vm> {
        let named = |vm: &&Vm| node.provider_identifier() == Some(vm.identifier.as_str());
        self.listed.iter().find(named).or(self.listed.first())
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty() && !self.pending
    }
}

impl VpsieNodes {
    async fn machines(&self, node: &VPSieNode, max_age: Duration) -> Result<Machines, Error> {
        let vms = self.ctx.catalogue.vms(max_age).await;
        let vms = vms.map_err(Error::vpsie("listing the VMs"))?;
        Ok(Machines::of(node, &vms))
    }
}

/// The name of a record's machine and Node: that of the record, made unique by its uid. A name that was written down
/// stays.
pub(crate) fn hostname(node: &VPSieNode) -> String {
    if let Some(name) = node
        .status
        .as_ref()
        .and_then(|status| status.hostname.as_deref())
        .or(node.node_name())
    {
        return name.to_lowercase();
    }
    let uid: String = node
        .uid()
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(8)
        .collect();
    let name: String = node.name_any().to_lowercase().replace('.', "-");
    let name: String = name.chars().take(LONGEST_NAME - 1 - uid.len()).collect();
    format!("{}-{uid}", name.trim_end_matches('-'))
}

/// Whether a VM is the machine of this record, by identifier or by name in any case.
pub(crate) fn is_machine_of(node: &VPSieNode, vm: &Vm) -> bool {
    node.provider_identifier() == Some(vm.identifier.as_str()) || vm.name_key() == hostname(node)
}

/// Writes down which machine it is.
fn remember(status: &mut VPSieNodeStatus, vm: &Vm) {
    status.vpsie_node_identifier = Some(vm.identifier.as_str().to_owned());
    status.vpsie_instance_id = vm.id;
    status.hostname = Some(vm.hostname.clone());
    status.node_name = Some(vm.name_key());
    status.ip_address = vm.address.clone().or(vm.private_address.clone());
    status.ipv6_address = vm.ipv6.clone();
    status.vpsie_status = Some(vm.state.as_str().to_owned());
}

/// The notes of a machine: the group's own, and who ordered it for what.
fn notes(group: &NodeGroup, node: &VPSieNode) -> String {
    let (group_uid, uid) = (group.uid().unwrap_or_default(), node.uid().unwrap_or_default());
    let mark = format!("{MARK} nodegroup={group_uid} vpsienode={uid}");
    match group
        .spec
        .notes
        .as_deref()
        .map(str::trim)
        .filter(|notes| !notes.is_empty())
    {
        Some(notes) => format!("{notes}\n{mark}"),
        None => mark,
    }
}

/// Whose a machine is by its notes: uid of the NodeGroup and of the VPSieNode.
pub(crate) fn owner_in_notes(notes: &str) -> Option<(&str, &str)> {
    let line = notes
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix(MARK))?;
    let mut words = line.split_whitespace();
    let group = words.next()?.strip_prefix("nodegroup=")?;
    let node = words.next()?.strip_prefix("vpsienode=")?;
    (!group.is_empty() && !node.is_empty()).then_some((group, node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_api::{NodeGroupSpec, VPSieNodeSpec};

    #[test]
    fn a_machine_is_named_after_its_record_and_no_other() {
        let long = "a".repeat(70);
        for (name, uid, expected) in [
            (
                "web-1",
                "0f3c9a7e-1111-4000-8000-000000000000",
                "web-1-0f3c9a7e".to_owned(),
            ),
            ("Web.eu", "0f3c9a7e-1111", "web-eu-0f3c9a7e".to_owned()),
            (
                long.as_str(),
                "0f3c9a7e-1111",
                format!("{}-0f3c9a7e", "a".repeat(54)),
            ),
            (
                &format!("{}.b", "a".repeat(53)),
                "0f3c9a7e-1111",
                format!("{}-0f3c9a7e", "a".repeat(53)),
            ),
        ] {
            let mut node = VPSieNode::new(name, VPSieNodeSpec::default());
            node.metadata.uid = Some(uid.to_owned());
            assert_eq!(hostname(&node), expected, "{name}");
            assert!(expected.len() <= LONGEST_NAME);
            // A restored backup has another uid; the machine keeps its name.
            node.status = Some(VPSieNodeStatus {
                hostname: Some("Kept".to_owned()),
                ..VPSieNodeStatus::default()
            });
            assert_eq!(hostname(&node), "kept");
        }
    }

    #[test]
    fn notes_say_whose_a_machine_is() {
        let mut group = NodeGroup::new("g", NodeGroupSpec::default());
        group.metadata.uid = Some("gu".to_owned());
        let mut node = VPSieNode::new("n", VPSieNodeSpec::default());
        node.metadata.uid = Some("nu".to_owned());
        for own in [None, Some(""), Some("for people\nof two lines")] {
            group.spec.notes = own.map(str::to_owned);
            assert_eq!(
                owner_in_notes(&notes(&group, &node)),
                Some(("gu", "nu")),
                "{own:?}"
            );
        }
        for text in [
            "",
            "vpsie-autoscaler",
            "vpsie-autoscaler nodegroup= vpsienode=",
            "nodegroup=a vpsienode=b",
        ] {
            assert_eq!(owner_in_notes(text), None, "{text}");
        }
    }
}
