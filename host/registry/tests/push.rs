//! What registries demand of those who push: a token for reading and another for writing, uploads that lie elsewhere, and
//! refusals in their own words.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_registry::{Artifact, Bounds, Credentials, Error, Http, Pushed, Reference, Registry, Said};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// `ann:hunter2`.
const ANN: &str = "Basic YW5uOmh1bnRlcjI=";

/// A registry whose tokens are the scopes that they are for.
#[derive(Default)]
struct Fake {
    /// Where uploads lie; here, where nothing is said.
    uploads: Option<String>,
    /// What a manifest is answered with in place of being taken.
    refusal: Option<(StatusCode, &'static str)>,
    blobs: Mutex<BTreeSet<String>>,
    manifests: Mutex<BTreeSet<String>>,
    /// Method, path and authorization of what was let in.
    journal: Mutex<Vec<(Method, String)>>,
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

impl Fake {
    async fn start(self) -> (Arc<Self>, String) {
        let fake = Arc::new(self);
        let router = Router::new()
            .route("/token", get(token))
            .fallback(answer)
            .with_state(fake.clone());
        (fake, serve(router).await)
    }
}

async fn token(headers: HeaderMap, Query(query): Query<BTreeMap<String, String>>) -> Response {
    match headers.get(AUTHORIZATION) {
        Some(value) if value == ANN => format!(r#"{{"token": "{}"}}"#, query["scope"]).into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn answer(State(fake): State<Arc<Fake>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let scope = match method {
        Method::GET | Method::HEAD => "pull",
        _ => "push",
    };
    let known = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // Who may write may read.
    if known != Some(format!("Bearer {scope}").as_str()) && known != Some("Bearer push") {
        let host = headers["host"].to_str().unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",scope="{scope}""#);
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let path = uri.path().to_owned();
    fake.journal.lock().unwrap().push((method.clone(), path.clone()));
    let digest = path.rsplit('/').next().unwrap().to_owned();
    match method {
        Method::HEAD if fake.blobs.lock().unwrap().contains(&digest) => StatusCode::OK.into_response(),
        Method::HEAD => StatusCode::NOT_FOUND.into_response(),
        Method::POST => {
            let place = fake
                .uploads
                .clone()
                .unwrap_or_else(|| "/upload?state=1".to_owned());
            (StatusCode::ACCEPTED, [(LOCATION, place)]).into_response()
        }
        Method::PUT if path == "/upload" => {
            let query = uri.query().unwrap();
            let digest = query.strip_prefix("state=1&digest=").unwrap().replace("%3A", ":");
            fake.blobs.lock().unwrap().insert(digest);
            StatusCode::CREATED.into_response()
        }
        Method::PUT => match fake.refusal {
            Some(refusal) => refusal.into_response(),
            None => {
                fake.manifests.lock().unwrap().insert(digest);
                StatusCode::CREATED.into_response()
            }
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn artifact() -> Artifact {
    Artifact::new(b"wasm".to_vec(), &Said::default()).unwrap()
}

async fn push(address: &str, tag: &str) -> Result<Pushed, Error> {
    let bounds = Bounds {
        bytes: 1000,
        time: Duration::from_secs(5),
        redirects: 3,
    };
    let reference = Reference::parse(&format!("{address}/team/p{tag}"))?;
    let ann = Credentials::new("ann", "hunter2".to_owned().into());
    let mut registry = Registry::new(Http::new(bounds)?, &reference, true, Some(ann))?;
    registry.push(&artifact(), reference.tag()).await
}

#[tokio::test]
async fn a_token_for_reading_is_followed_by_one_for_writing() {
    let (fake, address) = Fake::default().start().await;
    let digest = artifact().digest();
    let first = push(&address, "").await.unwrap();
    assert_eq!((first.digest.as_str(), first.uploaded), (digest.as_str(), 2));
    let again = push(&address, ":1.0").await.unwrap();
    assert_eq!((again.digest.as_str(), again.uploaded), (digest.as_str(), 0));
    let manifests = fake.manifests.lock().unwrap().clone();
    assert_eq!(
        manifests,
        BTreeSet::from(["1.0".to_owned(), format!("sha256:{digest}")])
    );
    let uploads = fake.journal.lock().unwrap();
    let uploads = uploads.iter().filter(|(method, _)| *method == Method::POST);
    assert_eq!(uploads.count(), 2, "what is there is not sent again");
}

#[tokio::test]
async fn an_upload_elsewhere_gets_no_token() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let elsewhere = Router::new().fallback(async move |headers: HeaderMap| {
        told.lock().unwrap().push(headers.contains_key(AUTHORIZATION));
        StatusCode::CREATED
    });
    let elsewhere = serve(elsewhere).await;
    let fake = Fake {
        uploads: Some(format!("http://{elsewhere}/there")),
        ..Fake::default()
    };
    let (_, address) = fake.start().await;
    assert_eq!(push(&address, "").await.unwrap().uploaded, 2);
    assert_eq!(*seen.lock().unwrap(), [false, false]);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_registrys_word() {
    let denied = r#"{"errors": [{"code": "DENIED", "message": "<script>hunter2"}]}"#;
    let odd = r#"{"errors": [{"code": "\u001b[2J", "message": ""}]}"#;
    for (status, body, expected) in [
        (
            StatusCode::FORBIDDEN,
            denied,
            "the server refuses these credentials (403)",
        ),
        (
            StatusCode::NOT_FOUND,
            r#"{"errors": [{"code": "NAME_UNKNOWN"}]}"#,
            "the registry refuses the push (404 NAME_UNKNOWN)",
        ),
        (
            StatusCode::BAD_REQUEST,
            denied,
            "the registry refuses the push (400 DENIED)",
        ),
        (
            StatusCode::BAD_REQUEST,
            odd,
            "the registry refuses the push (400 without a word)",
        ),
        (
            StatusCode::METHOD_NOT_ALLOWED,
            "hunter2",
            "the registry refuses the push (405 without a word)",
        ),
    ] {
        let fake = Fake {
            refusal: Some((status, body)),
            ..Fake::default()
        };
        let (_, address) = fake.start().await;
        let error = push(&address, "").await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}
