//! Claims, volumes and storage classes as Kubernetes objects.

use crate::format::{Claim, PersistentVolume, StorageClass};
use crate::objects::NAMESPACE;
use crate::terms;
use anyhow::{Result, bail};
use serde_json::{Value, json};

/// Size of every volume; nothing depends on it.
const SIZE: &str = "1Gi";

/// Set by the binder once claim and volume know of each other.
const BOUND: &str = "pv.kubernetes.io/bind-completed";

/// A PersistentVolumeClaim; with a volume it is bound.
pub(crate) fn claim(claim: &Claim) -> Value {
    let (phase, annotations) = match claim.volume {
        Some(_) => ("Bound", json!({BOUND: "yes"})),
        None => ("Pending", json!({})),
    };
    // Pods of cases have their name for a uid.
    let owner = |pod: &String| json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": pod, "controller": true});
    json!({
        "metadata": {
            "name": claim.name, "namespace": claim.namespace.as_deref().unwrap_or(NAMESPACE),
            "annotations": annotations, "ownerReferences": claim.pod.iter().map(owner).collect::<Vec<_>>(),
        },
        "spec": {
            "volumeName": claim.volume, "storageClassName": claim.class, "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": SIZE}},
        },
        "status": {"phase": phase},
    })
}

/// A PersistentVolume.
pub(crate) fn volume(volume: &PersistentVolume) -> Result<Value> {
    let terms = volume.node_affinity.as_ref().map(|terms| {
        terms
            .iter()
            .map(|term| terms::node_term(term))
            .collect::<Result<Vec<_>>>()
    });
    let affinity = terms
        .transpose()?
        .map(|terms| json!({"required": {"nodeSelectorTerms": terms}}));
    Ok(json!({
        "metadata": {"name": volume.name},
        "spec": {
            "capacity": {"storage": SIZE}, "accessModes": ["ReadWriteOnce"], "nodeAffinity": affinity,
            "nfs": {"server": "files", "path": "/"},
        },
        "status": {"phase": "Bound"},
    }))
}

/// A StorageClass.
pub(crate) fn storage_class(class: &StorageClass) -> Result<Value> {
    let topology = |requirements: &Vec<String>| -> Result<Value> {
        let mut expressions = Vec::new();
        for text in requirements {
            let read = terms::requirement(text)?;
            if read["operator"] != "In" {
                bail!("topology {text:?}: allowed topologies know In only");
            }
            expressions.push(json!({"key": read["key"], "values": read["values"]}));
        }
        Ok(json!({"matchLabelExpressions": expressions}))
    };
    let topologies: Vec<Value> = class.topologies.iter().map(topology).collect::<Result<_>>()?;
    Ok(json!({
        "metadata": {"name": class.name},
        "provisioner": "example.com/disk", "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": if topologies.is_empty() { Value::Null } else { topologies.into() },
    }))
}
