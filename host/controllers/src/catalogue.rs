//! Answers of VPSie that controllers share: one call serves all who ask within its time to live.
//!
//! Also keeps what recent purchases taught ([`crate::health`]): an offering that was refused is left alone for a while.

use crate::context::Now;
use crate::health::{Failure, Health, Place, Rest};
use crate::settings::Pace;
use autoscaler_api::conditions::reasons;
use autoscaler_api::node_group::{CreationPause, OfferingHealth};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::{ObjectKey, Offering, TemplateHealth};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use vpsie_client::{ClusterDetail, ClusterId, DatacenterId, Error, Offer, ProviderGroup};

/// One cached answer; the lock is held while asking, so that no question is asked twice at once.
type Slot<T> = Arc<tokio::sync::Mutex<Option<(Instant, Arc<T>)>>>;

/// Shared answers, by what was asked for.
pub struct Catalogue {
    client: vpsie_client::Client,
    now: Now,
    pace: Pace,
    clusters: Mutex<BTreeMap<ClusterId, Slot<ClusterDetail>>>,
    groups: Mutex<BTreeMap<ClusterId, Slot<Vec<ProviderGroup>>>>,
    offers: Mutex<BTreeMap<DatacenterId, Slot<Vec<Offering>>>>,
    known_offers: Mutex<BTreeMap<String, Vec<Offering>>>,
    health: Mutex<Health>,
}

impl Catalogue {
    pub fn new(client: vpsie_client::Client, now: Now, pace: Pace) -> Self {
        Self {
            client,
            now,
            pace,
            clusters: Mutex::default(),
            groups: Mutex::default(),
            offers: Mutex::default(),
            known_offers: Mutex::default(),
            health: Mutex::default(),
        }
    }

    /// The cluster with its nodes, not older than `max_age`.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn cluster(&self, id: &ClusterId, max_age: Duration) -> Result<Arc<ClusterDetail>, Error> {
        let slot = self.clusters.lock().entry(id.clone()).or_default().clone();
        cached(&slot, max_age, self.client.get_cluster(id)).await
    }

    /// The provider's groups of the cluster, not older than `max_age`.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn groups(&self, id: &ClusterId, max_age: Duration) -> Result<Arc<Vec<ProviderGroup>>, Error> {
        let slot = self.groups.lock().entry(id.clone()).or_default().clone();
        cached(&slot, max_age, self.client.list_groups(id)).await
    }

    /// What can be bought in a datacenter.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn offerings(&self, datacenter: &str) -> Result<Arc<Vec<Offering>>, Error> {
        let id = DatacenterId::new(datacenter);
        let slot = self.offers.lock().entry(id.clone()).or_default().clone();
        let ask = async { Ok(self.client.list_offers(&id).await?.iter().map(offering).collect()) };
        let answer = cached(&slot, self.pace.offers_ttl, ask).await?;
        self.known_offers
            .lock()
            .insert(datacenter.to_owned(), answer.to_vec());
        Ok(answer)
    }

    /// Every offering that was ever learned, by datacenter: a decision does not wait for VPSie.
    pub fn known_offerings(&self) -> BTreeMap<String, Vec<Offering>> {
        self.known_offers.lock().clone()
    }

    /// Health of offerings by group.
    pub fn health(&self) -> BTreeMap<(ObjectKey, String), TemplateHealth> {
        self.health.lock().of_templates()
    }

    /// Until when an offering is left alone.
    pub fn rests_until(&self, place: &Place) -> Option<Timestamp> {
        self.health.lock().rests_until(place, (self.now)())
    }

    /// The pause that VPSie's quota forces on a cluster now.
    pub fn quota_pause(&self, cluster: &str) -> Option<Rest> {
        self.health.lock().pause(cluster, (self.now)()).cloned()
    }

    /// A purchase was refused or its node never came.
    pub fn purchase_failed(&self, place: &Place, reason: &str, message: &str) {
        let failure = self.failure(reason, message);
        self.health.lock().failed(&self.pace, place, failure);
    }

    /// A node of the offering came: all is well again.
    pub fn purchase_succeeded(&self, place: &Place) {
        self.health.lock().succeeded(place);
    }

    /// VPSie's quota refused an order and every fall-back of it.
    pub fn quota_refused(&self, cluster: &str, message: &str) {
        let failure = self.failure(reasons::QUOTA_EXCEEDED, message);
        self.health.lock().quota_refused(&self.pace, cluster, failure);
    }

    /// VPSie took an order.
    pub fn order_accepted(&self, cluster: &str) {
        self.health.lock().order_accepted(cluster);
    }

    /// An operator asked for another try now.
    pub fn forget_failures(&self, group: &NodeGroup) {
        let cluster = &group.spec.resource_identifier;
        self.health.lock().forget(&ObjectKey::of(group), cluster);
    }

    /// What a group's status carries of all this.
    pub fn health_status(&self, group: &NodeGroup) -> (Vec<OfferingHealth>, Option<CreationPause>) {
        self.health.lock().status(group)
    }

    /// Takes over from the leader before: what groups carry, and failures that were not counted yet when it ended.
    pub fn restore(&self, groups: &[Arc<NodeGroup>], nodes: &[Arc<VPSieNode>]) {
        let mut health = self.health.lock();
        for group in groups {
            health.restore(group);
        }
        for node in nodes.iter().filter(|node| node.phase() == Phase::Failed) {
            let Some((status, since)) = node
                .status
                .as_ref()
                .and_then(|status| Some((status, status.phase_since.as_ref()?)))
            else {
                continue;
            };
            let failure = Failure {
                at: since.0,
                reason: status.reason.clone().unwrap_or_default(),
                message: status.last_error.clone().unwrap_or_default(),
            };
            health.failed(&self.pace, &Place::of(node), failure);
        }
    }

    fn failure(&self, reason: &str, message: &str) -> Failure {
        Failure {
            at: (self.now)(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        }
    }
}

async fn cached<T>(
    slot: &Slot<T>,
    max_age: Duration,
    ask: impl Future<Output = Result<T, Error>>,
) -> Result<Arc<T>, Error> {
    let mut slot = slot.lock().await;
    if let Some((at, answer)) = slot.as_ref()
        && at.elapsed() < max_age
    {
        return Ok(answer.clone());
    }
    // Dated before the question: the answer may be as old as that.
    let at = Instant::now();
    let answer = Arc::new(ask.await?);
    *slot = Some((at, answer.clone()));
    Ok(answer)
}

fn offering(offer: &Offer) -> Offering {
    let hourly = offer.price_hourly.unwrap_or(0.0);
    let names = [
        Some(offer.id.to_string()),
        Some(offer.name.clone()),
        offer.identifier.clone(),
    ];
    Offering {
        size: offer.id.0,
        names: names.into_iter().flatten().collect(),
        cpu: offer.cpu,
        memory_mib: offer.memory_mib,
        disk_gib: offer.disk_gib,
        hourly_micros: (hourly * 1e6).round().max(0.0) as u64,
    }
}
