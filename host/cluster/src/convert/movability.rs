//! What the removal of its node means for a pod: it moves, it does not matter, or it forbids the removal.

use super::node::DO_NOT_DISRUPT;
use autoscaler_api::duration::parse_duration;
use autoscaler_core::model::{Health, Judgement, Losses, Movability};
use k8s_openapi::api::core::v1::{Pod, Volume};

const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const SAFE_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Judges one pod. The words are those that users of Cluster Autoscaler and Karpenter know.
pub(crate) fn movability(pod: &Pod) -> Judgement {
    let (lasting, losses) = lasting(pod);
    let until = match &lasting {
        Movability::Ignored => None,
        _ => undisturbed_until(pod).map(|(end_ms, value)| {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let text = format!("pod {name} carries {DO_NOT_DISRUPT}={value}");
            Box::new((
                end_ms,
                Movability::Blocks("NotSafeToEvictAnnotation".to_owned(), text),
            ))
        }),
    };
    Judgement {
        lasting,
        until,
        losses,
    }
}

/// What its eviction means to a disruption budget, as the eviction API sees it.
pub(crate) fn health(pod: &Pod) -> Health {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Pending" | "Succeeded" | "Failed"))
    {
        return Health::Down;
    }
    let mut conditions = status
        .into_iter()
        .flat_map(|status| status.conditions.iter().flatten());
    match conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        true => Health::Ready,
        false => Health::Unready,
    }
}

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    let all = pod.metadata.annotations.as_ref()?;
    all.get(key).map(String::as_str)
}

/// A pod may ask for quiet for a time from its start. A text that is no such time counts as none; a pod whose
/// start is not known yet has all of it before it.
fn undisturbed_until(pod: &Pod) -> Option<(i64, &str)> {
    let value = annotation(pod, DO_NOT_DISRUPT)?;
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let span = i64::try_from(parse_duration(value).ok()?.as_millis()).ok()?;
    let start = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let end = start.map_or(i64::MAX, |start| start.0.as_millisecond().saturating_add(span));
    (span > 0).then_some((end, value))
}

/// What holds once no time protects the pod, and what would be lost with it. The default rules decide: files of the node
/// and pods without a controller are kept, scratch space is not.
fn lasting(pod: &Pod) -> (Movability, Losses) {
    let moves = (Movability::Moves, Losses::default());
    let owner = pod
        .metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let finished = matches!(phase, Some("Succeeded" | "Failed"));
    if finished || annotation(pod, MIRROR).is_some() || owner.is_some_and(|owner| owner.kind == "DaemonSet") {
        return (Movability::Ignored, Losses::default());
    }
    // Whoever deleted it has decided. Its room counts until it is gone: it may still be at work.
    if pod.metadata.deletion_timestamp.is_some() {
        return moves;
    }
    let blocks = |code: &str, text: String| Movability::Blocks(code.to_owned(), text);
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let forbids = |text: String| (blocks("NotSafeToEvictAnnotation", text), Losses::default());
    if annotation(pod, DO_NOT_DISRUPT) == Some("true") {
        return forbids(format!("pod {name} carries {DO_NOT_DISRUPT}"));
    }
    match annotation(pod, SAFE_TO_EVICT) {
        Some("true") => return moves,
        Some("false") => return forbids(format!("pod {name} carries {SAFE_TO_EVICT}=false")),
        Some("on-completion") => {
            let text = format!("pod {name} is to end by itself ({SAFE_TO_EVICT}=on-completion)");
            return (blocks("BlockedByOnCompletionPod", text), Losses::default());
        }
        _ => {}
    }
    let files = kept_volume(pod, |volume| volume.host_path.is_some());
    let losses = Losses {
        empty_dir: kept_volume(pod, is_scratch_on_disk).is_some(),
        host_path: files.is_some(),
        bare: owner.is_none(),
    };
    let lasting = match (owner, files) {
        (None, _) => {
            let text = format!("pod {name} has no controller that would replace it");
            blocks("NotReplicated", text)
        }
        (_, Some(volume)) => {
            let text = format!("pod {name} keeps data of the node (volume {})", volume.name);
            blocks("LocalStorageRequested", text)
        }
        _ => Movability::Moves,
    };
    (lasting, losses)
}

fn is_scratch_on_disk(volume: &Volume) -> bool {
    let scratch = volume.empty_dir.as_ref();
    scratch.is_some_and(|scratch| scratch.medium.as_deref() != Some("Memory"))
}

/// A volume of a kind whose data stays behind, and that the pod's author did not release.
fn kept_volume(pod: &Pod, kind: impl Fn(&Volume) -> bool) -> Option<&Volume> {
    let released = annotation(pod, SAFE_VOLUMES).unwrap_or_default();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes
        .into_iter()
        .flatten()
        .find(|volume| kind(volume) && !released.split(',').any(|name| name.trim() == volume.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_core::model::DrainRules;

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
                "data of the node that was released by name",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet"), "annotations": {SAFE_VOLUMES: "u, v"}},
                    "spec": {"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/data"}}]}}),
                "moves",
            ),
            (
                "data of the node, one volume of two released",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet"), "annotations": {SAFE_VOLUMES: "v"}},
                    "spec": {"containers": [], "volumes": [
                        {"name": "v", "hostPath": {"path": "/data"}}, {"name": "w", "hostPath": {"path": "/more"}}]}}),
                "LocalStorageRequested",
            ),
            (
                "ends by itself",
                serde_json::json!({"metadata": {"ownerReferences": owner("Job"), "annotations": {SAFE_TO_EVICT: "on-completion"}}}),
                "BlockedByOnCompletionPod",
            ),
            (
                "bare, but being deleted",
                serde_json::json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
                "moves",
            ),
            (
                "scratch space",
                serde_json::json!({"metadata": {"ownerReferences": owner("ReplicaSet")},
                    "spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]}}),
                "moves",
            ),
        ];
        for (name, pod, want) in cases {
            assert_eq!(word(&judged(pod), 0), want, "{name}");
        }
    }

    #[test]
    fn what_budgets_see() {
        let ready = |status: &str| serde_json::json!([{"type": "Ready", "status": status}]);
        for (phase, conditions, deleted, expected) in [
            ("Running", ready("True"), false, Health::Ready),
            ("Running", ready("False"), false, Health::Unready),
            ("Running", ready("Unknown"), false, Health::Unready),
            ("Running", serde_json::json!([]), false, Health::Unready),
            ("Running", ready("True"), true, Health::Down),
            ("Pending", ready("False"), false, Health::Down),
            ("Failed", ready("False"), false, Health::Down),
            ("Succeeded", ready("False"), false, Health::Down),
        ] {
            let mut pod =
                serde_json::json!({"metadata": {}, "status": {"phase": phase, "conditions": conditions}});
            if deleted {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            assert_eq!(
                health(&serde_json::from_value(pod.clone()).unwrap()),
                expected,
                "{pod}"
            );
        }
    }

    fn judged(pod: serde_json::Value) -> Judgement {
        movability(&serde_json::from_value(pod).unwrap())
    }

    fn word(judgement: &Judgement, now_ms: i64) -> String {
        match judgement.under(&DrainRules::default(), now_ms).into_owned() {
            Movability::Moves => "moves".to_owned(),
            Movability::Ignored => "ignored".to_owned(),
            Movability::Blocks(code, _) => code,
        }
    }

    #[test]
    fn quiet_ends() {
        let owner = serde_json::json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "o", "uid": "u", "controller": true}]);
        let start = "1970-01-01T00:01:40Z";
        let blocked = "NotSafeToEvictAnnotation";
        for (value, started, deleted, cases) in [
            (
                "10m",
                true,
                false,
                vec![(0, blocked), (699_999, blocked), (700_000, "moves")],
            ),
            ("10m", false, false, vec![(i64::MAX - 1, blocked)]),
            ("10m", true, true, vec![(0, "moves")]),
            ("0s", true, false, vec![(0, "moves")]),
            ("-5m", true, false, vec![(0, "moves")]),
            ("soon", true, false, vec![(0, "moves")]),
            ("false", true, false, vec![(0, "moves")]),
            ("true", true, false, vec![(i64::MAX, blocked)]),
        ] {
            let mut pod = serde_json::json!({
                "metadata": {"ownerReferences": owner, "annotations": {DO_NOT_DISRUPT: value}},
                "status": {},
            });
            if started {
                pod["status"]["startTime"] = start.into();
            }
            if deleted {
                pod["metadata"]["deletionTimestamp"] = start.into();
            }
            let judgement = judged(pod);
            for (now_ms, want) in cases {
                assert_eq!(word(&judgement, now_ms), want, "{value} at {now_ms}");
            }
        }
    }
}
