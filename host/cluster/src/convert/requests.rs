//! What a pod requests, by the rule of the scheduler: init containers run one after another, restartable
//! ones stay, and the runtime's overhead comes on top.

use autoscaler_core::model::{ResourceNames, Resources};
use autoscaler_core::quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec};
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
    let mut running = Resources::default();
    for container in &spec.containers {
        running.add(&of_container(container, names));
    }
    let mut sidecars = Resources::default();
    let mut peak = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container, names);
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
    // Pod-level requests replace the sum of the containers for the resources that they name.
    if let Some(pod_level) = spec.resources.as_ref() {
        let mut list = pod_level.limits.clone().unwrap_or_default();
        list.extend(pod_level.requests.clone().unwrap_or_default());
        let named = resources(Some(&list), names);
        for name in list.keys() {
            let id = names.intern(name);
            running.set(id, named.get(id));
        }
    }
    running.add(&resources(spec.overhead.as_ref(), names));
    running.pods = 1;
    running
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
}
