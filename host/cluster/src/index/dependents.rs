//! Pods whose class depends on what stands beside them: claims, volumes, namespaces.
//!
//! They are few, and kept as far as their classes are made of them, so that those can be made anew.

use super::{PodEntry, State};
use crate::convert::{claim_names, pod_class, selects_namespaces};
use crate::lean;
use autoscaler_core::model::PodKey;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeSet;

/// What the class of a pod is made of anew when its surroundings change.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// As text: an object has room for every field that it could have.
    pod: Box<[u8]>,
    /// The claims that it names.
    claims: Vec<String>,
}

impl PodEntry {
    /// Whether the pod names a claim.
    pub(super) fn has_claims(&self) -> bool {
        self.raw.as_ref().is_some_and(|raw| !raw.claims.is_empty())
    }
}

impl State {
    /// Takes note of what the class of a pod depends on. Returns what is to be kept of the pod for that.
    pub(super) fn note_dependence(&mut self, key: &PodKey, pod: &Pod) -> Option<Box<Raw>> {
        let claims = claim_names(pod);
        self.note_claims(key, &claims);
        let by_namespace = selects_namespaces(pod);
        if by_namespace {
            self.by_namespace.insert(key.clone());
        } else {
            self.by_namespace.remove(key);
        }
        (by_namespace || !claims.is_empty()).then(|| {
            Box::new(Raw {
                pod: serde_json::to_vec(&lean::pod(pod)).unwrap_or_default().into(),
                claims,
            })
        })
    }

    /// The pod is about to go.
    pub(super) fn forget_dependence(&mut self, key: &PodKey) {
        self.note_claims(key, &[]);
        self.by_namespace.remove(key);
    }

    /// Notes which claims a pod uses now.
    fn note_claims(&mut self, key: &PodKey, now: &[String]) {
        let raw = self.pods.get(key).and_then(|pod| pod.raw.as_ref());
        let before = raw.map(|raw| raw.claims.clone()).unwrap_or_default();
        let concerned = self.around.use_claims(key, &before, now);
        self.classify_anew(concerned);
    }

    pub(super) fn namespaces_changed(&mut self) {
        self.classify_anew(self.by_namespace.clone());
    }

    /// Makes the classes of these pods anew, and counts the volumes on their nodes.
    pub(super) fn classify_anew(&mut self, pods: BTreeSet<PodKey>) {
        let mut nodes = BTreeSet::new();
        for key in pods {
            let Some(raw) = self.pods.get(&key).and_then(|pod| pod.raw.as_ref()) else {
                continue;
            };
            let Ok(pod) = serde_json::from_slice(&raw.pod) else {
                tracing::error!(?key, "a pod that was kept cannot be read back");
                continue;
            };
            let class = pod_class(&pod, &mut self.resources, &self.around);
            let class = self.classes.take(class);
            self.reclassify(&key, class);
            let pod = self.pods.get(&key).filter(|pod| pod.has_claims());
            nodes.extend(pod.and_then(|pod| pod.place.node()).cloned());
        }
        for node in nodes {
            self.count_lingering(&node);
        }
    }
}
