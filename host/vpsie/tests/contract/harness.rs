//! A client and a fake provider, connected in process or over a socket.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fake_vpsie::config::{Access, ApiClient, Delays};
use fake_vpsie::{Config, FakeVpsie};
use http::{Request, Response};
use jiff::Timestamp;
use vpsie_client::auth::CredentialsStatus;
use vpsie_client::settings::BreakerSettings;
use vpsie_client::transport::HttpSettings;
use vpsie_client::{
    BreakerState, Client, ClusterId, Credentials, DatacenterId, Family, GroupNumber, HttpTransport, Observer,
    OfferId, Settings, Transport, TransportError,
};

pub(crate) const CLIENT_SECRET: &str = "hunter2-client-secret";
pub(crate) const STATIC_TOKEN: &str = "hunter2-static-token";

/// Carries requests to a fake in the same process.
pub(crate) struct InProcess(pub(crate) Arc<FakeVpsie>);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let reply = self.0.call(request).await;
        reply.map_err(|dropped| TransportError::new("the connection broke", dropped.reached, false))
    }
}

/// Writes down everything that the client reports.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Observer for Recorder {
    fn request(&self, method: &'static str, endpoint: &'static str, status: Option<u16>, _: Duration) {
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        self.note(format!("request {method} {endpoint} {status}"));
    }

    fn error(&self, method: &'static str, error_type: &'static str) {
        self.note(format!("error {method} {error_type}"));
    }

    fn breaker(&self, family: Family, from: BreakerState, to: BreakerState) {
        self.note(format!(
            "breaker {} {} {}",
            family.as_str(),
            from.as_str(),
            to.as_str()
        ));
    }

    fn credentials(&self, status: &CredentialsStatus) {
        self.note(format!(
            "credentials present={} valid={:?}",
            status.present, status.valid
        ));
    }
}

pub(crate) struct World {
    pub(crate) fake: Arc<FakeVpsie>,
    pub(crate) client: Client,
    pub(crate) seen: Arc<Recorder>,
    pub(crate) cluster: ClusterId,
    pub(crate) datacenter: DatacenterId,
}

/// A clock that moves with tokio's, so that a paused test has one time only.
pub(crate) fn clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let (start, begun) = (
        Timestamp::from_second(1_790_000_000).unwrap(),
        tokio::time::Instant::now(),
    );
    Arc::new(move || start + begun.elapsed())
}

pub(crate) fn config() -> Config {
    Config {
        access: Access {
            tokens: vec![STATIC_TOKEN.to_owned()],
            clients: vec![ApiClient {
                client_id: "id".to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
            }],
            ..Access::default()
        },
        delays: Delays::NONE,
        ..Config::default()
    }
}

/// Settings under which nothing waits and the breaker keeps out of the way.
pub(crate) fn settings() -> Settings {
    Settings {
        base_url: "http://127.0.0.1".to_owned(),
        read_attempts: 1,
        read_backoff: Duration::from_millis(1),
        burst: 10_000,
        breaker: BreakerSettings {
            consecutive_failures: 0,
            failure_rate: 2.0,
            ..BreakerSettings::default()
        },
        ..Settings::default()
    }
}

pub(crate) fn pair() -> Credentials {
    Credentials::Client {
        client_id: "id".to_owned(),
        client_secret: CLIENT_SECRET.into(),
    }
}

impl World {
    pub(crate) fn in_process(config: Config, settings: Settings) -> Self {
        let fake = FakeVpsie::new(config, clock());
        let transport = Arc::new(InProcess(fake.clone()));
        Self::with_transport(fake, transport, settings)
    }

    pub(crate) async fn over_a_socket(config: Config, settings: Settings) -> Self {
        let fake = FakeVpsie::new(config, clock());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(fake.clone().serve(listener));
        let transport = Arc::new(HttpTransport::new(HttpSettings::default()).unwrap());
        Self::with_transport(fake, transport, Settings { base_url, ..settings })
    }

    pub(crate) async fn both(config: Config, settings: Settings) -> [(&'static str, Self); 2] {
        [
            ("in process", Self::in_process(config.clone(), settings.clone())),
            ("over a socket", Self::over_a_socket(config, settings).await),
        ]
    }

    fn with_transport(fake: Arc<FakeVpsie>, transport: Arc<dyn Transport>, settings: Settings) -> Self {
        let seen = Arc::new(Recorder::default());
        let client = Client::new(settings, transport, clock(), seen.clone()).unwrap();
        client.set_credentials(Some(pair()));
        let config = fake.config();
        let cluster = ClusterId::new(&*config.clusters[0].identifier);
        let datacenter = DatacenterId::new(&*config.datacenters[0].identifier);
        Self {
            fake,
            client,
            seen,
            cluster,
            datacenter,
        }
    }

    /// Creates a group of a size and returns its number.
    pub(crate) async fn group(&self, size: i64) -> GroupNumber {
        let name = format!("group-{size}");
        self.client
            .create_group(&self.cluster, &name, OfferId(size))
            .await
            .unwrap();
        let groups = self.client.list_groups(&self.cluster).await.unwrap();
        groups
            .into_iter()
            .find(|group| group.name == name)
            .unwrap()
            .number
    }

    pub(crate) async fn workers(&self) -> Vec<vpsie_client::ProviderNode> {
        let detail = self.client.get_cluster(&self.cluster).await.unwrap();
        detail.workers().cloned().collect()
    }
}
