//! The HTTP endpoints of the controller: metrics, liveness, readiness, the records of decisions, and what it knows of one
//! thing (`explain`).
//!
//! Liveness says only that the process answers. Readiness waits for the first list of every watch; what
//! else may be wrong (standing by, credentials, VPSie) is named in its text and does not make it fail:
//! a controller that Kubernetes takes out of service cannot be asked what is wrong with it.

use crate::context::Context;
use crate::explain::Subject;
use crate::runtime::metrics::Metrics;
use autoscaler_cluster::{Feed, ObjectKey};
use autoscaler_policy::record::Records;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::fmt::Write as _;
use std::sync::Arc;
use vpsie_client::{Client, CredentialsStatus, Family};

/// What the endpoints tell about.
#[derive(Clone)]
pub struct Health {
    metrics: Arc<Metrics>,
    vpsie: Client,
    records: Arc<Records>,
    synced: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Health {
    /// The health of one process.
    pub fn new(context: &Context, feed: Arc<Feed>) -> Self {
        Self {
            metrics: context.metrics.clone(),
            vpsie: context.vpsie.clone(),
            records: context.records.clone(),
            synced: Arc::new(move || feed.is_synced()),
        }
    }
}

/// `/explain/pod/NAMESPACE/NAME`, `/explain/nodegroup/NAMESPACE/NAME` and `/explain/node/NAME`.
pub fn explain(ctx: Arc<Context>) -> Router {
    let key = |Path((namespace, name)): Path<(String, String)>| ObjectKey::new(namespace, name);
    Router::new()
        .route(
            "/explain/pod/{namespace}/{name}",
            get(async move |State(ctx), path| answer(&ctx, &Subject::Pod(key(path)))),
        )
        .route(
            "/explain/nodegroup/{namespace}/{name}",
            get(async move |State(ctx), path| answer(&ctx, &Subject::NodeGroup(key(path)))),
        )
        .route(
            "/explain/node/{name}",
            get(async |State(ctx), Path(name)| answer(&ctx, &Subject::Node(name))),
        )
        .with_state(ctx)
}

fn answer(ctx: &Arc<Context>, subject: &Subject) -> Response {
    match subject.explain(ctx) {
        Ok(explanation) => Json(explanation).into_response(),
        Err(unknown) => (StatusCode::NOT_FOUND, format!("{unknown}\n")).into_response(),
    }
}

/// `/metrics`, `/healthz`, `/readyz` and `/decisions`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/decisions", get(decisions))
        .route("/decisions/{name}", get(decision))
        .with_state(health)
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        health.metrics.render(),
    )
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let facts = Facts {
        synced: (health.synced)(),
        leads: health.metrics.is_leading(),
        credentials: health.vpsie.credentials_status(),
        broken: health.vpsie.broken(),
    };
    let status = if facts.synced {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, facts.text())
}

/// The records that are kept, the oldest first: name and packed size.
async fn decisions(State(health): State<Health>) -> Response {
    let entries: Vec<serde_json::Value> = health
        .records
        .list()
        .into_iter()
        .map(|entry| serde_json::json!({"name": entry.name, "bytes": entry.bytes}))
        .collect();
    Json(entries).into_response()
}

/// One of them, as `policy replay` reads it.
async fn decision(State(health): State<Health>, Path(name): Path<String>) -> Response {
    let kept = health.records.is_on();
    let name = name.strip_suffix(".json.gz").unwrap_or(&name).to_owned();
    let read = tokio::task::spawn_blocking(move || health.records.get(&name)).await;
    match read.map_err(std::io::Error::other).and_then(|read| read) {
        Ok(Some(bytes)) => ([(CONTENT_TYPE, "application/gzip")], bytes).into_response(),
        Ok(None) if !kept => (
            StatusCode::NOT_FOUND,
            "no records are kept: --records-size is 0\n",
        )
            .into_response(),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            "there is no such record, or no longer; /decisions lists them\n",
        )
            .into_response(),
        Err(error) => {
            tracing::warn!("a decision record cannot be read: {error}");
            (StatusCode::INTERNAL_SERVER_ERROR, "the record cannot be read\n").into_response()
        }
    }
}

struct Facts {
    synced: bool,
    leads: bool,
    credentials: CredentialsStatus,
    /// Parts of the API whose circuit breaker is not closed.
    broken: Vec<Family>,
}

impl Facts {
    /// One line for each fact: `+` good, `-` not ready for it, `!` ready, but an operator should look.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |mark: char, what: &str, state: &str| {
            let _ = writeln!(text, "[{mark}] {what}: {state}");
        };
        match self.synced {
            true => line('+', "caches", "synced"),
            false => line('-', "caches", "waiting for the first list of every watch"),
        }
        line('+', "role", if self.leads { "leader" } else { "standby" });
        let (mark, state) = match (&self.credentials, self.credentials.problem) {
            (CredentialsStatus { present: false, .. }, _) => ('!', "missing".to_owned()),
            (
                CredentialsStatus {
                    valid: Some(false), ..
                },
                problem,
            ) => ('!', format!("refused ({})", problem.unwrap_or("Unauthorized"))),
            (CredentialsStatus { valid: None, .. }, _) => ('+', "not tried yet".to_owned()),
            (
                CredentialsStatus {
                    valid: Some(true), ..
                },
                _,
            ) => ('+', "accepted".to_owned()),
        };
        line(mark, "VPSie credentials", &state);
        let broken: Vec<&str> = self.broken.iter().map(|family| family.as_str()).collect();
        match broken.as_slice() {
            [] => line('+', "VPSie circuit breaker", "closed"),
            families => line(
                '!',
                "VPSie circuit breaker",
                &format!("open for {}", families.join(", ")),
            ),
        }
        text.push_str(if self.synced { "ready\n" } else { "not ready\n" });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_core::model::Snapshot;
    use autoscaler_policy::record::{Record, Ring, Subject as Decided, decode};
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower::ServiceExt;

    async fn bytes(router: &Router, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, body.to_vec())
    }

    async fn ask(router: &Router, path: &str) -> (StatusCode, String) {
        let (status, body) = bytes(router, path).await;
        (status, String::from_utf8(body).unwrap())
    }

    #[tokio::test]
    async fn decisions_are_listed_and_had_one_by_one() {
        let records = Records::keep_in(Ring::in_memory(1 << 20)).unwrap();
        for now_ms in [1_000, 2_000] {
            let snapshot = Snapshot {
                now_ms,
                ..Snapshot::default()
            };
            let mut record = Record::blank(Arc::new(snapshot), Decided::Growth);
            record.outcome.created = vec![format!("default/node-{now_ms}")];
            records.keep(record);
        }
        records.flush();
        let health = |records| Health {
            metrics: Arc::new(Metrics::new()),
            vpsie: crate::testing::unreachable_vpsie(),
            records: Arc::new(records),
            synced: Arc::new(|| true),
        };
        let none = router(health(Records::off()));
        let router = router(health(records));
        let (status, text) = ask(&router, "/decisions").await;
        let list: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let names: Vec<&str> = list.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            names,
            ["000000000001000-000001-growth", "000000000002000-000002-growth"]
        );
        for (entry, (name, now_ms)) in list.iter().zip(names.iter().zip([1_000, 2_000])) {
            // With the ending of its file or without, as people copy it.
            for ending in ["", ".json.gz"] {
                let (status, packed) = bytes(&router, &format!("/decisions/{name}{ending}")).await;
                assert_eq!(
                    (status, packed.len() as u64),
                    (StatusCode::OK, entry["bytes"].as_u64().unwrap())
                );
                let record = decode(&packed).unwrap();
                assert_eq!(record.snapshot.now_ms, now_ms);
                assert_eq!(record.outcome.created, [format!("default/node-{now_ms}")]);
            }
        }
        for bad in [
            "0",
            "1",
            "-1",
            "000000000001000-000001-removal",
            "..%2f..%2fetc%2fpasswd",
            "%00",
        ] {
            let (status, text) = ask(&router, &format!("/decisions/{bad}")).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{bad}");
            assert_eq!(
                text, "there is no such record, or no longer; /decisions lists them\n",
                "{bad}"
            );
        }
        // Where nobody keeps records, that is said.
        assert_eq!(ask(&none, "/decisions").await, (StatusCode::OK, "[]".to_owned()));
        let (status, text) = ask(&none, "/decisions/0").await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(text, "no records are kept: --records-size is 0\n");
    }

    #[tokio::test]
    async fn readiness_waits_for_the_caches_and_names_everything_else() {
        let metrics = Arc::new(Metrics::new());
        let synced = Arc::new(AtomicBool::new(false));
        let flag = synced.clone();
        let health = Health {
            metrics: metrics.clone(),
            vpsie: crate::testing::unreachable_vpsie(),
            records: Arc::default(),
            synced: Arc::new(move || flag.load(Ordering::Relaxed)),
        };
        let router = router(health);
        let (status, text) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            text.contains("[-] caches") && text.contains("standby") && text.ends_with("not ready\n"),
            "{text}"
        );
        synced.store(true, Ordering::Relaxed);
        metrics.leading(true);
        let (status, text) = ask(&router, "/readyz").await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            text.contains("[!] VPSie credentials: missing") && text.contains("role: leader"),
            "{text}"
        );
        assert_eq!(
            ask(&router, "/healthz").await,
            (StatusCode::OK, "ok\n".to_owned())
        );
        let (status, text) = ask(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("vpsie_autoscaler_is_leader 1"), "{text}");
    }

    #[test]
    fn each_fact_has_its_line() {
        let status = |valid, problem| CredentialsStatus {
            present: true,
            valid,
            expires_at: None,
            problem,
        };
        let table = [
            (status(None, None), vec![], "[+] VPSie credentials: not tried yet"),
            (
                status(Some(true), None),
                vec![],
                "[+] VPSie credentials: accepted",
            ),
            (
                status(Some(false), Some("Unauthorized")),
                vec![],
                "[!] VPSie credentials: refused (Unauthorized)",
            ),
            (
                status(Some(true), None),
                vec![],
                "[+] VPSie circuit breaker: closed",
            ),
            (
                status(Some(true), None),
                vec![Family::Auth, Family::Kubernetes],
                "[!] VPSie circuit breaker: open for auth, kubernetes",
            ),
        ];
        for (credentials, broken, line) in table {
            let text = Facts {
                synced: true,
                leads: true,
                credentials,
                broken,
            }
            .text();
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
            assert!(text.ends_with("\nready\n"), "{text}");
        }
    }
}
