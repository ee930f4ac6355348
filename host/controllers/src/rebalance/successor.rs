//! Pods that are the only one of their Deployment: where the settings ask for it, the Deployment is restarted, its rollout
//! makes the successor first, and the pod goes when that one is ready. See docs/adr/0016-single-replica-surge.md.

use super::Tools;
use super::record::Record;
use crate::error::Error;
use autoscaler_api::labels;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// How a pod is relieved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Successor {
    /// Its Deployment is to be restarted, in the version that was looked at.
    Ask {
        deployment: String,
        version: Option<String>,
    },
    /// A rollout is under way.
    Coming { deployment: String },
    /// We may not ask.
    Refused { why: String },
}

/// What a restart is marked with: the same however often this drain asks, and another one for another drain.
fn mark(record: &Record<'_>, node: &str) -> String {
    let began = record.status.started_at.as_ref().map(|time| time.0.to_string());
    format!("{} {node} {}", record.id(), began.unwrap_or_default())
}

/// How the pod is relieved; none where it is evicted as others are.
pub(super) async fn of(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pod: &Pod,
) -> Result<Option<Successor>, Error> {
    if !tools.index.surges(node) || pod.metadata.deletion_timestamp.is_some() {
        return Ok(None);
    }
    Ok(match deployment_of(tools, pod).await? {
        Found::Nothing => None,
        Found::Refused(why) => Some(Successor::Refused { why }),
        Found::Deployment(deployment) => stage(&deployment, &mark(record, node)),
    })
}

enum Found {
    Nothing,
    Refused(String),
    Deployment(Box<Deployment>),
}

fn owner(object: &impl ResourceExt, kind: &str) -> Option<String> {
    let mut owners = object.owner_references().iter();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == kind)?;
    Some(owner.name.clone())
}

async fn deployment_of(tools: &Tools, pod: &Pod) -> Result<Found, Error> {
    let namespace = pod.namespace().unwrap_or_default();
    let Some(set) = owner(pod, "ReplicaSet") else {
        return Ok(Found::Nothing);
    };
    let sets = Api::<ReplicaSet>::namespaced(tools.effects.clone(), &namespace);
    let set = sets
        .get_opt(&set)
        .await
        .map_err(Error::kubernetes("reading a ReplicaSet"))?;
    let Some(name) = set.as_ref().and_then(|set| owner(set, "Deployment")) else {
        return Ok(Found::Nothing);
    };
    let deployments = Api::<Deployment>::namespaced(tools.effects.clone(), &namespace);
    match deployments.get_opt(&name).await {
        Ok(Some(deployment)) => Ok(Found::Deployment(Box::new(deployment))),
        Ok(None) => Ok(Found::Nothing),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Found::Refused(format!(
            "drain.singleReplica is Surge, and the rights of deploy/surge-rbac.yaml are missing: {}",
            status.message
        ))),
        Err(error) => Err(Error::kubernetes("reading a Deployment")(error)),
    }
}

/// Where the Deployment stands. Pure.
fn stage(deployment: &Deployment, mark: &str) -> Option<Successor> {
    let name = deployment.name_any();
    let spec = deployment.spec.as_ref()?;
    if spec.replicas.unwrap_or(1) != 1 || spec.paused == Some(true) || !makes_one_first(deployment) {
        return None;
    }
    let annotations = spec.template.metadata.as_ref()?.annotations.as_ref();
    let asked = annotations.is_some_and(|all| all.get(labels::RESTARTED_FOR).is_some_and(|by| by == mark));
    let status = deployment.status.clone().unwrap_or_default();
    let rolls = status.observed_generation < deployment.metadata.generation
        || status.updated_replicas != Some(1)
        || status.replicas != Some(1);
    Some(if asked || rolls {
        Successor::Coming { deployment: name }
    } else {
        Successor::Ask {
            deployment: name,
            version: deployment.resource_version(),
        }
    })
}

/// Whether the rollout of a single replica makes the new pod before the old one goes.
fn makes_one_first(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let Some(strategy) = strategy else { return true };
    if strategy.type_.as_deref() == Some("Recreate") {
        return false;
    }
    let rolling = strategy.rolling_update.as_ref();
    let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
    let missing = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    surge.is_none_or(|surge| amount(surge) > 0) && missing.is_none_or(|missing| amount(missing) < 100)
}

/// In hundredths of the one replica.
fn amount(value: &IntOrString) -> i32 {
    match value {
        IntOrString::Int(number) => number.saturating_mul(100),
        IntOrString::String(text) => text.trim_end_matches('%').parse().unwrap_or(0),
    }
}

/// Restarts a Deployment for a pod. Asked twice, it is restarted once.
pub(super) async fn ask(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    namespace: &str,
    deployment: &str,
    version: Option<&str>,
) -> Result<Option<String>, Error> {
    let patch = restart(version, Some(&mark(record, node)));
    let api = Api::<Deployment>::namespaced(tools.effects.clone(), namespace);
    let asked = api
        .patch(deployment, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    match asked {
        Ok(_) => {
            let operation = record.id();
            tracing::info!(
                operation,
                node,
                "rebalance: Deployment {namespace}/{deployment} restarted"
            );
            Ok(None)
        }
        // Somebody has changed it or taken it away: the next look sees.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(format!(
            "drain.singleReplica is Surge, and the rights of deploy/surge-rbac.yaml are missing: {}",
            status.message
        ))),
        Err(error) => Err(Error::kubernetes("restarting a Deployment")(error)),
    }
}

fn restart(version: Option<&str>, mark: Option<&str>) -> Value {
    json!({
        "metadata": {"resourceVersion": version},
        "spec": {"template": {"metadata": {"annotations": {labels::RESTARTED_FOR: mark}}}},
    })
}

/// The pods of the node stay: rollouts that were asked for them and are not over go back to the template as it was.
pub(super) async fn take_back(
    tools: &Tools,
    record: &Record<'_>,
    node: &str,
    pods: &[Pod],
) -> Result<(), Error> {
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let Found::Deployment(deployment) = deployment_of(tools, pod).await? else {
            continue;
        };
        let template = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.metadata.as_ref());
        let annotations = template.and_then(|meta| meta.annotations.as_ref());
        let by = annotations.and_then(|all| all.get(labels::RESTARTED_FOR));
        if by.is_none_or(|by| *by != mark(record, node)) {
            continue;
        }
        let (namespace, name) = (pod.namespace().unwrap_or_default(), deployment.name_any());
        let api = Api::<Deployment>::namespaced(tools.effects.clone(), &namespace);
        let patch = restart(deployment.resource_version().as_deref(), None);
        match api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(_) => tracing::info!(
                operation = record.id(),
                "rebalance: restart of {namespace}/{name} taken back"
            ),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {}
            Err(error) => return Err(Error::kubernetes("taking a restart back")(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_deployment_that_makes_one_first_is_restarted() {
        let settled = json!({"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1});
        let rolling = |surge: Value, missing: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": missing}});
        let quarter = || rolling(json!("25%"), json!("25%"));
        let none = json!({});
        let ours = json!({labels::RESTARTED_FOR: "op n1"});
        let other = json!({labels::RESTARTED_FOR: "op n0"});
        let cases = [
            ("as defaulted", json!(1), quarter(), &none, &settled, "ask"),
            (
                "one more, none less",
                json!(1),
                rolling(json!(1), json!(0)),
                &none,
                &settled,
                "ask",
            ),
            (
                "none more",
                json!(1),
                rolling(json!(0), json!(1)),
                &none,
                &settled,
                "evict",
            ),
            (
                "may miss one",
                json!(1),
                rolling(json!(1), json!(1)),
                &none,
                &settled,
                "evict",
            ),
            (
                "may miss all",
                json!(1),
                rolling(json!("25%"), json!("100%")),
                &none,
                &settled,
                "evict",
            ),
            (
                "recreated",
                json!(1),
                json!({"type": "Recreate"}),
                &none,
                &settled,
                "evict",
            ),
            ("two replicas", json!(2), quarter(), &none, &settled, "evict"),
            ("asked", json!(1), quarter(), &ours, &settled, "coming"),
            (
                "asked for another node",
                json!(1),
                quarter(),
                &other,
                &settled,
                "ask",
            ),
            (
                "a rollout of somebody else",
                json!(1),
                quarter(),
                &none,
                &json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1}),
                "coming",
            ),
            (
                "a change that nobody has seen yet",
                json!(1),
                quarter(),
                &none,
                &json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}),
                "coming",
            ),
        ];
        for (name, replicas, strategy, annotations, status, expected) in cases {
            let deployment = serde_json::from_value(json!({
                "metadata": {"name": "web", "generation": 3, "resourceVersion": "7"},
                "spec": {
                    "replicas": replicas, "strategy": strategy, "selector": {},
                    "template": {"metadata": {"annotations": annotations}},
                },
                "status": status,
            }));
            let found = match stage(&deployment.unwrap(), "op n1") {
                None => "evict",
                Some(Successor::Ask { .. }) => "ask",
                Some(Successor::Coming { .. }) => "coming",
                Some(Successor::Refused { .. }) => "refused",
            };
            assert_eq!(found, expected, "{name}");
        }
    }
}
