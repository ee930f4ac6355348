//! What the removal of its node means for a pod: it moves, it does not matter, or it forbids the removal.

use super::node::DO_NOT_DISRUPT;
use autoscaler_core::model::Movability;
use k8s_openapi::api::core::v1::Pod;

const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Judges one pod. The words are those that users of Cluster Autoscaler know.
pub(crate) fn movability(pod: &Pod) -> Movability {
    let annotation = |key: &str| {
        pod.metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(key))
            .map(String::as_str)
    };
    let owner = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let finished = matches!(phase, Some("Succeeded" | "Failed"));
    if finished || annotation(MIRROR).is_some() || owner.is_some_and(|owner| owner.kind == "DaemonSet") {
        return Movability::Ignored;
    }
    let blocks = |code: &str, text: String| Movability::Blocks(code.to_owned(), text);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if annotation(DO_NOT_DISRUPT) == Some("true") {
        return blocks(
            "NotSafeToEvictAnnotation",
            format!("pod {name} carries {DO_NOT_DISRUPT}"),
        );
    }
    match annotation(SAFE_TO_EVICT) {
        Some("true") => return Movability::Moves,
        Some("false") => {
            return blocks(
                "NotSafeToEvictAnnotation",
                format!("pod {name} carries {SAFE_TO_EVICT}=false"),
            );
        }
        _ => {}
    }
    if owner.is_none() {
        return blocks(
            "NotReplicated",
            format!("pod {name} has no controller that would replace it"),
        );
    }
    let host_path = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.volumes.as_ref())
        .into_iter()
        .flatten()
        .find(|volume| volume.host_path.is_some());
    if let Some(volume) = host_path {
        return blocks(
            "LocalStorageRequested",
            format!("pod {name} keeps data of the node (volume {})", volume.name),
        );
    }
    Movability::Moves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_pod_is_judged() {
        let owner = |kind: &str| serde_json::json!([{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]);
        let cases = [
            (
                "replicated",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet")}}),
                "moves",
            ),
            (
                "daemon",
                serde_json::json!({"metadata": {"ownerReferences": owner("DaemonSet")}}),
                "ignored",
            ),
            (
                "mirror",
                serde_json::json!({"metadata": {"annotations": {MIRROR: "x"}}}),
                "ignored",
            ),
            (
                "finished",
                serde_json::json!({"metadata": {}, "status": {"phase": "Succeeded"}}),
                "ignored",
            ),
            ("bare", serde_json::json!({"metadata": {}}), "NotReplicated"),
            (
                "bare but safe",
                serde_json::json!({"metadata": {"annotations": {SAFE_TO_EVICT: "true"}}}),
                "moves",
            ),
            (
                "not safe",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet"), "annotations": {SAFE_TO_EVICT: "false"}}}),
                "NotSafeToEvictAnnotation",
            ),
            (
                "do not disrupt",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet"), "annotations": {DO_NOT_DISRUPT: "true"}}}),
                "NotSafeToEvictAnnotation",
            ),
            (
                "data of the node",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet")},
                    "spec": {"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/data"}}]}}),
                "LocalStorageRequested",
            ),
            (
                "scratch space",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet")},
                    "spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}),
                "moves",
            ),
        ];
        for (name, pod, want) in cases {
            let got = match movability(&serde_json::from_value(pod).unwrap()) {
                Movability::Moves => "moves".to_owned(),
                Movability::Ignored => "ignored".to_owned(),
                Movability::Blocks(code, _) => code,
            };
            assert_eq!(got, want, "{name}");
        }
    }
}
