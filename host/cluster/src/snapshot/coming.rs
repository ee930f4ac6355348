//! Pods that replica sets are about to make, where others of theirs wait already.
//!
//! A Deployment that is rolled out makes its pods one after the other. Those that have not been made yet wait beside
//! those that have, so that one plan is for all of them. They are of the class of their waiting siblings, and come
//! after them.

use super::Builder;
use crate::inputs::View;
use autoscaler_core::model::{ClassId, Pod, PodKey};
use std::collections::BTreeMap;

/// In one snapshot: what is beyond is made later anyway, and what is never made must not cost much.
const MOST: u32 = 1000;
/// The kind that stands in the owner of a pod of a replica set.
const KIND: &str = "ReplicaSet/";

impl Builder<'_> {
    pub(super) fn coming(&mut self) {
        // The scheduler knows of no such pods.
        if self.inputs.view == View::Scheduler {
            return;
        }
        // By namespace and name of the replica set: class, and since when the first waits.
        let mut makers: BTreeMap<(&str, &str), (ClassId, Option<i64>)> = BTreeMap::new();
        for pod in &self.snapshot.pods {
            if let Some(name) = pod.owner.as_deref().and_then(|owner| owner.strip_prefix(KIND)) {
                makers
                    .entry((&pod.key.namespace, name))
                    .or_insert((pod.class, pod.unschedulable_since_ms));
            }
        }
        let (mut left, mut coming) = (MOST, Vec::new());
        for ((namespace, name), (class, since)) in makers {
            let missing = self.state.makers.missing(namespace, name).min(left);
            left -= missing;
            coming.extend((0..missing).map(|number| Pod {
                key: PodKey {
                    namespace: namespace.into(),
                    // No name of a pod that exists is behind it in the order, and so none has to stand back.
                    name: format!("~{name} {number:04}").into(),
                },
                uid: String::new(),
                class,
                nominated: None,
                owner: Some(format!("{KIND}{name}")),
                unschedulable_since_ms: since,
            }));
        }
        self.snapshot.pods.extend(coming);
    }
}
