//! How requests are understood: partial metadata, dry runs, paths that lead nowhere.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::Session;
use super::objects::config_map;

pub(super) async fn metadata_only(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let mut object = config_map("a", json!({"k": "v"}));
    object["metadata"]["labels"] = json!({"case": "x"});
    s.post(&maps, object).await?;
    let partial = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let one = s
        .send_accepting(
            Method::GET,
            &format!("{maps}/a"),
            "application/json",
            None,
            partial,
        )
        .await?;
    s.note("one", &one, &["kind", "apiVersion", "metadata", "data"]);
    let partial = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let path = format!("{maps}?labelSelector=case%3Dx");
    let many = s
        .send_accepting(Method::GET, &path, "application/json", None, partial)
        .await?;
    s.note(
        "many",
        &many,
        &["kind", "apiVersion", "items.0.metadata.name", "items.0.data"],
    );
    Ok(())
}

pub(super) async fn dry_run(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let made = s
        .post(&format!("{maps}?dryRun=All"), config_map("a", json!({})))
        .await?;
    s.note("create", &made, &["metadata.name"]);
    let missing = s.get(&format!("{maps}/a")).await?;
    s.note("get", &missing, &[]);
    s.post(&maps, config_map("a", json!({}))).await?;
    let patched = s
        .patch(
            "merge",
            &format!("{maps}/a?dryRun=All"),
            json!({"data": {"k": "v"}}),
        )
        .await?;
    s.note("patch", &patched, &["data"]);
    let kept = s.get(&format!("{maps}/a")).await?;
    s.note("kept", &kept, &["data"]);
    Ok(())
}

pub(super) async fn unknown_paths(s: &mut Session) -> Result<()> {
    for path in [
        "/apis/example.com/v1/things",
        "/apis/apps/v1/nothings",
        "/api/v1/namespaces/default/pods/x/nothing",
    ] {
        let answer = s.get(path).await?;
        s.note_value(path, json!(answer.code));
    }
    let pods = s.core("pods");
    let answer = s.put(&pods, json!({})).await?;
    s.note_value("PUT on a collection", json!([answer.code, answer.body["reason"]]));
    for path in [
        "/version",
        "/api",
        "/apis",
        "/api/v1",
        "/apis/apps/v1",
        "/apis/apps",
    ] {
        let answer = s.get(path).await?;
        s.note_value(
            path,
            json!([
                answer.code,
                answer.body["kind"],
                answer.body["groupVersion"],
                answer.body["name"]
            ]),
        );
    }
    let list = s.get("/apis/apps/v1").await?;
    let mut deployments: Vec<_> = list.body["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|resource| {
            resource["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("deployments"))
        })
        .map(|resource| {
            json!([
                resource["name"],
                resource["kind"],
                resource["namespaced"],
                resource["group"]
            ])
        })
        .collect();
    deployments.sort_by_key(ToString::to_string);
    s.note_value("deployments", json!(deployments));
    Ok(())
}
