//! Custom resources: defaults, pruning, schema and rules, status, scale, apply.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Session;
use super::apply::appliers;

const GROUP: &str = "conformance.example.com";

/// The definition that all these cases share.
fn definition() -> Value {
    let spec = json!({
        "type": "object",
        "required": ["size"],
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "message": "min must not be above max"},
            {"rule": "!has(self.mode) || self.mode != 'Fast' || self.size > 1", "messageExpression": "'too small for ' + self.mode", "fieldPath": ".size", "reason": "FieldValueForbidden"},
            {"rule": "self.size >= oldSelf.size", "message": "size cannot shrink"},
        ],
        "properties": {
            "size": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10},
            "min": {"type": "integer", "default": 1},
            "max": {"type": "integer", "default": 5},
            "mode": {"type": "string", "maxLength": 10, "enum": ["Fast", "Slow"]},
            "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
            "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "fixed cannot change"}]},
            "flag": {"type": "boolean", "default": true},
            "amount": {"x-kubernetes-int-or-string": true},
            "when": {"type": "string", "format": "date-time"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "nested": {"type": "object", "default": {}, "properties": {"depth": {"type": "integer", "default": 3}}},
            "replicas": {"type": "integer"},
            "tags": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"}, "weight": {"type": "integer"}, "color": {"type": "string", "default": "red"},
                }},
            },
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
                "selectableFields": [{"jsonPath": ".spec.mode"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {
                        "replicas": {"type": "integer"},
                        "phase": {"type": "string", "enum": ["Good", "Bad"]},
                        "conditions": {
                            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                            "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
                        },
                    }},
                }}},
            }],
        },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// Installs the definition if needed; the path of the case's widgets.
async fn widgets(s: &mut Session) -> Result<String> {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let made = s.post(definitions, definition()).await?;
    if !matches!(made.code, 201 | 409) {
        bail!("installing the definition: {}", made.body);
    }
    s.until(
        &format!("{definitions}/widgets.{GROUP}"),
        "the definition",
        |answer| {
            answer.body["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
        },
    )
    .await?;
    let path = s.group(&format!("{GROUP}/v1"), "widgets");
    s.until(&path, "the resource", |answer| answer.code == 200)
        .await?;
    Ok(path)
}

pub(super) async fn defaults_and_pruning(s: &mut Session) -> Result<()> {
    let path = widgets(s).await?;
    let mut body = widget(
        "a",
        json!({
            "size": 1, "unknown": 1, "free": {"x": {"y": 1}}, "flag": null, "min": 0,
            "parts": [{"name": "p", "extra": 1}], "labels": {"k": "v"},
        }),
    );
    body["status"] = json!({"phase": "Good"});
    body["extra"] = json!(1);
    let made = s.post(&path, body.clone()).await?;
    s.note("create", &made, &["metadata", "spec", "status", "extra"]);
    let strict = s.post(&format!("{path}?fieldValidation=Strict"), body).await?;
    s.note_value("strict", json!([strict.code, strict.body["reason"]]));
    let explicit = s
        .post(
            &path,
            widget("b", json!({"size": 0, "flag": false, "min": 0, "max": 0})),
        )
        .await?;
    s.note("explicit", &explicit, &["spec"]);
    let list = s.get(&path).await?;
    s.note("list", &list, &["kind", "apiVersion"]);
    s.post(&path, widget("c", json!({"size": 2, "mode": "Slow"})))
        .await?;
    let slow = s.get(&format!("{path}?fieldSelector=spec.mode%3DSlow")).await?;
    s.note_value(
        "selectable",
        slow.body["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|i| i["metadata"]["name"].clone())
            .collect(),
    );
    let unknown = s.get(&format!("{path}?fieldSelector=spec.size%3D1")).await?;
    s.note_value("not selectable", json!([unknown.code, unknown.body["reason"]]));
    Ok(())
}

pub(super) async fn schema_violations(s: &mut Session) -> Result<()> {
    let path = widgets(s).await?;
    for (step, spec) in [
        ("missing", json!({})),
        ("type", json!({"size": "one"})),
        ("below", json!({"size": -1})),
        ("above", json!({"size": 11})),
        ("fraction", json!({"size": 1.5})),
        ("enum", json!({"size": 1, "mode": "Odd"})),
        ("pattern", json!({"size": 1, "name": "ABC"})),
        ("short", json!({"size": 1, "name": "a"})),
        ("long", json!({"size": 1, "name": "abcdef"})),
        ("boolean", json!({"size": 1, "flag": "yes"})),
        ("date", json!({"size": 1, "when": "yesterday"})),
        ("amount", json!({"size": 1, "amount": true})),
        ("map value", json!({"size": 1, "labels": {"a": 1}})),
        ("too many", json!({"size": 1, "tags": ["a", "b", "c", "d"]})),
        ("set", json!({"size": 1, "tags": ["a", "a"]})),
        (
            "keys",
            json!({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}),
        ),
        ("no key", json!({"size": 1, "parts": [{"weight": 1}]})),
        ("not an object", json!({"size": 1, "nested": []})),
        ("null", json!({"size": 1, "mode": null})),
        ("two", json!({"size": 11, "name": "ABC"})),
    ] {
        let answer = s.post(&path, widget("a", spec)).await?;
        s.note(step, &answer, &["spec.size", "spec.mode"]);
        if answer.code == 201 {
            s.delete(&format!("{path}/a"), None).await?;
        }
    }
    let bad = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "a"}});
    let bad = s.post(&path, bad).await?;
    s.note("no spec", &bad, &[]);
    let patched = s
        .patch("strategic-merge", &format!("{path}/a"), json!({}))
        .await?;
    s.note_value("strategic", json!(patched.code));
    Ok(())
}

pub(super) async fn rules(s: &mut Session) -> Result<()> {
    let path = widgets(s).await?;
    let refused = s.post(&path, widget("a", json!({"size": 1, "min": 6}))).await?;
    s.note("default against value", &refused, &[]);
    let refused = s
        .post(&path, widget("a", json!({"size": 1, "mode": "Fast"})))
        .await?;
    s.note("message expression", &refused, &[]);
    let refused = s
        .post(
            &path,
            widget("a", json!({"size": 1, "mode": "Fast", "min": 9, "max": 8})),
        )
        .await?;
    s.note("two rules", &refused, &[]);
    let made = s
        .post(&path, widget("a", json!({"size": 3, "fixed": "x"})))
        .await?;
    s.note("create", &made, &["metadata.generation"]);
    let one = format!("{path}/a");
    for (step, spec) in [
        ("shrink", json!({"size": 2})),
        ("grow", json!({"size": 4})),
        ("fixed", json!({"fixed": "y"})),
        ("unfix", json!({"fixed": null})),
        ("range", json!({"min": 9})),
    ] {
        let answer = s.patch("merge", &one, json!({"spec": spec})).await?;
        s.note(step, &answer, &["spec", "metadata.generation"]);
    }
    Ok(())
}

pub(super) async fn status_and_generation(s: &mut Session) -> Result<()> {
    let path = widgets(s).await?;
    let one = format!("{path}/a");
    let shown = ["metadata.generation", "metadata.labels", "spec.size", "status"];
    s.post(&path, widget("a", json!({"size": 1}))).await?;
    for (step, sub, patch) in [
        ("labels", "", json!({"metadata": {"labels": {"a": "b"}}})),
        (
            "spec and status",
            "",
            json!({"spec": {"size": 2}, "status": {"phase": "Bad"}}),
        ),
        (
            "status",
            "/status",
            json!({"metadata": {"labels": {"c": "d"}}, "spec": {"size": 9}, "status": {"phase": "Good"}}),
        ),
        ("bad status", "/status", json!({"status": {"phase": "Ugly"}})),
        ("no status", "/status", json!({"status": null})),
    ] {
        let answer = s.patch("merge", &format!("{one}{sub}"), patch).await?;
        s.note(step, &answer, &shown);
    }
    let current = s.get(&one).await?.body;
    let mut blind = current.clone();
    blind["metadata"] = json!({"name": "a"});
    let blind = s.put(&one, blind).await?;
    s.note("without revision", &blind, &[]);
    let mut put = current.clone();
    put["status"] = json!({"phase": "Good", "replicas": 2});
    let put = s.put(&format!("{one}/status"), put).await?;
    s.note("put status", &put, &shown);
    let stale = s.put(&format!("{one}/status"), current).await?;
    s.note("stale status", &stale, &[]);
    let got = s.get(&format!("{one}/status")).await?;
    s.note("get status", &got, &shown);
    let deleted = s
        .patch(
            "merge",
            &one,
            json!({"metadata": {"finalizers": ["example.com/f"]}}),
        )
        .await?;
    s.note("finalizer", &deleted, &["metadata.generation"]);
    let begun = s.delete(&one, None).await?;
    s.note(
        "delete",
        &begun,
        &[
            "metadata.generation",
            "metadata.finalizers",
            "metadata.deletionGracePeriodSeconds",
        ],
    );
    let last = s
        .patch(
            "json",
            &one,
            json!([{"op": "remove", "path": "/metadata/finalizers"}]),
        )
        .await?;
    s.note("released", &last, &["metadata.finalizers"]);
    let gone = s.get(&one).await?;
    s.note("gone", &gone, &[]);
    Ok(())
}

pub(super) async fn custom_scale(s: &mut Session) -> Result<()> {
    let path = widgets(s).await?;
    let one = format!("{path}/a");
    s.post(&path, widget("a", json!({"size": 1, "replicas": 2})))
        .await?;
    s.patch(
        "merge",
        &format!("{one}/status"),
        json!({"status": {"replicas": 1}}),
    )
    .await?;
    let shown = ["kind", "apiVersion", "metadata.name", "spec", "status"];
    let got = s.get(&format!("{one}/scale")).await?;
    s.note("get", &got, &shown);
    let patched = s
        .patch("merge", &format!("{one}/scale"), json!({"spec": {"replicas": 4}}))
        .await?;
    s.note("patch", &patched, &shown);
    let after = s.get(&one).await?;
    s.note("after", &after, &["spec.replicas", "metadata.generation"]);
    Ok(())
}

pub(super) async fn custom_apply(s: &mut Session) -> Result<()> {
    let path = format!("{}/a", widgets(s).await?);
    let made = s
        .apply(
            "alpha",
            &path,
            widget(
                "a",
                json!({"size": 1, "tags": ["x"], "parts": [{"name": "p", "weight": 1}]}),
            ),
        )
        .await?;
    s.note("create", &made, &["spec", "metadata.generation"]);
    s.note_value("owned", appliers(&made));
    let added = s
        .apply(
            "beta",
            &path,
            widget(
                "a",
                json!({"size": 1, "tags": ["y"], "parts": [{"name": "q"}, {"name": "p", "color": "blue"}]}),
            ),
        )
        .await?;
    s.note("added", &added, &["spec"]);
    s.note_value("owned by both", appliers(&added));
    let less = s.apply("alpha", &path, widget("a", json!({"size": 1}))).await?;
    s.note("less", &less, &["spec"]);
    let conflict = s.apply("alpha", &path, widget("a", json!({"size": 2}))).await?;
    s.note("conflict", &conflict, &[]);
    let status = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 9},
        "status": {"phase": "Good", "conditions": [{"type": "A", "status": "True"}]}});
    let status = s.apply("gamma", &format!("{path}/status"), status).await?;
    s.note("status", &status, &["spec.size", "status"]);
    s.note_value("owned by three", appliers(&status));
    let other = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "a"},
        "status": {"conditions": [{"type": "B", "status": "True"}]}});
    let other = s.apply("delta", &format!("{path}/status"), other).await?;
    s.note("another condition", &other, &["status"]);
    let invalid = s
        .apply("alpha", &path, widget("a", json!({"size": 1, "mode": "Odd"})))
        .await?;
    s.note("invalid", &invalid, &[]);
    Ok(())
}
