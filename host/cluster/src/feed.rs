//! Watches: each kind has one watcher whose events are folded into the index, in one place and in order.

mod known;

use crate::index::{Index, ObjectKey};
use crate::lean;
use autoscaler_api::{AutoscalerConfig, NodeGroup, Rebalance, ScalingPolicy, VPSieNode};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{DaemonSet, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment};
use known::Known;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pod,
    Node,
    Namespace,
    Budget,
    DaemonSet,
    ReplicaSet,
    Claim,
    Volume,
    StorageClass,
    CsiNode,
    CsiDriver,
    StorageCapacity,
    VolumeAttachment,
    RuntimeClass,
    NodeGroup,
    VPSieNode,
    Config,
    Policy,
    Rebalance,
}

/// One object that came or changed, or one that went.
#[derive(Clone, Debug)]
pub enum Change {
    Pod(Arc<Pod>),
    Node(Arc<Node>),
    Namespace(Arc<Namespace>),
    Budget(Arc<PodDisruptionBudget>),
    DaemonSet(Arc<DaemonSet>),
    ReplicaSet(Arc<ReplicaSet>),
    Claim(Arc<PersistentVolumeClaim>),
    Volume(Arc<PersistentVolume>),
    StorageClass(Arc<StorageClass>),
    CsiNode(Arc<CSINode>),
    CsiDriver(Arc<CSIDriver>),
    StorageCapacity(Arc<CSIStorageCapacity>),
    VolumeAttachment(Arc<VolumeAttachment>),
    RuntimeClass(Arc<RuntimeClass>),
    NodeGroup(Arc<NodeGroup>),
    VPSieNode(Arc<VPSieNode>),
    Config(Arc<AutoscalerConfig>),
    Policy(Arc<ScalingPolicy>),
    Rebalance(Arc<Rebalance>),
    Gone(Kind, ObjectKey),
}

/// Pauses after failures of a watch: doubling, on tokio's clock and without the dice of kube's own, so that a
/// simulated world with failing watches can be played again.
pub struct Pauses {
    next: Duration,
    failed_at: Option<Instant>,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(800);
    const LONGEST: Duration = Duration::from_secs(30);
    /// A watch that has not failed for this long begins anew.
    const FORGOTTEN: Duration = Duration::from_secs(120);
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            next: Self::FIRST,
            failed_at: None,
        }
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self
            .failed_at
            .replace(now)
            .is_some_and(|at| now.duration_since(at) > Self::FORGOTTEN)
        {
            self.next = Self::FIRST;
        }
        let doubled = (self.next * 2).min(Self::LONGEST);
        Some(std::mem::replace(&mut self.next, doubled))
    }
}

impl Backoff for Pauses {
    /// One event after a failure shows little: only time does.
    fn reset(&mut self) {}
}

/// Told of every change after it was folded. Must not block.
pub type Listener = Arc<dyn Fn(&Change) + Send + Sync>;

/// The watches of one process.
pub struct Feed {
    index: Arc<Index>,
    listeners: RwLock<Vec<Listener>>,
    kinds: AtomicUsize,
    synced: watch::Sender<usize>,
}

/// How many objects are listed at a time. A page is held as text and as objects before the index takes what it needs of
/// it, and the room that this took stays with the process.
const PAGE: u32 = 100;

impl Feed {
    pub fn new(index: Arc<Index>) -> Arc<Self> {
        Arc::new(Self {
            index,
            listeners: RwLock::default(),
            kinds: AtomicUsize::new(0),
            synced: watch::Sender::new(0),
        })
    }

    /// Adds a listener; it hears of changes from now on.
    pub fn listen(&self, listener: Listener) {
        self.listeners.write().push(listener);
    }

    /// Starts every watch. They end with the token.
    pub fn spawn(self: &Arc<Self>, client: &Client, shutdown: &CancellationToken) {
        let every = || watcher::Config::default().page_size(PAGE);
        let running = every().fields("status.phase!=Succeeded,status.phase!=Failed");
        self.watch::<Pod>(client, Kind::Pod, running, shutdown, |object| {
            Change::Pod(Arc::new(object))
        });
        self.watch::<Node>(client, Kind::Node, every(), shutdown, |object| {
            Change::Node(Arc::new(lean::node(object)))
        });
        self.watch::<Namespace>(client, Kind::Namespace, every(), shutdown, |object| {
            Change::Namespace(Arc::new(object))
        });
        self.watch::<PodDisruptionBudget>(client, Kind::Budget, every(), shutdown, |object| {
            Change::Budget(Arc::new(object))
        });
        self.watch::<DaemonSet>(client, Kind::DaemonSet, every(), shutdown, |object| {
            Change::DaemonSet(Arc::new(object))
        });
        self.watch::<ReplicaSet>(client, Kind::ReplicaSet, every(), shutdown, |object| {
            Change::ReplicaSet(Arc::new(object))
        });
        self.watch::<PersistentVolumeClaim>(client, Kind::Claim, every(), shutdown, |object| {
            Change::Claim(Arc::new(object))
        });
        self.watch::<PersistentVolume>(client, Kind::Volume, every(), shutdown, |object| {
            Change::Volume(Arc::new(object))
        });
        self.watch::<StorageClass>(client, Kind::StorageClass, every(), shutdown, |object| {
            Change::StorageClass(Arc::new(object))
        });
        self.watch::<CSINode>(client, Kind::CsiNode, every(), shutdown, |object| {
            Change::CsiNode(Arc::new(object))
        });
        self.watch::<CSIDriver>(client, Kind::CsiDriver, every(), shutdown, |object| {
            Change::CsiDriver(Arc::new(object))
        });
        self.watch::<CSIStorageCapacity>(client, Kind::StorageCapacity, every(), shutdown, |object| {
            Change::StorageCapacity(Arc::new(object))
        });
        self.watch::<VolumeAttachment>(client, Kind::VolumeAttachment, every(), shutdown, |object| {
            Change::VolumeAttachment(Arc::new(object))
        });
        self.watch::<RuntimeClass>(client, Kind::RuntimeClass, every(), shutdown, |object| {
            Change::RuntimeClass(Arc::new(object))
        });
        self.watch::<NodeGroup>(client, Kind::NodeGroup, every(), shutdown, |object| {
            Change::NodeGroup(Arc::new(object))
        });
        self.watch::<VPSieNode>(client, Kind::VPSieNode, every(), shutdown, |object| {
            Change::VPSieNode(Arc::new(object))
        });
        self.watch::<AutoscalerConfig>(client, Kind::Config, every(), shutdown, |object| {
            Change::Config(Arc::new(object))
        });
        self.watch::<ScalingPolicy>(client, Kind::Policy, every(), shutdown, |object| {
            Change::Policy(Arc::new(object))
        });
        self.watch::<Rebalance>(client, Kind::Rebalance, every(), shutdown, |object| {
            Change::Rebalance(Arc::new(object))
        });
    }

    /// Waits until every kind was listed once.
    pub async fn synced(&self) {
        let wanted = self.kinds.load(Ordering::SeqCst);
        let mut done = self.synced.subscribe();
        // The sender lives in self: waiting cannot fail.
        let _ = done.wait_for(|count| *count >= wanted).await;
    }

    /// Whether every kind was listed once.
    pub fn is_synced(&self) -> bool {
        *self.synced.borrow() >= self.kinds.load(Ordering::SeqCst)
    }

    /// Folds a change and tells the listeners.
    pub fn apply(&self, change: &Change) {
        self.index.apply(change);
        for listener in self.listeners.read().iter() {
            listener(change);
        }
    }

    fn watch<K>(
        self: &Arc<Self>,
        client: &Client,
        kind: Kind,
        config: watcher::Config,
        shutdown: &CancellationToken,
        change: fn(K) -> Change,
    ) where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        self.kinds.fetch_add(1, Ordering::SeqCst);
        // Who wrote which field is half of an object, and nothing here asks.
        let change = move |mut object: K| {
            object.meta_mut().managed_fields = None;
            change(object)
        };
        let api = Api::<K>::all(client.clone());
        let (feed, shutdown) = (self.clone(), shutdown.clone());
        tokio::spawn(async move {
            let mut events = watcher(api, config).backoff(Pauses::default()).boxed();
            let mut known = Known::new(kind, Arc::clone(&feed.index));
            let mut listed_once = false;
            loop {
                let event = tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    event = events.try_next() => event,
                };
                match event {
                    Ok(Some(watcher::Event::Init)) => known.list(),
                    Ok(Some(watcher::Event::InitApply(object))) => {
                        known.see(&object);
                        feed.apply(&change(object));
                    }
                    Ok(Some(watcher::Event::InitDone)) => {
                        for gone in known.gone() {
                            feed.apply(&Change::Gone(kind, gone));
                        }
                        if !std::mem::replace(&mut listed_once, true) {
                            feed.synced.send_modify(|count| *count += 1);
                        }
                    }
                    Ok(Some(watcher::Event::Apply(object))) => {
                        known.see(&object);
                        feed.apply(&change(object));
                    }
                    Ok(Some(watcher::Event::Delete(object))) => {
                        known.forget(&object);
                        feed.apply(&Change::Gone(kind, ObjectKey::of(&object)));
                    }
                    Ok(None) => return,
                    Err(source) => {
                        let error = crate::Error::Watch { kind, source };
                        let cause = std::error::Error::source(&error)
                            .map(ToString::to_string)
                            .unwrap_or_default();
                        tracing::warn!(
                            ?kind,
                            reason = error.reason(),
                            cause,
                            "{error} failed; trying again"
                        );
                    }
                }
            }
        });
    }
}
