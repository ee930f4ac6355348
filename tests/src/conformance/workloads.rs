//! Pods, bindings, scale and events.

use anyhow::Result;
use serde_json::{Value, json};

use super::Session;

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"a": "b"}},
        "spec": {
            "schedulerName": "conformance",
            "containers": [{"name": "c", "image": "registry.example/i", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}]}],
        },
    })
}

pub(super) async fn pods(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    let mut body = pod("p");
    body["status"] = json!({"phase": "Running"});
    let made = s.post(&pods, body).await?;
    s.note(
        "create",
        &made,
        &[
            "metadata.generation",
            "status",
            "spec.restartPolicy",
            "spec.terminationGracePeriodSeconds",
            "spec.dnsPolicy",
            "spec.serviceAccountName",
            "spec.securityContext",
            "spec.schedulerName",
            "spec.tolerations",
            "spec.priority",
            "spec.preemptionPolicy",
            "spec.enableServiceLinks",
            "spec.containers.0.resources",
            "spec.containers.0.imagePullPolicy",
            "spec.containers.0.terminationMessagePath",
            "spec.containers.0.ports",
        ],
    );
    let path = format!("{pods}/p");
    for (step, patch) in [
        (
            "image",
            json!({"spec": {"containers": [{"name": "c", "image": "registry.example/j"}]}}),
        ),
        ("node name", json!({"spec": {"nodeName": "n"}})),
        ("labels", json!({"metadata": {"labels": {"c": "d"}}})),
    ] {
        let answer = s.patch("strategic-merge", &path, patch).await?;
        if answer.code == 422 {
            // The message goes on with a difference in Go's own notation.
            s.note_value(
                step,
                json!([
                    answer.code,
                    answer.body["reason"],
                    answer.body["details"]["causes"][0]["field"]
                ]),
            );
        } else {
            s.note(
                step,
                &answer,
                &[
                    "metadata.generation",
                    "metadata.labels",
                    "spec.containers.0.image",
                    "status.phase",
                ],
            );
        }
    }
    let status = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "none"}]}});
    let status = s
        .patch("strategic-merge", &format!("{path}/status"), status)
        .await?;
    s.note(
        "status",
        &status,
        &["status.conditions", "status.phase", "metadata.generation"],
    );
    let mut unknown = pod("q");
    unknown["spec"]["priorityClassName"] = json!("no-such-class");
    let unknown = s.post(&pods, unknown).await?;
    s.note("unknown priority class", &unknown, &[]);
    Ok(())
}

pub(super) async fn bindings(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    s.post(&pods, pod("p")).await?;
    let binding = |node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let path = format!("{pods}/p/binding");
    let nowhere = s.post(&path, binding("")).await?;
    s.note("no node", &nowhere, &[]);
    let bound = s.post(&path, binding("conformance-n1")).await?;
    s.note("bind", &bound, &[]);
    let placed = s.get(&format!("{pods}/p")).await?;
    s.note("bound", &placed, &["spec.nodeName", "metadata.generation"]);
    let scheduled: Vec<Value> = placed.body["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| json!([condition["type"], condition["status"]]))
        .collect();
    s.note_value("conditions", json!(scheduled));
    let again = s.post(&path, binding("conformance-n2")).await?;
    s.note("again", &again, &[]);
    let missing = s
        .post(&format!("{pods}/q/binding"), binding("conformance-n1"))
        .await?;
    s.note("missing", &missing, &[]);
    Ok(())
}

pub(super) async fn scale(s: &mut Session) -> Result<()> {
    let deployments = s.group("apps/v1", "deployments");
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"schedulerName": "conformance", "containers": [{"name": "c", "image": "i:1"}]}},
    }});
    let made = s.post(&deployments, deployment).await?;
    s.note(
        "create",
        &made,
        &[
            "spec.strategy",
            "spec.revisionHistoryLimit",
            "spec.progressDeadlineSeconds",
            "metadata.generation",
        ],
    );
    let path = format!("{deployments}/d/scale");
    let shown = s.get(&path).await?;
    s.note(
        "get",
        &shown,
        &["kind", "apiVersion", "metadata.name", "spec", "status.selector"],
    );
    let patched = s.patch("merge", &path, json!({"spec": {"replicas": 0}})).await?;
    s.note("patch", &patched, &["spec"]);
    // The controller writes the status at any moment: whoever puts a whole object must read and try again.
    let (mut more, put) = loop {
        let mut more = s.get(&path).await?.body;
        more["spec"]["replicas"] = json!(2);
        let put = s.put(&path, more.clone()).await?;
        if put.code != 409 {
            break (more, put);
        }
    };
    s.note("put", &put, &["spec"]);
    more["metadata"]["resourceVersion"] = made.body["metadata"]["resourceVersion"].clone();
    let stale = s.put(&path, more).await?;
    s.note("stale", &stale, &[]);
    let after = s.get(&format!("{deployments}/d")).await?;
    s.note("after", &after, &["spec.replicas", "metadata.generation"]);
    let pods = format!("{}?labelSelector=a%3Db", s.core("pods"));
    let grown = s
        .until(&pods, "the pods", |answer| {
            answer.body["items"]
                .as_array()
                .is_some_and(|items| items.len() == 2)
        })
        .await?;
    let pod = &grown.body["items"][0];
    let owner = &pod["metadata"]["ownerReferences"][0];
    s.note_value(
        "pods",
        json!([
            pod["status"]["phase"],
            owner["kind"],
            owner["controller"],
            owner["blockOwnerDeletion"]
        ]),
    );
    Ok(())
}

pub(super) async fn events(s: &mut Session) -> Result<()> {
    let new = s.group("events.k8s.io/v1", "events");
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-02T03:04:05.000006Z", "action": "Scaling", "reason": "TriggeredScaleUp", "type": "Normal",
        "note": "one node", "reportingController": "example.com/c", "reportingInstance": "i",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": s.namespace},
    });
    let made = s.post(&new, event).await?;
    s.note(
        "create",
        &made,
        &["note", "regarding.name", "reportingController", "reason"],
    );
    let old = s.core("events");
    let list = s
        .get(&format!(
            "{old}?fieldSelector=involvedObject.name%3Dp%2Creason%3DTriggeredScaleUp"
        ))
        .await?;
    let seen = &list.body["items"][0];
    s.note_value(
        "as core",
        json!([
            seen["message"],
            seen["involvedObject"]["name"],
            seen["reportingComponent"],
            seen["reason"],
            seen["type"]
        ]),
    );
    let got = s.get(&format!("{old}/e")).await?;
    s.note("get as core", &got, &["apiVersion", "message"]);
    let patched = s
        .patch(
            "merge",
            &format!("{new}/e"),
            json!({"series": {"count": 2, "lastObservedTime": "2026-01-02T03:05:05.000006Z"}}),
        )
        .await?;
    s.note("series", &patched, &["apiVersion", "series", "note"]);
    Ok(())
}
