//! What every source yields, and the line for each way in which it does not.

use super::*;
use crate::testing::FakeApi;
use axum::Router;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::time::Duration;

fn sources(api: &FakeApi, blobs: Blobs) -> Sources {
    let bounds = Bounds {
        bytes: 1000,
        time: Duration::from_millis(400),
        redirects: 3,
    };
    Sources {
        client: api.client(),
        blobs,
        bounds,
    }
}

async fn outcome(sources: &Sources, source: Value, have: Option<&str>) -> String {
    let source: PolicySource = serde_json::from_value(source).unwrap();
    match sources.fetch(&source, have).await {
        Ok(Fetched::BuiltIn(name)) => format!("built-in {name}"),
        Ok(Fetched::Component { bytes, sha256: hash }) => {
            assert_eq!(hash, sha256(&bytes));
            format!("bytes {}", String::from_utf8(bytes).unwrap())
        }
        Ok(Fetched::Unchanged) => "unchanged".to_owned(),
        Err(refusal) => format!("{}: {}", refusal.reason, refusal.message),
    }
}

/// Serves for the rest of the test; `host:port`.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn configmaps_files_and_built_in_ones_yield_their_bytes_or_say_why_not() {
    let api = FakeApi::new();
    api.put(
        "configmaps",
        json!({"metadata": {"name": "p", "namespace": "kube-system"},
               "binaryData": {"policy.wasm": "b25l"}, "data": {"text": "dHdv\n", "bad": "%%%"}}),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("p.wasm"), "three").unwrap();
    let one = sha256(b"one");
    let map = |extra: Value| {
        let mut map = json!({"name": "p"});
        for (key, value) in extra.as_object().unwrap() {
            map[key.as_str()] = value.clone();
        }
        json!({"configMap": map})
    };
    let table = [
        (json!({"builtIn": "scale-up"}), None, "built-in scale-up"),
        (map(json!({})), None, "bytes one"),
        (map(json!({})), Some(one.as_str()), "unchanged"),
        (map(json!({"key": "text"})), None, "bytes two"),
        (
            map(json!({"key": "bad"})),
            None,
            "SourceUnreadable: spec.source.configMap.key: bad of ConfigMap kube-system/p stands in data and is no base64; \
             put the component into binaryData",
        ),
        (
            map(json!({"key": "no"})),
            None,
            "SourceNotFound: spec.source.configMap.key: ConfigMap kube-system/p has no key no in binaryData; put the \
             component there",
        ),
        (
            map(json!({"name": "q"})),
            None,
            "SourceNotFound: spec.source.configMap: ConfigMap kube-system/q not found; create it, or correct the name",
        ),
        (json!({"file": {"path": path("p.wasm")}}), None, "bytes three"),
        (
            json!({"file": {"path": "/no/such.wasm"}}),
            None,
            "SourceNotFound: spec.source.file.path: file /no/such.wasm not found; it must be mounted into the \
             controller's pod",
        ),
        (
            json!({"file": {"path": "/dev/zero"}}),
            None,
            "SourceTooLarge: spec.source.file.path: file /dev/zero is larger than 32 MiB, the most that is loaded; is it \
             the component itself?",
        ),
        (
            json!({}),
            None,
            "InvalidSource: spec.source names no source; set one of builtIn, configMap, oci, http and file",
        ),
    ];
    for (row, (source, have, expected)) in table.into_iter().enumerate() {
        let got = outcome(&sources(&api, Blobs::default()), source, have).await;
        assert_eq!(got, expected, "row {row}");
    }
}

#[tokio::test]
async fn an_address_yields_its_bytes_or_a_line_that_helps() {
    let router = Router::new()
        .route("/p.wasm", get(async || "four"))
        .route("/moved", get(async || Redirect::temporary("/p.wasm")))
        .route("/round", get(async || Redirect::temporary("/round")))
        .route("/large", get(async || vec![0_u8; 1001]))
        .route("/closed", get(async || StatusCode::FORBIDDEN))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route(
            "/hang",
            get(async || tokio::time::sleep(Duration::from_secs(60)).await),
        );
    let host = serve(router).await;
    let free = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (four, one) = (sha256(b"four"), sha256(b"one"));
    let at = |path: &str| format!("http://user:hunter2@{host}/{path}");
    let mismatch = format!(
        "DigestMismatch: spec.source.http.sha256: the file has {four}, not {one}; write the hash of the file that you \
         mean, or look who changed it"
    );
    let table = [
        (at("p.wasm"), &four, None, "bytes four"),
        (at("moved"), &four, None, "bytes four"),
        (at("hang"), &four, Some(four.as_str()), "unchanged"),
        (at("p.wasm"), &one, None, mismatch.as_str()),
        (
            at("round"),
            &four,
            None,
            "SourceRedirects: spec.source.http.url: moved more than 3 times; name the address where it ends",
        ),
        (
            at("large"),
            &four,
            None,
            "SourceTooLarge: spec.source.http.url: larger than 1000 bytes, the most that is loaded; is it the component \
             itself, and stripped?",
        ),
        (
            at("nothing"),
            &four,
            None,
            "SourceNotFound: spec.source.http.url: the server has nothing there (404); look for a typing error, or push \
             it again",
        ),
        (
            at("closed"),
            &four,
            None,
            "SourceForbidden: spec.source.http.url: the server wants credentials (403); what is behind an address is \
             fetched without any: make it readable for all, or use oci with a pullSecret, configMap or file",
        ),
        (
            at("broken"),
            &four,
            None,
            "SourceUnreadable: spec.source.http.url: the server answered 502; it is tried again by itself",
        ),
        (
            at("hang"),
            &four,
            None,
            "SourceTimeout: spec.source.http.url: not all there after 400ms; is the server quick enough, and does a network \
             policy let it be reached?",
        ),
        (
            format!("http://user:hunter2@{free}/p"),
            &four,
            None,
            "SourceUnreachable: spec.source.http.url: no connection (",
        ),
    ];
    let api = FakeApi::new();
    for (row, (url, hash, have, expected)) in table.into_iter().enumerate() {
        let source = json!({"http": {"url": url, "sha256": hash}});
        let got = outcome(&sources(&api, Blobs::default()), source, have).await;
        let fits = if expected.ends_with('(') {
            got.starts_with(expected)
        } else {
            got == expected
        };
        assert!(fits, "row {row}: {got:?} is not {expected:?}");
        assert!(!got.contains("hunter2"), "row {row}: {got}");
    }
}

/// Who is let in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Guard {
    Everybody,
    /// Everybody with a token, which everybody gets.
    Token,
    /// ann with the password hunter2, at once.
    Basic,
    /// The same, at the place where tokens are had.
    TokenForAnn,
    /// Nobody, and it does not say how.
    Nobody,
}

/// `ann:hunter2`.
const ANN: &str = "Basic YW5uOmh1bnRlcjI=";

/// A registry with one repository, in which everything lies under the name that the test gives it.
fn registry(objects: Vec<(String, Vec<u8>)>, guard: Guard) -> Router {
    let says =
        |headers: &HeaderMap, wanted: &str| headers.get("authorization").is_some_and(|value| value == wanted);
    let token = async move |headers: HeaderMap| -> Response {
        if guard == Guard::TokenForAnn && !says(&headers, ANN) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        r#"{"token": "secret-of-the-day"}"#.into_response()
    };
    let mut router = Router::new()
        .route("/token", get(token))
        .route(
            "/v2/team/p/round",
            get(async || Redirect::temporary("/v2/team/p/round")),
        )
        .route(
            "/hang",
            get(async || tokio::time::sleep(Duration::from_secs(60)).await),
        );
    for (path, bytes) in objects {
        let answer = async move |headers: HeaderMap| -> Response {
            let host = headers["host"].to_str().unwrap();
            let challenge =
                format!(r#"Bearer realm="http://{host}/token",service="r",scope="repository:p:pull""#);
            let (known, challenge) = match guard {
                Guard::Everybody => (true, String::new()),
                Guard::Token | Guard::TokenForAnn => (says(&headers, "Bearer secret-of-the-day"), challenge),
                Guard::Basic => (says(&headers, ANN), r#"Basic realm="r""#.to_owned()),
                Guard::Nobody => (false, "Negotiate".to_owned()),
            };
            if !known {
                return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
            }
            match bytes.strip_prefix(b"-> ") {
                Some(place) => Redirect::temporary(std::str::from_utf8(place).unwrap()).into_response(),
                None => bytes.into_response(),
            }
        };
        router = router.route(&format!("/v2/team/p/{path}"), get(answer));
    }
    router
}

fn manifest(layers: &[(&str, &str)]) -> Vec<u8> {
    let layers: Vec<Value> = layers
        .iter()
        .map(|(media_type, digest)| json!({"mediaType": media_type, "digest": digest, "size": 1}))
        .collect();
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_registry_yields_the_one_component_that_the_digest_fixes() {
    let wasm = ("application/wasm", format!("sha256:{}", sha256(b"five")));
    let wasm = (wasm.0, wasm.1.as_str());
    let good = manifest(&[wasm]);
    let blob = (format!("blobs/sha256:{}", sha256(b"five")), b"five".to_vec());
    let named = |manifest: &[u8]| format!("manifests/sha256:{}", sha256(manifest));
    let other = manifest(&[("application/vnd.oci.image.layer.v1.tar+gzip", wasm.1)]);
    let two = manifest(&[wasm, wasm]);
    let weak = manifest(&[("application/wasm", "sha512:00")]);
    let large = manifest(&[("application/wasm", &format!("sha256:{}", sha256(&[7; 1001])))]);
    let large_blob = (format!("blobs/sha256:{}", sha256(&[7; 1001])), vec![7; 1001]);
    let five = "bytes five".to_owned();
    let invalid = |text: &str| format!("InvalidArtifact: spec.source.oci.image: {text}");
    let no_layer = |types: &str| {
        invalid(&format!(
            "the artifact has not exactly one layer of application/wasm (it has: {types}); push one component, as \
             `policy push`, `wkg oci push` or `oras push REFERENCE FILE:application/wasm` does"
        ))
    };
    let wrong = |what: &str, found: &[u8], wanted: &str| {
        format!(
            "DigestMismatch: spec.source.oci.image: {what} that the registry sent has the digest sha256:{}, not \
             sha256:{wanted}; it was changed on the way, or the registry is broken",
            sha256(found)
        )
    };
    let table = [
        (&good, vec![(named(&good), good.clone()), blob.clone()], Guard::Everybody, five.clone()),
        (&good, vec![(named(&good), good.clone()), blob.clone()], Guard::Token, five),
        (
            &good,
            vec![(named(&good), b"{}".to_vec())],
            Guard::Everybody,
            wrong("the manifest", b"{}", &sha256(&good)),
        ),
        (
            &good,
            vec![(named(&good), good.clone()), (blob.0.clone(), b"six".to_vec())],
            Guard::Everybody,
            wrong("the layer", b"six", &sha256(b"five")),
        ),
        (
            &good,
            vec![],
            Guard::Everybody,
            "SourceNotFound: spec.source.oci.image: the server has nothing there (404); look for a typing error, or push \
             it again"
                .to_owned(),
        ),
        (
            &other,
            vec![(named(&other), other.clone())],
            Guard::Everybody,
            no_layer("application/vnd.oci.image.layer.v1.tar+gzip"),
        ),
        (
            &two,
            vec![(named(&two), two.clone())],
            Guard::Everybody,
            no_layer("application/wasm, application/wasm"),
        ),
        (
            &weak,
            vec![(named(&weak), weak.clone())],
            Guard::Everybody,
            invalid("the layer has no sha256 digest; push it again with a newer tool"),
        ),
        (
            &large,
            vec![(named(&large), large.clone()), large_blob],
            Guard::Everybody,
            "SourceTooLarge: spec.source.oci.image: larger than 1000 bytes, the most that is loaded; is it the component \
             itself, and stripped?"
                .to_owned(),
        ),
            (
            &good,
            vec![(named(&good), b"-> /v2/team/p/round".to_vec())],
            Guard::Everybody,
            "SourceRedirects: spec.source.oci.image: moved more than 3 times; name the address where it ends".to_owned(),
        ),
        (
            &good,
            vec![(named(&good), b"-> /hang".to_vec())],
            Guard::Everybody,
            "SourceTimeout: spec.source.oci.image: not all there after 400ms; is the server quick enough, and does a \
             network policy let it be reached?"
                .to_owned(),
        ),
    ];
    let api = FakeApi::new();
    for (row, (wanted, objects, guard, expected)) in table.into_iter().enumerate() {
        let host = serve(registry(objects, guard)).await;
        let image = format!("{host}/team/p:1.0@sha256:{}", sha256(wanted));
        let got = outcome(
            &sources(&api, Blobs::default()),
            json!({"oci": {"image": image}}),
            None,
        )
        .await;
        assert_eq!(got, expected, "row {row}");
        assert!(!got.contains("secret-of-the-day"), "row {row}");
    }
}

#[tokio::test]
async fn a_private_registry_opens_to_the_pull_secret_and_to_nothing_else() {
    let good = manifest(&[("application/wasm", &format!("sha256:{}", sha256(b"five")))]);
    let objects = vec![
        (format!("manifests/sha256:{}", sha256(&good)), good.clone()),
        (format!("blobs/sha256:{}", sha256(b"five")), b"five".to_vec()),
    ];
    // What kubectl create secret docker-registry writes; the host stands for that of the test's registry.
    let config = |host: &str, auth: &str| format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}"#);
    let (ann, eve) = ("YW5uOmh1bnRlcjI=", "ZXZlOmh1bnRlcjM=");
    const TYPE: &str = "kubernetes.io/dockerconfigjson";
    let wanted = "SourceForbidden: spec.source.oci.image: the server wants credentials (401); let \
                  spec.source.oci.pullSecret name a secret of type kubernetes.io/dockerconfigjson, or make the repository \
                  readable for all";
    let refused = "SourceForbidden: spec.source.oci.image: the server refuses these credentials (401); look at name and \
                   password in Secret kube-system/s, and whether they may read the repository";
    let invalid =
        |text: &str| format!("PullSecretInvalid: spec.source.oci.pullSecret: Secret kube-system/s {text}");
    let of_type = invalid(
        "is not of type kubernetes.io/dockerconfigjson with a key .dockerconfigjson; kubectl create secret \
         docker-registry makes such a one",
    );
    let missing = "PullSecretUnreadable: spec.source.oci.pullSecret: Secret kube-system/s not found; make it with kubectl \
                   create secret docker-registry s -n kube-system";
    // Guard; the secret's type, the host in it and its auth; what comes of it.
    type Row<'a> = (Guard, Option<(&'a str, &'a str, &'a str)>, String);
    let table: [Row<'_>; 13] = [
        (Guard::Basic, Some((TYPE, "HOST", ann)), "bytes five".to_owned()),
        (Guard::TokenForAnn, Some((TYPE, "HOST", ann)), "bytes five".to_owned()),
        (Guard::Token, Some((TYPE, "HOST", ann)), "bytes five".to_owned()),
        (Guard::Everybody, Some((TYPE, "HOST", ann)), "bytes five".to_owned()),
        (Guard::Basic, Some((TYPE, "https://HOST/team", ann)), "bytes five".to_owned()),
        (Guard::Basic, None, wanted.to_owned()),
        (Guard::TokenForAnn, None, wanted.to_owned()),
        (Guard::Nobody, Some((TYPE, "HOST", ann)), refused.to_owned()),
        (Guard::Basic, Some((TYPE, "HOST", eve)), refused.to_owned()),
        (Guard::TokenForAnn, Some((TYPE, "HOST", eve)), refused.to_owned()),
        (
            Guard::Basic,
            Some((TYPE, "other.example", ann)),
            invalid("has nothing for HOST; its `auths` must name the registry as spec.source.oci.image does"),
        ),
        (Guard::Basic, Some(("Opaque", "HOST", ann)), of_type),
        (
            Guard::Basic,
            Some((TYPE, "HOST", "hunter2")),
            "PullSecretInvalid: spec.source.oci.pullSecret: Secret kube-system/s: its `auth` for this registry is no \
             base64 of name:password"
                .to_owned(),
        ),
    ];
    for (row, (guard, secret, expected)) in table.into_iter().enumerate() {
        let host = serve(registry(objects.clone(), guard)).await;
        let api = FakeApi::new();
        let mut source = json!({"image": format!("{host}/team/p@sha256:{}", sha256(&good))});
        if let Some((type_, registry, auth)) = secret {
            source["pullSecret"] = "s".into();
            let source = json!({"oci": source});
            let got = outcome(&sources(&api, Blobs::default()), source, None).await;
            assert_eq!(got, missing, "row {row}, before there is a secret");
            let config = config(&registry.replace("HOST", &host), auth);
            api.put(
                "secrets",
                json!({"metadata": {"name": "s", "namespace": "kube-system"}, "type": type_,
                       "data": {".dockerconfigjson": ByteString(config.into_bytes())}}),
            );
        }
        let source = json!({"oci": source});
        let got = outcome(&sources(&api, Blobs::default()), source, None).await;
        assert_eq!(got, expected.replace("HOST", &host), "row {row}");
        for secret in ["hunter", ann, eve, "secret-of-the-day"] {
            assert!(!got.contains(secret), "row {row}: {got}");
        }
    }
}

/// Registries send those who pull to where their blobs lie: what opens the registry is not that host's business.
#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credentials_along() {
    let lies = async |headers: HeaderMap| -> Response {
        match headers.get("authorization") {
            None => "five".into_response(),
            Some(_) => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    let elsewhere = serve(Router::new().route("/five", get(lies))).await;
    let good = manifest(&[("application/wasm", &format!("sha256:{}", sha256(b"five")))]);
    let redirect = format!("-> http://{elsewhere}/five");
    let objects = vec![
        (format!("manifests/sha256:{}", sha256(&good)), good.clone()),
        (format!("blobs/sha256:{}", sha256(b"five")), redirect.into_bytes()),
    ];
    for guard in [Guard::Basic, Guard::TokenForAnn] {
        let host = serve(registry(objects.clone(), guard)).await;
        let config = format!(r#"{{"auths": {{"{host}": {{"username": "ann", "password": "hunter2"}}}}}}"#);
        let api = FakeApi::new();
        api.put(
            "secrets",
            json!({"metadata": {"name": "s", "namespace": "kube-system"}, "type": "kubernetes.io/dockerconfigjson",
                   "data": {".dockerconfigjson": ByteString(config.into_bytes())}}),
        );
        let image = format!("{host}/team/p@sha256:{}", sha256(&good));
        let source = json!({"oci": {"image": image, "pullSecret": "s"}});
        let got = outcome(&sources(&api, Blobs::default()), source, None).await;
        assert_eq!(got, "bytes five", "{guard:?}");
    }
}

#[tokio::test]
async fn what_was_fetched_once_needs_no_network_again() {
    let good = manifest(&[("application/wasm", &format!("sha256:{}", sha256(b"five")))]);
    let objects = vec![
        (format!("manifests/sha256:{}", sha256(&good)), good.clone()),
        (format!("blobs/sha256:{}", sha256(b"five")), b"five".to_vec()),
    ];
    let host = serve(registry(objects, Guard::Everybody).route("/p.wasm", get(async || "four"))).await;
    let folder = tempfile::tempdir().unwrap();
    let blobs = || Blobs::new(Some(folder.path().to_owned()));
    let api = FakeApi::new();
    let from = |host: &str| {
        [
            json!({"oci": {"image": format!("{host}/team/p@sha256:{}", sha256(&good))}}),
            json!({"http": {"url": format!("http://{host}/p.wasm"), "sha256": sha256(b"four")}}),
        ]
    };
    let expected = ["bytes five", "bytes four"];
    for (source, expected) in from(&host).into_iter().zip(expected) {
        assert_eq!(outcome(&sources(&api, blobs()), source, None).await, expected);
    }
    // As those do who have proven it.
    blobs().put(&sha256(b"five"), b"five");
    blobs().put(&sha256(b"four"), b"four");
    // Port 9 of this machine answers nobody.
    for (source, expected) in from("127.0.0.1:9").into_iter().zip(expected) {
        assert_eq!(
            outcome(&sources(&api, blobs()), source.clone(), None).await,
            expected
        );
        let without = outcome(&sources(&api, Blobs::default()), source, None).await;
        assert!(without.starts_with("SourceUnreachable"), "{without}");
    }
}
