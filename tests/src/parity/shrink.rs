//! Makes a cluster on which the two differ as small as it can be while they still do.

use anyhow::Result;
use serde_json::Value;

use super::compare::compare;
use super::oracle::{Answer, Oracle};
use super::{Cluster, is_pending};

/// The smallest cluster that still shows a disagreement, with the scheduler's answer to it.
///
/// # Errors
/// Where the disagreement is gone when the cluster is asked again.
pub async fn shrink(oracle: &Oracle, cluster: &Cluster) -> Result<Option<(Cluster, Answer)>> {
    let Some(mut answer) = still_differs(oracle, cluster).await else {
        return Ok(None);
    };
    let mut small = cluster.clone();
    // Whole objects first, in ever smaller bites, then parts of those that are left.
    let mut bite = small.objects.len().div_ceil(2);
    while bite > 0 {
        let mut at = 0;
        while at < small.objects.len() {
            let mut tried = small.clone();
            let end = (at + bite).min(tried.objects.len());
            tried.objects.drain(at..end);
            match still_differs(oracle, &tried).await {
                Some(found) => (small, answer) = (tried, found),
                None => at += bite,
            }
        }
        bite /= 2;
    }
    let mut at = 0;
    while at < small.objects.len() {
        let mut done = 0;
        while let Some(path) = paths(&small.objects[at]).into_iter().nth(done) {
            let mut tried = small.clone();
            remove(&mut tried.objects[at], &path);
            match still_differs(oracle, &tried).await {
                Some(found) => (small, answer) = (tried, found),
                None => done += 1,
            }
        }
        at += 1;
    }
    Ok(Some((small, answer)))
}

/// The answer, where the two differ on this cluster. What the server refuses shows nothing.
async fn still_differs(oracle: &Oracle, cluster: &Cluster) -> Option<Answer> {
    if !cluster.objects.iter().any(is_pending) {
        return None;
    }
    let answer = oracle.ask(cluster).await.ok()?;
    let comparison = compare(&answer).ok()?;
    (!comparison.disagreements.is_empty()).then_some(answer)
}

/// The parts that can be left out of an object, the large ones first.
fn paths(object: &Value) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for part in ["spec", "status", "allowedTopologies", "nodeTopology"] {
        collect(&object[part], &mut vec![part.to_owned()], &mut paths);
    }
    let labels = &object["metadata"]["labels"];
    collect(
        labels,
        &mut vec!["metadata".to_owned(), "labels".to_owned()],
        &mut paths,
    );
    paths.sort_by_key(Vec::len);
    paths
}

fn collect(value: &Value, at: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        // A pod that loses its node starts to wait, and answers another question.
        if matches!(name.as_str(), "nodeName" | "containers" | "name" | "image") {
            continue;
        }
        at.push(name);
        paths.push(at.clone());
        collect(child, at, paths);
        at.pop();
    }
}

fn remove(object: &mut Value, path: &[String]) {
    let Some((last, above)) = path.split_last() else {
        return;
    };
    let mut value = object;
    for name in above {
        value = match value {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap_or_default()],
            other => &mut other[name.as_str()],
        };
    }
    match value {
        Value::Object(fields) => drop(fields.remove(last)),
        Value::Array(items) => {
            if let Ok(at) = last.parse::<usize>() {
                items.remove(at);
            }
        }
        _ => {}
    }
}
