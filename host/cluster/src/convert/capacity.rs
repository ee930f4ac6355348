//! Where storage drivers have room for new volumes, as far as they publish it (CSIStorageCapacity).
//!
//! Only a driver whose CSIDriver says `storageCapacity: true` is held to it. A driver publishes for nodes that exist:
//! who wants nodes bought for volumes of such a driver publishes a capacity for labels that new nodes will carry.

use super::selectors::label_selector;
use autoscaler_core::model::{
    LabelOperator, LabelRequirement, LabelSelector, NodeSelector, NodeSelectorTerm,
};
use autoscaler_core::quantity::parse_units;
use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name of a CSIStorageCapacity.
pub(crate) type CapacityKey = (String, String);

/// Room for volumes of one class on some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Capacity {
    /// The largest volume that can be made, in bytes.
    largest: i64,
    nodes: LabelSelector,
}

/// What drivers publish.
#[derive(Default)]
pub(crate) struct Capacities {
    /// Drivers that are held to it.
    held: BTreeSet<String>,
    classes: BTreeMap<String, BTreeMap<CapacityKey, Capacity>>,
}

impl Capacities {
    /// Takes note of a driver, or of its end. False where nothing changes.
    pub(super) fn set_driver(&mut self, name: &str, driver: Option<&CSIDriver>) -> bool {
        if driver.is_some_and(|driver| driver.spec.storage_capacity == Some(true)) {
            self.held.insert(name.to_owned())
        } else {
            self.held.remove(name)
        }
    }

    /// Takes note of a capacity, or of its end. Returns the classes for which something changes.
    pub(super) fn set_capacity(
        &mut self,
        key: &CapacityKey,
        object: Option<&CSIStorageCapacity>,
    ) -> BTreeSet<String> {
        let new = object.and_then(|object| Some((object.storage_class_name.clone(), read(object)?)));
        let held_by = |(class, all): (&String, &BTreeMap<CapacityKey, Capacity>)| {
            Some((class.clone(), all.get(key)?.clone()))
        };
        let before = self.classes.iter().find_map(held_by);
        if before == new {
            return BTreeSet::new();
        }
        let mut concerned = BTreeSet::new();
        if let Some((class, _)) = before {
            if let Some(all) = self.classes.get_mut(&class) {
                all.remove(key);
                if all.is_empty() {
                    self.classes.remove(&class);
                }
            }
            concerned.insert(class);
        }
        if let Some((class, capacity)) = new {
            let all = self.classes.entry(class.clone()).or_default();
            all.insert(key.clone(), capacity);
            concerned.insert(class);
        }
        concerned
    }

    /// Where a volume of this size can be made: nowhere (none), anywhere, or on nodes of these labels.
    #[expect(clippy::option_option, reason = "nowhere, anywhere, and somewhere")]
    pub(super) fn room(&self, class: &StorageClass, asked: Option<i64>) -> Option<Option<NodeSelector>> {
        let Some(asked) = asked.filter(|_| self.held.contains(&class.provisioner)) else {
            return Some(None);
        };
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let all = self.classes.get(name).into_iter().flat_map(BTreeMap::values);
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut terms = Vec::new();
        for capacity in all.filter(|capacity| capacity.largest >= asked) {
            if capacity.nodes.is_empty() {
                return Some(None);
            }
            let mut requirements = requirements(&capacity.nodes);
            match requirements.as_mut_slice() {
                // One node or zone each, as a rule: they make one term.
                [only] if only.operator == LabelOperator::In => {
                    let known = values.entry(std::mem::take(&mut only.key)).or_default();
                    known.extend(std::mem::take(&mut only.values));
                }
                _ => terms.push(term(requirements)),
            }
        }
        terms.extend(values.into_iter().map(|(key, values)| {
            term(vec![LabelRequirement {
                key,
                operator: LabelOperator::In,
                values: values.into_iter().collect(),
            }])
        }));
        terms.sort();
        terms.dedup();
        (!terms.is_empty()).then_some(Some(NodeSelector { terms }))
    }
}

/// None where it makes room nowhere.
fn read(object: &CSIStorageCapacity) -> Option<Capacity> {
    let limit = object.maximum_volume_size.as_ref().or(object.capacity.as_ref())?;
    Some(Capacity {
        largest: parse_units(&limit.0).unwrap_or(0),
        nodes: label_selector(object.node_topology.as_ref()?),
    })
}

fn requirements(selector: &LabelSelector) -> Vec<LabelRequirement> {
    let equal = selector.match_labels.iter().map(|(key, value)| LabelRequirement {
        key: key.clone(),
        operator: LabelOperator::In,
        values: vec![value.clone()],
    });
    equal.chain(selector.match_expressions.iter().cloned()).collect()
}

fn term(match_expressions: Vec<LabelRequirement>) -> NodeSelectorTerm {
    NodeSelectorTerm {
        match_expressions,
        match_fields: Vec::new(),
    }
}
