//! No password and no token in anything that the whole system says in all kinds of trouble: logs, events, metrics,
//! and every object but the secret itself.
//!
//! A test binary of its own, because it listens to the whole process.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_simulation::clock::run_virtually;
use autoscaler_simulation::scenario::{SYSTEM, Scenario, Workload, node_group, vm_group};
use autoscaler_simulation::{Error, World};
use fake_vpsie::{Effect, Fault};
use k8s_openapi::api::core::v1::{Event, Node, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STATIC_TOKEN: &str = "hunter2-static-token";
const CLIENT_SECRET: &str = "hunter2-client-secret";
const PASSWORD: &str = "hunter2-account-password";
const JOIN_TOKEN: &str = "hunter2-join-token";
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn run(world: &World) -> Result<String, Error> {
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
    let write = async |data: serde_json::Value| {
        let patch = Patch::Merge(json!({"stringData": data}));
        secrets
            .patch("vpsie-secret", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    world.deploy(&Workload::new("half", 6, "600m", "256Mi")).await?;
    let on_vms = Workload {
        node_selector: Some(("made-of", "vms")),
        ..Workload::new("vms", 1, "600m", "256Mi")
    };
    world.deploy(&on_vms).await?;
    // The server even repeats the secrets to us.
    let echo = format!("no good: {STATIC_TOKEN} {CLIENT_SECRET}");
    let wrong = format!("You entered the wrong password {PASSWORD}");
    for credentials in [
        json!({"token": STATIC_TOKEN}),
        json!({"clientId": "id", "clientSecret": CLIENT_SECRET}),
    ] {
        write(credentials).await;
        for (path, effect) in [
            ("/add/slave", Effect::TruncatedJson),
            ("/add/slave", Effect::HtmlPage { status: 502 }),
            (
                "/add/slave",
                Effect::ErrorInOk {
                    message: echo.clone(),
                },
            ),
            (
                "/auth",
                Effect::Status {
                    status: 401,
                    message: echo.clone(),
                },
            ),
            (
                "/k8s",
                Effect::Status {
                    status: 500,
                    message: echo.clone(),
                },
            ),
            ("/k8s", Effect::DropBefore),
            ("/vm", Effect::TruncatedJson),
            (
                "/vm",
                Effect::ErrorInOk {
                    message: wrong.clone(),
                },
            ),
            ("", Effect::RateLimited { retry_after: None }),
        ] {
            world.cloud.inject(Fault {
                times: Some(6),
                ..Fault::always(path, effect)
            });
            world.cloud.revoke_tokens();
            world.advance(MINUTE).await;
            // VMs come and go in all of this.
            world.scale("vms", i32::from(path != "/vm")).await?;
            world.cloud.clear_faults();
        }
    }
    world.advance(3 * MINUTE).await;
    let all = ListParams::default();
    let client = || world.client.clone();
    let mut said = world.metrics.render();
    for text in [
        format!("{:?}", Api::<Event>::all(client()).list(&all).await.unwrap()),
        format!("{:?}", Api::<NodeGroup>::all(client()).list(&all).await.unwrap()),
        format!("{:?}", Api::<VPSieNode>::all(client()).list(&all).await.unwrap()),
        format!("{:?}", Api::<Node>::all(client()).list(&all).await.unwrap()),
        format!("{:?}", world.chronicle.decisions()),
        format!("{:?}", world.cloud.journal()),
    ] {
        said.push_str(&text);
        said.push('\n');
    }
    Ok(said)
}

#[test]
fn nothing_that_the_system_says_holds_a_secret() {
    let sink = Sink::default();
    let writer = sink.clone();
    // Everything of ours, and of libraries what an operator would ever switch on.
    let levels = "debug,vpsie_client=trace,autoscaler_controllers=trace,autoscaler_cluster=trace,autoscaler_policy=trace";
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(levels)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).unwrap();

    let mut scenario = Scenario::default();
    scenario.cloud.access.tokens = vec![STATIC_TOKEN.to_owned()];
    let client = &mut scenario.cloud.access.clients[0];
    client.client_id = "id".to_owned();
    client.client_secret = CLIENT_SECRET.to_owned();
    scenario.cloud.plain.account_password = Some(PASSWORD.to_owned());
    scenario.cloud.plain.join_token = Some(JOIN_TOKEN.to_owned());
    let labels = json!({"labels": {"made-of": "vms"}});
    scenario.groups = vec![
        node_group(&scenario.cloud, "small", 5, &["k8s-2-4"], &json!({})).unwrap(),
        vm_group(&scenario.cloud, "vms", 5, &["vm-2-4"], &labels).unwrap(),
    ];
    let said = run_virtually(async move {
        let world = World::start(&scenario, 1, None).await?;
        let said = run(&world).await;
        world.stop().await;
        said
    });
    let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let used = [
        "VPSie call failed",
        "circuit breaker",
        "no good: ",
        "the wrong password [secret]",
        "ordering a VM",
    ];
    for expected in used {
        assert!(logged.contains(expected), "{expected}: the trouble was logged");
    }
    let all = said.unwrap() + &logged;
    for line in all.lines() {
        assert!(!line.contains(PASSWORD) && !line.contains(JOIN_TOKEN), "{line}");
        // The client knows its own secret only; of the other one the server's words are all there is.
        let both = line.contains(STATIC_TOKEN) && line.contains(CLIENT_SECRET);
        let echoed = line.contains("no good");
        for secret in [STATIC_TOKEN, CLIENT_SECRET] {
            assert!(!both && (echoed || !line.contains(secret)), "{line}");
        }
    }
}
