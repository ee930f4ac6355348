//! No secret in any output: logs at the lowest level, errors, Debug, the journal of the fake.
//!
//! A test binary of its own, because it listens to the whole process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure should fail the test"
)]

#[expect(dead_code, reason = "shared with the contract tests, which use all of it")]
#[path = "contract/harness.rs"]
mod harness;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_vpsie::{Effect, Fault};
use vpsie_client::{Credentials, Settings};

use harness::{CLIENT_SECRET, STATIC_TOKEN, World, config, pair, settings};

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

#[tokio::test]
async fn secrets_appear_nowhere() {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing_subscriber::util::SubscriberInitExt::try_init(subscriber).unwrap();

    let mut output = String::new();
    // The server even repeats the secrets to us.
    let echo = format!("no good: {CLIENT_SECRET} {STATIC_TOKEN}");
    let settings = Settings {
        request_timeout: Duration::from_millis(300),
        ..settings()
    };
    for credentials in [pair(), Credentials::Token(STATIC_TOKEN.into())] {
        for effect in [
            Effect::Status {
                status: 401,
                message: echo.clone(),
            },
            Effect::Status {
                status: 500,
                message: echo.clone(),
            },
            Effect::ErrorInOk {
                message: echo.clone(),
            },
            Effect::HtmlPage { status: 502 },
            Effect::TruncatedJson,
            Effect::DropBefore,
            Effect::Delay {
                duration: Duration::from_secs(3600),
            },
        ] {
            for path in ["/auth", "/k8s"] {
                for (_, world) in World::both(config(), settings.clone()).await {
                    world.client.set_credentials(Some(credentials.clone()));
                    world.client.authenticate().await.ok();
                    world.fake.inject(Fault::always(path, effect.clone()));
                    if path == "/auth" {
                        world.client.set_credentials(Some(credentials.clone()));
                    }
                    if let Err(error) = world.client.list_clusters().await {
                        let cause =
                            std::error::Error::source(&error).map(|cause| format!("{cause} {cause:?}"));
                        output += &format!("{error} {error:?} {cause:?}\n");
                    }
                    output += &format!("{:?} {:?}\n", world.client.credentials_status(), credentials);
                    output += &format!("{:?} {:?}\n", world.fake.journal(), world.seen.take());
                }
            }
        }
    }
    let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("VPSie call failed") && logged.contains("cluster/all"),
        "the log was captured"
    );
    assert!(
        output.contains("no good: [secret]"),
        "the provider's words are shown, without the secret"
    );
    output += &logged;
    // What belongs to the other credentials is not known to this client, so only its own are looked for in
    // the provider's words; both are looked for in everything else.
    for line in output.lines() {
        let echoed = line.contains("no good");
        for secret in [CLIENT_SECRET, STATIC_TOKEN] {
            assert!(echoed || !line.contains(secret), "{line}");
        }
        assert!(
            !(line.contains(CLIENT_SECRET) && line.contains(STATIC_TOKEN)),
            "{line}"
        );
        assert!(!line.contains("token-"), "an exchanged token: {line}");
    }
}
