//! Pods: those that wait one by one, those that run node by node.

use super::{MakerKey, State, dependents};
use crate::convert::{health, movability, pod_class, unschedulable_since};
use autoscaler_core::model::{ClassKey, PodKey, Resident, Residents};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use std::sync::Arc;

/// A pod as the index keeps it.
pub(crate) struct PodEntry {
    pub(crate) class: ClassKey,
    pub(crate) place: Place,
    /// The replica set that it counts for.
    maker: Option<MakerKey>,
    /// Kept only where the class depends on volumes or namespaces.
    pub(super) raw: Option<Box<dependents::Raw>>,
}

/// Where a pod is.
pub(crate) enum Place {
    /// Bound to the node of this name, which may be unknown; the rest is among its residents.
    Node(Arc<str>),
    Nowhere(Box<Waiting>),
}

/// What is known of a pod that waits.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) uid: String,
    pub(crate) owner: Option<String>,
    pub(crate) unschedulable_since_ms: Option<i64>,
    /// The node that the scheduler makes room on for it.
    pub(crate) nominated: Option<String>,
}

impl Place {
    pub(super) fn node(&self) -> Option<&Arc<str>> {
        match self {
            Self::Node(node) => Some(node),
            Self::Nowhere(_) => None,
        }
    }

    fn is_unschedulable(&self) -> bool {
        matches!(self, Self::Nowhere(waiting) if waiting.unschedulable_since_ms.is_some())
    }
}

impl State {
    pub(super) fn apply_pod(&mut self, pod: &Pod, now_ms: i64) {
        let key = PodKey {
            namespace: pod.metadata.namespace.as_deref().unwrap_or_default().into(),
            name: pod.name_any().into(),
        };
        // A pod that is on its way out of a node still holds its room; a waiting one that is deleted needs none.
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let node = node.filter(|name| !name.is_empty());
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let finished = matches!(phase, Some("Succeeded" | "Failed"));
        if finished || (node.is_none() && pod.metadata.deletion_timestamp.is_some()) {
            return self.remove_pod(&key, now_ms);
        }
        let raw = self.note_dependence(&key, pod);
        let class = pod_class(pod, &mut self.resources, &self.around);
        let class = self.classes.take(class);
        let place = match node {
            Some(node) => Place::Node(self.settle(node, &key, class, pod)),
            None => Place::Nowhere(Box::new(waiting(pod))),
        };
        let now_at = place.node().cloned();
        self.unschedulable += usize::from(place.is_unschedulable());
        match &now_at {
            Some(_) => self.waiting.remove(&key),
            None => self.waiting.insert(key.clone()),
        };
        let maker = maker(pod).map(|name| self.makers.take(&key.namespace, name));
        let entry = PodEntry {
            class,
            place,
            maker,
            raw,
        };
        let mut has_claims = entry.has_claims();
        let before = self.pods.insert(key.clone(), entry);
        let left = before.as_ref().and_then(|before| before.place.node());
        let left = left.filter(|left| Some(*left) != now_at.as_ref()).cloned();
        if let Some(before) = before {
            has_claims |= before.has_claims();
            self.unschedulable -= usize::from(before.place.is_unschedulable());
            self.classes.release(before.class);
            before
                .maker
                .into_iter()
                .for_each(|maker| self.makers.release(maker));
        }
        if has_claims {
            for node in left.iter().chain(&now_at) {
                self.count_lingering(node);
            }
        }
        if let Some(left) = left {
            self.leave(&left, &key, now_ms);
        }
        if let Some(node) = now_at {
            self.refresh_idle(&node, now_ms);
        }
    }

    pub(super) fn remove_pod(&mut self, key: &PodKey, now_ms: i64) {
        self.forget_dependence(key);
        let Some(before) = self.pods.remove(key) else {
            return;
        };
        self.waiting.remove(key);
        self.unschedulable -= usize::from(before.place.is_unschedulable());
        self.classes.release(before.class);
        before
            .maker
            .into_iter()
            .for_each(|maker| self.makers.release(maker));
        if let Place::Node(node) = &before.place {
            self.leave(node, key, now_ms);
            if before.has_claims() {
                self.count_lingering(node);
            }
        }
    }

    /// Gives a pod another class.
    pub(super) fn reclassify(&mut self, key: &PodKey, class: ClassKey) {
        let Some(entry) = self.pods.get_mut(key) else {
            return self.classes.release(class);
        };
        self.classes.release(std::mem::replace(&mut entry.class, class));
        if let Place::Node(node) = &entry.place
            && let Some(residents) = self.residents.get_mut(node)
            && let Some(resident) = residents.get(key)
        {
            let resident = Resident {
                class,
                ..Resident::clone(resident)
            };
            Arc::make_mut(residents).insert(Arc::new(resident));
        }
    }

    /// Puts a pod among those of its node. Returns the node's name, which all of them share.
    fn settle(&mut self, node: &str, key: &PodKey, class: ClassKey, pod: &Pod) -> Arc<str> {
        let name = match self.residents.get_key_value(node) {
            Some((name, _)) => name.clone(),
            None => Arc::from(node),
        };
        let residents = self.residents.entry(name.clone()).or_default();
        // A snapshot that is still in use keeps what it has; the copy is one of pointers.
        Arc::make_mut(residents).insert(Arc::new(Resident {
            key: key.clone(),
            class,
            judgement: movability(pod),
            health: health(pod),
        }));
        name
    }

    fn leave(&mut self, node: &str, key: &PodKey, now_ms: i64) {
        if let Some(residents) = self.residents.get_mut(node) {
            Arc::make_mut(residents).remove(key);
            if residents.is_empty() {
                self.residents.remove(node);
            }
        }
        self.refresh_idle(node, now_ms);
    }

    /// A node is idle while nothing on it would have to move.
    pub(super) fn refresh_idle(&mut self, node: &str, now_ms: i64) {
        let busy = self.residents.get(node).is_some_and(|pods| pods.moving() > 0);
        if let Some(entry) = self.nodes.get_mut(node) {
            entry.idle_since_ms = if busy {
                None
            } else {
                entry.idle_since_ms.or(Some(now_ms))
            };
        }
    }

    /// The pods of a node.
    pub(super) fn residents_of(&self, node: &str) -> Option<&Arc<Residents>> {
        self.residents.get(node)
    }
}

/// The controller that made a pod.
fn controller(pod: &Pod) -> Option<&OwnerReference> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// The replica set that counts the pod among its own: one that is being deleted it counts no more.
fn maker(pod: &Pod) -> Option<&str> {
    let owner = controller(pod).filter(|_| pod.metadata.deletion_timestamp.is_none())?;
    (owner.kind == "ReplicaSet").then_some(owner.name.as_str())
}

fn waiting(pod: &Pod) -> Waiting {
    let status = pod.status.as_ref();
    let nominated = status.and_then(|status| status.nominated_node_name.clone());
    Waiting {
        uid: pod.uid().unwrap_or_default(),
        owner: controller(pod).map(|owner| format!("{}/{}", owner.kind, owner.name)),
        unschedulable_since_ms: unschedulable_since(pod),
        nominated: nominated.filter(|name| !name.is_empty()),
    }
}
