//! Answers of VPSie that controllers share: one call serves all who ask within its time to live.
//!
//! Also keeps what recent purchases taught ([`crate::health`]): an offering that was refused is left alone for a while.

use crate::context::Now;
use crate::health::{Failure, Health, Place, Rest};
use crate::settings::Pace;
use autoscaler_api::conditions::reasons;
use autoscaler_api::node_group::{CreationPause, OfferingHealth};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_api::{NodeGroup, NodeGroupSpec, VPSieNode};
use autoscaler_cluster::{ObjectKey, Offering, TemplateHealth};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use vpsie_client::{
    ClusterDetail, ClusterId, DatacenterId, Error, ImageId, Offer, PendingVm, Plan, PlanId, ProviderGroup, Vm,
};

/// One cached answer; the lock is held while asking, so that no question is asked twice at once.
type Slot<T> = Arc<tokio::sync::Mutex<Option<(Instant, Arc<T>)>>>;

/// The VMs of the account at one moment.
#[derive(Debug)]
pub struct Vms {
    /// Ordered, and not listed yet.
    pub pending: Vec<PendingVm>,
    /// Listed, by name and age.
    pub listed: Vec<Vm>,
}

/// Shared answers, by what was asked for.
pub struct Catalogue {
    client: vpsie_client::Client,
    now: Now,
    pace: Pace,
    clusters: Mutex<BTreeMap<ClusterId, Slot<ClusterDetail>>>,
    groups: Mutex<BTreeMap<ClusterId, Slot<Vec<ProviderGroup>>>>,
    vms: Slot<Vms>,
    offers: Mutex<BTreeMap<String, Slot<Vec<Offering>>>>,
    known_offers: Mutex<BTreeMap<String, Vec<Offering>>>,
    /// UUIDs of plans, by what their catalogue is of and by what a group may call them.
    plans: Mutex<BTreeMap<(String, String), PlanId>>,
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
            vms: Slot::default(),
            offers: Mutex::default(),
            known_offers: Mutex::default(),
            plans: Mutex::default(),
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

    /// The VMs of the account, not older than `max_age`.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn vms(&self, max_age: Duration) -> Result<Arc<Vms>, Error> {
        cached(&self.vms, max_age, async {
            // In this order: a machine that leaves the first list in between stands in the second.
            let pending = self.client.list_pending_vms().await?;
            let listed = self.client.list_vms(None).await?;
            Ok(Vms { pending, listed })
        })
        .await
    }

    /// What can be bought for a group.
    ///
    /// # Errors
    /// Those of the client.
    pub async fn offerings(&self, spec: &NodeGroupSpec) -> Result<Arc<Vec<Offering>>, Error> {
        let market = spec.market();
        let slot = self.offers.lock().entry(market.clone()).or_default().clone();
        let datacenter = DatacenterId::new(&spec.datacenter_id);
        let answer = if spec.is_vm() {
            let ask = async {
                let plans = self.all_plans(&datacenter, spec.os_image_id.as_deref()).await?;
                let mut known = self.plans.lock();
                for (name, plan) in plans
                    .iter()
                    .flat_map(|plan| plan_names(plan).map(move |name| (name, plan)))
                {
                    known.insert((market.clone(), name), plan.id.clone());
                }
                Ok(plans.iter().map(of_plan).collect())
            };
            cached(&slot, self.pace.offers_ttl, ask).await?
        } else {
            let ask = async {
                Ok(self
                    .client
                    .list_offers(&datacenter)
                    .await?
                    .iter()
                    .map(offering)
                    .collect())
            };
            cached(&slot, self.pace.offers_ttl, ask).await?
        };
        self.known_offers.lock().insert(market, answer.to_vec());
        Ok(answer)
    }

    /// The plans of every category.
    async fn all_plans(&self, datacenter: &DatacenterId, image: Option<&str>) -> Result<Vec<Plan>, Error> {
        let image = ImageId::new(image.unwrap_or_default());
        let mut plans = Vec::new();
        for category in self.client.list_plan_categories().await? {
            plans.extend(self.client.list_plans(datacenter, &image, &category.id).await?);
        }
        Ok(plans)
    }

    /// UUID of the plan that is called so in a catalogue that was learned.
    pub fn plan(&self, market: &str, name: &str) -> Option<PlanId> {
        self.plans
            .lock()
            .get(&(market.to_owned(), name.to_owned()))
            .cloned()
    }

    /// Every offering that was ever learned, by what its catalogue is of: a decision does not wait for VPSie.
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

    /// The pause that VPSie's quota forces on a cluster, or on all VMs, now.
    pub fn quota_pause(&self, scope: &str) -> Option<Rest> {
        self.health.lock().pause(scope, (self.now)()).cloned()
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
    pub fn quota_refused(&self, scope: &str, message: &str) {
        let failure = self.failure(reasons::QUOTA_EXCEEDED, message);
        self.health.lock().quota_refused(&self.pace, scope, failure);
    }

    /// VPSie took an order.
    pub fn order_accepted(&self, scope: &str) {
        self.health.lock().order_accepted(scope);
    }

    /// An operator asked for another try now.
    pub fn forget_failures(&self, group: &NodeGroup) {
        let scope = group.spec.quota_scope();
        self.health.lock().forget(&ObjectKey::of(group), scope);
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
        hourly_micros: micros(offer.price_hourly),
    }
}

/// What a NodeGroup may call a plan.
fn plan_names(plan: &Plan) -> impl Iterator<Item = String> {
    [plan.name.clone(), plan.id.to_string()].into_iter()
}

fn of_plan(plan: &Plan) -> Offering {
    Offering {
        size: 0,
        names: plan_names(plan).collect(),
        cpu: plan.cpu,
        memory_mib: plan.memory_mib,
        disk_gib: plan.disk_gib,
        hourly_micros: micros(plan.price_hourly),
    }
}

fn micros(hourly: Option<f64>) -> u64 {
    (hourly.unwrap_or(0.0) * 1e6).round().max(0.0) as u64
}
