//! Answers of VPSie that controllers share: one call serves all who ask within its time to live.
//!
//! Also remembers what recent purchases taught: an offering that was refused is left alone for a while.

use crate::context::Now;
use crate::settings::Pace;
use autoscaler_cluster::{ObjectKey, Offering, TemplateHealth};
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
    health: Mutex<BTreeMap<(ObjectKey, String), TemplateHealth>>,
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
        self.health.lock().clone()
    }

    /// Until when an offering is left alone, in milliseconds since the epoch.
    pub fn backoff_until_ms(&self, group: &ObjectKey, offering: &str) -> Option<i64> {
        self.health
            .lock()
            .get(&(group.clone(), offering.to_owned()))?
            .backoff_until_ms
    }

    /// A purchase was refused or its node never came.
    pub fn purchase_failed(&self, group: &ObjectKey, offering: &str) {
        let mut all = self.health.lock();
        let health = all.entry((group.clone(), offering.to_owned())).or_default();
        let now_ms = (self.now)().as_millisecond();
        // Many orders of one batch are refused for one and the same cause: they count once.
        if health.backoff_until_ms.is_some_and(|until| until > now_ms) {
            return;
        }
        health.failures = health.failures.saturating_add(1);
        let doublings = health.failures.saturating_sub(1).min(16);
        let pause = self
            .pace
            .backoff_first
            .saturating_mul(1 << doublings)
            .min(self.pace.backoff_max);
        health.backoff_until_ms =
            Some(now_ms.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)));
    }

    /// A node of the offering came: all is well again.
    pub fn purchase_succeeded(&self, group: &ObjectKey, offering: &str) {
        self.health.lock().remove(&(group.clone(), offering.to_owned()));
    }

    /// An operator asked for another try now.
    pub fn forget_failures(&self, group: &ObjectKey) {
        self.health.lock().retain(|(known, _), _| known != group);
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
