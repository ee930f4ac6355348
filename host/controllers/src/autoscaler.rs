//! The wiring of one process: watches to queues, queues to controllers, and the Lease that lets one act.

use crate::catalogue::Catalogue;
use crate::config::Configs;
use crate::context::{Context, Ids, Now};
use crate::error::Error;
use crate::futile::FutilePurchases;
use crate::nodegroup::NodeGroups;
use crate::observe::Observer;
use crate::orphans::Orphans;
use crate::policies::Policies;
use crate::rebalance::Rebalances;
use crate::runtime::events::Events;
use crate::runtime::lease::Leadership;
use crate::runtime::metrics::Metrics;
use crate::runtime::queue::{self, Next, Queue};
use crate::scaling::Scaling;
use crate::settings::Pace;
use crate::vpsienode::VpsieNodes;
use autoscaler_cluster::{Change, Feed, Index, Kind, ObjectKey};
use autoscaler_policy::record::Records;
use autoscaler_policy::{Engine, PolicySet};
use futures::FutureExt;
use kube::ResourceExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// VPSieNodes mostly wait for VPSie: many may do so at once.
const NODES_AT_ONCE: usize = 16;
/// Node groups, policies and operations are few, and their reconciles short.
const OTHERS_AT_ONCE: usize = 4;

/// What a process is started with.
pub struct Options {
    /// Where the Lease lives.
    pub namespace: String,
    /// Who we are in the Lease: the pod's name.
    pub identity: String,
    pub leader_election: bool,
    /// Namespace and name of the credentials' secret.
    pub secret: (String, String),
    /// Folder for the components of policies that came over the network.
    pub policy_cache: Option<PathBuf>,
    pub pace: Pace,
    pub now: Now,
    pub ids: Arc<dyn Ids>,
    pub observer: Arc<dyn Observer>,
    pub records: Arc<Records>,
}

/// Why [`Autoscaler::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// Another replica acts, or may do so soon: this process must not go on.
    LeaseLost,
}

/// All controllers of one process.
pub struct Autoscaler {
    ctx: Arc<Context>,
    feed: Arc<Feed>,
    engine: Engine,
    options: Options,
    shutdown: CancellationToken,
}

impl Autoscaler {
    /// Nothing runs before [`Autoscaler::run`].
    pub fn new(
        reads: kube::Client,
        effects: kube::Client,
        vpsie: vpsie_client::Client,
        engine: Engine,
        policies: Arc<PolicySet>,
        metrics: Arc<Metrics>,
        options: Options,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let index = Index::new(options.now.clone());
        let ctx = Context {
            events: Events::spawn(
                effects.clone(),
                options.now.clone(),
                metrics.clone(),
                shutdown.clone(),
            ),
            catalogue: Arc::new(Catalogue::new(
                vpsie.clone(),
                options.now.clone(),
                options.pace.clone(),
            )),
            futile: FutilePurchases::default(),
            reads,
            effects,
            index: index.clone(),
            vpsie,
            policies,
            metrics,
            observer: options.observer.clone(),
            records: options.records.clone(),
            now: options.now.clone(),
            ids: options.ids.clone(),
        };
        Self {
            ctx: Arc::new(ctx),
            feed: Feed::new(index),
            engine,
            options,
            shutdown,
        }
    }

    pub fn context(&self) -> Arc<Context> {
        self.ctx.clone()
    }

    /// Whether every watch has delivered its first list.
    pub fn feed(&self) -> Arc<Feed> {
        self.feed.clone()
    }

    /// Watches at once, acts once it leads, and ends with the token or with the loss of the Lease.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let Self {
            ctx,
            feed,
            engine,
            options,
            shutdown,
        } = self;
        let nodes = Arc::new(VpsieNodes::new(ctx.clone(), options.pace.clone()));
        let groups = Arc::new(NodeGroups::new(
            ctx.clone(),
            options.pace.clone(),
            nodes.queue.clone(),
        ));
        let rebalances = Arc::new(Rebalances::new(&ctx));
        let policies = Arc::new(Policies::new(&ctx, engine, options.policy_cache.clone()));
        let configs = Configs::new(ctx.clone());
        feed.listen(dispatcher(
            ctx.index.clone(),
            &groups,
            &nodes,
            &rebalances,
            &policies,
            &configs,
        ));
        feed.spawn(&ctx.reads, &shutdown);
        let (namespace, secret) = options.secret.clone();
        tokio::spawn(crate::credentials::run(
            ctx.clone(),
            namespace,
            secret,
            shutdown.clone(),
        ));

        let mut leadership = options.leader_election.then(|| {
            Leadership::contend(
                &ctx.effects,
                &options.namespace,
                &options.identity,
                options.now.clone(),
                ctx.metrics.clone(),
            )
        });
        let lost = leadership
            .as_ref()
            .map_or_else(CancellationToken::new, Leadership::lost);
        // Policies are loaded on every replica: a standby that takes over decides at once.
        let loading = worker(
            "scalingpolicy",
            &policies.queue,
            OTHERS_AT_ONCE,
            &ctx,
            &shutdown,
            |key| policies.reconcile(key),
        );
        let acting = async {
            let lead = async {
                feed.synced().await;
                match leadership.as_mut() {
                    Some(leadership) => leadership.acquired().await,
                    None => ctx.metrics.leading(true),
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = lead => {}
            }
            tracing::info!(identity = options.identity, "leading: acting from now on");
            ctx.catalogue
                .restore(&ctx.index.node_groups(), &ctx.index.vpsie_nodes());
            ctx.futile.lock().restore(&ctx.index.node_groups());
            tokio::spawn(crate::awaken::run(
                ctx.clone(),
                groups.queue.clone(),
                nodes.queue.clone(),
                shutdown.clone(),
            ));
            let on_groups = worker(
                "nodegroup",
                &groups.queue,
                OTHERS_AT_ONCE,
                &ctx,
                &shutdown,
                |key| groups.reconcile(key),
            );
            let on_nodes = worker("vpsienode", &nodes.queue, NODES_AT_ONCE, &ctx, &shutdown, |key| {
                nodes.reconcile(key)
            });
            let on_rebalances = worker(
                "rebalance",
                &rebalances.queue,
                OTHERS_AT_ONCE,
                &ctx,
                &shutdown,
                |key| rebalances.reconcile(key),
            );
            let over_rebalances = rebalances.watch_over(options.pace.resync, shutdown.clone());
            let on_configs = worker(
                "autoscalerconfig",
                &configs.queue,
                OTHERS_AT_ONCE,
                &ctx,
                &shutdown,
                |key| configs.reconcile(key),
            );
            let scaling = Scaling::new(ctx.clone(), options.pace.clone()).run(shutdown.clone());
            let orphans = Orphans::new(ctx.clone(), options.pace.clone()).run(shutdown.clone());
            tokio::join!(biased; on_groups, on_nodes, on_rebalances, over_rebalances, on_configs, scaling, orphans);
        };
        let work = futures::future::join(loading, acting);
        let stopping = async {
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => Ended::Stopped,
                () = lost.cancelled() => Ended::LeaseLost,
            };
            // What runs may finish: the queues wait for it for a moment.
            shutdown.cancel();
            ended
        };
        let (ended, _) = futures::future::join(stopping, work.map(drop)).await;
        if let Some(leadership) = leadership {
            leadership.release().await;
        }
        ended
    }
}

/// Works off one queue.
async fn worker<F, Fut>(
    name: &'static str,
    queue: &Arc<Queue<ObjectKey>>,
    at_once: usize,
    ctx: &Context,
    shutdown: &CancellationToken,
    reconcile: F,
) where
    F: Fn(ObjectKey) -> Fut,
    Fut: Future<Output = Result<Next, Error>>,
{
    queue::run(
        name,
        queue.clone(),
        at_once,
        ctx.metrics.clone(),
        shutdown.clone(),
        reconcile,
    )
    .await;
}

/// Which queues a change wakes.
fn dispatcher(
    index: Arc<Index>,
    groups: &NodeGroups,
    nodes: &VpsieNodes,
    rebalances: &Rebalances,
    policies: &Policies,
    configs: &Configs,
) -> autoscaler_cluster::Listener {
    let (groups, nodes) = (groups.queue.clone(), nodes.queue.clone());
    let (rebalances, policies) = (rebalances.queue.clone(), policies.queue.clone());
    let configs = configs.queue.clone();
    Arc::new(move |change| match change {
        Change::NodeGroup(group) => groups.add(ObjectKey::of(&**group)),
        Change::VPSieNode(node) => {
            groups.add(ObjectKey::new(
                node.namespace().unwrap_or_default(),
                &node.spec.node_group_name,
            ));
            nodes.add(ObjectKey::of(&**node));
        }
        Change::Node(node) => {
            if let Some(owner) = index.owner_of_node(&node.name_any()) {
                nodes.add(owner);
            }
        }
        Change::Config(config) => {
            configs.add(ObjectKey::of(&**config));
            // It says whose policies are trusted.
            for policy in index.policies() {
                policies.add(ObjectKey::of(&*policy));
            }
        }
        Change::Policy(policy) => policies.add(ObjectKey::of(&**policy)),
        Change::Rebalance(rebalance) => rebalances.add(ObjectKey::of(&**rebalance)),
        Change::Gone(Kind::NodeGroup, key) => groups.add(key.clone()),
        // The record of its group is gone with it: every group of the namespace counts anew.
        Change::Gone(Kind::VPSieNode, key) => {
            let of_namespace = index.node_groups();
            for group in of_namespace
                .iter()
                .map(|group| ObjectKey::of(&**group))
                .filter(|group| group.namespace == key.namespace)
            {
                groups.add(group);
            }
        }
        Change::Gone(Kind::Node, key) => {
            if let Some(owner) = index.owner_of_node(&key.name) {
                nodes.add(owner);
            }
        }
        Change::Gone(Kind::Policy, key) => policies.add(key.clone()),
        Change::Gone(Kind::Rebalance, key) => rebalances.add(key.clone()),
        _ => {}
    })
}
