//! Which objects of a kind there are, so that a new list tells which of them went while nobody watched.
//!
//! Pods are many: the index already has their names, and only a list that comes later needs them a second time.

use super::Kind;
use crate::index::{Index, ObjectKey};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Namespace and name.
type Name = (Arc<str>, Arc<str>);

pub(super) struct Known {
    kind: Kind,
    index: Arc<Index>,
    /// Empty for pods.
    names: BTreeSet<Name>,
    /// Those that the list of this moment has not shown yet.
    missing: BTreeSet<Name>,
}

impl Known {
    pub(super) fn new(kind: Kind, index: Arc<Index>) -> Self {
        Self {
            kind,
            index,
            names: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    /// A list begins.
    pub(super) fn list(&mut self) {
        self.missing = match self.kind {
            Kind::Pod => self.index.pod_names(),
            _ => self.names.clone(),
        };
    }

    /// The object is there.
    pub(super) fn see(&mut self, object: &impl ResourceExt) {
        let name = name_of(object);
        self.missing.remove(&name);
        if self.kind != Kind::Pod {
            self.names.insert(name);
        }
    }

    /// The object went.
    pub(super) fn forget(&mut self, object: &impl ResourceExt) {
        self.names.remove(&name_of(object));
    }

    /// The list has ended. Returns the objects that it did not show.
    pub(super) fn gone(&mut self) -> impl Iterator<Item = ObjectKey> {
        let gone = std::mem::take(&mut self.missing);
        self.names.retain(|name| !gone.contains(name));
        gone.into_iter()
            .map(|(namespace, name)| ObjectKey::new(&*namespace, &*name))
    }
}

fn name_of(object: &impl ResourceExt) -> Name {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    (namespace.into(), object.name_any().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Change;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn pod(name: &str) -> Pod {
        let meta = json!({"name": name, "namespace": "ns"});
        serde_json::from_value(json!({"metadata": meta, "spec": {"containers": []}})).unwrap()
    }

    /// What a list that shows the pods `listed` finds gone, after `before` were seen and `went` went.
    fn gone(kind: Kind, before: &[&str], went: &[&str], listed: &[&str]) -> Vec<String> {
        let index = Index::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
        let mut known = Known::new(kind, Arc::clone(&index));
        let see = |known: &mut Known, names: &[&str]| {
            for name in names {
                known.see(&pod(name));
                index.apply(&Change::Pod(Arc::new(pod(name))));
            }
        };
        known.list();
        see(&mut known, before);
        assert_eq!(known.gone().count(), 0, "nothing was there before the first list");
        for name in went {
            known.forget(&pod(name));
            index.apply(&Change::Gone(Kind::Pod, ObjectKey::new("ns", *name)));
        }
        // A list that broke off says nothing.
        known.list();
        see(&mut known, &[]);
        known.list();
        see(&mut known, listed);
        known.gone().map(|key| key.to_string()).collect()
    }

    #[test]
    fn a_later_list_tells_what_went() {
        for kind in [Kind::Pod, Kind::DaemonSet] {
            let cases: [[&[&str]; 4]; 4] = [
                [&["a", "b"], &[], &["b", "a"], &[]],
                [&["a", "b", "c"], &[], &["b"], &["ns/a", "ns/c"]],
                [&["a", "b"], &["a"], &["b"], &[]],
                [&["a"], &[], &["b"], &["ns/a"]],
            ];
            for [before, went, listed, expected] in cases {
                assert_eq!(
                    gone(kind, before, went, listed),
                    expected,
                    "{kind:?} {before:?} {listed:?}"
                );
            }
        }
    }
}
