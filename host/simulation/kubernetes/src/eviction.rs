//! Eviction: deletion of a pod that disruption budgets may refuse.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::Call;
use crate::create::Writing;
use crate::delete::{self, Options};
use crate::error::ApiError;
use crate::managers::Tracking;
use crate::selector::LabelSelector;
use crate::server::timestamp;
use crate::state::State;
use crate::store::Stored;
use crate::subresources::set_condition;
use crate::{metadata, update};

/// The wording on which clients rely to tell a budget's refusal from overload.
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// A budget whose controller is behind is asked again after this many seconds.
const RETRY_AFTER_SECONDS: u32 = 10;

/// Answers a POST on `pods/NAME/eviction`.
pub(crate) fn evict(state: &mut State, call: &Call, now: Timestamp) -> Result<(), ApiError> {
    let eviction = call.json()?;
    if metadata::text(&eviction, "name") != call.name() {
        return Err(ApiError::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let mut options = Options::from_object(&eviction["deleteOptions"]);
    options.dry_run |= call.dry_run();
    let pod = state.find(&call.resource, &call.key())?;
    if !ignores_budgets(&pod.value) {
        spend_budget(state, call, &pod.value, &options, now)?;
    }
    if !options.dry_run {
        let mut new = pod.value.clone();
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        });
        set_condition(&mut new, condition, now);
        let writing = Writing {
            tracking: Tracking::update(call),
            now,
            dry_run: false,
        };
        let marked = update::update(state, &call.resource, Some("eviction"), &pod, new, &writing)?;
        if options.resource_version.as_deref() == Some(pod.revision.to_string().as_str()) {
            options.resource_version = Some(marked.revision.to_string());
        }
    }
    delete::delete(state, &call.resource, &call.key(), &options, now)?;
    Ok(())
}

/// A pod that does not run, or is going already, disrupts nobody.
fn ignores_budgets(pod: &Value) -> bool {
    matches!(
        pod["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed" | "Pending")
    ) || metadata::is_terminating(pod)
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Finds the pod's budget and takes one disruption from it, or says why not.
fn spend_budget(
    state: &mut State,
    call: &Call,
    pod: &Value,
    options: &Options,
    now: Timestamp,
) -> Result<(), ApiError> {
    let Some(budgets) = state.resource_named("policy", "poddisruptionbudgets") else {
        return Ok(());
    };
    let matching: Vec<std::sync::Arc<Stored>> = state
        .store
        .list(&budgets.key(), &call.namespace)
        .map(|(_, budget)| budget)
        .filter(|budget| {
            LabelSelector::from_object(budget.value["spec"].get("selector"))
                .is_some_and(|selector| selector.matches(pod))
        })
        .cloned()
        .collect();
    let budget = match matching.as_slice() {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            return Err(ApiError::bare(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let status = &budget.value["status"];
    let count = |key: &str| status[key].as_i64().unwrap_or(0);
    if !is_ready(pod) {
        let always = budget.value["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow";
        let healthy = count("currentHealthy") >= count("desiredHealthy") && count("desiredHealthy") > 0;
        if always || healthy {
            return Ok(());
        }
    }
    let name = metadata::text(&budget.value, "name");
    let refuse = |why: String, retry| {
        Err(ApiError::too_many_requests(REFUSED, retry).with_cause("DisruptionBudget", why, None))
    };
    if count("observedGeneration") < budget.value["metadata"]["generation"].as_i64().unwrap_or(0) {
        return refuse(
            format!("The disruption budget {name} is still being processed by the server."),
            RETRY_AFTER_SECONDS,
        );
    }
    if count("disruptionsAllowed") < 0 {
        return Err(ApiError::forbidden(
            &budgets,
            name,
            "pdb disruptions allowed is negative",
        ));
    }
    if count("disruptionsAllowed") == 0 {
        let (desired, current) = (count("desiredHealthy"), count("currentHealthy"));
        let why = if current <= desired {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        } else {
            format!("The disruption budget {name} does not allow evicting pods currently")
        };
        return refuse(why, 0);
    }
    if options.dry_run {
        return Ok(());
    }
    let mut new = budget.value.clone();
    let left = count("disruptionsAllowed") - 1;
    new["status"]["disruptionsAllowed"] = json!(left);
    if left == 0 {
        let condition = json!({
            "type": "DisruptionAllowed",
            "status": "False",
            "reason": "InsufficientPods",
            "message": "",
            "observedGeneration": status["observedGeneration"],
        });
        set_condition(&mut new, condition, now);
    }
    if !new["status"]["disruptedPods"].is_object() {
        new["status"]["disruptedPods"] = json!({});
    }
    new["status"]["disruptedPods"][call.name()] = json!(timestamp(now));
    let writing = Writing {
        tracking: Tracking::update(call),
        now,
        dry_run: false,
    };
    update::update(state, &budgets, Some("status"), budget, new, &writing)?;
    Ok(())
}
