//! Routes under `/_fake`, for people who run the server by itself and want to look and to break things.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use crate::config::{Access, Delays};
use crate::fault::Fault;
use crate::reply::Reply;
use crate::server::FakeVpsie;

const HELP: &[(&str, &str)] = &[
    ("GET /_fake/inventory", "machines, totals and cost"),
    ("GET /_fake/journal", "every request so far"),
    ("GET /_fake/config", "the configuration"),
    ("GET /_fake/faults", "faults that still wait for requests"),
    (
        "POST /_fake/faults",
        r#"adds one: {"path": "/add/slave", "effect": {"kind": "dropAfterApply"}, "times": 1}"#,
    ),
    ("DELETE /_fake/faults", "takes all faults away"),
    (
        "POST /_fake/down",
        r#"switches the API off or on: {"down": true}"#,
    ),
    (
        "POST /_fake/worker-limit",
        r#"workers per cluster: {"limit": 5}, or null for any number"#,
    ),
    (
        "POST /_fake/delays",
        r#"how long things take: {"appear": "5s", "join": "40s", "delete": "15s"}"#,
    ),
    ("POST /_fake/access", r#"who may call: {"tokens": ["…"]}"#),
    ("POST /_fake/revoke-tokens", "ends every token given out"),
];

/// Answers a request below `/_fake`.
pub(crate) fn answer(fake: &Arc<FakeVpsie>, method: &str, path: &str, body: Value) -> Response<Bytes> {
    match (method, path.trim_matches('/')) {
        ("GET", "") => {
            let help = HELP
                .iter()
                .map(|(route, what)| ((*route).to_owned(), Value::from(*what)));
            show(&Value::Object(help.collect()))
        }
        ("GET", "inventory") => show(&fake.inventory()),
        ("GET", "journal") => show(&fake.journal()),
        ("GET", "faults") => show(&fake.faults()),
        ("GET", "config") => {
            // The access part holds secrets; whoever runs the server knows them already.
            let mut config = json!(fake.config());
            config["access"] = Value::from("[secret]");
            for field in ["accountPassword", "joinToken"] {
                config["plain"][field] = Value::from("[secret]");
            }
            show(&config)
        }
        ("POST", "faults") => read(body, |fault: Fault| fake.inject(fault)),
        ("DELETE", "faults") => {
            fake.clear_faults();
            done()
        }
        ("POST", "down") => read(body, |Down { down }| fake.set_down(down)),
        ("POST", "worker-limit") => read(body, |Limit { limit }| fake.set_worker_limit(limit)),
        ("POST", "delays") => read(body, |delays: Delays| fake.set_delays(delays)),
        ("POST", "access") => read(body, |access: Access| fake.set_access(access)),
        ("POST", "revoke-tokens") => {
            fake.revoke_tokens();
            done()
        }
        _ => Reply::error(404, "no such control; GET /_fake lists them").write(),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Down {
    down: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    limit: Option<u32>,
}

fn read<T: serde::de::DeserializeOwned>(body: Value, act: impl FnOnce(T)) -> Response<Bytes> {
    match serde_json::from_value(body) {
        Ok(value) => {
            act(value);
            done()
        }
        Err(error) => Reply::error(400, &error.to_string()).write(),
    }
}

fn done() -> Response<Bytes> {
    Reply::plain(json!({ "ok": true })).write()
}

fn show(value: &impl serde::Serialize) -> Response<Bytes> {
    match serde_json::to_value(value) {
        Ok(value) => Reply::plain(value).write(),
        Err(error) => Reply::error(500, &error.to_string()).write(),
    }
}
