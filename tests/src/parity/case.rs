//! Case files: a small cluster as a server had it, and the real scheduler's answer, replayed without either.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use autoscaler_cluster::{Dump, Fit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Cluster;
use super::compare::{Comparison, against};
use super::oracle::Answer;

/// Fields of objects that tell nothing of where a pod may run.
const NOISE: [&str; 28] = [
    "annotations",
    "capacity",
    "conditions",
    "creationTimestamp",
    "daemonEndpoints",
    "deletionGracePeriodSeconds",
    "dnsPolicy",
    "enableServiceLinks",
    "finalizers",
    "generation",
    "image",
    "imagePullPolicy",
    "managedFields",
    "nodeInfo",
    "observedGeneration",
    "preemptionPolicy",
    "priorityClassName",
    "qosClass",
    "resourceVersion",
    "restartPolicy",
    "schedulerName",
    "securityContext",
    "selfLink",
    "terminationGracePeriodSeconds",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "uid",
    "volumeMode",
];

/// Fields that say something even where they are empty.
const EMPTY_SPEAKS: [&str; 4] = ["labelSelector", "namespaceSelector", "containers", "nodeTopology"];

/// One case.
#[derive(Debug, Serialize, Deserialize)]
pub struct Case {
    /// What it is about, and where it came from.
    pub about: String,
    /// The scheduler's answer: feasible nodes by `namespace/name` of each pending pod.
    pub feasible: BTreeMap<String, BTreeSet<String>>,
    pub objects: Vec<Value>,
}

impl Case {
    /// Makes a case of an answer.
    ///
    /// # Errors
    /// Where a list of the server is none.
    pub fn new(about: String, answer: &Answer) -> Result<Self> {
        let mut objects = Vec::new();
        for list in &answer.lists {
            let list: Value = serde_json::from_str(list).context("reading a list of the server")?;
            let kind = list["kind"]
                .as_str()
                .unwrap_or_default()
                .trim_end_matches("List")
                .to_owned();
            for item in list["items"].as_array().into_iter().flatten() {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                if kind == "Namespace" && name.starts_with("kube-") {
                    continue;
                }
                let mut object = serde_json::json!({ "apiVersion": list["apiVersion"], "kind": kind });
                for part in [
                    "metadata",
                    "spec",
                    "status",
                    "provisioner",
                    "volumeBindingMode",
                    "allowedTopologies",
                    "storageClassName",
                    "nodeTopology",
                    "capacity",
                    "maximumVolumeSize",
                ] {
                    if !item[part].is_null() {
                        object[part] = item[part].clone();
                    }
                }
                strip(&mut object);
                objects.push(object);
            }
        }
        Ok(Self {
            about,
            feasible: answer.feasible.clone(),
            objects,
        })
    }

    /// What we say of it beside what the scheduler said.
    ///
    /// # Errors
    /// Where we do not understand the objects, or do not speak of the same pods.
    pub fn replay(&self) -> Result<Comparison> {
        let list = serde_json::json!({ "kind": "List", "items": self.objects });
        let mut dump = Dump::default();
        dump.read("the case", &list.to_string())?;
        against(&Fit::of(dump.snapshot()), &self.feasible)
    }

    /// The cluster, to ask a scheduler about it anew. Namespaces are there already.
    #[must_use]
    pub fn cluster(&self) -> Cluster {
        let mut objects = self.objects.clone();
        objects.retain(|object| object["kind"] != "Namespace");
        Cluster { objects }
    }

    /// Writes the case as a file of this name.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str) -> Result<PathBuf> {
        let path = folder().join(format!("{name}.yaml"));
        let text = serde_saphyr::to_string(self).context("writing a case as YAML")?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// Where the case files are.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/parity")
}

/// All cases, by file name.
///
/// # Errors
/// Where one cannot be read.
pub fn all() -> Result<Vec<(String, Case)>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder()).context("reading tests/cases/parity")? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let case =
            serde_saphyr::from_str(&text).with_context(|| format!("understanding {}", path.display()))?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        cases.push((name, case));
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(cases)
}

/// Takes noise and emptiness out of an object. `restartPolicy` of a container is no noise: it makes a sidecar.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let bound = fields.get("annotations").and_then(Value::as_object).cloned();
            fields.retain(|name, value| {
                // What a CSIStorageCapacity has, and a volume, is no noise.
                !NOISE.contains(&name.as_str())
                    || (name == "capacity" && value.is_string())
                    || !value["storage"].is_null()
                    || (name == "restartPolicy" && value == "Always")
            });
            // What the volume binder looks at.
            let bound: serde_json::Map<String, Value> = bound
                .into_iter()
                .flatten()
                .filter(|(name, _)| {
                    name.starts_with("pv.kubernetes.io/") || name.starts_with("volume.kubernetes.io/")
                })
                .collect();
            if !bound.is_empty() {
                fields.insert("annotations".into(), bound.into());
            }
            if fields.get("restartPolicy").is_some() && fields.contains_key("containers") {
                fields.remove("restartPolicy");
            }
            fields.values_mut().for_each(strip);
            fields.retain(|name, value| {
                let empty =
                    value.is_null() || *value == serde_json::json!({}) || *value == serde_json::json!([]);
                !empty || EMPTY_SPEAKS.contains(&name.as_str())
            });
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
