//! Deletion: answers, preconditions, finalizers, grace, dependents, namespaces.

use anyhow::Result;
use serde_json::{Value, json};

use super::Session;
use super::objects::config_map;

const NOWHERE: &str = "conformance-no-such-node";

pub(super) async fn delete(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let path = format!("{maps}/a");
    let made = s.post(&maps, config_map("a", json!({}))).await?;
    let options = json!({"preconditions": {"uid": "11111111-2222-4333-8444-555555555555"}});
    let refused = s.delete(&path, Some(options)).await?;
    s.note("other uid", &refused, &[]);
    s.patch("merge", &path, json!({"data": {"a": "b"}})).await?;
    let options = json!({"preconditions": {"resourceVersion": made.version()}});
    let refused = s.delete(&path, Some(options)).await?;
    s.note("other revision", &refused, &[]);
    let options = json!({"preconditions": {"uid": made.uid()}});
    let gone = s.delete(&path, Some(options)).await?;
    s.note("delete", &gone, &[]);
    let again = s.delete(&path, None).await?;
    s.note("again", &again, &[]);
    let leases = s.group("coordination.k8s.io/v1", "leases");
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}});
    s.post(&leases, lease).await?;
    let gone = s.delete(&format!("{leases}/l"), None).await?;
    s.note("with a group", &gone, &[]);
    s.post(&maps, config_map("b", json!({}))).await?;
    let bad = s
        .delete(&format!("{maps}/b?propagationPolicy=Sometimes"), None)
        .await?;
    s.note_value("bad policy", json!([bad.code, bad.body["reason"]]));
    Ok(())
}

pub(super) async fn finalizers(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let path = format!("{maps}/a");
    let mut object = config_map("a", json!({}));
    object["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    s.post(&maps, object).await?;
    let shown = [
        "metadata.finalizers",
        "metadata.deletionTimestamp",
        "metadata.deletionGracePeriodSeconds",
    ];
    let begun = s.delete(&path, None).await?;
    s.note("delete", &begun, &shown);
    let again = s.delete(&path, None).await?;
    s.note_value("again", json!([again.code, again.version() == begun.version()]));
    let added = s
        .patch(
            "merge",
            &path,
            json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}}),
        )
        .await?;
    s.note("one more", &added, &[]);
    let revived = s
        .patch("merge", &path, json!({"metadata": {"deletionTimestamp": null}}))
        .await?;
    s.note("not revived", &revived, &shown);
    let fewer = s
        .patch(
            "merge",
            &path,
            json!({"metadata": {"finalizers": ["example.com/b"]}}),
        )
        .await?;
    s.note("one less", &fewer, &shown);
    let before = fewer.version();
    let last = s
        .patch("merge", &path, json!({"metadata": {"finalizers": null}}))
        .await?;
    s.note("none left", &last, &shown);
    let gone = s.get(&path).await?;
    s.note("gone", &gone, &[]);
    let events = s
        .watch(&format!("{maps}?watch=true&resourceVersion={before}"), 1)
        .await?;
    s.note_value("seen", events.iter().map(|event| event["type"].clone()).collect());
    Ok(())
}

fn pod(name: &str, node: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 20, "containers": [{"name": "c", "image": "i:1"}]},
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    } else {
        // Nobody schedules it.
        pod["spec"]["schedulerName"] = json!("conformance");
    }
    pod
}

pub(super) async fn grace(s: &mut Session) -> Result<()> {
    let pods = s.core("pods");
    let shown = [
        "kind",
        "metadata.deletionTimestamp",
        "metadata.deletionGracePeriodSeconds",
        "metadata.generation",
    ];
    s.post(&pods, pod("waiting", None)).await?;
    let gone = s.delete(&format!("{pods}/waiting"), None).await?;
    s.note("never scheduled", &gone, &shown);
    let gone = s.get(&format!("{pods}/waiting")).await?;
    s.note("never scheduled", &gone, &[]);
    s.post(&pods, pod("bound", Some(NOWHERE))).await?;
    let path = format!("{pods}/bound");
    let begun = s.delete(&path, None).await?;
    s.note("bound", &begun, &shown);
    let longer = s.delete(&path, Some(json!({"gracePeriodSeconds": 100}))).await?;
    s.note("longer", &longer, &shown);
    let shorter = s.delete(&path, Some(json!({"gracePeriodSeconds": 5}))).await?;
    s.note("shorter", &shorter, &shown);
    let now = s.delete(&path, Some(json!({"gracePeriodSeconds": 0}))).await?;
    s.note("now", &now, &shown);
    let gone = s.get(&path).await?;
    s.note("now", &gone, &[]);
    s.post(&pods, pod("forced", Some(NOWHERE))).await?;
    let forced = s
        .delete(&format!("{pods}/forced?gracePeriodSeconds=0"), None)
        .await?;
    s.note("forced", &forced, &shown);
    Ok(())
}

pub(super) async fn owners(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    for (policy, blocks) in [("Background", false), ("Foreground", true), ("Orphan", false)] {
        let lower = policy.to_lowercase();
        let (owner, child) = (format!("{lower}-owner"), format!("{lower}-child"));
        let made = s.post(&maps, config_map(&owner, json!({}))).await?;
        let mut dependent = config_map(&child, json!({}));
        dependent["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": made.uid(), "blockOwnerDeletion": blocks,
        }]);
        s.post(&maps, dependent).await?;
        // The collector of the real one has to have seen both.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let answer = s
            .delete(
                &format!("{maps}/{owner}"),
                Some(json!({"propagationPolicy": policy})),
            )
            .await?;
        s.note(policy, &answer, &["kind", "metadata.finalizers"]);
        s.until(&format!("{maps}/{owner}"), "the owner to go", |answer| {
            answer.code == 404
        })
        .await?;
        if policy == "Orphan" {
            let left = s
                .until(&format!("{maps}/{child}"), "the reference to go", |answer| {
                    answer.code == 200 && answer.body["metadata"]["ownerReferences"].is_null()
                })
                .await?;
            s.note("left", &left, &["metadata.ownerReferences"]);
        } else {
            s.until(&format!("{maps}/{child}"), "the dependent to go", |answer| {
                answer.code == 404
            })
            .await?;
            s.note_value(policy, json!("dependent gone"));
        }
    }
    let mut lost = config_map("lost", json!({}));
    lost["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "11111111-2222-4333-8444-555555555555",
    }]);
    s.post(&maps, lost).await?;
    s.until(&format!("{maps}/lost"), "the child of nobody to go", |answer| {
        answer.code == 404
    })
    .await?;
    let mut bad = config_map("bad", json!({}));
    bad["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": ""}]);
    let bad = s.post(&maps, bad).await?;
    s.note("owner without uid", &bad, &[]);
    Ok(())
}

pub(super) async fn namespaces(s: &mut Session) -> Result<()> {
    let name = "conformance-doomed";
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let made = s.post("/api/v1/namespaces", body).await?;
    s.note("create", &made, &["metadata.labels", "spec", "status"]);
    let maps = format!("/api/v1/namespaces/{name}/configmaps");
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    s.post(&maps, held).await?;
    let path = format!("/api/v1/namespaces/{name}");
    let begun = s.delete(&path, None).await?;
    s.note("delete", &begun, &["kind", "status.phase", "spec.finalizers"]);
    let refused = s.post(&maps, config_map("late", json!({}))).await?;
    s.note("late comer", &refused, &[]);
    s.until(&format!("{maps}/held"), "the content to be deleted", |answer| {
        answer.body["metadata"]["deletionTimestamp"].is_string()
    })
    .await?;
    s.patch(
        "merge",
        &format!("{maps}/held"),
        json!({"metadata": {"finalizers": null}}),
    )
    .await?;
    s.until(&path, "the namespace to go", |answer| answer.code == 404)
        .await?;
    let kept = s.delete("/api/v1/namespaces/default", None).await?;
    s.note("default", &kept, &[]);
    Ok(())
}
