//! What pods are told: `TriggeredScaleUp`, or `NotTriggerScaleUp` with the cause. Each pod has one current
//! answer, and hears of it when it changes.

use crate::context::Context;
use crate::runtime::events::EventType;
use autoscaler_core::model::{Pod, PodId, Snapshot};
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::BTreeMap;

pub(super) const TRIGGERED: &str = "TriggeredScaleUp";
pub(super) const NOT_TRIGGERED: &str = "NotTriggerScaleUp";

/// The last answer of each waiting pod, by uid.
#[derive(Default)]
pub(super) struct Notices {
    said: BTreeMap<String, String>,
}

impl Notices {
    /// Tells the pods their answers, and forgets pods that do not wait any more.
    pub(super) fn publish(
        &mut self,
        ctx: &Context,
        snapshot: &Snapshot,
        answers: &BTreeMap<PodId, (&'static str, String)>,
    ) {
        let mut said = BTreeMap::new();
        for pod in &snapshot.pods {
            if let Some(before) = self.said.remove(&pod.uid) {
                said.insert(pod.uid.clone(), before);
            }
        }
        for (id, (reason, note)) in answers {
            let pod = &snapshot.pods[*id as usize];
            if !pod.exists() {
                continue;
            }
            let text = format!("{reason} {note}");
            if said.get(&pod.uid) == Some(&text) {
                continue;
            }
            let type_ = EventType::Normal;
            ctx.events
                .publish(&reference(pod), type_, reason, "ScaleUp", note.clone());
            said.insert(pod.uid.clone(), text);
        }
        self.said = said;
    }
}

fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.key.namespace.to_string()),
        name: Some(pod.key.name.to_string()),
        uid: Some(pod.uid.clone()),
        ..ObjectReference::default()
    }
}
