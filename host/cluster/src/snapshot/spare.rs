//! Room that groups keep free (`spec.headroom`), as pods that wait and do not exist.
//!
//! So every policy sees it in the words that it knows, and nothing has to know of it: pods that exist come first, because
//! these have the lowest priority there is; what has no place makes the group grow; a node that gives them their place is
//! used, and goes only where they find another one.

use super::Builder;
use crate::index::ObjectKey;
use crate::inputs::View;
use autoscaler_api::NodeGroup;
use autoscaler_api::labels::{NODE_GROUP, NODE_GROUP_NAMESPACE};
use autoscaler_core::model::{
    GroupId, Labels, Pod, PodClass, PodKey, Resources, Template, Toleration, TolerationOperator,
};
use autoscaler_core::quantity::{parse_milli, parse_units};
use std::sync::Arc;

/// Equal pods that room is kept for.
pub(super) struct Spare {
    pub(super) class: PodClass,
    count: u32,
    /// Namespace and name of the group.
    group: (String, String),
    /// Since when the group wants it.
    since_ms: i64,
}

impl Builder<'_> {
    /// What the group keeps free, once its templates are known.
    pub(super) fn spare(&mut self, id: GroupId, key: &ObjectKey, object: &NodeGroup) {
        let group = &self.snapshot.groups[id as usize];
        let templates = self
            .snapshot
            .templates
            .iter()
            .filter(|template| template.group == id);
        // The scheduler knows of no such pods.
        if self.inputs.view == View::Scheduler {
            return;
        }
        let Some((count, size)) = wanted(object, group.current, templates) else {
            return;
        };
        let selector = [(NODE_GROUP, &key.name), (NODE_GROUP_NAMESPACE, &key.namespace)];
        let selector: Labels = selector
            .into_iter()
            .map(|(label, value)| (label.to_owned(), value.clone()))
            .collect();
        let anything = Toleration {
            key: String::new(),
            operator: TolerationOperator::Exists,
            value: String::new(),
            effect: None,
        };
        let made = object.metadata.creation_timestamp.as_ref();
        self.spares.push(Spare {
            class: PodClass {
                namespace: key.namespace.clone(),
                requests: Resources { pods: 1, ..size },
                priority: i32::MIN,
                tolerations: vec![anything],
                node_selector: selector,
                ..PodClass::default()
            },
            count,
            group: (key.namespace.clone(), key.name.clone()),
            since_ms: made.map_or(0, |time| time.0.as_millisecond()),
        });
    }

    /// The pods, once the classes have their numbers.
    pub(super) fn spare_pods(&mut self) {
        for spare in &self.spares {
            let classes = &self.snapshot.classes;
            let Ok(class) = classes.binary_search_by(|known| (**known).cmp(&spare.class)) else {
                continue;
            };
            let (namespace, group) = &spare.group;
            let namespace: Arc<str> = namespace.as_str().into();
            for number in 0..spare.count {
                self.snapshot.pods.push(Pod {
                    key: PodKey {
                        namespace: namespace.clone(),
                        name: format!("{} {number:04}", spare_owner(group)).into(),
                    },
                    uid: String::new(),
                    class: u32::try_from(class).unwrap_or(u32::MAX),
                    nominated: None,
                    owner: Some(spare_owner(group)),
                    unschedulable_since_ms: Some(spare.since_ms),
                });
            }
        }
    }
}

/// What stands as the owner of the pods that a group keeps room for.
pub fn spare_owner(group: &str) -> String {
    format!("headroom of {group}")
}

/// How many pods of which size.
fn wanted<'a>(
    object: &NodeGroup,
    nodes: u32,
    templates: impl Iterator<Item = &'a Template>,
) -> Option<(u32, Resources)> {
    let headroom = object.spec.headroom.as_ref()?;
    if let Some(percent) = headroom.percent {
        let smallest = templates
            .map(|template| &template.allocatable)
            .min_by_key(|amounts| (amounts.cpu_milli, amounts.memory))?;
        let share = |amount: i64| amount.max(0) / 100 * i64::from(percent);
        let size = Resources::cpu_memory(share(smallest.cpu_milli), share(smallest.memory));
        return (nodes > 0).then_some((nodes, size));
    }
    let cpu = headroom
        .cpu
        .as_ref()
        .and_then(|amount| parse_milli(&amount.0).ok());
    let memory = headroom
        .memory
        .as_ref()
        .and_then(|amount| parse_units(&amount.0).ok());
    let size = Resources::cpu_memory(cpu.unwrap_or(0), memory.unwrap_or(0));
    let pods = u32::try_from(headroom.pods?).ok()?;
    (pods > 0).then_some((pods, size))
}
