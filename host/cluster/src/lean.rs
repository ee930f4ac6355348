//! What the API server sends and no decision needs, dropped from the objects that the index keeps.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Node, Pod, PodSpec, PodStatus, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// A node without its images, which are most of it.
pub(crate) fn node(mut node: Node) -> Node {
    if let Some(status) = node.status.as_mut() {
        status.images = None;
    }
    node
}

/// A pod as far as its class is made of it: how containers run is the kubelet's, what they ask for stays.
pub(crate) fn pod(pod: &Pod) -> Pod {
    let meta = &pod.metadata;
    Pod {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            labels: meta.labels.clone(),
            deletion_timestamp: meta.deletion_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: pod.spec.as_ref().map(spec),
        status: pod.status.as_ref().map(status),
    }
}

fn spec(spec: &PodSpec) -> PodSpec {
    PodSpec {
        affinity: spec.affinity.clone(),
        containers: spec.containers.iter().map(container).collect(),
        host_network: spec.host_network,
        init_containers: spec
            .init_containers
            .as_ref()
            .map(|all| all.iter().map(container).collect()),
        node_name: spec.node_name.clone(),
        node_selector: spec.node_selector.clone(),
        overhead: spec.overhead.clone(),
        priority: spec.priority,
        resources: spec.resources.clone(),
        tolerations: spec.tolerations.clone(),
        topology_spread_constraints: spec.topology_spread_constraints.clone(),
        volumes: spec
            .volumes
            .as_ref()
            .map(|all| all.iter().filter(|volume| !is_local(volume)).cloned().collect()),
        ..PodSpec::default()
    }
}

/// Whether the kubelet makes the volume on any node.
fn is_local(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.host_path.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some()
}

fn container(container: &Container) -> Container {
    Container {
        name: container.name.clone(),
        ports: container.ports.clone(),
        resources: container.resources.clone(),
        restart_policy: container.restart_policy.clone(),
        ..Container::default()
    }
}

/// What containers that are being resized have now, and whether they will ever have more.
fn status(status: &PodStatus) -> PodStatus {
    let given = |all: &Option<Vec<ContainerStatus>>| {
        let resized = all.iter().flatten().filter(|status| status.resources.is_some());
        let all = resized.map(|status| ContainerStatus {
            name: status.name.clone(),
            allocated_resources: status.allocated_resources.clone(),
            resources: status.resources.clone(),
            ..ContainerStatus::default()
        });
        Some(all.collect())
    };
    let conditions = status.conditions.iter().flatten();
    let resize = conditions.filter(|condition| condition.type_ == "PodResizePending");
    PodStatus {
        conditions: Some(resize.cloned().collect()),
        container_statuses: given(&status.container_statuses),
        init_container_statuses: given(&status.init_container_statuses),
        ..PodStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::convert::{Surroundings, pod_class};
    use autoscaler_core::model::ResourceNames;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    #[test]
    fn the_class_of_a_pod_stays() {
        let container = |name: &str| {
            json!({
                "name": name, "image": "registry/image", "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "9"}, "limits": {"memory": "1Gi"}}, "restartPolicy": "Always",
            })
        };
        let selector = json!({"matchLabels": {"app": "a"}});
        let term = json!({"topologyKey": "zone", "labelSelector": selector, "namespaceSelector": selector});
        let terms = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
        let fields = json!({
            "affinity": {
                "podAffinity": terms, "podAntiAffinity": terms,
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}],
                }},
            },
            "hostNetwork": true, "initContainers": [container("init")], "nodeSelector": {"a": "b"},
            "overhead": {"cpu": "10m"}, "priority": 7, "resources": {"requests": {"memory": "3Gi"}},
            "tolerations": [{"operator": "Exists"}],
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector,
            }],
            "volumes": [
                {"name": "config", "configMap": {"name": "config"}},
                {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "disk", "gcePersistentDisk": {"pdName": "disk"}},
            ],
        });
        let running = json!({
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}],
            "containerStatuses": [{
                "name": "c", "ready": true, "restartCount": 0, "image": "image", "imageID": "image",
                "resources": {"requests": {"cpu": "5"}}, "allocatedResources": {"cpu": "6"},
            }],
        });
        let class = |pod: &Pod| pod_class(pod, &mut ResourceNames::default(), &Surroundings::default());
        for (field, value) in fields.as_object().unwrap() {
            let meta = json!({"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "a"}});
            let spec = json!({"containers": [container("c")], "nodeName": "node"});
            let mut pod = json!({"metadata": meta, "spec": spec, "status": running});
            let bare = serde_json::from_value(pod.clone()).unwrap();
            pod["spec"][field] = value.clone();
            let pod = serde_json::from_value(pod).unwrap();
            assert_eq!(class(&super::pod(&pod)), class(&pod), "{field}");
            assert_ne!(class(&pod), class(&bare), "{field}");
        }
    }

    #[test]
    fn nodes_lose_their_images() {
        let node = json!({
            "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1"}, "images": [{"names": ["image"]}]},
        });
        let status = super::node(serde_json::from_value(node).unwrap()).status.unwrap();
        assert!(status.images.is_none() && status.allocatable.is_some());
    }
}
