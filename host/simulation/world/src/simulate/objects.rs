//! The Kubernetes objects of a scenario: which kinds there are, and how they get into the world.

use super::file::Problem;
use crate::scenario::SYSTEM;
use crate::{Error, World};
use autoscaler_api::{AutoscalerConfig, NodeGroup, ScalingPolicy};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Where namespaced objects go that name no namespace.
pub(super) const DEFAULT_NAMESPACE: &str = "default";
/// The ScalingPolicy of a component that the command line names.
pub(super) const CANDIDATE: &str = "candidate";

/// Kind, how it is addressed, and its namespace where it has one and the object names none.
fn kinds() -> [(&'static str, ApiResource, Option<&'static str>); 11] {
    fn of<K: kube::Resource<DynamicType = ()>>() -> ApiResource {
        ApiResource::erase::<K>(&())
    }
    let namespaced = Some(DEFAULT_NAMESPACE);
    [
        ("AutoscalerConfig", of::<AutoscalerConfig>(), None),
        ("ConfigMap", of::<ConfigMap>(), namespaced),
        ("DaemonSet", of::<DaemonSet>(), namespaced),
        ("Deployment", of::<Deployment>(), namespaced),
        ("Namespace", of::<Namespace>(), None),
        ("NodeGroup", of::<NodeGroup>(), Some(SYSTEM)),
        ("Pod", of::<Pod>(), namespaced),
        ("PodDisruptionBudget", of::<PodDisruptionBudget>(), namespaced),
        ("PriorityClass", of::<PriorityClass>(), None),
        ("ScalingPolicy", of::<ScalingPolicy>(), None),
        ("Secret", of::<Secret>(), namespaced),
    ]
}

/// What makes two objects the same one.
pub(super) fn identity(object: &Value) -> (Option<&str>, Option<&str>, Option<&str>) {
    let metadata = &object["metadata"];
    (
        object["kind"].as_str(),
        metadata["namespace"].as_str(),
        metadata["name"].as_str(),
    )
}

/// Whether the object can be addressed.
pub(super) fn check(object: &Value) -> Result<(), String> {
    let kinds = kinds();
    let (kind, _, name) = identity(object);
    let kind = kind.ok_or("kind is missing")?;
    if !kinds.iter().any(|(known, ..)| *known == kind) {
        let known = kinds.map(|(known, ..)| known).join(", ");
        return Err(format!("kind {kind} is not simulated; these are: {known}"));
    }
    name.map(drop)
        .ok_or_else(|| "metadata.name is missing".to_owned())
}

/// Creates the object, or changes it to this. A node group is completed by the first place and cluster of the cloud.
pub(super) async fn apply(world: &World, object: &Value) -> Result<(), Error> {
    let mut object = object.clone();
    if object["kind"] == "NodeGroup" {
        let config = world.cloud.config();
        if let Some(cluster) = config.clusters.first() {
            complete(&mut object["spec"], "datacenterID", &cluster.datacenter);
            if object["spec"]["provisioner"] != "VM" {
                complete(&mut object["spec"], "resourceIdentifier", &cluster.identifier);
            }
        }
    }
    let (api, name) = address(world, &object).await?;
    let read: DynamicObject = serde_json::from_value(object.clone()).map_err(Error::Scenario)?;
    match api.create(&PostParams::default(), &read).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let patched = api
                .patch(&name, &PatchParams::default(), &Patch::Merge(&object))
                .await;
            patched.map(drop).map_err(|source| refused(&object, source))
        }
        created => created.map(drop).map_err(|source| refused(&object, source)),
    }
}

/// Deletes the object; it may be gone already.
pub(super) async fn delete(world: &World, object: &Value) -> Result<(), Error> {
    let (api, name) = address(world, object).await?;
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop).map_err(|source| refused(object, source)),
    }
}

/// Changes a Deployment.
pub(super) async fn change(world: &World, namespace: &str, name: &str, patch: &Value) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(world.client.clone(), namespace);
    let changed = api
        .patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await;
    let object = json!({"kind": "Deployment", "metadata": {"name": name, "namespace": namespace}});
    changed.map(drop).map_err(|source| refused(&object, source))
}

async fn address(world: &World, object: &Value) -> Result<(Api<DynamicObject>, String), Error> {
    let (kind, namespace, name) = identity(object);
    let name = name.unwrap_or_default().to_owned();
    let of_kind = kinds().into_iter().find(|(known, ..)| kind == Some(*known));
    let Some((_, resource, default)) = of_kind else {
        let problem = check(object).err().unwrap_or_default();
        return Err(Error::Invalid(Problem::new(name, problem)));
    };
    let client = world.client.clone();
    let Some(default) = default else {
        return Ok((Api::all_with(client, &resource), name));
    };
    let namespace = namespace.unwrap_or(default);
    let created: Namespace =
        serde_json::from_value(json!({"metadata": {"name": namespace}})).map_err(Error::Scenario)?;
    // It is there already, or it is now.
    let _ = Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &created)
        .await;
    Ok((Api::namespaced_with(client, namespace, &resource), name))
}

fn complete(spec: &mut Value, field: &str, value: &str) {
    if spec[field].is_null() {
        spec[field] = json!(value);
    }
}

fn refused(object: &Value, source: kube::Error) -> Error {
    let (kind, namespace, name) = identity(object);
    let namespace = namespace
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default();
    Error::Object {
        object: format!(
            "{} {namespace}{}",
            kind.unwrap_or_default(),
            name.unwrap_or_default()
        ),
        source: Box::new(source),
    }
}
