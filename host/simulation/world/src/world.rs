//! A whole world: in-memory Kubernetes, fake VPSie, and the real controllers between them.

use crate::chronicle::Chronicle;
use crate::clock::virtual_now;
use crate::narrator::{Narrator, Sink};
use crate::process::{Process, engine};
use crate::scenario::{NAMESPACE, SYSTEM, Scenario, Workload};
use crate::summary::{Cost, Nodes, Pods, Summary, Vms, rounded};
use crate::view::View;
use crate::{Error, InProcess, Joiner, Scheduler};
use autoscaler_api::VPSieNode;
use autoscaler_api::provisioner::JOIN_SECRET;
use autoscaler_cluster::{Feed, Index, ObjectKey};
use autoscaler_controllers::explain::{Explanation, Subject, Unknown};
use autoscaler_controllers::runtime::metrics::Metrics;
use autoscaler_controllers::settings::Pace;
use autoscaler_controllers::{Context, Ended, Now};
use autoscaler_policy::record::Records;
use fake_vpsie::{FakeVpsie, VmEvent};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use simulated_kubernetes::{ApiServer, Controllers, Delays};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a condition is looked at while waiting for it.
const LOOK: Duration = Duration::from_millis(250);
/// How long the controllers may take to end.
const STOP: Duration = Duration::from_secs(30);

/// The process of the autoscaler.
struct Running {
    context: Arc<Context>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// See the module's text. Make one inside [`crate::clock::run_virtually`].
pub struct World {
    pub kubernetes: Arc<ApiServer>,
    pub cloud: Arc<FakeVpsie>,
    pub client: Client,
    pub view: Arc<View>,
    pub chronicle: Arc<Chronicle>,
    pub metrics: Arc<Metrics>,
    narrator: Option<Arc<Narrator>>,
    seed: u64,
    start: Instant,
    /// The process of the autoscaler, and how many there were.
    autoscaler: Mutex<Option<Running>>,
    processes: AtomicU64,
    pace: Pace,
    records: Arc<Records>,
    pub(crate) now: Now,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    /// Held for as long as the world runs: its controllers end with it.
    _controllers: Controllers,
}

impl World {
    /// Builds the world of a scenario and starts everything in it.
    ///
    /// # Errors
    /// When the scenario does not pass the schemas, or the built-in policies cannot be loaded.
    pub async fn start(scenario: &Scenario, seed: u64, sink: Option<Sink>) -> Result<Self, Error> {
        let world = Self::without_autoscaler(scenario, seed, sink).await?;
        world.spawn_autoscaler()?;
        Ok(world)
    }

    /// The same, with everything but the autoscaler in it.
    pub(crate) async fn without_autoscaler(
        scenario: &Scenario,
        seed: u64,
        sink: Option<Sink>,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let now = virtual_now(scenario.start);
        let kubernetes = ApiServer::new(now.clone(), seed);
        let client = kubernetes.client();
        let cloud = FakeVpsie::new(
            fake_vpsie::Config {
                seed,
                ..scenario.cloud.clone()
            },
            now.clone(),
        );
        let narrator = sink.map(Narrator::new);
        let chronicle = Chronicle::new(narrator.clone());
        let mut world = Self {
            _controllers: Controllers::spawn(&kubernetes, Delays::default()),
            view: Arc::default(),
            metrics: Arc::new(Metrics::new()),
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            kubernetes,
            cloud,
            client,
            chronicle,
            narrator,
            seed,
            start,
            autoscaler: Mutex::default(),
            processes: AtomicU64::new(0),
            pace: scenario.pace.clone(),
            records: scenario.records.clone(),
            now: now.clone(),
        };
        world.furnish(scenario).await?;
        world.spawn_surroundings(&now).await;
        Ok(world)
    }

    async fn furnish(&self, scenario: &Scenario) -> Result<(), Error> {
        for definition in autoscaler_api::all_crds().map_err(Error::Definitions)? {
            self.create(&Api::all(self.client.clone()), &definition).await?;
        }
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).map_err(Error::Scenario)?;
        self.create(&Api::all(self.client.clone()), &namespace).await?;
        let token = scenario.cloud.access.tokens.first().cloned().unwrap_or_default();
        let mut data = json!({"token": token});
        if let Some(password) = &scenario.cloud.plain.account_password {
            data["accountPassword"] = json!(password);
        }
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "vpsie-secret", "namespace": SYSTEM}, "stringData": data,
        }))
        .map_err(Error::Scenario)?;
        let system = |client: &Client| Api::namespaced(client.clone(), SYSTEM);
        self.create(&system(&self.client), &secret).await?;
        if let Some(token) = &scenario.cloud.plain.join_token {
            let secret: Secret = serde_json::from_value(json!({
                "metadata": {"name": JOIN_SECRET, "namespace": SYSTEM}, "stringData": {"token": token},
            }))
            .map_err(Error::Scenario)?;
            self.create(&system(&self.client), &secret).await?;
        }
        for object in &scenario.config_maps {
            self.create(&Api::namespaced(self.client.clone(), SYSTEM), object)
                .await?;
        }
        if let Some(object) = &scenario.config {
            self.create(&Api::all(self.client.clone()), object).await?;
        }
        for object in &scenario.policies {
            self.create(&Api::all(self.client.clone()), object).await?;
        }
        for object in &scenario.groups {
            self.create(&Api::namespaced(self.client.clone(), SYSTEM), object)
                .await?;
        }
        for object in &scenario.budgets {
            self.create(&Api::namespaced(self.client.clone(), NAMESPACE), object)
                .await?;
        }
        Ok(())
    }

    /// What a cluster has beside the autoscaler.
    async fn spawn_surroundings(&mut self, now: &Now) {
        let (changes, scheduler_changes) = mpsc::unbounded_channel();
        let feed = Feed::new(Index::new(now.clone()));
        let view = self.view.clone();
        feed.listen(Arc::new(move |change| {
            view.apply(change);
            // The scheduler ends with the world.
            let _ = changes.send(change.clone());
        }));
        feed.spawn(&self.client, &self.shutdown);
        feed.synced().await;
        let scheduler = Scheduler::new(self.client.clone(), now.clone());
        self.tasks
            .spawn(scheduler.run(scheduler_changes, self.shutdown.clone()));
        let joiner = Joiner::new(&self.cloud, self.client.clone(), now.clone());
        self.tasks.spawn(joiner.run(self.shutdown.clone()));
        let (cloud, chronicle, mut events) =
            (self.cloud.clone(), self.chronicle.clone(), self.cloud.subscribe());
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                if matches!(event, VmEvent::Accepted(_)) {
                    chronicle.price(cloud.inventory().price_hourly);
                }
            }
        });
        if let Some(narrator) = &self.narrator {
            let events = self.cloud.subscribe();
            let (cloud, view, shutdown) = (self.cloud.clone(), self.view.clone(), self.shutdown.clone());
            self.tasks
                .spawn(narrator.clone().follow(cloud, events, view, shutdown));
        }
    }

    fn spawn_autoscaler(&self) -> Result<(), Error> {
        let number = self.processes.fetch_add(1, Ordering::SeqCst);
        let process = Process {
            identity: format!("simulation-{number}"),
            first_id: (self.seed << 32) + (number << 16),
            client: self.client.clone(),
            transport: Arc::new(InProcess(self.cloud.clone())),
            engine: engine()?,
            metrics: self.metrics.clone(),
            observer: self.chronicle.clone(),
            records: self.records.clone(),
            pace: self.pace.clone(),
            now: self.now.clone(),
        };
        let autoscaler = process.wire()?;
        let context = autoscaler.context();
        let stop = self.shutdown.child_token();
        let token = stop.clone();
        let task = tokio::spawn(async move {
            if autoscaler.run(token).await == Ended::LeaseLost {
                tracing::error!("the autoscaler has lost its Lease and acts no more");
            }
        });
        *self.autoscaler.lock() = Some(Running { context, stop, task });
        Ok(())
    }

    /// What the autoscaler says of one thing; none while there is no autoscaler.
    ///
    /// # Errors
    /// Where it knows of no such thing.
    pub fn explain(&self, subject: &Subject) -> Result<Option<Explanation>, Unknown> {
        let autoscaler = self.autoscaler.lock();
        autoscaler
            .as_ref()
            .map(|running| subject.explain(&running.context))
            .transpose()
    }

    /// Ends the autoscaler's process in order.
    pub async fn stop_autoscaler(&self) {
        let running = self.autoscaler.lock().take();
        if let Some(Running { stop, task, .. }) = running {
            stop.cancel();
            // A task that panicked has said so.
            let _ = task.await;
        }
    }

    /// Ends the autoscaler's process and starts another, which knows nothing but what Kubernetes and VPSie tell.
    ///
    /// # Errors
    /// When the built-in policies cannot be loaded.
    pub async fn restart_autoscaler(&self) -> Result<(), Error> {
        self.stop_autoscaler().await;
        self.spawn_autoscaler()
    }

    /// Says something in the story, if there is one.
    pub fn say(&self, text: &str) {
        if let Some(narrator) = &self.narrator {
            narrator.say(text);
        }
    }

    /// Creates an object.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn create<K>(&self, api: &Api<K>, object: &K) -> Result<(), Error>
    where
        K: Resource + Clone + Debug + Serialize + DeserializeOwned,
    {
        let created = api.create(&PostParams::default(), object).await;
        created.map(drop).map_err(Error::kubernetes("creating an object"))
    }

    /// Brings a workload into the cluster.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn deploy(&self, workload: &Workload) -> Result<(), Error> {
        let api = Api::namespaced(self.client.clone(), NAMESPACE);
        self.create(&api, &workload.deployment().map_err(Error::Scenario)?)
            .await
    }

    /// Changes the size of a workload.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn scale(&self, name: &str, replicas: i32) -> Result<(), Error> {
        let api = Api::<Deployment>::namespaced(self.client.clone(), NAMESPACE);
        let patch = json!({"spec": {"replicas": replicas}});
        let changed = api
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        changed.map(drop).map_err(Error::kubernetes("scaling a workload"))
    }

    /// Lets virtual time pass.
    pub async fn advance(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets time pass until the condition holds; returns how much.
    ///
    /// # Errors
    /// When it does not hold after `most`.
    pub async fn settle(
        &self,
        what: &'static str,
        most: Duration,
        condition: impl Fn(&View) -> bool,
    ) -> Result<Duration, Error> {
        let begin = Instant::now();
        while !condition(&self.view) {
            if begin.elapsed() >= most {
                return Err(Error::NotSettled {
                    what,
                    waited: begin.elapsed(),
                    found: self.found(),
                });
            }
            self.advance(LOOK).await;
        }
        Ok(begin.elapsed())
    }

    /// Lets time pass until no node has come, gone or changed for `quiet`.
    ///
    /// # Errors
    /// When there is no such time within `most`.
    pub async fn settle_nodes(&self, quiet: Duration, most: Duration) -> Result<Duration, Error> {
        let begin = Instant::now();
        self.settle("the nodes settle", most, |view| {
            let since = view.nodes_changed().map_or(begin, |at| at.max(begin));
            since.elapsed() >= quiet && view.nodes_in_transit() == 0
        })
        .await
    }

    fn found(&self) -> String {
        let counts = self.view.pod_counts(None);
        let phases: Vec<String> = self
            .view
            .vpsie_nodes()
            .values()
            .map(|node| {
                format!(
                    "{} {}",
                    node.metadata.name.as_deref().unwrap_or_default(),
                    node.phase()
                )
            })
            .collect();
        format!(
            "{} pods, {} running, {} pending; {} nodes of groups ready; {}",
            counts.total,
            counts.running,
            counts.pending,
            self.view.ready_nodes(),
            phases.join(", ")
        )
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Kubernetes events, by time.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        let listed = Api::<Event>::all(self.client.clone())
            .list(&ListParams::default())
            .await;
        Ok(listed.map_err(Error::kubernetes("listing events"))?.items)
    }

    /// What the run has come to so far.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn summary(&self) -> Result<Summary, Error> {
        let mut events: BTreeMap<String, u64> = BTreeMap::new();
        for event in self.events().await? {
            let count = event
                .count
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(1);
            *events.entry(event.reason.unwrap_or_default()).or_default() += count;
        }
        let pods = self.view.pod_counts(None);
        let inventory = self.cloud.inventory();
        Ok(Summary {
            seed: self.seed,
            virtual_seconds: self.elapsed().as_secs(),
            pods: Pods {
                total: pods.total,
                running: pods.running,
                pending: pods.pending,
            },
            nodes: Nodes {
                ready: self.view.ready_nodes(),
                most_per_group: self.view.most_nodes(),
            },
            vms: Vms {
                created: inventory.created,
                deleted: inventory.removed,
                leaked: self.leaked(),
            },
            cost: Cost {
                hourly: rounded(inventory.price_hourly),
                peak_hourly: rounded(self.chronicle.peak_hourly()),
                total: rounded(inventory.cost),
            },
            decisions: self.chronicle.decisions().into_iter().map(Into::into).collect(),
            events,
        })
    }

    /// Machines that no VPSieNode knows, and VPSieNodes that know a machine which is not there.
    pub fn leaked(&self) -> u64 {
        let owned: BTreeSet<String> = self
            .cloud
            .vms()
            .into_iter()
            .filter(|vm| vm.is_ordered())
            .map(|vm| vm.identifier)
            .collect();
        leaks(&owned, &self.view.vpsie_nodes())
    }

    /// Ends everything in the world, in order.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let ends = async {
            self.stop_autoscaler().await;
            let Self { tasks, .. } = &mut self;
            while tasks.join_next().await.is_some() {}
        };
        if tokio::time::timeout(STOP, ends).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

fn leaks(machines: &BTreeSet<String>, nodes: &BTreeMap<ObjectKey, Arc<VPSieNode>>) -> u64 {
    let known: BTreeSet<&str> = nodes
        .values()
        .filter_map(|node| node.provider_identifier())
        .collect();
    let without_node = machines
        .iter()
        .filter(|machine| !known.contains(machine.as_str()))
        .count();
    let without_machine = known.iter().filter(|known| !machines.contains(**known)).count();
    (without_node + without_machine) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_api::{VPSieNodeSpec, VPSieNodeStatus};

    #[test]
    fn leaks_are_counted_on_both_sides() {
        let node = |identifier: Option<&str>| {
            let mut node = VPSieNode::new("n", VPSieNodeSpec::default());
            node.status = Some(VPSieNodeStatus {
                vpsie_node_identifier: identifier.map(str::to_owned),
                ..VPSieNodeStatus::default()
            });
            Arc::new(node)
        };
        for (machines, nodes, expected, why) in [
            (vec![], vec![], 0, "nothing"),
            (vec!["a"], vec![Some("a")], 0, "each has the other"),
            (vec!["a", "b"], vec![Some("a")], 1, "a machine too many"),
            (
                vec!["a"],
                vec![Some("a"), Some("b")],
                1,
                "a node without its machine",
            ),
            (vec!["a"], vec![Some("a"), None], 0, "a node that has none yet"),
            (vec!["a"], vec![Some("b")], 2, "strangers"),
        ] {
            let machines = machines.into_iter().map(str::to_owned).collect();
            let nodes = (0..)
                .zip(nodes)
                .map(|(n, id)| (ObjectKey::new("x", format!("{n}")), node(id)))
                .collect();
            assert_eq!(leaks(&machines, &nodes), expected, "{why}");
        }
    }
}
