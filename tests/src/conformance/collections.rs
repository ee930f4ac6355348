//! Lists, pages, selectors and watches.

use anyhow::Result;
use serde_json::{Value, json};

use super::Session;
use super::objects::config_map;

fn names(list: &Value) -> Value {
    list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|item| item["metadata"]["name"].clone())
        .collect()
}

/// A watch's events as type, name and data.
fn told(events: &[Value]) -> Value {
    events
        .iter()
        .map(|event| {
            json!([
                event["type"],
                event["object"]["metadata"]["name"],
                event["object"]["data"]
            ])
        })
        .collect()
}

fn labelled(name: &str, label: &str) -> Value {
    let mut object = config_map(name, json!({}));
    object["metadata"]["labels"] = json!({"tier": label, "case": "x"});
    object
}

pub(super) async fn selectors(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    for (name, label) in [("a", "1"), ("b", "2"), ("c", "3")] {
        s.post(&maps, labelled(name, label)).await?;
    }
    for selector in [
        "labelSelector=case%3Dx",
        "labelSelector=tier%3D1",
        "labelSelector=case%3Dx%2Ctier!%3D1",
        "labelSelector=tier%20in%20(1%2C3)",
        "labelSelector=case%3Dx%2Ctier%20notin%20(1%2C3)",
        "labelSelector=case%3Dx%2C!missing",
        "labelSelector=tier%3E1",
        "labelSelector=a%20b",
        "fieldSelector=metadata.name%3Db",
        "fieldSelector=metadata.name!%3Db&labelSelector=case%3Dx",
        "fieldSelector=spec.nothing%3Db",
    ] {
        let list = s.get(&format!("{maps}?{selector}")).await?;
        if list.code == 200 {
            s.note_value(selector, names(&list.body));
        } else {
            s.note_value(selector, json!([list.code, list.body["reason"]]));
        }
    }
    let all = s
        .get(&format!(
            "/api/v1/configmaps?fieldSelector=metadata.namespace%3D{}&labelSelector=case",
            s.namespace
        ))
        .await?;
    s.note("everywhere", &all, &["kind", "apiVersion"]);
    s.note_value("everywhere", names(&all.body));
    let pods = s
        .get(&format!(
            "{}?fieldSelector=spec.nodeName%3Dn%2Cstatus.phase%3DRunning",
            s.core("pods")
        ))
        .await?;
    s.note("pods", &pods, &["kind", "items"]);
    Ok(())
}

pub(super) async fn pages(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    for name in ["a", "b", "c", "d", "e"] {
        s.post(&maps, labelled(name, "1")).await?;
    }
    let selected = format!("{maps}?labelSelector=case%3Dx");
    let first = s.get(&format!("{selected}&limit=2")).await?;
    s.note_value("first", names(&first.body));
    s.note_value("has more", json!(first.body["metadata"]["continue"].is_string()));
    s.note_value("left", first.body["metadata"]["remainingItemCount"].clone());
    // What changes between pages is not seen by the later ones.
    s.delete(&format!("{maps}/d"), None).await?;
    s.post(&maps, labelled("cc", "1")).await?;
    let token = first.body["metadata"]["continue"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let second = s.get(&format!("{selected}&limit=2&continue={token}")).await?;
    s.note_value("second", names(&second.body));
    s.note_value(
        "same revision",
        json!(second.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]),
    );
    let token = second.body["metadata"]["continue"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let third = s.get(&format!("{selected}&limit=2&continue={token}")).await?;
    s.note_value("third", names(&third.body));
    s.note_value("no more", json!(third.body["metadata"]["continue"].is_null()));
    let now = s.get(&selected).await?;
    s.note_value("now", names(&now.body));
    let version = first.version();
    let then = s
        .get(&format!(
            "{selected}&resourceVersion={version}&resourceVersionMatch=Exact"
        ))
        .await?;
    s.note_value("then", names(&then.body));
    let fresh = s
        .get(&format!(
            "{selected}&resourceVersion={version}&resourceVersionMatch=NotOlderThan"
        ))
        .await?;
    s.note_value("not older", names(&fresh.body));
    let any = s.get(&format!("{maps}?limit=500&resourceVersion=0")).await?;
    s.note_value("any", json!(any.code));
    Ok(())
}

pub(super) async fn watch_events(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    let before = s.get(&maps).await?.version();
    s.post(&maps, labelled("a", "1")).await?;
    let path = format!("{maps}/a");
    s.patch("merge", &path, json!({"data": {"k": "1"}})).await?;
    s.patch("merge", &path, json!({})).await?;
    s.patch(
        "merge",
        &path,
        json!({"metadata": {"labels": {"tier": "2"}}, "data": {"k": "2"}}),
    )
    .await?;
    s.post(&maps, labelled("b", "1")).await?;
    s.delete(&path, None).await?;
    let events = s
        .watch(&format!("{maps}?watch=true&resourceVersion={before}"), 5)
        .await?;
    s.note_value("all", told(&events));
    let rising = events
        .windows(2)
        .all(|pair| version(&pair[0]) < version(&pair[1]));
    s.note_value("rising", json!(rising));
    let events = s
        .watch(
            &format!("{maps}?watch=true&resourceVersion={before}&labelSelector=tier%3D1"),
            4,
        )
        .await?;
    s.note_value("selected", told(&events));
    let events = s
        .watch(
            &format!("{maps}?watch=true&resourceVersion={before}&labelSelector=tier%3D2"),
            2,
        )
        .await?;
    s.note_value("came and went", told(&events));
    let events = s
        .watch(
            &format!("{maps}?watch=true&resourceVersion={before}&fieldSelector=metadata.name%3Db"),
            1,
        )
        .await?;
    s.note_value("by name", told(&events));
    let events = s
        .watch(
            &format!("{maps}?watch=true&resourceVersion=0&labelSelector=case%3Dx"),
            1,
        )
        .await?;
    s.note_value("from any", told(&events));
    let ended = s
        .watch(
            &format!("{maps}?watch=true&timeoutSeconds=1&labelSelector=case%3Dnone"),
            1,
        )
        .await?;
    s.note_value("timed out", told(&ended));
    Ok(())
}

fn version(event: &Value) -> u64 {
    event["object"]["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

pub(super) async fn watch_streaming(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    for name in ["a", "b"] {
        s.post(&maps, labelled(name, "1")).await?;
    }
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=case%3Dx";
    let mut events = s.watch(&format!("{maps}?{query}"), 3).await?;
    let last = events.pop().unwrap_or_default();
    events.sort_by_key(|event| event["object"]["metadata"]["name"].to_string());
    s.note_value("initial", told(&events));
    s.note_value(
        "end",
        json!([
            last["type"],
            last["object"]["kind"],
            last["object"]["metadata"]["annotations"]
        ]),
    );
    Ok(())
}

pub(super) async fn delete_collection(s: &mut Session) -> Result<()> {
    let maps = s.core("configmaps");
    for (name, label) in [("a", "1"), ("b", "1"), ("c", "2")] {
        s.post(&maps, labelled(name, label)).await?;
    }
    let gone = s.delete(&format!("{maps}?labelSelector=tier%3D1"), None).await?;
    s.note("delete", &gone, &["kind", "apiVersion"]);
    s.note_value("which", names(&gone.body));
    let left = s.get(&format!("{maps}?labelSelector=case%3Dx")).await?;
    s.note_value("left", names(&left.body));
    Ok(())
}
