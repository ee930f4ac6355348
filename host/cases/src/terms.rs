//! The small texts of the shorthand, read into the shapes of Kubernetes.

use crate::format::{Company, Map, Select, Spread};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// `key=value:Effect` or `key:Effect`.
pub(crate) fn taint(text: &str) -> Result<Value> {
    let (rest, effect) = text
        .rsplit_once(':')
        .with_context(|| format!("taint {text:?}: key=value:Effect is asked for"))?;
    known("effect", effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"])?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    Ok(json!({"key": key, "value": value, "effect": effect}))
}

/// `key=value:Effect`, `key:Effect`, either without the effect, or `*`.
pub(crate) fn toleration(text: &str) -> Result<Value> {
    let (rest, effect) = match text.rsplit_once(':') {
        Some((rest, effect)) => (rest, Some(effect)),
        None => (text, None),
    };
    if let Some(effect) = effect {
        known("effect", effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"])?;
    }
    let mut toleration = match rest.split_once('=') {
        Some((key, value)) => json!({"key": key, "operator": "Equal", "value": value}),
        None if rest == "*" => json!({"operator": "Exists"}),
        None => json!({"key": rest, "operator": "Exists"}),
    };
    if let Some(effect) = effect {
        toleration["effect"] = effect.into();
    }
    Ok(toleration)
}

/// `key Operator value…`; `""` is the empty value.
pub(crate) fn requirement(text: &str) -> Result<Value> {
    let mut words = text.split_whitespace();
    let (Some(key), Some(operator)) = (words.next(), words.next()) else {
        bail!("requirement {text:?}: key, operator and values are asked for");
    };
    known(
        "operator",
        operator,
        &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
    )?;
    let values: Vec<&str> = words.map(|word| if word == "\"\"" { "" } else { word }).collect();
    Ok(json!({"key": key, "operator": operator, "values": values}))
}

/// A term of node affinity; requirements on `metadata.name` are about the field.
pub(crate) fn node_term(requirements: &[String]) -> Result<Value> {
    let (mut expressions, mut fields) = (Vec::new(), Vec::new());
    for text in requirements {
        let read = requirement(text)?;
        if read["key"] == "metadata.name" {
            fields.push(read);
        } else {
            expressions.push(read);
        }
    }
    Ok(json!({"matchExpressions": expressions, "matchFields": fields}))
}

/// A label selector.
pub(crate) fn selector(select: &Select) -> Result<Value> {
    match select {
        Select::Labels(labels) => Ok(json!({"matchLabels": labels})),
        Select::Requirements(texts) => {
            let read: Vec<Value> = texts
                .iter()
                .map(|text| requirement(text))
                .collect::<Result<_>>()?;
            Ok(json!({"matchExpressions": read}))
        }
    }
}

/// A term of inter-pod affinity.
pub(crate) fn company(term: &Company) -> Result<Value> {
    let mut value = json!({"topologyKey": term.key});
    if let Some(select) = &term.select {
        value["labelSelector"] = selector(select)?;
    }
    if let Some(select) = &term.namespace_select {
        value["namespaceSelector"] = selector(select)?;
    }
    for (name, list) in [
        ("namespaces", &term.namespaces),
        ("matchLabelKeys", &term.match_label_keys),
        ("mismatchLabelKeys", &term.mismatch_label_keys),
    ] {
        if !list.is_empty() {
            value[name] = json!(list);
        }
    }
    Ok(value)
}

/// A topology spread constraint.
pub(crate) fn spread(constraint: &Spread) -> Result<Value> {
    let policy = |name: &str, value: Option<&String>| -> Result<Value> {
        if let Some(value) = value {
            known(name, value, &["Honor", "Ignore"])?;
        }
        Ok(json!(value))
    };
    let mut value = json!({
        "topologyKey": constraint.key,
        "maxSkew": constraint.skew.unwrap_or(1),
        "whenUnsatisfiable": if constraint.anyway { "ScheduleAnyway" } else { "DoNotSchedule" },
        "minDomains": constraint.min_domains,
        "nodeAffinityPolicy": policy("nodeAffinityPolicy", constraint.node_affinity_policy.as_ref())?,
        "nodeTaintsPolicy": policy("nodeTaintsPolicy", constraint.node_taints_policy.as_ref())?,
    });
    if let Some(select) = &constraint.select {
        value["labelSelector"] = selector(select)?;
    }
    if !constraint.match_label_keys.is_empty() {
        value["matchLabelKeys"] = json!(constraint.match_label_keys);
    }
    Ok(value)
}

/// `80`, `80/UDP`, `10.0.0.1:80/TCP`.
pub(crate) fn port(text: &str) -> Result<Value> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let (address, number) = rest.rsplit_once(':').unwrap_or(("", rest));
    let number: u16 = number
        .parse()
        .with_context(|| format!("port {text:?}: address:number/protocol is asked for"))?;
    known("protocol", protocol, &["TCP", "UDP", "SCTP"])?;
    let mut value = json!({"containerPort": number, "hostPort": number, "protocol": protocol});
    if !address.is_empty() {
        value["hostIP"] = address.into();
    }
    Ok(value)
}

/// `Kind/name` as an owner reference; none for `none`.
pub(crate) fn owner(text: &str) -> Result<Option<Value>> {
    if text == "none" {
        return Ok(None);
    }
    let (kind, name) = text
        .split_once('/')
        .with_context(|| format!("owner {text:?}: Kind/name or none is asked for"))?;
    let version = match kind {
        "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Deployment" => "apps/v1",
        "Job" => "batch/v1",
        _ => "v1",
    };
    Ok(Some(
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": text, "controller": true}),
    ))
}

fn known(what: &str, word: &str, words: &[&str]) -> Result<()> {
    if !words.contains(&word) {
        bail!("{what} {word:?} is none of {}", words.join(", "));
    }
    Ok(())
}

/// Two sets of labels; the second wins.
pub(crate) fn joined(first: &Map, second: &Map) -> Map {
    let mut all = first.clone();
    all.extend(second.clone());
    all
}
