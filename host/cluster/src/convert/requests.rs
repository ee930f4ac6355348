//! What a pod requests, by the rule of the scheduler: init containers run one after another, restartable
//! ones stay, and the runtime's overhead comes on top.

use autoscaler_core::model::{ResourceNames, Resources};
use autoscaler_core::quantity;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

type Quantities = BTreeMap<String, Quantity>;

/// Reads a resource list. What cannot be parsed counts as nothing: the API server has validated it already.
pub(crate) fn resources(list: Option<&Quantities>, names: &mut ResourceNames) -> Resources {
    let mut sum = Resources::default();
    for (name, amount) in list.into_iter().flatten() {
        match name.as_str() {
            "cpu" => sum.cpu_milli = quantity::parse_milli(&amount.0).unwrap_or(0),
            "memory" => sum.memory = quantity::parse_units(&amount.0).unwrap_or(0),
            "ephemeral-storage" => sum.ephemeral = quantity::parse_units(&amount.0).unwrap_or(0),
            "pods" => sum.pods = quantity::parse_units(&amount.0).unwrap_or(0),
            other => {
                let id = names.intern(other);
                sum.set(id, quantity::parse_units(&amount.0).unwrap_or(0));
            }
        }
    }
    sum
}

fn of_container(container: &Container, names: &mut ResourceNames) -> Resources {
    let Some(spec) = container.resources.as_ref() else {
        return Resources::default();
    };
    // A limit without a request is a request: the API server fills it in for pods, not for pod templates.
    let mut requests = spec.limits.clone().unwrap_or_default();
    requests.extend(spec.requests.clone().unwrap_or_default());
    resources(Some(&requests), names)
}

/// What one pod of this spec requests, `pods: 1` included.
pub(crate) fn requests_of_template(spec: &PodSpec, names: &mut ResourceNames) -> Resources {
    sum(spec, names, &|container, names| of_container(container, names))
}

/// What the pod takes of its node. A container that is being resized takes the larger of what it has and what it
/// is to have, unless the node cannot give it that ever.
pub(crate) fn requests_of_pod(pod: &Pod, spec: &PodSpec, names: &mut ResourceNames) -> Resources {
    let Some(status) = pod.status.as_ref().filter(|_| spec.node_name.is_some()) else {
        return requests_of_template(spec, names);
    };
    let conditions = status.conditions.iter().flatten();
    let infeasible = conditions
        .filter(|condition| condition.type_ == "PodResizePending")
        .any(|condition| condition.reason.as_deref() == Some("Infeasible"));
    let statuses = [&status.container_statuses, &status.init_container_statuses];
    let actual = |container: &Container| -> Option<&ContainerStatus> {
        let mut all = statuses.into_iter().flatten().flatten();
        all.find(|status| status.name == container.name && status.resources.is_some())
    };
    sum(spec, names, &|container, names| {
        let Some(status) = actual(container).filter(|_| !is_ordinary_init(spec, container)) else {
            return of_container(container, names);
        };
        let given = status
            .resources
            .as_ref()
            .and_then(|given| given.requests.as_ref());
        let mut effective = resources(given, names);
        effective.raise_to(&resources(status.allocated_resources.as_ref(), names));
        if !infeasible {
            effective.raise_to(&of_container(container, names));
        }
        effective
    })
}

/// An init container that ends before the next begins.
fn is_ordinary_init(spec: &PodSpec, container: &Container) -> bool {
    let mut init = spec.init_containers.iter().flatten();
    init.any(|known| known.name == container.name && known.restart_policy.as_deref() != Some("Always"))
}

type RequestsOf<'a> = &'a dyn Fn(&Container, &mut ResourceNames) -> Resources;

fn sum(spec: &PodSpec, names: &mut ResourceNames, of: RequestsOf<'_>) -> Resources {
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&of(container, names));
    }
    let mut sidecars = Resources::default();
    let mut peak = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of(container, names);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&own);
            peak.raise_to(&sidecars);
        } else {
            let mut while_it_runs = sidecars.clone();
            while_it_runs.add(&own);
            peak.raise_to(&while_it_runs);
        }
    }
    running.add(&sidecars);
    running.raise_to(&peak);
    // What the pod itself requests replaces the sum of its containers. A limit of the pod stands for a request
    // where no container requests anything: so does the API server write it.
    if let Some(pod_level) = spec.resources.as_ref() {
        for (list, is_limit) in [(&pod_level.limits, true), (&pod_level.requests, false)] {
            let named = resources(list.as_ref(), names);
            for name in list
                .iter()
                .flat_map(BTreeMap::keys)
                .filter(|name| may_be_of_pod(name))
            {
                let id = names.intern(name);
                if !is_limit || running.get(id) == 0 {
                    running.set(id, named.get(id));
                }
            }
        }
    }
    running.add(&resources(spec.overhead.as_ref(), names));
    running.pods = 1;
    running
}

/// Whether a resource can be requested for a pod as a whole.
fn may_be_of_pod(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: serde_json::Value) -> PodSpec {
        serde_json::from_value(yaml).unwrap()
    }

    fn container(cpu: &str, restart: Option<&str>) -> serde_json::Value {
        let mut c = serde_json::json!({"name": "c", "resources": {"requests": {"cpu": cpu}}});
        if let Some(policy) = restart {
            c["restartPolicy"] = policy.into();
        }
        c
    }

    #[test]
    fn requests_follow_the_scheduler() {
        let cases = [
            (
                "sum of containers",
                vec![container("100m", None), container("200m", None)],
                vec![],
                300,
            ),
            (
                "a big init container",
                vec![container("100m", None)],
                vec![container("1", None)],
                1000,
            ),
            (
                "a small init container",
                vec![container("500m", None)],
                vec![container("100m", None)],
                500,
            ),
            (
                "a sidecar stays",
                vec![container("500m", None)],
                vec![container("100m", Some("Always"))],
                600,
            ),
            (
                "an init container beside an earlier sidecar",
                vec![container("100m", None)],
                vec![container("300m", Some("Always")), container("400m", None)],
                700,
            ),
            (
                "an init container before the sidecar",
                vec![container("100m", None)],
                vec![container("350m", None), container("300m", Some("Always"))],
                400,
            ),
        ];
        for (name, containers, init, want) in cases {
            let pod = spec(serde_json::json!({"containers": containers, "initContainers": init}));
            let got = requests_of_template(&pod, &mut ResourceNames::default());
            assert_eq!(got.cpu_milli, want, "{name}");
            assert_eq!(got.pods, 1, "{name}");
        }
    }

    #[test]
    fn overhead_limits_and_extended_resources_count() {
        let pod = spec(serde_json::json!({
            "overhead": {"cpu": "50m", "memory": "10Mi"},
            "containers": [{"name": "c", "resources": {
                "limits": {"memory": "1Gi", "example.com/gpu": "2"}, "requests": {"cpu": "1"}}}],
        }));
        let mut names = ResourceNames::default();
        let got = requests_of_template(&pod, &mut names);
        let gpu = names.intern("example.com/gpu");
        assert_eq!(
            (got.cpu_milli, got.memory, got.get(gpu)),
            (1050, (1 << 30) + (10 << 20), 2)
        );
    }

    #[test]
    fn requests_of_the_pod_as_a_whole() {
        let container = |requests: serde_json::Value| serde_json::json!([{"name": "c", "resources": {"requests": requests}}]);
        for (pod, containers, want, why) in [
            (
                serde_json::json!({"requests": {"cpu": "2"}}),
                serde_json::json!({"cpu": "500m"}),
                2000,
                "more than its containers",
            ),
            (
                serde_json::json!({"requests": {"cpu": "1"}}),
                serde_json::json!({}),
                1000,
                "nothing of its containers",
            ),
            (
                serde_json::json!({"limits": {"cpu": "3"}}),
                serde_json::json!({}),
                3000,
                "a limit alone",
            ),
            (
                serde_json::json!({"limits": {"cpu": "3"}}),
                serde_json::json!({"cpu": "500m"}),
                500,
                "a limit, and a container that asks",
            ),
            (
                serde_json::json!({"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}),
                serde_json::json!({"cpu": "500m"}),
                1000,
                "both",
            ),
            (
                serde_json::json!({"requests": {"memory": "1Gi"}}),
                serde_json::json!({"cpu": "500m"}),
                500,
                "another resource",
            ),
        ] {
            let pod = spec(serde_json::json!({"containers": container(containers), "resources": pod}));
            let got = requests_of_template(&pod, &mut ResourceNames::default());
            assert_eq!(got.cpu_milli, want, "{why}");
        }
    }

    #[test]
    fn a_container_that_is_being_resized() {
        for (given, allocated, reason, node, want, why) in [
            ("500m", "500m", "", "n", 1000, "growing"),
            ("2", "2", "", "n", 2000, "shrinking"),
            ("500m", "700m", "Infeasible", "n", 700, "it never will"),
            ("500m", "500m", "Deferred", "n", 1000, "it will"),
            ("2", "2", "", "", 1000, "a pod that does not run yet"),
        ] {
            let mut pod: Pod = serde_json::from_value(serde_json::json!({
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
                "status": {
                    "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
                    "containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                        "resources": {"requests": {"cpu": given}}, "allocatedResources": {"cpu": allocated}}],
                },
            }))
            .unwrap();
            let mut spec = pod.spec.take().unwrap();
            spec.node_name = (!node.is_empty()).then(|| node.to_owned());
            let got = requests_of_pod(&pod, &spec, &mut ResourceNames::default());
            assert_eq!(got.cpu_milli, want, "{why}");
        }
    }
}
